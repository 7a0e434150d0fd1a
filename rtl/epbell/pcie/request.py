"""From the completer request stream to segments: one header, one slice of payload, one clock.

A *segment* is what one beat of the stream contributes to a request: up to N dwords of payload (N = width / 32), moved
so that the first of them is in lane 0, and the request's whole header beside it. The last beat also says how the
request ended.
"""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell.csr_register import any_of
from epbell.pcie import usp
from epbell.pcie.tlp import HEADER, RequestType

__all__ = [
    "STAGES",
    "RequestParser",
    "segment_layout",
]

STAGES = 5
"""Clocks from a beat at the pins to its segment."""

_CARRIERS = (
    *(RequestType.MEM_WRITE, RequestType.IO_WRITE, RequestType.FETCH_ADD, RequestType.SWAP, RequestType.CAS),
    *(RequestType.CFG_WRITE_0, RequestType.CFG_WRITE_1),
)
"""Kinds with a payload."""


def segment_layout(lanes: int) -> data.StructLayout:
    """Layout of a segment.

    Parameters
    ----------
    lanes : int
        Dwords in one beat.

    Attributes
    ----------
    header : HEADER
        The request's header, ``tlp.HEADER``.
    data : array of dwords
        Payload, the segment's first dword in lane 0.
    count : range(lanes + 1)
        Valid dwords in ``data``.
    first : 1
        Not the continuation of a payload: ``header`` is news.
    tail : 1
        By the header's length, ``data`` holds the payload's last dword.
    single : 1
        By the header's length, the request is for one dword.
    write : 1
        ``data`` is a memory write's payload, so far without any error.
    final : 1
        The request is over with this segment; the three members that follow count only then.
    known : 1
        There is a header. Not so when the packet was cut within its descriptor, or joined in its middle.
    discontinued : 1
        The hard block withdrew the packet.
    malformed : 1
        The packet is shorter or longer than its header says (and not discontinued).
    torn : 1
        The packet has replaced one that had not ended, which is one more malformed packet.
    """
    return data.StructLayout({
        "header": HEADER,
        "data": data.ArrayLayout(32, lanes),
        "count": range(lanes + 1),
        "first": 1,
        "tail": 1,
        "single": 1,
        "write": 1,
        "final": 1,
        "known": 1,
        "discontinued": 1,
        "malformed": 1,
        "torn": 1,
    })


