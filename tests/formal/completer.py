"""Proofs of the completer's front end: the queue of the reads, the credits, and what becomes of each packet.

A packet's account is kept from the pins of the CQ stream alone: where in the packet a beat is, by counting dwords, what
its header says (PG213, completer request descriptor), and whether its beats and byte lanes are as many as that.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In
from inside import Inside

from epbell.address_map import HostPage
from epbell.pcie.queue import Credits, Queue
from epbell.pcie.request import RequestParser
from epbell.pcie.target import EVENTS, Target
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["DOORBELLS", "EDMA", "PROOFS", "RAM", "RAM_SIZE", "SIDE_B", "WRITE", "Front"]

_ENTRY = 4


class _Queue(Bench):
    """What comes in goes out, once, in its order."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        super().__init__({"i_valid": In(1), "i_data": In(_ENTRY), "o_ready": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        depth = self.depth
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
        held = [Signal(_ENTRY, name=f"held{n}") for n in range(depth)]
        count: Any = Signal(range(depth + 1), name="count")
        at = count - goes
        m.d.sync += count.eq(count + comes - goes)
        for n in range(depth):
            kept = Mux(goes, held[n + 1], held[n]) if n + 1 < depth else held[n]
            m.d.sync += held[n].eq(Mux(comes & (at == n), self.i_data, kept))
        consume, produce = fifo.signal("consume"), fifo.signal("produce")
        level = fifo.signal("level")
        checks.invariant("as many are kept as came and did not go", (level == count) & (count <= depth))
        checks.invariant("places are in range", (consume < depth) & (produce < depth))
        checks.invariant(
            "kept in a ring", produce == Mux(consume + count >= depth, consume + count - depth, consume + count)
        )
        for n in range(depth):
            place = Mux(consume + n >= depth, consume + n - depth, consume + n)
            word = fifo.word(m, "storage", place)
            checks.invariant("each is where it has to be", (count <= n) | (word == held[n]))
        checks.forward("the oldest is on its way out", ~count.any() | dut.o_valid & (shown == held[0]))
        checks.forward(
            "with nothing older, what comes goes by in its own clock",
            count.any() | ~self.i_valid | dut.o_valid & (shown == self.i_data),
        )
        checks.forward("there is room until all places are taken", (count == depth) | dut.i_ready)
        checks.backward("there is none then", (count != depth) | ~dut.i_ready)
        checks.backward("nothing goes out that did not come", ~dut.o_valid | count.any() | self.i_valid)
        waits = checks.past(dut.o_valid & ~self.o_ready & (count.any() | comes), "waited")
        before = checks.past(shown, "shown_before")
        checks.backward(
            "what is offered and was let in stays, unchanged, until it is taken",
            ~waits | dut.o_valid & (shown == before),
        )
        checks.cover("full, and the oldest goes", (count == depth) & goes & (held[0] != held[depth - 1]))


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


RAM, RAM_SIZE = 0x6000_0000, 4096
SIDE_B, EDMA, DOORBELLS = 0x5D30_0000, 0x5F09_0000, (0x4C, 0xA0)
_READ, WRITE, _LOCKED = 0, 1, 7


def _carries(kind: Any) -> Any:
    """Whether a payload follows: writes of memory, I/O and configuration, and AtomicOps."""
    return (kind == WRITE) | ((kind >= 3) & (kind <= 6)) | (kind == 10) | (kind == 11)


