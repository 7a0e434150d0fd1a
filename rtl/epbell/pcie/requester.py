"""Requests for one dword of host memory, and what comes back: both ends of the UltraScale+ requester streams."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from epbell.pcie import usp
from epbell.pcie import usp_requester as requester
from epbell.pcie.tlp import CompletionStatus
from epbell.pcie.usp_requester import COMPLETION_DWORDS, REQUEST_DWORDS, ErrorCode

__all__ = [
    "COMPLETION",
    "REQUEST",
    "Cause",
    "CompletionParser",
    "RequestSender",
]


_MOST = REQUEST_DWORDS + 1  # dwords of a write


class Cause(enum.Enum, shape=unsigned(3)):
    """Why an access to host memory failed."""

    NONE = 0
    NO_WINDOW = 1
    BUS_MASTER_OFF = 2
    UNSUPPORTED_REQUEST = 3
    COMPLETER_ABORT = 4
    POISONED = 5
    TIMEOUT = 6
    MALFORMED = 7


REQUEST = data.StructLayout({
    "write": 1,
    "address": 64,
    "first_be": 4,
    "data": 32,
    "tag": 8,
    "tc": 3,
    "attr": 3,
    "ecrc": 1,
})
"""A memory request for one dword.

``write``
    Memory write, otherwise memory read.
``address``
    PCI address; bits 1:0 are ignored.
``first_be``, ``data``
    Byte enables; payload of a write.
``tag``
    Of a read; zero for a write.
``tc``, ``attr``, ``ecrc``
    Traffic class, attributes, "append a digest".
"""

COMPLETION = data.StructLayout({
    "tag": 8,
    "ends": 1,
    "notice": 1,
    "cause": Cause,
    "data": 32,
})
"""A packet of the RC stream.

``tag``
    The request that it is about.
``ends``
    It ends the request: the hard block has done with the tag. Otherwise it is to be dropped.
``notice``
    It is no completion, but the hard block gives the request up: timeout or function-level reset.
``cause``, ``data``
    How the request has ended, and the data if that is ``NONE``.
"""


class RequestSender(wiring.Component):
    """Sends requests on the RQ stream of the UltraScale+ hard block (PG213, "Requester Request Interface").

    The first beat of a request is on the stream in the clock after the handshake. A beat does not change until it is
    accepted. Requests follow each other without a gap: a write takes 3, 2, 1 and 1 clocks at 64, 128, 256 and 512 bits,
    a read 2, 1, 1 and 1.

    Parameters
    ----------
    width : int
        Width of the stream in bits: 64, 128, 256 or 512.

    Attributes
    ----------
    valid, ready, request : In(1), Out(1), In(REQUEST)
        A request. ``ready`` depends on ``rq.tready``.
    rq : Out(usp_requester.RequesterRequest(width))
        The stream.

    Raises
    ------
    ValueError
        If `width` is none of those.
    """

    valid: Any
    ready: Any
    request: Any
    rq: Any

    def __init__(self, width: int) -> None:
        self._width = usp.check_width(width)
        self._lanes = width // 32
        super().__init__({
            "valid": In(1),
            "ready": Out(1),
            "request": In(REQUEST),
            "rq": Out(requester.RequesterRequest(width)),
        })

    def elaborate(self, platform: object) -> Module:
        """Load the first beat from the request, later ones from what is left of it."""
        m: Any = Module()
        rq, request = self.rq, self.request
        descriptor = requester.request_descriptor(
            address=request.address,
            write=request.write,
            tag=request.tag,
            tc=request.tc,
            attr=request.attr,
            ecrc=request.ecrc,
        )
        packet: Any = Signal(32 * _MOST)
        words: Any = Signal(32 * _MOST)  # the packet from the next beat's first dword on
        count: Any = Signal(range(_MOST + 1))
        first: Any = Signal()
        load: Any = Signal()
        m.d.comb += [
            packet.eq(Cat(descriptor, Mux(request.write, request.data, 0))),
            load.eq(~rq.tvalid | rq.tready),
            self.ready.eq(load & first),
        ]
        with m.If(load):
            m.d.sync += rq.tvalid.eq(~first | self.valid)
        whole = Mux(request.write, _MOST, REQUEST_DWORDS)
        if self._lanes < _MOST:
            rest: Any = Signal(32 * (_MOST - self._lanes))
            left: Any = Signal(range(_MOST + 1))
            m.d.comb += [
                first.eq(~left.any()),
                words.eq(Mux(first, packet, rest)),
                count.eq(Mux(first, whole, left)),
            ]
            with m.If(load):
                m.d.sync += rest.eq(words[32 * self._lanes :])
            with m.If(load & (~first | self.valid)):
                m.d.sync += left.eq(Mux(count > self._lanes, count - self._lanes, 0))
        else:
            m.d.comb += [first.eq(1), words.eq(packet), count.eq(whole)]
        with m.If(load):  # without a request, whatever is there: it does not count
            self._beat(m, words, count, first)
        return m

    def _beat(self, m: Any, words: Any, count: Any, first: Any) -> None:
        """Load the stream's registers; ``tuser`` stays as it is in the later beats of a request."""
        rq, width = self.rq, self._width
        last: Any = Signal()
        m.d.comb += last.eq(1 if self._lanes >= _MOST else count <= self._lanes)
        m.d.sync += [rq.tdata.eq(words[:width]), rq.tlast.eq(last)]
        for lane in range(self._lanes):
            m.d.sync += rq.tkeep[lane].eq(lane < count if lane < _MOST else 0)
        user = requester.request_user(
            width, first_be=self.request.first_be, sop=first, eop=last, last_lane=(count - 1)[:4]
        )
        with m.If(first):
            m.d.sync += rq.tuser.eq(user)