class RequestParser(wiring.Component):
    """Cuts the CQ stream of the UltraScale+ hard block (PG213, "Completer Request Interface") into segments.

    The descriptor takes two beats at 64 bits, one at 128, and half or a quarter of the first beat at 256 and 512, where
    the payload follows in the same beat. A packet whose ``tlast`` comes early or late is followed to its ``tlast``; a
    packet that begins before the one before it has ended replaces it; beats before the first start of packet are
    skipped.

    A beat goes through five stages, a clock each, and nothing holds it up on its way:

    0. as it came;
    1. beside the header of its packet, and what that says about the beats to come; ``header`` is this stage's;
    2. its place in the packet, by counting;
    3. whether its end and its lanes are as they have to be;
    4. whether the packet has been well up to here: the segment.

    So what is behind has to have room for all that may be in the stages when it lets no more come.

    Parameters
    ----------
    width : int
        Width of the stream in bits: 64, 128, 256 or 512.

    Attributes
    ----------
    cq : In(usp.CompleterRequest(width))
        The stream; ``tready`` is a flip-flop, ``room`` of the clock before.
    room : In(1)
        There is room behind for the segments of this clock's beat and the next clock's, beside those in the stages.
    header : Out(HEADER)
        Header of the packet of which a beat is in stage 1. It counts with the beats that have it, by their segments.
    address_again : Out(64)
        The address in it once more, out of other flip-flops.
    valid : Out(1)
        There is a segment. Beats that have nothing to say pass without one.
    segment : Out(segment_layout(width / 32))
        The segment; that of the beat whose header was on ``header`` three clocks before.
    begins : Out(1)
        The beat whose segment this would be is the first of its packet: that was accepted :data:`STAGES` clocks ago.
    idle : Out(1)
        No packet is in progress, and nothing of one is in the stages. It rises a clock late, and falls in the clock
        after the first beat of a packet was accepted.

    Raises
    ------
    ValueError
        If `width` is none of those.
    """

    cq: Any
    room: Any
    header: Any
    address_again: Any
    valid: Any
    segment: Any
    begins: Any
    idle: Any

    def __init__(self, width: int) -> None:
        self._width = usp.check_width(width)
        self._lanes = width // 32
        super().__init__({
            "cq": In(usp.CompleterRequest(width)),
            "room": In(1),
            "header": Out(HEADER),
            "address_again": Out(64),
            "valid": Out(1),
            "segment": Out(segment_layout(self._lanes)),
            "begins": Out(1),
            "idle": Out(1, init=1),
        })

    def elaborate(self, platform: object) -> Module:
        """Build the stages, one after the other."""
        m: Any = Module()
        ready: Any = Signal(init=1)
        self._accepted: Any = self.cq.tvalid & ready
        self._valid: Any = Signal(STAGES, name="came")  # a beat is in this stage
        m.d.comb += self.cq.tready.eq(ready)
        m.d.sync += [ready.eq(self.room), self._valid.eq(Cat(self._accepted, self._valid))]
        beat = self._take(m)
        passed, packet = self._head(m, beat)
        placed = self._count(m, passed, packet)
        self._judge(m, self._check(m, placed))
        self._watch(m)
        return m

    def _stage(self, m: Any, number: int, **values: Any) -> Any:
        """Flip-flops of a stage, which take these values in each clock."""
        found = {name: Signal.like(value, name=f"{name}{number}", reset_less=True) for name, value in values.items()}
        m.d.sync += [found[name].eq(value) for name, value in values.items()]
        return SimpleNamespace(**found)

    def _take(self, m: Any) -> Any:
        """Stage 0: a beat as it came."""
        cq = self.cq
        user = usp.request_user(self._width, cq.tuser)
        flags = {"sop": user.sop, "last": cq.tlast, "gone": user.discontinue}
        sideband: Any = Cat(user.first_be, user.last_be, user.tph)
        # A packet begins with this beat. The other one is for what the windows look at; it begins with one, which loads
        # what nobody looks at then: else synthesis would make one of the two.
        self._opens: Any = Signal(name="opens")
        self._opens_too: Any = Signal(name="opens_too", init=1)
        m.d.sync += [one.eq(self._accepted & user.sop) for one in (self._opens, self._opens_too)]
        return self._stage(m, 0, **flags, sideband=sideband, keep=cq.tkeep, words=cq.tdata)

    def _head(self, m: Any, beat: Any) -> tuple[Any, Any]:
        """Stage 1: the header as far as it has come, and what it says of the beats to come."""
        lanes, came = self._lanes, self._valid[0]
        early: Any = Signal()  # half a descriptor has passed, and the packet goes on (64 bits only)
        head: Any = Signal()  # the header is complete with this beat
        # The windows, which are many, have the header and once more its address: what has other values is not made one.
        inverted: Any = Signal(128, reset_less=True)  # the descriptor, for what is to come here
        outside: Any = Signal(128, init=-1, reset_less=True)
        address: Any = Signal(64, reset_less=True)
        sideband: Any = Signal(19, reset_less=True)
        first = slice(0, min(self._width, 128))  # what a packet begins with
        with m.If(self._opens):
            m.d.sync += [sideband.eq(beat.sideband), inverted[first].eq(~beat.words[first])]
        with m.If(self._opens_too):
            m.d.sync += [outside[first].eq(beat.words[first]), address.eq(beat.words)]
        if lanes == 2:
            m.d.comb += head.eq(came & early & ~beat.sop)
            with m.If(came):
                m.d.sync += early.eq(beat.sop & ~beat.last)
            with m.If(head):
                m.d.sync += [inverted[64:].eq(~beat.words), outside[64:].eq(beat.words)]
        else:
            m.d.comb += head.eq(self._opens)
        self._header: Any = Signal(HEADER, name="header1")
        for header, one in ((self._header, ~inverted), (self.header, outside)):
            fields = usp.request_header(one, sideband[:4], sideband[4:8], sideband[8:])
            m.d.comb += [header[name].eq(value) for name, value in fields.items()]
        m.d.comb += self.address_again.eq(usp.request_header(Cat(address, Const(0, 64)), 0, 0, 0)["address"])
        upper = beat.words[:64] if lanes == 2 else beat.words[64:128]
        packet = self._foresee(m, head, upper[:11], upper[11:15])
        # Lanes in use, if they are the lower ones, and how many.
        gaps: Any = beat.keep[1:] & ~beat.keep[:-1]
        ends: Any = beat.keep & ~(beat.keep >> 1)
        used: Any = Signal(range(lanes + 1))
        m.d.comb += used.eq(any_of([Mux(ends[lane], lane + 1, 0) for lane in range(lanes)]))
        passed = self._stage(
            m,
            1,
            **{name: getattr(beat, name) for name in ("sop", "last", "gone", "words")},
            head=head,
            torn=came & beat.sop & early,
            gaps=gaps.any(),
            used=used,
        )
        return passed, packet

    def _foresee(self, m: Any, taken: Any, length: Any, kind: Any) -> Any:
        """Beside the header: how its payload is spread over the beats, the one of the header and those behind it."""
        lanes = self._lanes
        own = max(lanes - 4, 0)  # dwords of payload in the header's beat, at most
        carries: Any = any_of([kind == some for some in _CARRIERS])
        behind: Any = Signal(12)  # dwords behind it, less one
        m.d.comb += behind.eq(length - (own + 1))
        here: Any = Mux(carries, Mux(behind[11], length, own), 0)[: own.bit_length()] if own else Const(0, 1)
        shift = lanes.bit_length() - 1
        values = {
            "goes_on": carries & ~behind[11],
            "beats": behind[shift:11],  # behind the header's, less one
            "one": ~behind[shift:11].any(),
            "rest": (behind[:shift] + 1)[: lanes.bit_length()],  # dwords in the last of them
            "here": here,
            "empty": ~length.any(),
            "single": length == 1,
            "writes": kind == RequestType.MEM_WRITE,
            "message": kind[2:].all(),
        }
        found = {name: Signal.like(value, name=name, reset_less=True) for name, value in values.items()}
        with m.If(taken):
            m.d.sync += [found[name].eq(value) for name, value in values.items()]
        return SimpleNamespace(**found)

    def _count(self, m: Any, passed: Any, packet: Any) -> Any:
        """Stage 2: where in its packet a beat is; its payload in lane 0."""
        lanes, came = self._lanes, self._valid[1]
        head = passed.head
        active: Any = Signal()  # the header is known, and the packet goes on
        ending: Any = Signal(reset_less=True)  # the next beat is to be the last
        left: Any = Signal.like(packet.beats, reset_less=True)  # beats to come behind the next one
        fresh: Any = Signal()  # the header has passed, and no payload
        gone: Any = Signal()  # the packet in progress was withdrawn
        known: Any = Signal()
        tail: Any = Signal()
        withdrawn: Any = Signal()
        count: Any = Signal(range(lanes + 1))
        m.d.comb += [
            known.eq(head | (active & ~passed.sop)),
            tail.eq(Mux(head, ~packet.goes_on, ending)),
            withdrawn.eq(passed.gone | (gone & ~passed.sop)),
            count.eq(Mux(head, packet.here, Mux(ending, packet.rest, lanes))),
        ]
        with m.If(came):
            m.d.sync += [
                active.eq(known & ~passed.last),
                gone.eq(withdrawn),
                ending.eq(Mux(head, packet.one, left == 1)),
                left.eq(Mux(head, packet.beats, left - 1)),
                fresh.eq(head),
            ]
        words: Any = passed.words
        if lanes >= 8:
            words = Mux(head, passed.words[128:], passed.words)
        before = min(lanes, 4)  # dwords of the descriptor in the header's beat
        return self._stage(
            m,
            2,
            **{name: getattr(packet, name) for name in ("empty", "single", "writes", "message")},
            **{"header": self._header, "words": words, "head": head, "ending": ending, "last": passed.last},
            **{"known": known, "gone": withdrawn, "tail": tail, "count": count, "gaps": passed.gaps},
            first=head | (fresh if lanes < 8 else 0),
            torn=passed.torn | (came & passed.sop & active),
            as_head=passed.used == packet.here + before,
            as_last=passed.used == packet.rest,
            as_others=passed.used == lanes,
        )

    def _check(self, m: Any, placed: Any) -> Any:
        """Stage 3: whether a beat ends its packet if it should, and has the lanes that it should."""
        p = placed
        lanes_fit = Mux(p.head, p.as_head, Mux(p.ending, p.as_last, p.as_others))
        wrong = ~p.message & (p.empty | p.gaps | (p.last != p.tail) | ~lanes_fit)
        pays = self._valid[2] & p.known & p.writes & ~p.gone & p.count.any()
        passed = ("header", "words", "head", "last", "known", "gone", "tail", "count", "first", "torn", "single")
        return self._stage(m, 3, **{name: getattr(p, name) for name in passed}, wrong=wrong, pays=pays)

    def _judge(self, m: Any, checked: Any) -> None:
        """Stage 4: the segment."""
        c = checked
        broken: Any = Signal()  # the packet in progress was bad before this beat
        bad: Any = Signal()
        m.d.comb += bad.eq(c.wrong | (broken & ~c.head))
        came = self._valid[3]
        with m.If(came):
            m.d.sync += broken.eq(bad)
        final = came & c.last
        write = c.pays & ~bad
        segment = self._stage(
            m,
            4,
            **{name: getattr(c, name) for name in ("header", "count", "first", "tail", "single", "known", "torn")},
            **{"data": c.words, "write": write, "final": final, "discontinued": c.gone},
            malformed=(bad | ~c.known) & ~c.gone,
        )
        m.d.comb += [self.segment[name].eq(getattr(segment, name)) for name in self.segment.shape().members]
        m.d.sync += self.valid.eq(came & (c.last | write | c.torn))

    def _watch(self, m: Any) -> None:
        """See whether anything of a packet is there, and where packets begin."""
        cq, accepted = self.cq, self._accepted
        sop: Any = usp.request_user(self._width, cq.tuser).sop
        owned: Any = Signal(STAGES)  # there is a beat of a packet in this stage
        starts: Any = Signal(STAGES - 1)  # and it is its first one, but for stage 0
        begun: Any = Signal()  # a packet has, and not ended
        with m.If(accepted):
            m.d.sync += begun.eq((sop | begun) & ~cq.tlast)
        m.d.sync += [
            owned.eq(Cat(accepted & (sop | begun), owned)),
            starts.eq(Cat(self._opens, starts)),
            self.idle.eq(~((accepted & sop) | begun | owned.any())),
        ]
        m.d.comb += self.begins.eq(starts[-1])
