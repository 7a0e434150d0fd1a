"""Every way to interrupt the host: MSI, MSI-X and INTx, behind the registers of the controller page."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from epbell.fence import Fence
from epbell.intx import HardIntx, Intx
from epbell.msi import HardMsi, MsiSender
from epbell.msix import Msix
from epbell.msix_sender import HardMsix, MsixSender
from epbell.patience import PATIENCE

__all__ = [
    "MSIX_WAYS",
    "InterruptRegisters",
    "Interrupts",
]

MSIX_WAYS = ("rq", "port")
"""How MSI-X messages leave: as memory writes on RQ, or through the hard block's MSI-X port."""

_MSIS = 16  # MSIs that can wait
_QUEUE = 16  # MSI-X vectors that can wait to be looked at
_PULSES = 16  # of INTx that can wait
_MSI_EVENTS = ("sent", "held", "merged", "refused")


class InterruptRegisters(wiring.Signature):
    """What the controller page and the interrupts have to say to each other, in the page's view.

    Attributes
    ----------
    msi_raise, msi_vector : Out(1), Out(5)
        Queue an MSI.
    msi_enabled, msi_multiple, msi_room, msi_busy, msi_mask, msi_pending : In
        State of MSI: 1, 3, 6, 1, 32 and 32 bits.
    msix_on, msix_last, msix_table, msix_pba : Out(1), Out(11), Out(32), Out(32)
        The table is set up; its last vector; local addresses of the table and of the pending bits.
    msix_raise, msix_vector : Out(1), Out(11)
        Raise an MSI-X vector; only while there is room.
    msix_enabled, msix_masked, msix_room, msix_busy, msix_pending : In
        State of MSI-X: 1, 1, 6, 1 and 1 bits.
    intx_raise, intx_level, intx_pulse : Out(1)
        The level is being written as 1; INTA is wanted from the next clock on; one pulse.
    intx_busy, intx_asserted : In(1)
        State of INTx.
    bus_master : In(1)
        The host has enabled bus mastering.
    msi_sent, msi_held, msi_merged, msi_refused, msix_sent, msix_held, msix_merged, msix_refused, intx_merged : In(1)
        Events.
    """

    def __init__(self) -> None:
        super().__init__({
            "msi_raise": Out(1),
            "msi_vector": Out(5),
            "msi_enabled": In(1),
            "msi_multiple": In(3),
            "msi_room": In(6),
            "msi_busy": In(1),
            "msi_mask": In(32),
            "msi_pending": In(32),
            "msix_on": Out(1),
            "msix_last": Out(11),
            "msix_table": Out(32),
            "msix_pba": Out(32),
            "msix_raise": Out(1),
            "msix_vector": Out(11),
            "msix_enabled": In(1),
            "msix_masked": In(1),
            "msix_room": In(6),
            "msix_busy": In(1),
            "msix_pending": In(1),
            "intx_raise": Out(1),
            "intx_level": Out(1),
            "intx_pulse": Out(1),
            "intx_busy": In(1),
            "intx_asserted": In(1),
            "bus_master": In(1),
            **{f"msi_{event}": In(1) for event in _MSI_EVENTS},
            **{f"msix_{event}": In(1) for event in ("sent", "held", "merged", "refused")},
            "intx_merged": In(1),
        })

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InterruptRegisters)

    def __hash__(self) -> int:
        return hash(InterruptRegisters)

    def __repr__(self) -> str:
        return "interrupts.InterruptRegisters()"