class CompletionParser(wiring.Component):
    """Reads the RC stream of the UltraScale+ hard block (PG213, "Requester Completion Interface").

    Every request is for one dword, so a good completion has one beat (two at 64 bits). What the packet means is known
    in the beat that completes the descriptor, and reported in the clock after it; a packet that goes on after that has
    too much data. Whatever comes, the stream is never held up.

    Parameters
    ----------
    width : int
        Width of the stream in bits: 64, 128, 256 or 512.

    Attributes
    ----------
    rc : In(usp_requester.RequesterCompletion(width))
        The stream; ``tready`` is always 1.
    valid, completion : Out(1), Out(COMPLETION)
        A packet, in the last clock. Flip-flops.
    broken : Out(1)
        A packet has ended, or another one begun, in the last clock, before its descriptor was complete. Then ``valid``
        and ``completion.ends`` are low. A flip-flop.

    Raises
    ------
    ValueError
        If `width` is none of those.
    """

    rc: Any
    valid: Any
    completion: Any
    broken: Any

    def __init__(self, width: int) -> None:
        self._width = usp.check_width(width)
        self._lanes = width // 32
        super().__init__({
            "rc": In(requester.RequesterCompletion(width)),
            "valid": Out(1),
            "completion": Out(COMPLETION),
            "broken": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Look at the beat that completes the descriptor."""
        m: Any = Module()
        rc = self.rc
        user = requester.completion_user(self._width, rc.tuser)
        m.d.comb += rc.tready.eq(1)
        discontinued: Any = Signal()
        complete: Any = Signal()  # with this beat
        if self._width == 64:
            held: Any = Signal(64)
            early: Any = Signal()  # half a descriptor is waiting for the other half
            withdrawn: Any = Signal()
            with m.If(rc.tvalid):
                m.d.sync += early.eq(user.sop & ~rc.tlast)
                with m.If(user.sop):
                    m.d.sync += [held.eq(rc.tdata), withdrawn.eq(user.discontinue)]
            m.d.comb += [
                complete.eq(rc.tvalid & early & ~user.sop),
                discontinued.eq(user.discontinue | withdrawn),
            ]
            m.d.sync += self.broken.eq(rc.tvalid & user.sop & (early | rc.tlast))
            packet = Cat(held, rc.tdata)
        else:
            m.d.comb += [complete.eq(rc.tvalid & user.sop), discontinued.eq(user.discontinue)]
            packet = rc.tdata[:128]
        header: Any = requester.completion_header(packet[:96])
        # One dword of data behind the descriptor: what is in the lanes of this beat.
        dwords = COMPLETION_DWORDS + 1 if self._lanes > 2 else COMPLETION_DWORDS - 1
        whole = rc.tlast & (rc.tkeep == (1 << dwords) - 1) & (header.length == 1) & ~discontinued
        notice = _either(header.error, ErrorCode.TIMEOUT, ErrorCode.FUNCTION_RESET)
        m.d.sync += [
            self.valid.eq(complete),
            self.completion.tag.eq(header.tag),
            self.completion.ends.eq(complete & header.completed & (header.error != ErrorCode.INVALID_TAG)),
            self.completion.notice.eq(notice),
            self.completion.data.eq(packet[96:128]),
        ]
        self._judge(m, header, notice, whole)
        return m

    def _judge(self, m: Any, header: Any, notice: Any, whole: Any) -> None:
        """Name the cause: the hard block's error code, then the status, then the shape of the packet."""
        cause = self.completion.cause
        m.d.sync += cause.eq(Cause.MALFORMED)
        with m.If(notice):
            m.d.sync += cause.eq(Cause.TIMEOUT)
        with m.Elif((header.error == ErrorCode.POISONED) | header.poisoned):
            m.d.sync += cause.eq(Cause.POISONED)
        with m.Elif(_either(header.error, ErrorCode.NONE, ErrorCode.BAD_STATUS)), m.Switch(header.status):
            with m.Case(CompletionStatus.SC), m.If((header.error == ErrorCode.NONE) & whole):
                m.d.sync += cause.eq(Cause.NONE)
            with m.Case(CompletionStatus.CA):
                m.d.sync += cause.eq(Cause.COMPLETER_ABORT)
            with m.Case(CompletionStatus.CRS):
                m.d.sync += cause.eq(Cause.MALFORMED)
            with m.Default():  # a reserved status counts as an unsupported request (PCI Express, 2.2.9)
                m.d.sync += cause.eq(Cause.UNSUPPORTED_REQUEST)


def _either(value: Any, one: ErrorCode, other: ErrorCode) -> Any:
    return (value == one) | (value == other)
