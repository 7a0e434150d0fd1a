"""From the completer request stream to segments: one header, one slice of payload, one clock.

A *segment* is what one beat of the stream contributes to a request: up to N dwords of payload (N = width / 32), moved
so that the first of them is in lane 0, and the request's whole header beside it. The last beat also says how the
request ended.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell.csr_register import any_of
from epbell.pcie import usp
from epbell.pcie.tlp import HEADER, RequestType

__all__ = [
    "RequestParser",
    "segment_layout",
]

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
    write : 1
        ``data`` is a memory write's payload, so far without any error.
    final : 1
        The request is over with this segment; the remaining members count only then.
    known : 1
        There is a header. Not so when the packet was cut within its descriptor, or joined in its middle.
    discontinued : 1
        The hard block withdrew the packet.
    malformed : 1
        The packet is shorter or longer than its header says (and not discontinued).
    """
    return data.StructLayout({
        "header": HEADER,
        "data": data.ArrayLayout(32, lanes),
        "count": range(lanes + 1),
        "first": 1,
        "tail": 1,
        "write": 1,
        "final": 1,
        "known": 1,
        "discontinued": 1,
        "malformed": 1,
    })


class RequestParser(wiring.Component):
    """Cuts the CQ stream of the UltraScale+ hard block (PG213, "Completer Request Interface") into segments.

    The segment is combinational: it belongs to the beat on the stream and is taken together with it. The descriptor
    takes two beats at 64 bits, one at 128, and half or a quarter of the first beat at 256 and 512, where the payload
    follows in the same beat. A packet whose ``tlast`` comes early or late is followed to its ``tlast``; a packet that
    begins before the one before it has ended replaces it; beats before the first start of packet are skipped.

    Parameters
    ----------
    width : int
        Width of the stream in bits: 64, 128, 256 or 512.

    Attributes
    ----------
    cq : In(usp.CompleterRequest(width))
        The stream; ``tready`` follows ``ready``.
    ready : In(1)
        The segment, if there is one, is taken in this cycle.
    valid : Out(1)
        There is a segment. Beats that have nothing to say pass without one.
    segment : Out(segment_layout(width / 32))
        The segment.
    starts : Out(1)
        The first beat of a packet is being taken.
    idle : Out(1)
        No packet is in progress.
    torn : Out(1)
        A packet is being replaced by the next one before it has ended: one more malformed packet.
    completes : Out(1)
        The beat on the stream, taken or not, ends the packet in progress without an error.
    fails : Out(1)
        The beat on the stream, taken or not, shows that the packet in progress will not end well with it.

    Raises
    ------
    ValueError
        If `width` is none of those.
    """

    cq: Any
    ready: Any
    valid: Any
    segment: Any
    starts: Any
    idle: Any
    torn: Any
    completes: Any
    fails: Any

    def __init__(self, width: int) -> None:
        self._width = usp.check_width(width)
        self._lanes = width // 32
        super().__init__({
            "cq": In(usp.CompleterRequest(width)),
            "ready": In(1),
            "valid": Out(1),
            "segment": Out(segment_layout(self._lanes)),
            "starts": Out(1),
            "idle": Out(1),
            "torn": Out(1),
            "completes": Out(1),
            "fails": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Find the beat in which the header is complete, count the payload down from there."""
        m: Any = Module()
        cq, segment = self.cq, self.segment
        user = usp.request_user(self._width, cq.tuser)
        taken: Any = Signal()
        head: Any = Signal()  # the header is complete with this beat
        active: Any = Signal()  # the header is known and the packet goes on
        fresh: Any = Signal()  # no payload has been seen yet
        bad: Any = Signal()
        broken: Any = Signal()  # it was bad before this beat
        withdrawn: Any = Signal()  # it was discontinued before this beat
        early = self._header(m, user, head, taken)
        misframed = self._payload(m, head, taken)

        is_write = segment.header.kind == RequestType.MEM_WRITE
        is_message = segment.header.kind.as_value()[2:].all()  # whatever it carries is skipped
        m.d.comb += [
            cq.tready.eq(self.ready),
            taken.eq(cq.tvalid & self.ready),
            segment.known.eq(head | (active & ~user.sop)),
            bad.eq(~is_message & (misframed | (broken & ~head) | ~segment.header.length.any())),
            segment.first.eq(head | fresh),
            segment.final.eq(cq.tlast),
            segment.discontinued.eq(user.discontinue | (withdrawn & ~user.sop)),
            segment.malformed.eq((bad | ~segment.known) & ~segment.discontinued),
            segment.write.eq(segment.known & is_write & ~bad & ~segment.discontinued & segment.count.any()),
            self.valid.eq(cq.tvalid & (cq.tlast | segment.write)),
            self.starts.eq(taken & user.sop),
            self.idle.eq(~active & ~early),
            self.torn.eq(taken & user.sop & (active | early)),
            self.completes.eq(cq.tvalid & cq.tlast & ~user.sop & ~bad & ~segment.discontinued),
            self.fails.eq(cq.tvalid & ~self.completes),
        ]
        with m.If(taken):
            m.d.sync += [
                active.eq(segment.known & ~cq.tlast),
                fresh.eq(segment.first & ~segment.count.any()),
                broken.eq(bad),
                withdrawn.eq(segment.discontinued),
            ]
        return m

    def _header(self, m: Any, user: Any, head: Any, taken: Any) -> Any:
        """Drive ``head`` and the header; return "half a descriptor is waiting for the other half" (64 bits only)."""
        cq = self.cq
        early: Any = Signal()
        held: Any = Signal(128)
        descriptor: Any = Signal(128)
        sideband: Any = Signal(19)
        held_sideband: Any = Signal(19)
        at_sop = Cat(user.first_be, user.last_be, user.tph)
        m.d.comb += sideband.eq(Mux(user.sop, at_sop, held_sideband))
        with m.If(taken & user.sop):
            m.d.sync += held_sideband.eq(at_sop)
        if self._width == 64:
            m.d.comb += [head.eq(early & ~user.sop), descriptor.eq(Cat(held[:64], Mux(head, cq.tdata, held[64:])))]
            with m.If(taken):
                m.d.sync += early.eq(user.sop & ~cq.tlast)
            with m.If(taken & user.sop):
                m.d.sync += held[:64].eq(cq.tdata)
            with m.If(taken & head):
                m.d.sync += held[64:].eq(cq.tdata)
        else:
            m.d.comb += [head.eq(user.sop), descriptor.eq(Mux(head, cq.tdata[:128], held))]
            with m.If(taken & head):
                m.d.sync += held.eq(descriptor)
        for name, value in usp.request_header(descriptor, sideband[:4], sideband[4:8], sideband[8:]).items():
            m.d.comb += self.segment.header[name].eq(value)
        return early

    def _payload(self, m: Any, head: Any, taken: Any) -> Any:
        """Count the payload, and move its slice down to lane 0; return "the packet does not end where it should"."""
        segment, lanes = self.segment, self._lanes
        lanes_in_head = max(lanes - 4, 0)
        kind = segment.header.kind
        carries: Any = Signal()
        remaining: Any = Signal(11)
        left: Any = Signal(11)
        here: Any = Signal(range(lanes + 1))
        m.d.comb += [
            carries.eq(any_of([kind == some for some in _CARRIERS])),
            remaining.eq(Mux(head, Mux(carries, segment.header.length, 0), left)),
            here.eq(Mux(head, lanes_in_head, lanes)),
            segment.tail.eq(remaining <= here),
            segment.count.eq(Mux(segment.tail, remaining, here)),
        ]
        with m.If(taken):
            m.d.sync += left.eq(remaining - segment.count)
        words = [self.cq.tdata.word_select(lane, 32) for lane in range(lanes)]
        for lane in range(lanes):
            if lanes < 8:
                m.d.comb += segment.data[lane].eq(words[lane])
            else:
                in_head = words[lane + 4] if lane + 4 < lanes else 0
                m.d.comb += segment.data[lane].eq(Mux(head, in_head, words[lane]))
        kept: Any = Signal(lanes)
        before = Mux(head, min(lanes, 4), 0)  # dwords of the descriptor in this beat
        for lane in range(lanes):
            m.d.comb += kept[lane].eq(lane < before + segment.count)
        return (self.cq.tlast != segment.tail) | (self.cq.tkeep != kept)
