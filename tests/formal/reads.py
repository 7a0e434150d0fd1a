"""Proof of the read engine: each request becomes one series of completions, cut as PCI Express allows.

Requests are free, but say of themselves what `completer.packets` shows that they say. The account keeps the request in
hand, how much of it has been answered, and where in its packet the next beat is; the descriptor is typed in from PG213
("Completer Completion Descriptor"), byte count and lower address from the base specification (2.2.9).
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In
from inside import Inside

from epbell.pcie.read import ReadEngine
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["HEAD", "PROOFS", "REQUEST", "bytes_left", "first_dwords", "lower_address"]

_ADDRESS = 14
HEAD = 3
_LOGGED = 5
_BOUNDARY = 32  # dwords between read completion boundaries, at most
_REFUSED, _RAM = range(2)  # what a request is for; above: a page
_LOCKED, _SUCCESS, _UNSUPPORTED = 7, 0, 1

_REPEATED = {"length": 11, "kind": 4, "bar": 3, "aperture": 6, "spare": 2, "tph": 11}
_WHO = {"at": 2, "tc": 3, "attr": 3, "tag": 8, "requester": 16, "function": 8}
REQUEST = data.StructLayout(
    {
        "to": 2,
        "dword": _ADDRESS,  # address of the first dword that is wanted
        "dwords": 11,
        "first_be": 4,
        "last_be": 4,
        "payload": 2,  # maximum payload when the request was cut
        "address": 62,
        "byte_count": 13,  # of a refusal
        "lower": 7,
        **_REPEATED,
        **_WHO,
    }
)


def _limit(code: Any) -> Any:
    """Dwords of the maximum payload."""
    return Mux(code == 0, 32, Mux(code == 1, 64, Mux(code == 2, 128, 256)))


def _skipped(enables: Any) -> Any:
    """Bytes before the first one that is enabled."""
    return Mux(enables[0], 0, Mux(enables[1], 1, Mux(enables[2], 2, Mux(enables[3], 3, 0))))


def first_dwords(request: Any) -> Any:
    """Dwords of the first completion: up to a multiple of the maximum payload."""
    to_end = Mux(request.payload == 0, 32 - request.dword[:5], Mux(request.payload == 1, 64 - request.dword[:6],
        Mux(request.payload == 2, 128 - request.dword[:7], 256 - request.dword[:8])))  # fmt: skip
    return Mux(request.dwords < to_end, request.dwords, to_end)


def bytes_left(request: Any, first: Any, rest: Any) -> Any:
    """Byte count when `rest` dwords are left: from the first byte that is enabled to the last one."""
    single = request.dwords == 1
    last = Mux(single, request.first_be, request.last_be)
    after = _skipped(Cat(*reversed(list(last))))
    in_all = (request.dwords << 2) - _skipped(request.first_be) - after
    total = Mux(first, Mux(single & (request.first_be == 0), 1, in_all), (rest << 2) - after)
    return Mux(request.to == _REFUSED, request.byte_count, total)[:13]


def lower_address(request: Any, first: Any, where: Any) -> Any:
    """Lower address of a completion whose data begin in dword `where`."""
    offset: Any = Mux(first, _skipped(request.first_be), Const(0, 2))
    return Mux(request.to == _REFUSED, request.lower, Cat(offset[:2], where[:5]))


def _head(request: Any, first: Any, where: Any, rest: Any, dwords: Any) -> Any:
    """Descriptor of a completion."""
    refused = request.to == _REFUSED
    low = Cat(
        lower_address(request, first, where), Const(0, 1), request.at, Const(0, 6), bytes_left(request, first, rest),
        refused & (request.kind == _LOCKED), Const(0, 2),
    )  # fmt: skip
    status = Cat(Mux(refused, _UNSUPPORTED, _SUCCESS), Const(0, 3))[:3]
    middle = Cat(Mux(refused, 0, dwords[:9]), Const(0, 2), status, Const(0, 2), request.requester)
    high = Cat(request.tag, request.function, Const(0, 9), request.tc, request.attr, Const(0, 1))
    return Cat(low, middle, high)


def _logged(request: Any) -> Any:
    """What follows the descriptor of a refusal: byte enables, hint, and the descriptor of the request."""
    r = request
    return Cat(
        r.first_be, r.last_be, r.tph[:3], Const(0, 5), r.tph[3:], Const(0, 8),
        r.at, r.address,
        r.length, r.kind, r.spare[0], r.requester, r.tag, r.function, r.bar, r.aperture, r.tc, r.attr, r.spare[1],
    )  # fmt: skip


class _Engine(Bench):
    """The engine, beside the request in hand and how much of it has been answered."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.dut: Any = ReadEngine(lanes, _ADDRESS, 2)
        super().__init__(
            {
                "asked": In(REQUEST),
                **{name: In(1) for name in ("i_valid", "ram_ready", "bus_ready", "room")},
                "max_payload": In(2),
                "bus_data": In(32),
            }
        )

    def check(self, m: Any, checks: Checks) -> None:
        dut = self.dut
        self.inside = Inside(dut)
        m.submodules.dut = dut
        for name in ("i_valid", "ram_ready", "bus_ready", "room", "max_payload", "bus_data"):
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        self._ask(m, checks)
        self._account(m)
        self._hand(checks)
        self._beats(checks)
        self._pages(m, checks)
        self._inside(checks)
        self._covers(checks)

    def _ask(self, m: Module, checks: Checks) -> None:
        """Put the request as the queue has it."""
        asked, given = self.asked, self.dut.i_data
        checks.assume(
            "a request is for 1 to 1024 dwords, since completer.writes and inbound.ends say so of what is not refused",
            (asked.dwords >= 1) & (asked.dwords <= 1024),
        )
        m.d.comb += [
            given.ram.eq(asked.to == _RAM),
            given.pages.eq(Cat(asked.to == 2, asked.to == 3)),
            given.byte_count.eq(bytes_left(asked, Const(1, 1), asked.dwords)),
            given.lower.eq(lower_address(asked, Const(1, 1), asked.dword)),
            *(given[name].eq(asked[name]) for name in ("first_be", "last_be", *_WHO)),
        ]
        fetch, refused = given.either.fetch, given.either.refused
        with m.If(asked.to == _REFUSED):
            m.d.comb += [refused[name].eq(asked[name]) for name in ("address", *_REPEATED)]
        with m.Else():
            m.d.comb += [
                fetch.origin.eq(asked.dword - HEAD),
                fetch.chunk.eq(first_dwords(asked)),
                fetch.rest.eq(asked.dwords - first_dwords(asked)),
            ]

    def _account(self, m: Any) -> None:
        """Follow the series, beat by beat. A beat belongs to the request that was in hand a clock before it."""
        dut = self.dut
        taken = dut.i_valid & dut.i_ready
        self.hand: Any = Signal(REQUEST, name="hand")
        self.sent: Any = Signal(REQUEST, name="sent")
        opening: Any = Signal(9, name="opening")  # data of its first completion
        fresh: Any = Signal(name="fresh")
        limit: Any = Signal(2, name="payload_ago")
        self.owing: Any = Signal(name="owing")
        m.d.sync += [self.sent.eq(self.hand), fresh.eq(taken), limit.eq(self.max_payload)]
        with m.If(taken):
            m.d.sync += [self.hand.eq(self.asked), opening.eq(first_dwords(self.asked))]
        # Of the beat that is there, and of the one that is due: of its completion, whether it is the first, where its
        # data begin, dwords of the request from there on, and of these its own; of the beat, dwords of the completion
        # from there on, which one it is (2: none of the first two), and the address of what is in lane 0.
        shape = data.StructLayout({
            "first": 1, "where": _ADDRESS, "rest": 11, "chunk": 9, "left": 9, "nth": 2, "spot": _ADDRESS
        })  # fmt: skip
        self.now: Any = Signal(shape, name="now")
        self.due: Any = Signal(shape, name="due")
        self.refused = self.sent.to == _REFUSED
        self.last: Any = Signal(name="is_last")
        self.final: Any = Signal(name="is_final")
        now, due, beat = self.now, self.due, dut.beat_valid
        after: Any = Signal(11, name="after")
        following: Any = Signal(9, name="following")
        next_where: Any = Signal(_ADDRESS, name="next_where")
        m.d.comb += [
            self.last.eq(now.left <= self.lanes),
            self.final.eq(self.last & (self.refused | (now.chunk == now.rest))),
            after.eq(now.rest - now.chunk),
            following.eq(Mux(after > _limit(limit), _limit(limit), after)),
            next_where.eq(now.where + now.chunk),
            due.eq(now),
        ]
        with m.If(fresh):
            m.d.comb += [
                due.first.eq(1),
                due.where.eq(self.hand.dword),
                due.rest.eq(self.hand.dwords),
                due.chunk.eq(opening),
                due.left.eq(HEAD + Mux(self.hand.to == _REFUSED, _LOGGED, opening)),
                due.nth.eq(0),
                due.spot.eq(self.hand.dword - HEAD),
            ]
        with m.Elif(beat & self.last):
            m.d.comb += [
                due.first.eq(0),
                due.where.eq(next_where),
                due.rest.eq(after),
                due.chunk.eq(following),
                due.left.eq(HEAD + following),
                due.nth.eq(0),
                due.spot.eq(next_where - HEAD),
            ]
        with m.Elif(beat):
            m.d.comb += [
                due.left.eq(now.left - self.lanes),
                due.nth.eq(Mux(now.nth == 2, 2, now.nth + 1)),
                due.spot.eq(now.spot + self.lanes),
            ]
        self.busy: Any = Signal(name="busy")
        m.d.comb += self.busy.eq(fresh | (self.owing & ~(beat & self.final)))
        m.d.sync += [now.eq(due), self.owing.eq(self.busy)]
        self.bare: Any = (due.nth == 0) if self.lanes == 2 else Const(0)  # nothing but a descriptor is due

    def _hand(self, checks: Checks) -> None:
        """State when a request is taken, and when it is over."""
        dut = self.dut
        checks.forward("a request is taken in its own clock when there is none in hand", self.busy | dut.i_ready)
        checks.backward("none is taken before the one in hand is over", ~dut.i_ready | ~self.busy | dut.answered)
        checks.backward("no beat without a request in hand", ~dut.beat_valid | self.owing)
        over = checks.past(dut.answered, "answered_ago")
        checks.forward("the end of a series is announced a clock before", ~(dut.beat_valid & self.final) | over)
        checks.backward("nothing else is", ~over | (dut.beat_valid & self.final))
        checks.backward("idle: no request in hand, and no beat", dut.idle == ~(self.busy | dut.beat_valid))

    def _beats(self, checks: Checks) -> None:
        """State what is in a beat."""
        dut, beat, lanes, sent, now = self.dut, self.dut.beat, self.lanes, self.sent, self.now
        shown = dut.beat_valid
        checks.backward("the first beat of a completion is marked", ~shown | (beat.first == (now.nth == 0)))
        if lanes == 2:
            checks.backward("and the second", ~shown | (beat.second == (now.nth == 1)))
        checks.backward("and the last, after as many dwords as it has", ~shown | (beat.last == self.last))
        checks.backward("each beat but the last is full", ~shown | (beat.count == Mux(self.last, now.left, lanes)))
        head = shown & ((now.nth < 2) if lanes == 2 else (now.nth == 0))
        checks.forward(
            "the descriptor: status, length, byte count and lower address of what is left, and who asked",
            ~head | (beat.descriptor == _head(sent, now.first, now.where, now.rest, now.chunk)),
        )
        checks.backward(
            "a completion ends on a read completion boundary, or is the last",
            ~shown | self.refused | (now.chunk == now.rest) | ((now.where + now.chunk)[:5] == 0),
        )
        checks.backward(
            "it has at least a dword and no more than is left",
            ~shown | self.refused | (now.chunk != 0) & (now.chunk <= now.rest),
        )
        ram = shown & (sent.to == _RAM)
        data_due: Any = (now.nth != 0) if lanes == 2 else Const(1)
        was_read = checks.past(dut.ram_valid & self.ram_ready, "was_read")
        where = checks.past(dut.ram_addr, "read_where")
        checks.forward(
            "what it has of the RAM was read a clock ago, where it belongs",
            ~(ram & data_due) | beat.from_ram & was_read & (where == now.spot),
        )
        checks.backward("nothing else is of the RAM", ~shown | (beat.from_ram == (sent.to == _RAM)))
        checks.backward("what is read goes out", ~was_read | ram & data_due)
        logged = _logged(sent)
        for dword in range(HEAD, HEAD + _LOGGED):
            word = beat.words[dword % lanes]
            here = shown & self.refused & (now.left == HEAD + _LOGGED - dword // lanes * lanes)
            checks.forward(
                "a refusal repeats the request for the log", ~here | (word == logged.word_select(dword - HEAD, 32))
            )

    def _pages(self, m: Any, checks: Checks) -> None:
        """State which dwords of a page are read, and that they arrive; and when a beat is complete."""
        dut, lanes, hand, due = self.dut, self.lanes, self.hand, self.due
        seen: Any = Signal(9, name="seen")  # dwords of the completion that were read or passed over
        paged = hand.to > _RAM
        turn: Any = Signal(name="turn")
        enabled: Any = Signal(name="enabled")
        steps: Any = Signal(name="steps")
        at_end: Any = Signal(name="at_end")
        lane: Any = Signal(range(lanes), name="lane_due")
        opens = due.first & (seen == 0)
        m.d.comb += [
            turn.eq(self.busy & self.room & paged & ~self.bare),
            enabled.eq(Mux(opens, hand.first_be.any(), Mux(seen + 1 == due.rest, hand.last_be.any(), 1))),
            steps.eq(turn & (~enabled | self.bus_ready)),
            lane.eq(HEAD + seen),
            at_end.eq((lane == lanes - 1) | (seen + 1 == due.chunk)),
        ]
        with m.If(dut.i_valid & dut.i_ready | steps & (seen + 1 == due.chunk)):
            m.d.sync += seen.eq(0)
        with m.Elif(steps):
            m.d.sync += seen.eq(seen + 1)
        checks.forward(
            "a dword of a page is read in its turn, if a byte of it is enabled", ~(turn & enabled) | dut.bus_valid
        )
        checks.backward("nothing else of a page is read", ~dut.bus_valid | turn & enabled)
        checks.backward(
            "it is where it belongs",
            ~dut.bus_valid
            | (dut.bus_addr == Cat(Const(0, 2), (due.where + seen)[:14]))
            & (dut.bus_pages == Cat(hand.to == 2, hand.to == 3)),
        )
        complete: Any = Signal(name="complete")
        read = Mux(hand.to == _RAM, self.ram_ready, steps & at_end)
        m.d.comb += complete.eq(self.busy & self.room & (self.bare | (hand.to == _REFUSED) | read))
        fetches = self.busy & self.room & (hand.to == _RAM) & ~self.bare
        checks.forward("the RAM is read when there is room", ~fetches | dut.ram_valid)
        checks.backward("and not else", ~dut.ram_valid | fetches)
        was_complete = checks.past(complete, "complete_ago")
        checks.forward("a beat goes out in the clock after its last dword was read", ~was_complete | dut.beat_valid)
        checks.backward("and not before: there was room", ~dut.beat_valid | was_complete)
        sent_page = dut.beat_valid & (self.sent.to > _RAM)
        got: Any = [Signal(32, name=f"got{n}") for n in range(lanes)]
        kept: Any = Signal(lanes, name="kept")
        for n in range(lanes):
            with m.If(steps & (lane == n)):
                m.d.sync += [got[n].eq(self.bus_data), kept[n].eq(enabled)]
            with m.Elif(complete & (hand.to == _REFUSED)):
                m.d.sync += kept[n].eq(0)
            checks.forward(
                "each dword of a page is what was read", ~(sent_page & kept[n]) | (dut.beat.words[n] == got[n])
            )
            checks.invariant("words are kept", ~kept[n] | (dut.beat.words[n] == got[n]))
        inside = self.inside
        mine = self.busy & paged
        checks.invariant("whose turn it is", ~mine | (inside.signal("lane") == Mux(self.bare, 0, lane)))
        checks.invariant("whether there was a dword", ~mine | (inside.signal("started") == ~opens))
        checks.invariant("dwords of pages are read for this completion", ~mine | (seen < due.chunk))
        place = Mux(self.bare, HEAD, lane)
        checks.invariant("and for this beat", ~mine | (seen + due.left == due.chunk + place))
        checks.cover("a read of no byte reads nothing", sent_page & self.final & ~kept.any())
        checks.cover("a read of a page waits for it", dut.bus_valid & ~self.bus_ready)

    def _inside(self, checks: Checks) -> None:
        """What is in the engine is what the account says."""
        inside, hand, busy, due = self.inside, self.hand, self.busy, self.due
        request: Any = data.View(self.dut.i_data.shape(), inside.signal("request"))
        fetch, refused = request.either.fetch, request.either.refused
        is_refused = hand.to == _REFUSED
        checks.invariant("in hand", inside.signal("active") == busy)
        same = ("first_be", "last_be", *_WHO)
        checks.invariant(
            "as it was asked",
            ~busy
            | (Cat(request.ram, request.pages) == Cat(hand.to == _RAM, hand.to == 2, hand.to == 3))
            & (Cat(request[name] for name in same) == Cat(hand[name] for name in same)),
        )
        names = ("address", *_REPEATED)
        checks.invariant(
            "what a refusal repeats",
            ~(busy & is_refused) | (Cat(refused[name] for name in names) == Cat(hand[name] for name in names)),
        )
        reads = busy & ~is_refused
        checks.invariant("where its data begin", ~reads | (fetch.origin == (due.where - HEAD)[:_ADDRESS]))
        checks.invariant("how many they are", ~reads | (fetch.chunk == due.chunk))
        checks.invariant("how many come later", ~reads | (fetch.rest == (due.rest - due.chunk)[:11]))
        checks.invariant("at first, all", ~(reads & due.first) | (due.rest == hand.dwords) & (due.where == hand.dword))
        checks.invariant("what it says", ~busy | (request.byte_count == bytes_left(hand, due.first, due.rest)))
        checks.invariant("where it begins", ~busy | (request.lower == lower_address(hand, due.first, due.where)))
        checks.invariant("cut at boundaries", ~reads | due.first | (due.where[:5] == 0))
        ends = (due.where + due.chunk)[:5]
        checks.invariant("and to be cut", ~reads | (due.chunk == due.rest) | (ends == 0))
        checks.invariant("a size", ~reads | (due.chunk != 0) & (due.chunk <= 256) & (due.chunk <= due.rest))
        checks.invariant("later ones are for more than a dword", ~reads | due.first | (hand.dwords > 1))
        checks.invariant("a refusal is one", ~(busy & is_refused) | due.first)
        checks.invariant("of 1 to 1024", ~busy | (hand.dwords >= 1) & (due.rest <= 1024))
        checks.invariant("the beat's address", ~reads | (inside.signal("origin") == due.spot))
        checks.invariant(
            "as far from its end", ~reads | ((due.spot + due.left)[:_ADDRESS] == (due.where + due.chunk)[:_ADDRESS])
        )
        whole = HEAD + Mux(is_refused, _LOGGED, due.chunk)
        checks.invariant(
            "what is to come of the packet",
            ~busy | (inside.signal("left") == due.left) & (due.left != 0) & (due.left <= whole),
        )
        checks.invariant("the first beat", ~busy | (inside.signal("first") == (due.nth == 0)))
        checks.invariant("all of it", ~busy | ((due.nth == 0) == (due.left == whole)))
        checks.invariant("beats are counted", ~busy | (due.nth != 3))
        checks.invariant("beats are full", ~busy | ((whole - due.left)[: self.lanes.bit_length() - 1] == 0))
        if self.lanes == 2:
            checks.invariant("what comes after the first", self.dut.beat.first == (busy & (due.nth == 1)))

    def _covers(self, checks: Checks) -> None:
        """Say what can happen."""
        shown, sent, now = self.dut.beat_valid, self.sent, self.now
        later = shown & ~now.first
        checks.cover("the second completion of a read of the RAM ends it", later & self.final & (sent.to == _RAM))
        checks.cover("the second of a page", later & (sent.to == 3) & (now.nth != 0))
        checks.cover("a refusal beside the next request", shown & self.final & self.refused & self.busy)
        checks.cover("there is no room", self.busy & ~self.room)


PROOFS = [
    Proof(
        f"reads.series.{32 * lanes}",
        "each request becomes one series of completions, cut at boundaries, that say what is left",
        partial(_Engine, lanes),
        depth=1,
        cover_depth=10,
        mutant_depth=6,
        wide=True,
    )
    for lanes in (2,)
]