class Interrupts(wiring.Component):
    """MSI, MSI-X and INTx of function 0.

    No interrupt overtakes a request of the CPU to the host that was taken before it was raised. On RQ the order does
    it; an interrupt through a port of the hard block does not begin before all these requests have been accepted on RQ
    (INTx: before INTA is asserted; it is deasserted at any time). What is requested later does not hold it up, however
    many interrupts follow; for the level of INTx it is the write that sets it that counts, or while INTx is disabled
    the last one that does.

    Nothing is refused or lost but in the reset of the function: who raises waits while there is no room (``msi_full``,
    ``msix_full``, ``intx_full``). There will be some: what may not be sent becomes pending or is merged, and the rest
    needs only that the host lets RQ go on and that the hard block answers.

    In the reset of the function everything is forgotten, and what is raised is dropped. What the hard block has been
    asked for goes on to its answer, which is waited for `patience` clocks at most, and an asserted INTA is deasserted;
    then, and when the PBA of MSI-X has been zeroed, all is ``quiet``.

    There is one answer at a time to wait for at the ports of MSI and MSI-X, which have one pair of pins for it in some
    hard blocks.

    Parameters
    ----------
    ram_size, lanes : int
        Size of the RAM in bytes, and the dwords of it that the host can write in one clock.
    vectors : int
        MSI-X vectors at most, 1 to 2048.
    msix : str
        How MSI-X messages leave, one of :data:`MSIX_WAYS`.
    patience : int
        Clocks that an answer of the hard block is waited for while there may be none, 1 or more.

    Attributes
    ----------
    registers : In(InterruptRegisters())
        The controller page.
    msi, msix, intx : Out(HardMsi()), Out(HardMsix()), Out(HardIntx())
        The hard block's ports; that of MSI-X is zero with ``msix="rq"``.
    function_status : In(4)
        Bits of ``cfg_function_status`` of function 0: I/O, memory, bus mastering, Interrupt Disable.
    function_reset : In(1)
        The function is being reset: what the host was to be told is forgotten, the registers stay.
    awake : In(1)
        The function is in D0. Otherwise nothing is sent: as without bus mastering, and INTx as with Interrupt Disable.
    quiet : Out(1)
        In the clock before nothing was to be sent, and nothing was on its way; only in `function_reset`, from its third
        clock on.
    entered, left, leaving : In(1)
        A request to the host has been taken, has left; one has begun to leave, and has not left in an earlier clock.
    msi_full, msix_full, intx_full : Out(1)
        There may be no room for an MSI, an MSI-X vector, a pulse of INTx, and there will be some soon; known for
        certain when nothing was raised in the two clocks before.
    host_wrote, host_address, host_written
        The host's writes to the RAM, for :class:`Msix`: up to three clocks late.
    mem_valid, mem_ready, mem_write, mem_addr, mem_data, mem_cancel, mem_rvalid, mem_rdata
        The RAM, for :class:`Msix`.
    i_valid, i_ready, i_address, i_data : Out(1), In(1), Out(64), Out(32)
        MSI-X message as a memory write; never with ``msix="port"``.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    registers: Any
    msi: Any
    msix: Any
    intx: Any
    function_status: Any
    function_reset: Any
    awake: Any
    quiet: Any
    entered: Any
    left: Any
    leaving: Any
    msi_full: Any
    msix_full: Any
    intx_full: Any
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

    def __init__(self, *, ram_size: int, lanes: int, vectors: int, msix: str = "rq", patience: int = PATIENCE) -> None:
        if msix not in MSIX_WAYS:
            raise ValueError(f"The way of MSI-X messages must be one of {', '.join(MSIX_WAYS)}, not {msix!r}")
        self._engine = Msix(vectors, ram_size=ram_size, lanes=lanes, queue=_QUEUE)
        self._hand = MsixSender(patience) if msix == "port" else None
        self._msi = MsiSender(_MSIS, patience=patience)
        self._intx = Intx(_PULSES, patience=patience)
        depths = {"msi": _MSIS, "level": 1, "pulse": _PULSES}
        if self._hand is not None:
            depths["msix"] = _QUEUE
        self._fences = {name: Fence(depth) for name, depth in depths.items()}
        self._address = exact_log2(ram_size // 4)
        super().__init__({
            "registers": In(InterruptRegisters()),
            "msi": Out(HardMsi()),
            "msix": Out(HardMsix()),
            "intx": Out(HardIntx()),
            "function_status": In(4),
            "function_reset": In(1),
            "awake": In(1),
            "quiet": Out(1),
            "entered": In(1),
            "left": In(1),
            "leaving": In(1),
            "msi_full": Out(1),
            "msix_full": Out(1),
            "intx_full": Out(1),
            "host_wrote": In(1),
            "host_address": In(self._address),
            "host_written": In(lanes),
            "mem_valid": Out(1),
            "mem_ready": In(1),
            "mem_write": Out(1),
            "mem_addr": Out(self._address),
            "mem_data": Out(32),
            "mem_cancel": Out(1),
            "mem_rvalid": In(1),
            "mem_rdata": In(32),
            "i_valid": Out(1),
            "i_ready": In(1),
            "i_address": Out(64),
            "i_data": Out(32),
        })

    def elaborate(self, platform: object) -> Module:
        """Connect the three, each behind its registers."""
        m: Any = Module()
        registers = self.registers
        for name, fence in self._fences.items():
            m.submodules[f"{name}_fence"] = fence
            m.d.comb += [
                fence.entered.eq(self.entered),
                fence.left.eq(self.left),
                fence.flush.eq(self.function_reset),
                fence.leaving.eq(self.leaving),
            ]
        m.submodules.msi, m.submodules.intx = self._msi, self._intx
        m.submodules.msix = self._engine
        self._may_request: Any = Signal()
        self._handed: Any = Signal()  # no answer of the port of MSI-X is awaited
        self._was_reset: Any = Signal()  # in the clock before
        m.d.comb += [
            self._may_request.eq(self.function_status[2] & self.awake),
            self.msi_full.eq(self._msi.full),
            self.msix_full.eq(self._engine.full),
        ]
        rests = self._msi.idle & self._handed & self._intx.idle & ~self._engine.busy
        m.d.sync += [
            self._was_reset.eq(self.function_reset),
            self.quiet.eq(self.function_reset & self._was_reset & rests),
            registers.bus_master.eq(self.function_status[2]),
            # Without bus mastering requests stand, and pulses that announce them.
            self.intx_full.eq(self._intx.full & (self._may_request | ~self._intx.hold_pulse)),
        ]
        self._connect_msi(m)
        self._connect_msix(m)
        if self._hand is None:
            self._connect_rq(m)
        else:
            self._connect_port(m, self._hand)
        self._connect_intx(m)
        return m

    def _connect_msi(self, m: Any) -> None:
        registers, sender, fence = self.registers, self._msi, self._fences["msi"]
        wiring.connect(m, wiring.flipped(self.msi), sender.hard)
        m.d.sync += [
            registers.msi_enabled.eq(self.msi.enable[0]),
            registers.msi_multiple.eq(self.msi.mmenable[:3]),
            registers.msi_mask.eq(self.msi.data),
            registers.msi_pending.eq(self.msi.pending_status),
            # A clock later, to be near who looks at it: it opens in the clock before a vector is known, at the
            # earliest, and none leaves in the clock after another one; it closes with whatever leaves.
            sender.hold.eq(~fence.open),
            sender.hold_pending.eq(fence.closed | sender.taken),
        ]
        m.d.comb += [
            registers.msi_room.eq(sender.room),
            registers.msi_busy.eq(sender.busy),
            *(getattr(registers, f"msi_{event}").eq(getattr(sender, event)) for event in _MSI_EVENTS),
            sender.valid.eq(registers.msi_raise),
            sender.vector.eq(registers.msi_vector),
            sender.bus_master.eq(self._may_request),
            fence.raised.eq(sender.queued),
            fence.taken.eq(sender.taken),
            sender.flush.eq(self.function_reset),
        ]

    def _connect_msix(self, m: Any) -> None:
        registers, engine = self.registers, self._engine
        dropped: Any = Signal()  # a vector is raised in a reset
        was_on: Any = Signal()
        m.d.sync += [
            # These may change in the clock in which the engine is switched off, which sees it one later.
            was_on.eq(registers.msix_on),
            engine.last.eq(registers.msix_last),
            engine.table.eq(registers.msix_table[2:]),
            engine.pba.eq(registers.msix_pba[2:]),
        ]
        m.d.comb += [
            # For a clock only: what follows, zeroing the PBA, is a part of the reset.
            engine.set_up.eq(registers.msix_on & was_on & (self._was_reset | ~self.function_reset)),
            engine.enabled.eq(self.msix.enable[0] & ~self.function_reset),
            engine.masked.eq(self.msix.mask[0]),
            engine.bus_master.eq(self._may_request),
            engine.raise_valid.eq(registers.msix_raise & ~self.function_reset),
            engine.raise_vector.eq(registers.msix_vector),
            engine.host_wrote.eq(self.host_wrote),
            engine.host_address.eq(self.host_address),
            engine.host_written.eq(self.host_written),
            self.mem_valid.eq(engine.mem_valid),
            engine.mem_ready.eq(self.mem_ready),
            self.mem_write.eq(engine.mem_write),
            self.mem_addr.eq(engine.mem_addr),
            self.mem_data.eq(engine.mem_data),
            self.mem_cancel.eq(engine.mem_cancel),
            engine.mem_rvalid.eq(self.mem_rvalid),
            engine.mem_rdata.eq(self.mem_rdata),
            registers.msix_room.eq(engine.room),
            registers.msix_held.eq(engine.held),
            registers.msix_merged.eq(engine.merged),
            registers.msix_refused.eq(engine.refused | dropped),
        ]
        m.d.sync += [
            dropped.eq(registers.msix_raise & self.function_reset),
            registers.msix_enabled.eq(self.msix.enable[0]),
            registers.msix_masked.eq(self.msix.mask[0]),
            registers.msix_busy.eq(engine.busy),
            registers.msix_pending.eq(engine.pending.any()),
        ]

    def _connect_rq(self, m: Any) -> None:
        """Let MSI-X messages leave as memory writes, behind all that is on RQ already."""
        engine = self._engine
        m.d.comb += [
            self._handed.eq(1),
            self.i_valid.eq(engine.i_valid),
            self.i_address.eq(engine.i_address),
            self.i_data.eq(engine.i_data),
            engine.i_ready.eq(self.i_ready),
            engine.i_sent.eq(1),
            # In the first clock of a reset it may still be taken, but it is dropped as all that has been taken: resets
            # take two clocks or more.
            self.registers.msix_sent.eq(engine.sent & ~self._was_reset),
        ]

    def _connect_port(self, m: Any, hand: MsixSender) -> None:
        """Let MSI-X messages leave through the hard block's port, behind a fence."""
        engine, fence = self._engine, self._fences["msix"]
        m.submodules.hand = hand
        wiring.connect(m, wiring.flipped(self.msix), hand.hard)
        claims: Any = Signal()  # the port: no MSI is begun from now on
        claimed: Any = Signal()  # none was begun in the clock before either
        free = claimed & self._msi.idle & ~fence.closed & ~self.function_reset
        m.d.sync += [
            claims.eq(~hand.idle | (engine.i_valid & ~fence.closed)),
            claimed.eq(claims),
            self.registers.msix_sent.eq(hand.i_sent),
        ]
        m.d.comb += [
            self._handed.eq(hand.idle),
            fence.raised.eq(engine.queued),
            fence.taken.eq(engine.taken),
            fence.forget.eq(~engine.set_up),
            engine.hold.eq(~fence.open),
            self._msi.wait.eq(claims),
            hand.i_valid.eq(engine.i_valid & free),
            hand.i_address.eq(engine.i_address),
            hand.i_data.eq(engine.i_data),
            engine.i_ready.eq(hand.i_ready & free),
            # Also of a message that leaves while the engine is reset: it has gone all the same.
            engine.i_sent.eq(hand.i_sent),
            engine.i_failed.eq(hand.i_failed),
        ]

    def _connect_intx(self, m: Any) -> None:
        registers, intx = self.registers, self._intx
        level, pulse = self._fences["level"], self._fences["pulse"]
        wiring.connect(m, wiring.flipped(self.intx), intx.hard)
        m.d.comb += [
            intx.level.eq(registers.intx_level),
            intx.pulse.eq(registers.intx_pulse),
            intx.flush.eq(self.function_reset),
            # Without a message meanwhile, the last write that asks for the level is the one that counts.
            level.mark.eq(registers.intx_raise & (~registers.intx_level | intx.disabled)),
            intx.hold_level.eq(level.closed),
            pulse.raised.eq(intx.queued),
            pulse.taken.eq(intx.done),
            pulse.mark.eq(registers.intx_merged),
            # One that has been merged in the clock before closes at once. What enters in that clock counts, too.
            intx.hold_pulse.eq(~pulse.open | pulse.closed | registers.intx_merged),
            registers.intx_asserted.eq(intx.told),
        ]
        m.d.sync += [
            intx.disabled.eq(self.function_status[3] | self.msi.enable[0] | self.msix.enable[0] | ~self.awake),
            registers.intx_merged.eq(intx.merged),
            registers.intx_busy.eq(intx.busy),
        ]
