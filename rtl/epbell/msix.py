"""MSI-X, table and pending bit array (PBA) in the RAM behind the BARs (PCI Express Base 6.0, section 6.1.4)."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from epbell.csr_register import any_of
from epbell.msix_entry import EntryReader
from epbell.msix_pending import LOOK, SEARCH, PendingBits
from epbell.msix_raises import VECTOR, Raises
from epbell.msix_snoop import SNOOPED, Snoop
from epbell.pcie.fifo import Fifo

__all__ = ["Msix"]

_CHECKS = 4
"""Unmasked vectors that can wait to be looked at; with more, every pending one is looked at."""


class _State(enum.Enum):
    WIPE = 0  # nothing is pending: say so in the PBA
    IDLE = 1
    PICK = 2  # take the vector that has been chosen
    LOOK = 3  # is the vector pending already?
    SEARCH = 4  # which pending vector comes next?
    FOUND = 5  # this one
    BEHIND = 6  # and behind it the search goes on
    FETCH = 7
    HOLD = 8
    RELEASE = 9
    OFFER = 10
    ANSWER = 11
    RETRY = 12


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

    Ties. A message is taken in a clock with ``i_valid`` and ``i_ready``. Two clocks before, MSI-X was enabled, not
    masked, and bus mastering was on; and six clocks before, or earlier, the host had written the entry for the last
    time: all four dwords of a message are those of one clock. What the host writes later crosses it. An offer that has
    not been taken can therefore end; the vector is then pending again. A raise that meets the unmasking of its pending
    vector is either merged with the message to come or makes one of its own, never neither.

    From a raise to ``i_valid`` there are 20 clocks if nothing is in the way of the reads and the data are there in the
    next clock; each clock that they take longer than four is one more.

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
        Dword addresses in the RAM. Constant while ``set_up`` and in the clock after it.
    last : In(11)
        Number of the last vector, as in the capability's Table Size. Constant likewise.
    set_up : In(1)
        The three are valid. From the clock after it is low on everything is forgotten and nothing is read, written or
        sent: also for the reset of the function. When it rises, the PBA is zeroed first.
    enabled, masked, bus_master : In(1)
        MSI-X Enable, Function Mask, Bus Master Enable.
    raise_valid, raise_vector : In(1), In(11)
        Raise a vector.
    room : Out(6)
        Free entries of the queue of raised vectors, up to two clocks late.
    full : Out(1)
        There may be no room, for one that is raised in this clock; known for certain when none was in the two before.
    hold : In(1)
        Leave the oldest raised vector in the queue as long as vectors can be sent: what it announces is still on its
        way.
    queued, taken, open : Out(1)
        A vector enters the queue, the clock after it was raised; the oldest one leaves it, two clocks later or more;
        vectors could be sent in the clock before: ``set_up``, ``enabled``, not ``masked``, ``bus_master``.
    host_wrote, host_address, host_written : In(1), In, In(lanes)
        The host writes to the RAM, or has done so three clocks before at most: dword address of lane 0, and the lanes
        of which it writes at least one byte.
    mem_valid, mem_ready, mem_write, mem_addr, mem_data : Out(1), In(1), Out(1), Out, Out(32)
        Access to a dword of the RAM. Only ``set_up`` falling takes back a request, in the next clock. Up to four reads
        are under way. A write is done when it is ``mem_ready``, a read in that clock or later.
    mem_cancel : Out(1)
        There will be no access in the next clock.
    mem_rvalid, mem_rdata : In(1), In(32)
        Read data, in order, one clock after ``mem_ready`` or later.
    i_valid, i_ready, i_address, i_data : Out(1), In(1), Out(64), Out(32)
        The message.
    i_sent, i_failed : In(1)
        What became of the message that has been taken, in the same clock or later. A message that failed is tried again
        or becomes pending. A taker that never fails connects 1 and 0.
    sent, held, merged, refused : Out(1)
        A message has gone; a vector has become pending; a raise has been merged; a raise has been refused, because
        there is no such vector, ``set_up`` is low or the queue is full. The first three in the clock after it, the last
        two clocks after the raise.
    pending : Out(12)
        Vectors that are pending.
    busy : Out(1)
        Something is being worked on; from the clock after a raise on. Pending vectors that wait for the host do
        not count.

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
    room: Any
    full: Any
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
    mem_cancel: Any
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
        self._vectors, self._words = vectors, words
        self._queue = Raises(queue)
        self._snoop = Snoop(address, lanes)
        self._reader = EntryReader(address, late=SNOOPED)
        self._bits = PendingBits(words)
        super().__init__({
            "table": In(address),
            "pba": In(address),
            "last": In(11),
            **{name: In(1) for name in ("set_up", "enabled", "masked", "bus_master")},
            "raise_valid": In(1),
            "raise_vector": In(11),
            "room": Out(6),
            "full": Out(1),
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
            "mem_cancel": Out(1),
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
        self._state: Any = Signal(len(_State), init=1 << _State.WIPE.value)  # a flip-flop for each
        self._leaves: Any = Signal(len(_State))
        self._enters: Any = Signal(len(_State))
        self._up: Any = Signal()
        self._last: Any = Signal(11)
        self._job: Any = Signal(_Job)
        self._vector: Any = Signal(11)  # in hand
        self._word: Any = Signal(32)  # of the pending bits, with those of the neighbours of the vector in hand
        self._held: Any = Signal()  # the vector in hand is pending
        # Than were pending in the clock before; whether any were.
        self._one_more, self._one_less, self._some_pending = Signal(12), Signal(12), Signal()
        self._raised: Any = Signal()  # it comes from the queue
        self._waited: Any = Signal(max(LOOK, SEARCH))  # bit n: for more than n clocks for the pending bits
        self._wiped: Any = Signal(range(self._words))
        self._pops: Any = Signal()  # what is picked comes from the queue
        self._rewinds: Any = Signal()  # a search of all was over in the clock before
        self._open: Any = Signal()
        self._offered: Any = Signal()
        m.d.comb += [self.open.eq(self._open), self.i_valid.eq(self._offered & self._up)]
        m.d.sync += [
            self._up.eq(self.set_up),
            self._last.eq(Mux(self.last < self._vectors, self.last, self._vectors - 1)),
            self._open.eq(self.set_up & self.enabled & ~self.masked & self.bus_master),
            self._waited.eq(Cat(Const(1, 1), self._waited[:-1])),
            *(self._one_more.eq(self.pending + 1), self._one_less.eq(self.pending - 1)),
            self._some_pending.eq(self.pending.any()),
            *(self._rewinds.eq(0), self._pops.eq(0)),
            *(getattr(self, event).eq(0) for event in ("sent", "held", "merged")),
        ]
        self._raises(m)
        self._watch(m)
        self._memory(m)
        self._number(m)
        waiting = self._queue.busy | self._checks.o_valid | self._scanning | self._again
        m.d.comb += self.busy.eq(self.set_up & (~self._up | ~self._at(_State.IDLE) | waiting))
        for state, build in (
            (_State.WIPE, self._wipe),
            (_State.IDLE, self._choose),
            (_State.PICK, self._pick),
            (_State.LOOK, self._look),
            (_State.SEARCH, self._search),
            (_State.FOUND, lambda m: self._go(m, _State.BEHIND)),
            (_State.BEHIND, self._goes_on),
            (_State.FETCH, self._fetch),
            (_State.HOLD, self._hold),
            (_State.RELEASE, self._release),
            (_State.OFFER, self._offer),
            (_State.ANSWER, self._answer),
            (_State.RETRY, self._retry),
        ):
            self._built = state
            with m.If(self._at(state)):
                build(m)
        m.d.sync += self._state.eq((self._state & ~self._leaves) | self._enters)
        self._rescan(m)
        with m.If(self._rewinds):
            m.d.sync += self._scan.eq(0)
        with m.If(~self._up):
            m.d.sync += [self._state.eq(1 << _State.WIPE.value), self._sets.eq(0)]
            m.d.sync += [self._wiped.eq(0), self._waited.eq(0)]
            m.d.sync += [self.pending.eq(0), self._offered.eq(0), self.merged.eq(0)]
            m.d.sync += [self._scanning.eq(0), self._scan.eq(0), self._again.eq(0), self._pops.eq(0)]
        return m

    def _raises(self, m: Any) -> None:
        """Queue what is raised."""
        m.submodules.raises = raises = self._queue
        m.d.comb += [
            raises.run.eq(self._up),
            raises.last.eq(self._last),
            raises.raise_valid.eq(self.raise_valid),
            raises.raise_vector.eq(self.raise_vector),
            raises.take.eq(self._pops),
            *(getattr(self, name).eq(getattr(raises, name)) for name in ("room", "full", "queued", "refused")),
            self.taken.eq(raises.take & self._up),
        ]

    def _watch(self, m: Any) -> None:
        """Follow the host's writes: the entry in hand goes stale, vectors that are unmasked are looked at."""
        m.submodules.snoop = snoop = self._snoop
        m.submodules.checks = ResetInserter(~self._up)(checks := Fifo(VECTOR, _CHECKS))
        self._checks: Any = checks
        self._scanning: Any = Signal()  # all pending vectors are being looked at, those from `scan` on are left
        self._again: Any = Signal()  # and then once more
        self._scan: Any = Signal(11)
        self._unmasked: Any = Signal(11)  # the oldest one
        self._stale: Any = Signal()  # the host has written the entry since its first dword was asked for
        m.d.comb += [
            snoop.table.eq(self.table),
            snoop.last.eq(self._last),
            snoop.wrote.eq(self.host_wrote),
            snoop.address.eq(self.host_address),
            snoop.written.eq(self.host_written),
            snoop.entry.eq(self._vector),
            checks.i_data.vector.eq(snoop.control),
            checks.i_valid.eq(snoop.control_valid & checks.room),
        ]
        begins = self._at(_State.FETCH) & self._reader.fresh
        m.d.sync += [
            self._unmasked.eq(checks.o_data.vector),
            self._stale.eq((self._stale | snoop.touched) & ~begins),
        ]

    def _rescan(self, m: Any) -> None:
        """Look at every pending vector after the host has opened the way, or has unmasked too many in a short time."""
        was_open: Any = Signal()
        m.d.sync += was_open.eq(self._open)
        lost = self._snoop.control_many | (self._snoop.control_valid & ~self._checks.room)
        with m.If((self._open & ~was_open) | lost):
            m.d.sync += self._again.eq(1)

    def _memory(self, m: Any) -> None:
        """Connect the pending bits and the reads; the machine's states write."""
        m.submodules.bits = bits = self._bits
        m.submodules.reader = reader = self._reader
        in_table: Any = Signal(len(self.table))  # where its entry is
        word: Any = Signal(len(self.pba))  # of the PBA
        turned: Any = Signal(32)  # that word, with the vector's bit turned, or zero
        row: Any = Signal(6)  # where that word is, in the PBA and among the pending bits
        reads: Any = Signal()
        wipes = self._at(_State.WIPE)
        self._sets: Any = Signal()  # the machine writes a word, as soon as it may
        self._writes: Any = Signal()  # in this clock, the RAM's and our own word
        m.d.sync += [
            row.eq(Mux(wipes, self._wiped, self._vector[5:])),
            in_table.eq(self.table + (self._vector << 2)),
            word.eq(self.pba + row),
            turned.eq((self._word ^ bits.bit) & ~wipes.replicate(32)),
            reads.eq(self._up & self._at(_State.FETCH) & ~reader.done),
        ]
        m.d.comb += [
            bits.vector.eq(self._vector),
            reader.run.eq(reads & self._up),
            reader.address.eq(in_table),
            reader.mem_ready.eq(self.mem_ready & ~self._sets & self._up),
            reader.mem_rvalid.eq(self.mem_rvalid),
            reader.mem_rdata.eq(self.mem_rdata),
            self.mem_valid.eq((reader.mem_valid | self._sets) & self._up),
            self.mem_write.eq(self._sets),
            self.mem_addr.eq(Mux(self._sets, word, reader.mem_addr)),
            self.mem_data.eq(turned),
            self.mem_cancel.eq(~self.set_up),
            self._writes.eq(self._sets & self.mem_ready & self._up),
            bits.w_en.eq(self._writes),
            bits.w_index.eq(row),
            bits.w_word.eq(self.mem_data),
            self.i_address.eq(Cat(Const(0, 2), reader.entry.low[2:], reader.entry.high)),
            self.i_data.eq(reader.entry.data),
        ]
        with m.If(self._writes):
            m.d.sync += [self._sets.eq(0), self._word.eq(turned)]

    def _number(self, m: Any) -> None:
        """Work ahead on what the search needs: whether a vector is the last one, and which comes after it."""
        self._is_last, self._in_last, self._in_pba = (Signal() for _ in range(3))
        self._next: Any = Signal(11)
        self._next_word: Any = Signal(6)
        m.d.sync += [
            self._is_last.eq(self._vector == self._last),
            self._in_last.eq(self._vector[5:] == self._last[5:]),
            self._next.eq(self._vector + 1),
            self._next_word.eq(self._vector[5:] + 1),
            self._in_pba.eq(self._wiped[1:] <= self._last[6:]),
        ]

    def _wipe(self, m: Any) -> None:
        """Zero every word here, and those of the PBA that there are; reads of an earlier life come to nothing first."""
        done = self._writes | (self._waited[1] & ~self._in_pba)
        with m.If(self._waited[1] & self._in_pba & ~self._reader.under_way):
            m.d.sync += self._sets.eq(~self._writes)
        with m.If(self._waited[1] & ~self._in_pba):
            m.d.comb += self._bits.w_en.eq(1)
        with m.If(done):
            m.d.sync += [self._wiped.eq(self._wiped + 1), self._waited.eq(0)]
            with m.If(self._wiped == self._words - 1):
                self._go(m, _State.IDLE)

    def _choose(self, m: Any) -> None:
        """Take what has waited: the pending vectors, the raises and the unmasked vectors in turn."""
        scan = self._scanning | self._again
        wanted = (scan, self._queue.waits & ~(self.hold & self._open), self._checks.o_valid)
        with m.Switch(self._job):
            for turn in range(3):
                with m.Case(turn):
                    for offset in (0, 2, 1):
                        job = (turn + offset) % 3
                        with m.If(wanted[job]):
                            m.d.sync += [self._job.eq(job), self._pops.eq(job == _Job.RAISE.value)]
        with m.If(any_of(wanted)):
            self._go(m, _State.PICK)

    def _pick(self, m: Any) -> None:
        """Take the vector in hand."""
        m.d.sync += [self._raised.eq(self._job == _Job.RAISE), self._waited.eq(0)]
        with m.Switch(self._job):
            with m.Case(_Job.RAISE):
                self._go(m, _State.LOOK)
                m.d.sync += self._vector.eq(self._queue.vector)
            with m.Case(_Job.CHECK):
                self._go(m, _State.LOOK)
                m.d.comb += self._checks.o_ready.eq(1)
                m.d.sync += self._vector.eq(self._unmasked)
            with m.Default():
                m.d.sync += self._vector.eq(self._scan)
                with m.If(self._open & self._some_pending):
                    m.d.sync += self._scanning.eq(1)
                    with m.If(~self._scanning):
                        m.d.sync += self._again.eq(0)
                    self._go(m, _State.SEARCH)
                with m.Else():
                    m.d.sync += [self._scanning.eq(0), self._rewinds.eq(1), self._again.eq(0)]
                    self._go(m, _State.IDLE)

    def _look(self, m: Any) -> None:
        """Merge a raise of a pending vector; pass over the unmasking of one that is not pending."""
        here = self._bits.here
        m.d.sync += [self._word.eq(self._bits.word), self._held.eq(here)]
        with m.If(self._waited[LOOK - 1]):
            m.d.sync += self.merged.eq(self._raised & here)
            with m.If(self._raised == here):
                self._go(m, _State.IDLE)
            with m.Elif(self._open):
                self._go(m, _State.FETCH)
            with m.Elif(self._raised):
                self._go(m, _State.HOLD)
            with m.Else():
                self._go(m, _State.IDLE)

    def _search(self, m: Any) -> None:
        """Take the next pending vector of this word, or go on to the next word."""
        m.d.sync += [self._word.eq(self._bits.word), self._held.eq(1)]
        with m.If(self._waited[SEARCH - 1]):
            with m.If(self._bits.found):
                m.d.sync += self._vector[:5].eq(self._bits.first)
                self._go(m, _State.FOUND)
            with m.Else():
                m.d.sync += self._scan.eq(Cat(Const(0, 5), self._next_word))
                with m.If(self._in_last):
                    m.d.sync += [self._scanning.eq(0), self._rewinds.eq(1)]
                self._go(m, _State.IDLE)

    def _goes_on(self, m: Any) -> None:
        """Let the search go on behind the vector that was found."""
        m.d.sync += self._scan.eq(self._next)
        with m.If(self._is_last):
            m.d.sync += [self._scanning.eq(0), self._rewinds.eq(1)]
        self._go(m, _State.FETCH)

    def _fetch(self, m: Any) -> None:
        """Decide, with the entry as it was when it was read."""
        with m.If(self._reader.done):
            with m.If(self._stale):
                self._go(m, _State.RETRY)
            with m.Elif(~self._open | self._reader.entry.control[0]):
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
        m.d.sync += self._sets.eq(~self._writes)
        with m.If(self._writes):
            m.d.sync += [self.pending.eq(self._one_more), self.held.eq(1)]
            self._go(m, _State.IDLE)

    def _release(self, m: Any) -> None:
        m.d.sync += self._sets.eq(~self._writes)
        with m.If(self._writes):
            m.d.sync += [self.pending.eq(self._one_less), self._held.eq(0)]
            self._go(m, _State.OFFER)

    def _offer(self, m: Any) -> None:
        offers = self._open & ~self._stale
        m.d.sync += self._offered.eq(offers)
        with m.If(self.i_valid & self.i_ready):
            m.d.sync += self._offered.eq(0)
            self._answer(m)
        with m.Elif(~offers):
            self._go(m, _State.RETRY)

    def _answer(self, m: Any) -> None:
        m.d.sync += self.sent.eq(self.i_sent)
        with m.If(self.i_sent):
            self._go(m, _State.IDLE)
        with m.Elif(self.i_failed):
            self._go(m, _State.RETRY)
        with m.Else():
            self._go(m, _State.ANSWER)

    def _retry(self, m: Any) -> None:
        with m.If(self._open):
            self._go(m, _State.FETCH)
        with m.Else():
            self._keep(m)

    def _at(self, state: _State) -> Any:
        return self._state[state.value]

    def _go(self, m: Any, state: _State) -> None:
        """Go from the state that is being built to another one."""
        m.d.comb += [self._leaves[self._built.value].eq(1), self._enters[state.value].eq(1)]
