"""The endpoint's way to host memory: accesses of its CPU through windows, and its interrupts as memory writes.

The requests are those of the PCI Express Base Specification, 2.2.7: one dword each, so that none ever crosses a
multiple of 4 KiB.
"""

from typing import Any

from amaranth.hdl import Assert, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell import csr
from epbell.outbound_windows import GRANULE_BITS, OutboundWindows
from epbell.pcie import usp
from epbell.pcie import usp_requester as requester
from epbell.pcie.fifo import Fifo
from epbell.pcie.outstanding import DEFAULT_TIMEOUT, Outstanding
from epbell.pcie.requester import REQUEST, Cause, CompletionParser, RequestSender

__all__ = ["Outbound"]

_DEPTH = 4  # requests that wait for the stream, beside the one at its door
_DOORS = data.StructLayout({"write": 1, "read": 1, "interrupt": 1})
_OKAY, _SLVERR, _DECERR = 0b00, 0b10, 0b11  # AXI4 responses


class Outbound(wiring.Component):
    """Sends the CPU's accesses to a range of local addresses, and interrupts, to the host.

    What is taken first leaves first, whatever it is: an interrupt follows the CPU's writes taken before it, and no read
    overtakes a write. Where several are offered in the same clock, the one that was taken last goes last. One is looked
    at at a time: an access of the CPU is taken in the third clock after it was offered, an interrupt in the next one,
    if nothing was before them; the next one is looked at from the third clock after that on. A read behind a read
    waits for its tag, a clock or two. From there to the first beat on RQ: 5 clocks; from the last beat of a completion
    on RC to ``d_valid``: 5 clocks. The byte enables of a write are its strobes; a write without any is taken and
    nothing is sent. Reads ask for the whole dword. The hard block puts the requester ID in.

    An access outside all windows is answered with DECERR, one while bus mastering is off with SLVERR; nothing is sent.
    It is the windows of the clock in which it is taken that count, and bus mastering of the clock before.
    A read is answered with SLVERR, and zero as data, when its completion has another status than success, is poisoned
    or malformed, or does not come in time (see :class:`Outstanding`).

    Interrupts wait while bus mastering is off; so does what had been taken before and has not begun to leave: nothing
    is lost, and the order stays. It begins to leave when bus mastering was on two clocks before its first beat. The CPU
    never waits for bus mastering: a read that is held like this fails in time.

    While ``flush`` is high, for the reset of the function, it is as if bus mastering were off, and what has not begun
    to leave is dropped, also what is taken in its first clock. Reads that wait fail, with ``TIMEOUT``, unless their
    completions have come. A request whose first beat is on the stream in the second clock leaves.

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
    bus : In(csr.PAGE)
        Registers of the windows, map ``iatu_outbound``.
    w_valid, w_ready, w_addr, w_data, w_strb : In(1), Out(1), In(32), In(32), In(4)
        Write of the CPU; ``valid`` stays until ``ready``.
    w_error : Out(2)
        AXI response of the write, in the clock in which it is taken.
    r_valid, r_ready, r_addr : In(1), Out(1), In(32)
        Read of the CPU, likewise. Up to `reads` are taken before their answers.
    d_valid, d_ready, d_data, d_error : Out(1), In(1), Out(32), Out(2)
        Answers of the reads, in their order: data and AXI response.
    i_valid, i_ready, i_address, i_data : In(1), Out(1), In(64), In(32)
        Interrupt: a dword to be written to an address on the bus. It may be withdrawn, or become another one.
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
        Number of accesses that have just failed: a write in the clock after it was taken, a read in the second clock of
        its answer.
    cause, cause_address : Out(Cause), Out(32)
        Why the last one failed, and its local address; that of the read, where a write failed in the same clock.
    unexpected : Out(1)
        A completion has been dropped.
    entered, left : Out(1)
        A request has been taken a clock ago, the last beat of one has been accepted a clock ago.
    leaving : Out(1)
        The first beat of one was on the stream a clock ago, and the last one had not been accepted before.

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
    leaving: Any

    def __init__(
        self, width: int, *, windows: int = 6, reads: int = 8, tags: int = 32, timeout: int = DEFAULT_TIMEOUT
    ) -> None:
        self._width = usp.check_width(width)
        self._windows = OutboundWindows(windows)
        self._reads = Outstanding(reads, tags=tags, timeout=timeout)
        super().__init__({
            "bus": In(csr.PAGE),
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
            "leaving": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Take one after the other through the stages, to the queue in front of the stream."""
        m: Any = Module()
        m.submodules.windows = self._windows
        m.submodules.outstanding = self._reads
        wiring.connect(m, wiring.flipped(self.bus), self._windows.bus)
        self._flush: Any = Signal()  # a clock ago
        self._allowed: Any = Signal()  # likewise
        m.d.sync += [self._flush.eq(self.flush), self._allowed.eq(self.bus_master & ~self.flush)]

        # One of these is on: where what is looked at is.
        self._choose: Any = Signal(init=1)  # who is next
        self._compare: Any = Signal()  # its address with the windows
        self._claim: Any = Signal()  # by the first of them
        self._door: Any = Signal(_DOORS)  # take or refuse it, and look up what the window says
        self._add: Any = self.entered  # that to the address
        self._enter: Any = Signal()  # the queue
        self._write: Any = Signal()  # one of these is what is looked at
        self._read: Any = Signal()
        self._interrupt: Any = Signal()
        self._address: Any = Signal(32)  # local
        self._taken: Any = Signal()
        self._queue = Fifo(REQUEST, _DEPTH)
        self._look(m)
        sends = self._take(m)
        self._answer(m)
        self._send(m, sends)
        return m

    def _look(self, m: Any) -> None:
        """Take what is offered under consideration, what was taken last last; follow it to the queue, or back."""
        changing, door = self._windows.changing, self._door
        w, r, i = self.w_valid, self.r_valid & self._reads.ready, self.i_valid & self._allowed
        last_w: Any = Signal()
        last_r: Any = Signal()
        last_i: Any = Signal(init=1)
        took: Any = Signal()  # it was taken, in the clock before
        write = w & ~(last_w & (r | i)) & ~(last_r & i)
        read = r & ~(last_r & (i | w)) & ~(last_i & w)
        interrupt = i & ~(last_i & (w | r)) & ~(last_w & r)
        access = (w | r) & (~i | last_i | (last_w & r))  # one of the others
        self._stays: Any = Signal(_DOORS)  # what is at the door, and waits for room
        self._leaves: Any = Signal(_DOORS)  # what is there, and is not sent
        again = self._stays.write | self._stays.read
        m.d.sync += [
            self._choose.eq(self._enter | self._leaves.as_value().any() | (self._choose & ~(w | r | i))),
            self._compare.eq((self._choose & access) | (changing & (self._compare | self._claim | again))),
            self._claim.eq(self._compare & ~changing),
            door.write.eq(((self._claim & self._write) | self._stays.write) & ~changing),
            door.read.eq(((self._claim & self._read) | self._stays.read) & ~changing),
            door.interrupt.eq((self._choose & interrupt) | self._stays.interrupt),
            self._enter.eq(self._add),
            took.eq(self._taken),
        ]
        with m.If(self._choose):
            m.d.sync += [
                *(self._write.eq(write), self._read.eq(read), self._interrupt.eq(interrupt)),
                # Read or write: that an interrupt may be first changes nothing.
                self._address.eq(Mux(r & (~w | last_w), self.r_addr, self.w_addr)),
            ]
        with m.If(door.interrupt):
            m.d.sync += self._address.eq(0)
        with m.If(took):
            m.d.sync += [last_w.eq(self._write), last_r.eq(self._read), last_i.eq(self._interrupt)]

    def _take(self, m: Any) -> Any:
        """Take it, or send it back to where it came from; return "there is a request to be sent"."""
        windows, outstanding, door = self._windows, self._reads, self._door
        stays, leaves = self._stays, self._leaves
        any_byte: Any = Signal()
        claimed: Any = Signal()
        clear: Any = Signal()  # it may leave, and there is room for it
        full: Any = Signal()  # it may leave, and there is none; what is refused needs no room
        passes: Any = Signal()
        refusal: Any = Signal(Cause)
        sends: Any = Signal()
        w_offered, r_offered, i_taken = (Signal(name=name) for name in ("w_offered", "r_offered", "i_taken"))
        allowed = self.bus_master & ~self.flush
        m.d.sync += [
            any_byte.eq(self.w_strb.any()),
            claimed.eq(windows.claimed),
            clear.eq(allowed & self._queue.room),
            full.eq(allowed & ~self._queue.room),
        ]
        m.d.comb += [
            windows.address.eq(self._address),
            passes.eq(~(claimed & full)),
            refusal.eq(Mux(claimed, Mux(self._allowed, Cause.NONE, Cause.BUS_MASTER_OFF), Cause.NO_WINDOW)),
            self.w_ready.eq(door.write & passes),
            self.r_ready.eq(door.read & passes & outstanding.ready),
            self.i_ready.eq(door.interrupt & clear),
            self.w_error.eq(_response(refusal)),
            w_offered.eq(door.write & self.w_valid),
            r_offered.eq(door.read & self.r_valid & outstanding.ready),
            i_taken.eq(self.i_ready & self.i_valid),
            self._taken.eq(((w_offered | r_offered) & passes) | i_taken),
            sends.eq((((w_offered & any_byte) | (r_offered & outstanding.available)) & claimed & clear) | i_taken),
            # A read without room in the list of what is outstanding, an interrupt that is no more, let others go first.
            stays.write.eq(w_offered & ~passes),
            stays.read.eq(r_offered & ~passes),
            stays.interrupt.eq(door.interrupt & self.i_valid & full),
            leaves.write.eq(door.write & ~(self.w_valid & claimed & (full | (any_byte & clear)))),
            leaves.read.eq(door.read & ~(r_offered & claimed & (full | (outstanding.available & clear)))),
            leaves.interrupt.eq(door.interrupt & ~(self.i_valid & self._allowed)),
            outstanding.valid.eq(r_offered & passes),
            outstanding.address.eq(self._address),
            outstanding.refusal.eq(refusal),
        ]
        self._report(m, w_offered & (~claimed | ~self._allowed), refusal)
        return sends

    def _answer(self, m: Any) -> None:
        """Connect the completions and the answers with the list of what is outstanding."""
        outstanding = self._reads
        m.submodules.parser = parser = CompletionParser(self._width)
        wiring.connect(m, wiring.flipped(self.rc), parser.rc)
        m.d.comb += [
            outstanding.flush.eq(self.flush),
            outstanding.c_valid.eq(parser.valid | parser.broken),
            outstanding.completion.eq(parser.completion),
            self.d_valid.eq(outstanding.d_valid),
            outstanding.d_ready.eq(self.d_ready),
            self.d_data.eq(outstanding.d_data),
            self.d_error.eq(_response(outstanding.d_cause)),
            self.unexpected.eq(outstanding.unexpected),
        ]

    def _send(self, m: Any, sends: Any) -> None:
        """Put the request together, finish its address, queue it, and send it when it may be sent."""
        queue = self._queue
        m.submodules.queue = ResetInserter(self._flush)(queue)
        m.submodules.sender = sender = RequestSender(self._width)
        wiring.connect(m, wiring.flipped(self.rq), sender.rq)
        windows, interrupt = self._windows, self._interrupt
        request: Any = Signal(REQUEST)
        settled: Any = Signal(init=1)  # nothing has been taken in the clock before, beside `entered`, which goes far
        complete: Any = Signal()  # it is, and it may enter the queue
        first: Any = Signal(REQUEST)  # of the queue
        distance: Any = Signal(64 - GRANULE_BITS)  # from the local address, in pages; of an interrupt, from 0
        waiting: Any = Signal()
        begins: Any = Signal()
        m.d.sync += [
            complete.eq(self.entered & ~self._flush),
            *(self.entered.eq(sends), settled.eq(~sends)),
            self.left.eq(self.rq.tvalid & self.rq.tready & self.rq.tlast),
            self.leaving.eq(self.rq.tvalid),
        ]
        with m.If(settled):  # before the door whatever is there
            m.d.sync += [
                request.write.eq(~self._read),
                request.address[:GRANULE_BITS].eq(Mux(interrupt, self.i_address, self._address)[:GRANULE_BITS]),
                request.first_be.eq(self.w_strb | (~self._write).replicate(4)),
                request.data.eq(Mux(interrupt, self.i_data, self.w_data)),
                request.tag.eq(self._reads.tag & self._read.replicate(8)),
                request.tc.eq(windows.tc & (~interrupt).replicate(3)),
                request.attr.eq(windows.attr & (~interrupt).replicate(3)),
                request.ecrc.eq(windows.ecrc & ~interrupt),
                distance.eq(Mux(interrupt, self.i_address[GRANULE_BITS:], windows.shift)),
            ]
        with m.Else():
            m.d.sync += request.address[GRANULE_BITS:].eq(distance + self._address[GRANULE_BITS:])
        m.d.comb += [
            queue.i_valid.eq(complete),
            queue.i_data.eq(request),
            queue.o_ready.eq(~waiting),
            sender.valid.eq(waiting & self._allowed),
            sender.request.eq(first),
            begins.eq(sender.valid & sender.ready),
            self._reads.begins.eq(begins & ~first.write),
            self._reads.begun.eq(first.tag),
            self.quiet.eq(~self.rq.tvalid),
        ]
        with m.If(~waiting):
            m.d.sync += first.eq(queue.o_data)
        m.d.sync += waiting.eq(Mux(waiting, ~begins, queue.o_valid) & ~self._flush)
        m.d.sync += Assert(~queue.i_valid | queue.room, "a request is taken without room for it")

    def _report(self, m: Any, write_failed: Any, refusal: Any) -> None:
        """Keep the cause of the last failure; that of a read is known in the clock in which its answer appears."""
        outstanding = self._reads
        read_failed: Any = Signal()
        m.d.comb += read_failed.eq(outstanding.d_fresh & outstanding.d_failed)
        m.d.sync += self.failed.eq(write_failed + read_failed)
        with m.If(read_failed):
            m.d.sync += [self.cause.eq(outstanding.d_cause), self.cause_address.eq(outstanding.d_address)]
        with m.Elif(write_failed):
            m.d.sync += [self.cause.eq(refusal), self.cause_address.eq(self._address)]


def _response(cause: Any) -> Any:
    """AXI response to an access that ended like this."""
    return Mux(cause == Cause.NONE, _OKAY, Mux(cause == Cause.NO_WINDOW, _DECERR, _SLVERR))
