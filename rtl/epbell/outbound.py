"""The endpoint's way to host memory: accesses of its CPU through windows, and its interrupts as memory writes.

The requests are those of the PCI Express Base Specification, 2.2.7: one dword each, so that none ever crosses a
multiple of 4 KiB.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from epbell import csr
from epbell.outbound_windows import GRANULE_BITS, OutboundWindows
from epbell.pcie import usp
from epbell.pcie import usp_requester as requester
from epbell.pcie.outstanding import DEFAULT_TIMEOUT, Outstanding
from epbell.pcie.queue import Queue
from epbell.pcie.requester import REQUEST, Cause, CompletionParser, RequestSender

__all__ = ["Outbound"]

_DEPTH = 4  # requests that wait for the stream
_STAGE = data.StructLayout({"request": REQUEST, "shift": 64 - GRANULE_BITS})
_OKAY, _SLVERR, _DECERR = 0b00, 0b10, 0b11  # AXI4 responses


class _Source(enum.Enum):
    WRITE = 0
    READ = 1
    INTERRUPT = 2


class Outbound(wiring.Component):
    """Sends the CPU's accesses to a range of local addresses, and interrupts, to the host.

    What is taken first leaves first, whatever it is: an interrupt follows the CPU's writes taken before it, and no read
    overtakes a write. Where several are offered in the same clock, the one that was taken last goes last. From a write
    (a read, an interrupt) that is taken to the first beat on RQ: 2 clocks; from the last beat of a completion on RC to
    ``d_valid``: 2 clocks. The byte enables of a write are its strobes; a write without any is taken and nothing is
    sent. Reads ask for the whole dword. The hard block puts the requester ID in.

    An access outside all windows is answered with DECERR, one while bus mastering is off with SLVERR; nothing is sent.
    A read is answered with SLVERR, and zero as data, when its completion has another status than success, is poisoned
    or malformed, or does not come in time (see :class:`Outstanding`).

    Interrupts wait while bus mastering is off; so does what had been taken before and has not begun to leave: nothing
    is lost, and the order stays. The CPU never waits for bus mastering: a read that is held like this fails in time.

    While ``flush`` is high, for the reset of the function, it is as if bus mastering were off, and what has not begun
    to leave is dropped. Reads that wait fail at once, with ``TIMEOUT``, unless their completions have come. A request
    that has begun to leave leaves.

    Parameters
    ----------
    width : int
        Width of the PCIe streams in bits: 64, 128, 256 or 512.
    windows : int
        Number of outbound windows, 1 to 16.
    reads : int
        Reads that may be outstanding, 1 to `tags`.
    tags : int
        Number of tags, 1 to 256; 32 are allowed without Extended Tags.
    timeout : int
        Clocks until a read without a completion fails.

    Attributes
    ----------
    bus : In(csr.Signature(16, registered=True))
        Registers of the windows, map ``iatu_outbound``.
    w_valid, w_ready, w_addr, w_data, w_strb : In(1), Out(1), In(32), In(32), In(4)
        Write of the CPU.
    w_error : Out(2)
        AXI response of the write, in the clock in which it is taken.
    r_valid, r_ready, r_addr : In(1), Out(1), In(32)
        Read of the CPU. Up to `reads` are taken before their answers.
    d_valid, d_ready, d_data, d_error : Out(1), In(1), Out(32), Out(2)
        Answers of the reads, in their order: data and AXI response.
    i_valid, i_ready, i_address, i_data : In(1), Out(1), In(64), In(32)
        Interrupt: a dword to be written to an address on the bus.
    bus_master : In(1)
        The host has enabled bus mastering.
    flush : In(1)
        The function is being reset.
    quiet : Out(1)
        Nothing is leaving, and nothing waits to leave; from the second clock of `flush` on.
    rq : Out(usp_requester.RequesterRequest(width))
        Requests. No ready of the CPU's or the interrupts' depends on ``rq.tready`` within a clock.
    rc : In(usp_requester.RequesterCompletion(width))
        Completions.
    failed : Out(range(3))
        Number of accesses that have just failed: a write in the clock after it was taken, a read in the first clock of
        its answer.
    cause, cause_address : Out(Cause), Out(32)
        Why the last one failed, and its local address; that of the read, where a write failed in the same clock.
    unexpected : Out(1)
        A completion has been dropped.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    bus: Any
    w_valid: Any
    w_ready: Any
    w_addr: Any
    w_data: Any
    w_strb: Any
    w_error: Any
    r_valid: Any
    r_ready: Any
    r_addr: Any
    d_valid: Any
    d_ready: Any
    d_data: Any
    d_error: Any
    i_valid: Any
    i_ready: Any
    i_address: Any
    i_data: Any
    bus_master: Any
    flush: Any
    quiet: Any
    rq: Any
    rc: Any
    failed: Any
    cause: Any
    cause_address: Any
    unexpected: Any
    entered: Any
    left: Any

    def __init__(
        self, width: int, *, windows: int = 6, reads: int = 8, tags: int = 32, timeout: int = DEFAULT_TIMEOUT
    ) -> None:
        self._width = usp.check_width(width)
        self._windows = OutboundWindows(windows)
        self._reads = Outstanding(reads, tags=tags, timeout=timeout)
        super().__init__({
            "bus": In(csr.Signature(16, registered=True)),
            "w_valid": In(1),
            "w_ready": Out(1),
            "w_addr": In(32),
            "w_data": In(32),
            "w_strb": In(4),
            "w_error": Out(2),
            "r_valid": In(1),
            "r_ready": Out(1),
            "r_addr": In(32),
            "d_valid": Out(1),
            "d_ready": In(1),
            "d_data": Out(32),
            "d_error": Out(2),
            "i_valid": In(1),
            "i_ready": Out(1),
            "i_address": In(64),
            "i_data": In(32),
            "bus_master": In(1),
            "flush": In(1),
            "quiet": Out(1),
            "rq": Out(requester.RequesterRequest(width)),
            "rc": In(requester.RequesterCompletion(width)),
            "failed": Out(range(3)),
            "cause": Out(Cause),
            "cause_address": Out(32),
            "unexpected": Out(1),
            "entered": Out(1),
            "left": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Take one access per clock, look its window up; add in the next clock, send in the one after."""
        m: Any = Module()
        m.submodules.windows = windows = self._windows
        m.submodules.outstanding = self._reads
        wiring.connect(m, wiring.flipped(self.bus), windows.bus)

        room: Any = Signal()
        self._allowed: Any = Signal()
        self._arbitrate(m, room)
        writes = self.w_valid & self.w_ready
        reads = self.r_valid & self.r_ready
        interrupts = self.i_valid & self.i_ready
        refusal: Any = Signal(Cause)
        m.d.comb += [
            self._allowed.eq(self.bus_master & ~self.flush),
            windows.address.eq(Mux(reads, self.r_addr, self.w_addr)),
            refusal.eq(Mux(windows.claimed, Mux(self._allowed, Cause.NONE, Cause.BUS_MASTER_OFF), Cause.NO_WINDOW)),
            self.w_error.eq(_response(refusal)),
        ]
        sends = Mux(reads, self._reads.send, interrupts | (writes & (refusal == Cause.NONE) & self.w_strb.any()))
        self._answer(m, reads, refusal)
        self._send(m, room, sends, reads, interrupts)
        self._report(m, writes & (refusal != Cause.NONE), refusal)
        return m

    def _arbitrate(self, m: Any, room: Any) -> None:
        """Grant one of the three; the one that was granted last comes last."""
        wishes = {
            _Source.WRITE: (self.w_valid, self.w_ready),
            _Source.READ: (self.r_valid & self._reads.ready, self.r_ready),
            _Source.INTERRUPT: (self.i_valid & self._allowed, self.i_ready),
        }
        last: Any = Signal(_Source, init=_Source.INTERRUPT)
        order = list(wishes)
        with m.Switch(last):
            for position, source in enumerate(order):
                with m.Case(source):
                    taken: Any = ~room & self._allowed  # what is refused needs no room
                    for candidate in order[position + 1 :] + order[: position + 1]:
                        valid, ready = wishes[candidate]
                        m.d.comb += ready.eq(valid & ~taken)
                        taken = taken | valid
        for source, (_, ready) in wishes.items():
            with m.If(ready):
                m.d.sync += last.eq(source)

    def _answer(self, m: Any, reads: Any, refusal: Any) -> None:
        """Connect the CPU's reads, and the completions, with the list of what is outstanding."""
        outstanding = self._reads
        m.submodules.parser = parser = CompletionParser(self._width)
        wiring.connect(m, wiring.flipped(self.rc), parser.rc)
        m.d.comb += [
            outstanding.valid.eq(reads),
            outstanding.address.eq(self.r_addr),
            outstanding.refusal.eq(refusal),
            outstanding.flush.eq(self.flush),
            outstanding.c_valid.eq(parser.valid),
            outstanding.completion.eq(parser.completion),
            self.d_valid.eq(outstanding.d_valid),
            outstanding.d_ready.eq(self.d_ready),
            self.d_data.eq(outstanding.d_data),
            self.d_error.eq(_response(outstanding.d_cause)),
            self.unexpected.eq(parser.broken | outstanding.unexpected),
        ]

    def _send(self, m: Any, room: Any, sends: Any, reads: Any, interrupts: Any) -> None:
        """Put the request together in one clock, finish its address in the next."""
        m.submodules.queue = ResetInserter(self.flush)(queue := Queue(REQUEST, _DEPTH))
        m.submodules.sender = sender = RequestSender(self._width)
        wiring.connect(m, wiring.flipped(self.rq), sender.rq)
        full: Any = Signal()
        stage: Any = Signal(_STAGE)
        windows, request = self._windows, stage.request
        m.d.comb += [
            room.eq(~full | queue.i_ready),
            self.entered.eq(room & sends),
            self.left.eq(self.rq.tvalid & self.rq.tready & self.rq.tlast),
        ]
        with m.If(room):
            m.d.sync += [
                full.eq(sends),
                request.write.eq(~reads),
                request.address.eq(Mux(interrupts, self.i_address, windows.address)),
                request.first_be.eq(Mux(reads | interrupts, 0xF, self.w_strb)),
                request.data.eq(Mux(interrupts, self.i_data, self.w_data)),
                request.tag.eq(Mux(reads, self._reads.tag, 0)),
                request.tc.eq(Mux(interrupts, 0, windows.tc)),
                request.attr.eq(Mux(interrupts, 0, windows.attr)),
                request.ecrc.eq(windows.ecrc & ~interrupts),
                stage.shift.eq(Mux(interrupts, 0, windows.shift)),
            ]
        m.d.comb += [
            queue.i_valid.eq(full),
            queue.i_data.eq(request),
            queue.i_data.address.eq(
                Cat(request.address[:GRANULE_BITS], (request.address[GRANULE_BITS:] + stage.shift)[: len(stage.shift)])
            ),
            sender.valid.eq(queue.o_valid & self._allowed),
            queue.o_ready.eq(sender.ready & self._allowed),
            sender.request.eq(queue.o_data),
            self._reads.begins.eq(sender.valid & sender.ready & ~sender.request.write),
            self._reads.begun.eq(sender.request.tag),
            self.quiet.eq(~self.rq.tvalid),
        ]
        with m.If(self.flush):
            m.d.sync += full.eq(0)

    def _report(self, m: Any, write_failed: Any, refusal: Any) -> None:
        """Keep the cause of the last failure; that of a read is known in the clock in which its answer appears."""
        outstanding = self._reads
        read_failed: Any = Signal()
        failed: Any = Signal()
        kept: Any = Signal(data.StructLayout({"cause": Cause, "address": 32}))
        m.d.comb += [
            read_failed.eq(outstanding.d_fresh & (outstanding.d_cause != Cause.NONE)),
            self.failed.eq(failed + read_failed),
            self.cause.eq(Mux(read_failed, outstanding.d_cause, kept.cause)),
            self.cause_address.eq(Mux(read_failed, outstanding.d_address, kept.address)),
        ]
        m.d.sync += failed.eq(write_failed)
        with m.If(write_failed):
            m.d.sync += [kept.cause.eq(refusal), kept.address.eq(self.w_addr)]
        with m.Elif(read_failed):
            m.d.sync += [kept.cause.eq(outstanding.d_cause), kept.address.eq(outstanding.d_address)]


def _response(cause: Any) -> Any:
    """AXI response to an access that ended like this."""
    return Mux(cause == Cause.NONE, _OKAY, Mux(cause == Cause.NO_WINDOW, _DECERR, _SLVERR))
