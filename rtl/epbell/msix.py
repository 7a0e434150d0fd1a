"""MSI-X, table and pending bit array (PBA) in the RAM behind the BARs (PCI Express Base 6.0, section 6.1.4)."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from epbell.msix_entry import EntryReader
from epbell.msix_pending import PendingBits
from epbell.msix_snoop import Snoop

__all__ = ["Msix"]

_CHECKS = 4
"""Unmasked vectors that can wait to be looked at; with more, every pending one is looked at."""


class _State(enum.Enum):
    WIPE = 0  # nothing is pending: say so in the PBA
    IDLE = 1
    LOOK = 2  # is the vector pending already?
    SEARCH = 3  # which pending vector comes next?
    FETCH = 4
    HOLD = 5
    RELEASE = 6
    OFFER = 7
    ANSWER = 8
    RETRY = 9


class _Job(enum.Enum, shape=2):
    SCAN = 0
    RAISE = 1
    CHECK = 2


class Msix(wiring.Component):
    """Turns raised vectors into messages, and keeps those that the host does not want now.

    A vector raised while MSI-X is disabled or masked, the vector is masked or bus mastering is off becomes pending: its
    bit is kept here and written to the PBA. It is sent once when nothing is in its way any more. Raised
    again while it is pending, it is merged with what is pending. Every other raise makes a message of its own; a raise
    waits in a queue while another one is worked on. So *raised = sent + merged + refused + pending or queued*.
    Every decision follows a read of all four dwords of the entry, and a new one if the host has written any of them
    since. The bit in the PBA is cleared before the message is offered.

    Ties. A message is taken in a clock with ``i_valid`` and ``i_ready``; ``i_valid`` is only high in a clock in which
    MSI-X is enabled, not masked, and bus mastering is on, and with an entry that the host has not written in an earlier
    clock. What the host writes in the very clock of the taking comes after it. An offer that has not been taken can
    therefore end; the vector is then pending again. A raise that meets the unmasking of its pending vector is
    either merged with the message to come or makes one of its own, never neither.

    From a raise to ``i_valid`` there are 9 clocks if nothing is in the way of the reads and the data are there in the
    next clock.

    Parameters
    ----------
    vectors : int
        Vectors at most, 1 to 2048.
    ram_size : int
        Bytes of the RAM: a power of two with room for that many entries of 16 bytes and for the PBA.
    lanes : int
        Dwords that the host can write in one clock: a power of two, 1 to 16.
    queue : int
        Raised vectors that can wait, 1 to 63.

    Attributes
    ----------
    table, pba : In
        Dword addresses in the RAM. Constant while ``set_up``.
    last : In(11)
        Number of the last vector, as in the capability's Table Size. Constant while ``set_up``.
    set_up : In(1)
        The three are valid. While it is low everything is forgotten and nothing is read, written or sent: also for the
        reset of the function. When it rises, the PBA is zeroed first.
    enabled, masked, bus_master : In(1)
        MSI-X Enable, Function Mask, Bus Master Enable.
    raise_valid, raise_vector, raise_ready : In(1), In(11), Out(1)
        Raise a vector.
    room : Out(6)
        Free entries of the queue of raised vectors.
    hold : In(1)
        Leave the oldest raised vector in the queue as long as vectors can be sent: what it announces is still on its
        way.
    queued, taken, open : Out(1)
        A vector enters the queue; the oldest one leaves it; vectors can be sent: ``set_up``, ``enabled``, not
        ``masked``, ``bus_master``.
    host_wrote, host_address, host_written : In(1), In, In(lanes)
        The host writes to the RAM: dword address of lane 0, and the lanes of which it writes at least one byte.
    mem_valid, mem_ready, mem_write, mem_addr, mem_data : Out(1), In(1), Out(1), Out, Out(32)
        Access to a dword of the RAM. Only ``set_up`` falling takes back a request. Up to four reads are under way.
    mem_rvalid, mem_rdata : In(1), In(32)
        Read data, in order, one clock after ``mem_ready`` or later.
    i_valid, i_ready, i_address, i_data : Out(1), In(1), Out(64), Out(32)
        The message.
    i_sent, i_failed : In(1)
        What became of the message that has been taken, in the same clock or later. A message that failed is tried again
        or becomes pending. A taker that never fails connects 1 and 0.
    sent, held, merged, refused : Out(1)
        A message has gone; a vector has become pending; a raise has been merged; a raise has been refused, because
        there is no such vector or ``set_up`` is low.
    pending : Out(12)
        Vectors that are pending.
    busy : Out(1)
        Something is being worked on. Pending vectors that wait for the host do not count.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    table: Any
    pba: Any
    last: Any
    set_up: Any
    enabled: Any
    masked: Any
    bus_master: Any
    raise_valid: Any
    raise_vector: Any
    raise_ready: Any
    room: Any
    hold: Any
    queued: Any
    taken: Any
    open: Any
    host_wrote: Any
    host_address: Any
    host_written: Any
    mem_valid: Any
    mem_ready: Any
    mem_write: Any
    mem_addr: Any
    mem_data: Any
    mem_rvalid: Any
    mem_rdata: Any
    i_valid: Any
    i_ready: Any
    i_address: Any
    i_data: Any
    i_sent: Any
    i_failed: Any
    sent: Any
    held: Any
    merged: Any
    refused: Any
    pending: Any
    busy: Any

    def __init__(self, vectors: int = 2048, *, ram_size: int = 1 << 21, lanes: int = 16, queue: int = 8) -> None:
        if not isinstance(vectors, int) or not 1 <= vectors <= 2048:
            raise ValueError(f"The number of MSI-X vectors must be 1 to 2048, not {vectors!r}")
        words = (vectors + 63) // 64 * 2
        least = 16 * vectors + 4 * words
        if not isinstance(ram_size, int) or ram_size < least or ram_size & (ram_size - 1):
            raise ValueError(
                f"The size of the RAM must be a power of two of at least {least} bytes for {vectors} MSI-X vectors,"
                f" not {ram_size!r}"
            )
        if not isinstance(queue, int) or not 1 <= queue <= 63:
            raise ValueError(f"The depth of the MSI-X queue must be 1 to 63, not {queue!r}")
        address = exact_log2(ram_size // 4)
        self._vectors, self._words, self._depth = vectors, words, queue
        self._snoop = Snoop(address, lanes)
        self._reader = EntryReader(address)
        self._bits = PendingBits(words)
        super().__init__({
            "table": In(address),
            "pba": In(address),
            "last": In(11),
            **{name: In(1) for name in ("set_up", "enabled", "masked", "bus_master")},
            "raise_valid": In(1),
            "raise_vector": In(11),
            "raise_ready": Out(1),
            "room": Out(6),
            "hold": In(1),
            **{name: Out(1) for name in ("queued", "taken", "open")},
            "host_wrote": In(1),
            "host_address": In(address),
            "host_written": In(lanes),
            "mem_valid": Out(1),
            "mem_ready": In(1),
            "mem_write": Out(1),
            "mem_addr": Out(address),
            "mem_data": Out(32),
            "mem_rvalid": In(1),
            "mem_rdata": In(32),
            "i_valid": Out(1),
            "i_ready": In(1),
            "i_address": Out(64),
            "i_data": Out(32),
            "i_sent": In(1),
            "i_failed": In(1),
            **{name: Out(1) for name in ("sent", "held", "merged", "refused")},
            "pending": Out(12),
            "busy": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Build a machine that works on one vector at a time, and what it looks at."""
        m: Any = Module()
        self._state: Any = Signal(_State)
        self._last: Any = Signal(11)
        self._vector: Any = Signal(11)  # in hand
        self._word: Any = Signal(32)  # of the pending bits, with those of the neighbours of the vector in hand
        self._held: Any = Signal()  # the vector in hand is pending
        self._raised: Any = Signal()  # it comes from the queue
        self._wiped: Any = Signal(range(self._words))
        m.d.comb += [
            self._last.eq(Mux(self.last < self._vectors, self.last, self._vectors - 1)),
            self.open.eq(self.set_up & self.enabled & ~self.masked & self.bus_master),
        ]
        self._raises(m)
        self._watch(m)
        self._memory(m)
        waiting = self._queue.r_rdy | self._checks.r_rdy | self._scanning | self._again
        m.d.comb += self.busy.eq(self.set_up & ((self._state != _State.IDLE) | waiting))
        with m.Switch(self._state):
            for state, build in (
                (_State.WIPE, self._wipe),
                (_State.IDLE, self._choose),
                (_State.LOOK, self._look),
                (_State.SEARCH, self._search),
                (_State.FETCH, self._fetch),
                (_State.HOLD, self._hold),
                (_State.RELEASE, self._release),
                (_State.OFFER, self._offer),
                (_State.ANSWER, self._answer),
                (_State.RETRY, self._retry),
            ):
                with m.Case(state):
                    build(m)
        self._rescan(m)
        with m.If(~self.set_up):
            m.d.sync += [self._state.eq(_State.WIPE), self._wiped.eq(0), self.pending.eq(0)]
            m.d.sync += [self._scanning.eq(0), self._scan.eq(0), self._again.eq(0)]
            m.d.comb += self.mem_valid.eq(0)
        return m

    def _raises(self, m: Any) -> None:
        """Queue what is raised."""
        m.submodules.queue = ResetInserter(~self.set_up)(queue := SyncFIFO(width=11, depth=self._depth))
        self._queue: Any = queue
        taken = self.raise_valid & self.raise_ready
        known = self.set_up & (self.raise_vector <= self._last)
        m.d.comb += [
            queue.w_data.eq(self.raise_vector),
            queue.w_en.eq(taken & known),
            self.raise_ready.eq(queue.w_rdy),
            self.refused.eq(taken & ~known),
            self.queued.eq(queue.w_en & queue.w_rdy),
            self.taken.eq(queue.r_en & queue.r_rdy),
            self.room.eq(self._depth - queue.level),
        ]

    def _watch(self, m: Any) -> None:
        """Follow the host's writes: the entry in hand goes stale, vectors that are unmasked are looked at."""
        m.submodules.snoop = snoop = self._snoop
        m.submodules.checks = ResetInserter(~self.set_up)(checks := SyncFIFO(width=11, depth=_CHECKS))
        self._checks: Any = checks
        self._scanning: Any = Signal()  # all pending vectors are being looked at, those from `scan` on are left
        self._again: Any = Signal()  # and then once more
        self._scan: Any = Signal(11)
        self._stale: Any = Signal()
        touched: Any = Signal()  # in a clock before the last, but after the first dword was asked for
        m.d.comb += [
            snoop.table.eq(self.table),
            snoop.last.eq(self._last),
            snoop.wrote.eq(self.host_wrote),
            snoop.address.eq(self.host_address),
            snoop.written.eq(self.host_written),
            snoop.entry.eq(self._vector),
            checks.w_data.eq(snoop.control),
            checks.w_en.eq(snoop.control_valid),
            self._stale.eq(touched | snoop.touched),
        ]
        m.d.sync += touched.eq(self._stale & ~((self._state == _State.FETCH) & self._reader.fresh))

    def _rescan(self, m: Any) -> None:
        """Look at every pending vector after the host has opened the way, or has unmasked too many in a short time."""
        was_open: Any = Signal()
        m.d.sync += was_open.eq(self.open)
        lost = self._snoop.control_many | (self._snoop.control_valid & ~self._checks.w_rdy)
        with m.If((self.open & ~was_open) | lost):
            m.d.sync += self._again.eq(1)

    def _memory(self, m: Any) -> None:
        """Connect the pending bits and the reads; the machine's states write."""
        m.submodules.bits = bits = self._bits
        m.submodules.reader = reader = self._reader
        self._bit: Any = Signal(32)
        self._writes: Any = Signal()  # in this clock, the RAM's and our own word
        m.d.comb += [
            self._bit.eq(Const(1, 32) << self._vector[:5]),
            reader.address.eq(self.table + (self._vector << 2)),
            reader.run.eq(self.set_up & (self._state == _State.FETCH)),
            reader.mem_ready.eq(self.mem_ready & ~self.mem_write),
            reader.mem_rvalid.eq(self.mem_rvalid),
            reader.mem_rdata.eq(self.mem_rdata),
            self.mem_valid.eq(reader.mem_valid),
            self.mem_addr.eq(Mux(self.mem_write, self.pba + (self._vector >> 5), reader.mem_addr)),
            self._writes.eq(self.mem_valid & self.mem_write & self.mem_ready),
            bits.w_en.eq(self._writes),
            bits.w_index.eq(self._vector >> 5),
            bits.w_word.eq(self.mem_data),
            self.i_address.eq(Cat(Const(0, 2), reader.entry.low[2:], reader.entry.high)),
            self.i_data.eq(reader.entry.data),
        ]

    def _wipe(self, m: Any) -> None:
        """Zero every word here, and those of the PBA that there are; reads of an earlier life come to nothing first."""
        in_pba = self._wiped[1:] <= self._last[6:]
        done: Any = Signal()
        m.d.comb += [
            self.mem_valid.eq(in_pba & ~self._reader.under_way),
            self.mem_write.eq(1),
            self.mem_addr.eq(self.pba + self._wiped),
            done.eq(~in_pba | self._writes),
            self._bits.w_en.eq(done),
            self._bits.w_index.eq(self._wiped),
        ]
        with m.If(done):
            m.d.sync += self._wiped.eq(self._wiped + 1)
            with m.If(self._wiped == self._words - 1):
                self._go(m, _State.IDLE)

    def _choose(self, m: Any) -> None:
        """Take what has waited: the pending vectors, the raises and the unmasked vectors in turn."""
        latest: Any = Signal(_Job)
        job: Any = Signal(_Job)
        scan = self._scanning | self._again
        wanted = (scan, self._queue.r_rdy & ~(self.hold & self.open), self._checks.r_rdy)
        with m.Switch(latest):
            for turn in range(3):
                with m.Case(turn):
                    for offset in (0, 2, 1):
                        with m.If(wanted[(turn + offset) % 3]):
                            m.d.comb += job.eq((turn + offset) % 3)
        vector: Any = Signal(11)
        m.d.comb += self._bits.vector.eq(vector)
        m.d.sync += [self._vector.eq(vector), latest.eq(job), self._raised.eq(job == _Job.RAISE)]
        with m.Switch(job):
            with m.Case(_Job.RAISE):
                m.d.comb += [vector.eq(self._queue.r_data), self._queue.r_en.eq(1)]
            with m.Case(_Job.CHECK):
                m.d.comb += [vector.eq(self._checks.r_data), self._checks.r_en.eq(1)]
            with m.Default():
                m.d.comb += vector.eq(self._scan)
        with m.If(job != _Job.SCAN):
            self._go(m, _State.LOOK)
        with m.Elif(scan):
            with m.If(self.open & self.pending.any()):
                m.d.sync += self._scanning.eq(1)
                with m.If(~self._scanning):
                    m.d.sync += self._again.eq(0)
                self._go(m, _State.SEARCH)
            with m.Else():
                m.d.sync += [self._scanning.eq(0), self._scan.eq(0), self._again.eq(0)]

    def _look(self, m: Any) -> None:
        """Merge a raise of a pending vector; pass over the unmasking of one that is not pending."""
        here = self._bits.here
        m.d.sync += [self._word.eq(self._bits.word), self._held.eq(here)]
        m.d.comb += self.merged.eq(self.set_up & self._raised & here)
        with m.If(self._raised == here):
            self._go(m, _State.IDLE)
        with m.Elif(self.open):
            self._go(m, _State.FETCH)
        with m.Elif(self._raised):
            self._go(m, _State.HOLD)
        with m.Else():
            self._go(m, _State.IDLE)

    def _search(self, m: Any) -> None:
        """Take the next pending vector of this word, or go on to the next word."""
        vector: Any = Signal(11)
        m.d.comb += vector.eq(Cat(self._bits.first, self._scan[5:]))
        m.d.sync += [self._word.eq(self._bits.word), self._held.eq(1), self._vector.eq(vector)]
        ends: Any = Signal()
        with m.If(self._bits.found):
            m.d.comb += ends.eq(vector == self._last)
            m.d.sync += self._scan.eq(vector + 1)
            self._go(m, _State.FETCH)
        with m.Else():
            m.d.comb += ends.eq(self._scan[5:] == self._last[5:])
            m.d.sync += self._scan.eq(Cat(Const(0, 5), self._scan[5:] + 1))
            self._go(m, _State.IDLE)
        with m.If(ends):
            m.d.sync += [self._scanning.eq(0), self._scan.eq(0)]

    def _fetch(self, m: Any) -> None:
        """Decide, with the entry as it was in the clock before."""
        with m.If(self._reader.done):
            with m.If(self._stale):
                self._go(m, _State.RETRY)
            with m.Elif(~self.open | self._reader.entry.control[0]):
                self._keep(m)
            with m.Elif(self._held):
                self._go(m, _State.RELEASE)
            with m.Else():
                self._go(m, _State.OFFER)

    def _keep(self, m: Any) -> None:
        with m.If(self._held):
            self._go(m, _State.IDLE)
        with m.Else():
            self._go(m, _State.HOLD)

    def _hold(self, m: Any) -> None:
        m.d.comb += [
            self.mem_valid.eq(1),
            self.mem_write.eq(1),
            self.mem_data.eq(self._word | self._bit),
            self.held.eq(self._writes),
        ]
        with m.If(self._writes):
            m.d.sync += self.pending.eq(self.pending + 1)
            self._go(m, _State.IDLE)

    def _release(self, m: Any) -> None:
        m.d.comb += [self.mem_valid.eq(1), self.mem_write.eq(1), self.mem_data.eq(self._word & ~self._bit)]
        with m.If(self._writes):
            m.d.sync += [self.pending.eq(self.pending - 1), self._held.eq(0)]
            self._go(m, _State.OFFER)

    def _offer(self, m: Any) -> None:
        m.d.comb += self.i_valid.eq(self.open & ~self._stale)
        with m.If(self.i_valid & self.i_ready):
            self._answer(m)
        with m.Elif(~self.i_valid):
            self._go(m, _State.RETRY)

    def _answer(self, m: Any) -> None:
        m.d.comb += self.sent.eq(self.i_sent)
        with m.If(self.i_sent):
            self._go(m, _State.IDLE)
        with m.Elif(self.i_failed):
            self._go(m, _State.RETRY)
        with m.Else():
            self._go(m, _State.ANSWER)

    def _retry(self, m: Any) -> None:
        with m.If(self.open):
            self._go(m, _State.FETCH)
        with m.Else():
            self._keep(m)

    def _go(self, m: Any, state: _State) -> None:
        m.d.sync += self._state.eq(state)
