"""Proofs of the completer's front end: the queue of the reads, the credits, and what becomes of each packet."""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In
from inside import Inside
from way_in import READ, WRITE, WayIn

from epbell.pcie.queue import Credits, Queue
from epbell.pcie.target import EVENTS
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_ENTRY = 4


class _Queue(Bench):
    """What comes in goes out, once, in its order."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        super().__init__({"i_valid": In(1), "i_data": In(_ENTRY), "o_ready": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        depth, places = self.depth, self.depth + 1
        dut: Any = Queue(data.StructLayout({"entry": _ENTRY}), depth)
        fifo = Inside(dut).within("fifo")
        m.submodules.dut = dut
        shown = dut.o_data.as_value()
        m.d.comb += [
            dut.i_valid.eq(self.i_valid),
            dut.i_data.as_value().eq(self.i_data),
            dut.o_ready.eq(self.o_ready),
        ]
        comes, goes = self.i_valid & dut.i_ready, dut.o_valid & self.o_ready
        # The account: entries that came and did not go, the oldest first.
        held = [Signal(_ENTRY, name=f"held{n}") for n in range(places)]
        count: Any = Signal(range(places + 1), name="count")
        at = count - goes
        m.d.sync += count.eq(count + comes - goes)
        for n in range(places):
            kept = Mux(goes, held[n + 1], held[n]) if n + 1 < places else held[n]
            m.d.sync += held[n].eq(Mux(comes & (at == n), self.i_data, kept))
        oldest, newest, level = (fifo.signal(name) for name in ("oldest", "newest", "level"))
        checks.invariant(
            "as many are kept as came and did not go", (level + dut.o_valid == count) & (count <= places)
        )
        checks.invariant(
            "it knows whether it is empty, and whether it is full",
            (fifo.signal("o_valid") == level.any()) & (fifo.signal("free") == (level != depth)),
        )
        checks.invariant("none is behind an empty register", dut.o_valid | (level == 0))
        checks.invariant("kept in a ring", newest == (oldest + level)[: len(newest)])
        for n in range(depth):
            word = fifo.word(m, "entries", (oldest + n)[: len(oldest)])
            checks.invariant("each is where it has to be", (level <= n) | (word.as_value() == held[n + 1]))
        checks.forward(
            "the oldest is on its way out, from the clock after it came on",
            ~count.any() | dut.o_valid & (shown == held[0]),
        )
        checks.forward("there is room until all places are taken", (count == places) | dut.i_ready)
        checks.backward("there is none then", (count != places) | ~dut.i_ready)
        checks.backward("nothing goes out that did not come", ~dut.o_valid | count.any())
        waits = checks.past(dut.o_valid & ~self.o_ready, "waited")
        before = checks.past(shown, "shown_before")
        checks.backward("what is offered stays, unchanged, until it is taken", ~waits | dut.o_valid & (shown == before))
        checks.cover("full, and the oldest goes", (count == places) & goes & (held[0] != held[depth]))


class _Credits(Bench):
    """One grant for each free place."""

    def __init__(self, places: int) -> None:
        self.places = places
        super().__init__({"returned": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        inside = Inside(dut := Credits(self.places))
        m.submodules.dut = dut
        port: Any = dut
        m.d.comb += port.returned.eq(self.returned)
        out: Any = Signal(range(self.places + 2), name="granted")  # on the port or before, and not answered
        back = self.returned & (out != 0)
        grant: Any = Signal(name="grant")
        m.d.comb += grant.eq(out < self.places)
        m.d.sync += out.eq(out + grant - back)
        checks.invariant("free places are those that are not granted", inside.signal("free") == self.places - out)
        checks.backward("never more is granted than there are places", out <= self.places)
        granted = checks.past(grant, "granted_ago")
        checks.forward("a free place is granted in the next clock", ~granted | (port.np_req == 1))
        checks.backward("nothing else is granted, nor in reset", granted | (port.np_req == 0))
        checks.cover("all are granted, and one comes back", (out == self.places) & self.returned)
        checks.cover("one is granted while one comes back", grant & back)


class Front(WayIn):
    """Each packet has one answer or none, and one report or none, as it was."""

    def state(self, m: Any, checks: Checks) -> None:
        """State what becomes of each packet."""
        target, seen = self.target, self.seen
        layout = data.StructLayout({
            "there": 1,  # something of the packet came
            "ended": 1,
            "sound": 1,
            "withdrawn": 1,
            "writes": 1,  # it is a write of memory, and was not bad so far
            "torn": 1,
            "asks": 1,  # it asks for an answer
            "kind": 4,
            "who": 43,
        })  # fmt: skip
        said: Any = Signal(layout, name="said")
        kind, header = seen.header[75:79], seen.header
        posted = (kind == WRITE) | (kind >= 12)
        sound = seen.known & ~seen.withdrawn & ~seen.wrong
        m.d.comb += [
            said.there.eq(self.parser.valid),
            said.ended.eq(seen.last),
            said.sound.eq(sound),
            said.withdrawn.eq(seen.withdrawn),
            said.writes.eq(sound & (kind == WRITE)),
            said.torn.eq(seen.torn),
            said.asks.eq(self.parser.valid & seen.last & seen.known & ~posted),
            said.kind.eq(kind),
            said.who.eq(Cat(header[80:96], header[96:104], header[104:112], header[121:127], header[0:2])),
        ]
        account = self.follow(said, "said")
        found = self.in_target.within("decoder").signal
        checks.invariant("one place", found("ram") + found("pages")[0] + found("pages")[1] <= 1)
        for one, action in self.entries(account):
            self._hold(checks, one, action)
            self._events(checks, one, action.events, action.request.ram | action.request.pages.any())
            checks.invariant("torn", ~one.there | (action.torn == one.torn))
        self._outputs(checks, account)
        now, takes = account.now, self.takes
        checks.forward("a beat that ends a packet is followed to its end", ~(seen.came & seen.last) | self.parser.valid)
        answered = target.read_valid & self.read_ready
        asks = now.there & now.asks
        read = target.read
        told = Cat(read.requester, read.tag, read.function, read.tc, read.attr, read.at)
        checks.forward(
            "each non-posted packet with a header is offered to the reads, until it is taken", ~asks | target.read_valid
        )
        checks.forward("with what its completion needs", ~asks | (told == now.who))
        checks.backward("nothing else is offered: a posted one has no completion", asks | ~target.read_valid)
        checks.backward("one packet has one answer", ~(asks & takes) | answered)
        fetches = target.read_valid & (read.ram | read.pages.any())
        checks.backward("only a sound memory read reads anything", ~fetches | now.sound & (now.kind == READ))
        checks.backward("it reads one thing", ~target.read_valid | (read.ram + read.pages[0] + read.pages[1] <= 1))
        writes = target.bus_valid | target.ram_valid
        checks.backward(
            "reads and writes are not done at once: a read waits for every write before it",
            ~(target.read_valid & writes),
        )
        checks.backward("a packet that is bad writes nothing more", ~writes | now.there & now.writes)
        self._reports(m, checks, now, read)
        over = now.there & now.ended
        checks.cover("a read waits for its place", asks & ~self.read_ready)
        checks.cover("a malformed packet", target.malformed & checks.past(now.kind == WRITE, "was_write"))
        checks.cover("a doorbell of a sound write", target.bus_valid & self.ready & over)

    def _reports(self, m: Any, checks: Checks, now: Any, read: Any) -> None:
        """State what is reported of the packet that has left, in the clock after."""
        target = self.target
        gone: Any = Signal.like(now, name="gone")  # what has left
        nothing: Any = Signal(name="read_nothing")
        m.d.sync += [
            gone.eq(now),
            gone.there.eq(now.there & self.takes & now.ended),
            nothing.eq(~(read.ram | read.pages.any())),
        ]
        over, kind = gone.there, gone.kind
        events = Cat(getattr(target, name) for name in EVENTS)
        number = sum((event for event in events), Const(0, 1))
        checks.backward("one report at most", number <= 1)
        checks.backward("no report but in the clock after a packet that has ended has left", ~events.any() | over)
        checks.forward("a withdrawn one is reported so", ~(over & gone.withdrawn) | target.discontinued)
        bad = ~gone.sound & ~gone.withdrawn
        checks.forward(
            "one that is too long, too short, empty or without a head is reported as malformed",
            ~(over & bad) | target.malformed,
        )
        checks.backward("no other is", ~target.malformed | bad)
        other = (kind != READ) & (kind != WRITE)
        checks.forward(
            "one that is sound but no memory request is reported as unsupported",
            ~(over & gone.sound & other) | target.unsupported,
        )
        checks.backward("no other is unsupported", ~target.unsupported | gone.sound & other)
        checks.backward("what is refused was sound", ~(target.read_refused | target.write_refused) | gone.sound)
        checks.forward(
            "a sound read that reads nothing is refused",
            ~(over & gone.sound & (kind == READ)) | (target.read_refused == nothing),
        )
        torn = checks.past(now.there & self.takes & now.torn, "torn")
        checks.forward("a packet that another one has replaced is reported with that one", ~torn | target.torn)
        checks.backward("no other is", ~target.torn | torn)

    def _hold(self, checks: Checks, said: Any, action: Any) -> None:
        """Say that what is to be done is of the packet."""
        there, request = said.there, action.request
        told = Cat(request.requester, request.tag, request.function, request.tc, request.attr, request.at)
        ended, kind = there & said.ended, said.kind
        reads = request.ram | request.pages.any()
        checks.invariant("who asks", ~there | (action.read == said.asks))
        checks.invariant("a read does", ~(there & said.ended & said.sound & (said.kind == READ)) | said.asks)
        checks.invariant("who asks", ~(there & said.asks) | (told == said.who))
        checks.invariant("what writes", ~(there & (action.ram | action.page)) | said.writes)
        checks.invariant("one thing", ~there | (action.ram + action.page + action.read <= 1))
        checks.invariant("what reads", ~(there & reads) | ended & said.sound & (kind == READ) & said.asks)
        checks.invariant("sound or withdrawn", ~(there & said.sound & said.withdrawn))
        checks.invariant("one place", ~there | (request.ram + request.pages[0] + request.pages[1] <= 1))
        checks.invariant("of a page", ~(action.begins | action.more | action.waits) | action.page)
        checks.invariant("some bytes", ~action.begins | action.bytes[0])

    def _events(self, checks: Checks, said: Any, events: Any, reads: Any) -> None:
        """Say what is reported of the packet."""
        there, ended, kind = said.there, said.there & said.ended, said.kind
        other = (kind != READ) & (kind != WRITE)
        checks.invariant(
            "what is reported",
            ~there
            | (events.discontinued == (ended & said.withdrawn))
            & (events.malformed == (ended & ~said.sound & ~said.withdrawn))
            & (events.unsupported == (ended & said.sound & other))
            & (events.read_refused == (ended & said.sound & (kind == READ) & ~reads))
            & (~events.write_refused | ended & said.sound & (kind == WRITE)),
        )

    def _outputs(self, checks: Checks, account: Any) -> None:
        """Say what the last stage shows."""
        target, inside, now, said = self.target, self.in_target, self.now, account.now
        there = said.there
        checks.invariant("something is being done", inside.signal("holds") == there)
        checks.invariant("what is decoded", self.decoder_valid == account.decoded.there)
        more, waits, reports = (inside.signal(name) for name in ("more", "waits", "reports"))
        page, read = target.bus_valid | more | waits, target.read
        shown: Any = Signal.like(now, name="shown")  # what is done, whatever else is held
        outputs = {"ram": target.ram_valid, "read": target.read_valid, "begins": target.bus_valid}
        outputs |= {"page": page, "more": more, "waits": waits}
        self.m.d.comb += [shown.eq(now), *(shown[name].eq(value) for name, value in outputs.items())]
        reads = target.read_valid & (read.ram | read.pages.any())
        with self.m.If(~target.read_valid):
            self.m.d.comb += [shown.request.ram.eq(0), shown.request.pages.eq(0)]
        self._hold(checks, said, shown)
        self._events(checks, said, data.View(now.events.shape(), reports[: len(EVENTS)]), reads)
        checks.invariant("torn", ~there | (reports[-1] == said.torn))
        checks.invariant("only what is there is done", there | ~(target.ram_valid | target.read_valid | page))
        checks.invariant("nothing is reported of nothing", there | ~reports.any())


PROOFS = [
    *(
        Proof(
            f"completer.queue.{depth}",
            "what joins the queue of the reads leaves it once, in its order",
            partial(_Queue, depth),
            depth=1,
        )
        for depth in (2, 3)
    ),
    Proof(
        "completer.credits.4",
        "one grant for each free place, never more than there are",
        partial(_Credits, 4),
        depth=1,
        cover_depth=10,
    ),
    *(
        Proof(
            f"completer.packets.{width}",
            "each packet has one answer or none, and one report or none, as it was",
            partial(Front, width),
            depth=1,
            cover_depth=13,
            mutant_depth=12,
            wide=True,
        )
        for width in (64, 128, 256)
    ),
]