class Front(Bench):
    """Parser and target, with whatever the windows say in each clock."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lanes = width // 32
        members: dict[str, Any] = {
            "tdata": width, "tkeep": self.lanes, "tuser": 88, "tlast": 1, "tvalid": 1,
            "claimed": 1, "fits": 1, "local": 64, "max_payload": 2, "ram_ready": 1, "bus_ready": 1, "read_ready": 1,
        }  # fmt: skip
        super().__init__({name: In(size) for name, size in members.items()})

    def check(self, m: Any, checks: Checks) -> None:
        parser: Any = RequestParser(self.width)
        pages = [HostPage(SIDE_B, None), HostPage(EDMA, DOORBELLS)]
        target: Any = Target(self.lanes, ram_base=RAM, ram_size=RAM_SIZE, pages=pages)
        self.in_parser, self.in_target = Inside(parser), Inside(target)
        m.submodules.parser, m.submodules.target = parser, target
        self.target = target
        for name in ("tdata", "tkeep", "tuser", "tlast", "tvalid"):
            m.d.comb += getattr(parser.cq, name).eq(getattr(self, name))
        for name in ("claimed", "fits", "local", "max_payload", "ram_ready", "bus_ready", "read_ready"):
            m.d.comb += getattr(target, name).eq(getattr(self, name))
        m.d.comb += [
            target.valid.eq(parser.valid),
            target.segment.eq(parser.segment),
            target.completes.eq(parser.completes),
            target.fails.eq(parser.fails),
            parser.ready.eq(target.ready),
        ]
        self.ready = parser.cq.tready
        self.torn = parser.torn
        self.parser = parser
        self._packet(m, checks)
        self.state(m, checks)

    def _packet(self, m: Any, checks: Checks) -> None:
        """Keep the account of the packet on the stream."""
        lanes, user = self.lanes, self.tuser
        sop, withdrawn_now = user[40], user[41]
        self.sop: Any = sop
        self.place: Any = Signal(12, name="place")
        self.taken = taken = self.tvalid & self.ready
        self.at: Any = Signal(12, name="at")  # dwords of the packet before this beat; 0: there is none in progress
        at = self.at
        low: Any = Signal(64, name="low_half")
        held: Any = Signal(64, name="high_half")
        enables: Any = Signal(8, name="enables")
        self.was_wrong: Any = Signal(name="was_wrong")
        wrong = self.was_wrong
        gone: Any = Signal(name="was_withdrawn")
        place = self.place
        header: Any = Signal(128, name="header")
        first_be: Any = Signal(8, name="byte_enables")
        m.d.comb += place.eq(Mux(sop, 0, at))
        if lanes == 2:
            half = place == 2
            m.d.comb += header.eq(Cat(low, Mux(half, self.tdata, held)))
            known = place >= 2
            with m.If(taken & sop):
                m.d.sync += low.eq(self.tdata)
            with m.If(taken & half):
                m.d.sync += held.eq(self.tdata)
        else:
            m.d.comb += header.eq(Mux(sop, self.tdata[:128], Cat(low, held)))
            known = sop | (at != 0)
            with m.If(taken & sop):
                m.d.sync += Cat(low, held).eq(self.tdata[:128])
        m.d.comb += first_be.eq(Mux(sop, user[:8], enables))
        with m.If(taken & sop):
            m.d.sync += enables.eq(user[:8])
        kind, length = header[75:79], header[64:75]
        carries = _carries(kind)
        whole: Any = Signal(12, name="whole")
        rest: Any = Signal(12, name="rest")
        keep: Any = Signal(lanes, name="wanted_keep")
        m.d.comb += [
            whole.eq(4 + Mux(carries, length, 0)),
            rest.eq(Mux(whole > place, whole - place, 0)),
            keep.eq(Cat(n < rest for n in range(lanes))),
        ]
        message = kind >= 12
        misframed = (self.tlast != (rest <= lanes)) | (self.tkeep != keep) | (length == 0)
        fresh = place == (2 if lanes == 2 else 0)
        self.wrong = known & ~message & (misframed | (wrong & ~fresh))
        self.withdrawn = withdrawn_now | (gone & ~sop)
        inside = self.in_parser
        with m.If(taken):
            m.d.sync += [
                at.eq(Mux(self.tlast | ~(sop | (at != 0)), 0, Mux(place > 4000, place, place + lanes))),
                wrong.eq(self.wrong),
                gone.eq(self.withdrawn),
            ]
        self.known, self.kind, self.header, self.byte_enables, self.length = known, kind, header, first_be, length
        begun = at >= (4 if lanes == 2 else 1)
        checks.invariant("a packet goes on", inside.signal("active") == begun)
        checks.invariant("it was wrong", ~begun | (inside.signal("broken") == wrong))
        checks.invariant("it was withdrawn", inside.signal("withdrawn") == gone)
        kept = inside.signal("held")
        checks.invariant("the descriptor", ~begun | (kept == Cat(low, held)))
        checks.invariant("the byte enables", (at == 0) | (inside.signal("held_sideband")[:8] == enables))
        if lanes == 2:
            checks.invariant("half a descriptor", inside.signal("early") == (at == 2))
            checks.invariant("the first half", (at != 2) | (kept[:64] == low))
        # What is left, from the header as it is kept.
        old_kind, old_length = held[11:15], held[:11]
        self.kept_kind: Any = old_kind
        total: Any = Signal(12, name="old_whole")
        m.d.comb += total.eq(4 + Mux(_carries(old_kind), old_length, 0))
        checks.invariant("what is to come", ~begun | (inside.signal("left") == Mux(total > at, total - at, 0)[:11]))
        checks.invariant("dwords come in beats", at[: lanes.bit_length() - 1] == 0)

    def state(self, m: Any, checks: Checks) -> None:
        """State what becomes of each packet: one answer or none, one report or none."""
        target, taken = self.target, self.taken
        ends: Any = Signal(name="ends")
        posted = (self.kind == WRITE) | (self.kind >= 12)
        sound = self.known & ~self.withdrawn & ~self.wrong
        m.d.comb += ends.eq(taken & self.tlast)
        asks: Any = Signal(name="answer_owed")
        over: Any = Signal(name="packet_over")  # it has ended and has not left
        was = {name: Signal(name=f"was_{name}") for name in ("sound", "withdrawn")}
        kind: Any = Signal(4, name="was_kind")
        who: Any = Signal(40, name="who")
        of_header = Cat(
            self.header[80:96], self.header[96:104], self.header[104:112], self.header[121:127], self.header[0:2]
        )
        answered = target.read_valid & self.read_ready
        moved = self.ready  # the stage takes what is on the stream: whatever was in it has left
        m.d.sync += asks.eq(ends & self.known & ~posted | asks & ~answered)
        with m.If(moved):
            m.d.sync += over.eq(ends)
        with m.If(ends):
            m.d.sync += [
                was["sound"].eq(sound),
                was["withdrawn"].eq(self.withdrawn),
                kind.eq(self.kind),
                who.eq(of_header),
            ]
        stage: Any = Signal(target.segment.shape(), name="stage_segment")
        inside = self.in_target.signal("stage")
        m.d.comb += stage.eq(inside[: len(stage.as_value())])
        full = self.in_target.signal("full")
        h = stage.header
        checks.invariant("what ended is in the stage", over == (full & stage.final))
        checks.invariant(
            "who asked", ~asks | over & stage.known & (Cat(h.requester, h.tag, h.function, h.tc, h.attr, h.at) == who)
        )
        plain = stage.known & ~stage.discontinued & ~stage.malformed
        checks.invariant("as it ended", ~over | (plain == was["sound"]) & (stage.discontinued == was["withdrawn"]))
        checks.invariant("its kind", ~over | ~stage.known | (h.kind.as_value() == kind))
        checks.invariant(
            "whether it asks", ~over | (asks == (stage.known & (h.kind.as_value() != 1) & (h.kind.as_value() < 12)))
        )
        checks.invariant("bad in one way", ~(full & stage.discontinued & stage.malformed))
        to_write = stage.known & (h.kind.as_value() == WRITE) & ~stage.discontinued & ~stage.malformed
        checks.invariant("what is written is of a write that is not bad so far", ~(full & stage.write) | to_write)
        read = target.read
        told = Cat(read.requester, read.tag, read.function, read.tc, read.attr, read.at)
        checks.forward(
            "each non-posted packet with a header is offered to the reads, until it is taken", ~asks | target.read_valid
        )
        checks.forward("with what its completion needs", ~asks | (told == who))
        checks.backward("nothing else is offered: a posted one has no completion", asks | ~target.read_valid)
        checks.backward("one packet has one answer", ~(asks & ends) | answered)
        fetches = target.read_valid & (read.ram | read.pages.any())
        checks.backward("only a sound memory read reads anything", ~fetches | was["sound"] & (kind == _READ))
        checks.backward("it reads one thing", ~target.read_valid | (read.ram + read.pages[0] + read.pages[1] <= 1))
        events = Cat(getattr(target, name) for name in EVENTS)
        number = sum((event for event in events), Const(0, 1))
        checks.backward("one report at most", number <= 1)
        checks.backward("no report without a packet that has ended, when it leaves", ~events.any() | over & moved)
        checks.forward("a withdrawn one is reported so", ~(over & moved & was["withdrawn"]) | target.discontinued)
        bad = ~was["sound"] & ~was["withdrawn"]
        checks.forward(
            "one that is too long, too short, empty or without a head is reported as malformed",
            ~(over & moved & bad) | target.malformed,
        )
        checks.backward("no other is", ~target.malformed | bad)
        other = (kind != _READ) & (kind != WRITE)
        checks.forward(
            "one that is sound but no memory request is reported as unsupported",
            ~(over & moved & was["sound"] & other) | target.unsupported,
        )
        checks.backward("no other is unsupported", ~target.unsupported | was["sound"] & other)
        checks.backward("what is refused was sound", ~(target.read_refused | target.write_refused) | was["sound"])
        checks.forward(
            "a sound read that reads nothing is refused",
            ~(over & moved & was["sound"] & (kind == _READ)) | (target.read_refused == ~(read.ram | read.pages.any())),
        )
        writes = target.bus_valid | target.ram_valid
        checks.backward(
            "reads and writes are not done at once: a read waits for every write before it",
            ~(target.read_valid & writes),
        )
        checks.backward(
            "a packet that was bad when it ended writes nothing more",
            ~(over & writes) | was["sound"] & (kind == WRITE),
        )
        checks.cover("a read waits for its place", asks & ~self.read_ready)
        checks.cover(
            "a malformed packet", target.malformed & checks.past(self.known & (self.kind == WRITE), "known_ago")
        )
        checks.cover("a doorbell of a sound write", target.bus_valid & self.bus_ready & over)


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
            wide=True,
        )
        for width in (64, 256)
    ),
]
