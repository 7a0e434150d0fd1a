"""The controller page: identity, MSIs towards the host, and what became of every request and doorbell."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import epbell_regs
from epbell import csr
from epbell.config_reader import BARS
from epbell.counter import Counter
from epbell.edma import PERSONALITIES, EdmaShape
from epbell.interrupts import InterruptRegisters
from epbell.latency import LatencyMeter
from epbell.pcie.requester import Cause
from epbell.pcie.target import EVENTS, LATENCY_BITS

__all__ = ["Controller"]

VECTORS = 4
"""Doorbell vectors of the Messaging Unit."""

FUNCTION = ("flr_begins", "in_flr", "low_power")
"""What the page shows of the function's state."""

_BELL_EVENTS = ("rung", "merged", "delivered")
_INTERRUPT_EVENTS = (
    *("msi_sent", "msi_held", "msi_merged", "msi_refused"),
    *("msix_sent", "msix_held", "msix_merged", "msix_refused", "intx_merged"),
)
_EDMA_EVENTS = {"edma_rung": 2, "edma_merged": 2, "edma_delivered": 1}  # at most in a clock


class Controller(wiring.Component):
    """Registers of the endpoint controller, map ``controller``.

    Counters saturate at their largest value. An event is in its counter three clocks later; COUNTERS.CLEAR in the same
    clock leaves it as the first.

    The latency is measured from the first beat of a request that rings the Messaging Unit, or the eDMA, to the clock in
    which its interrupt line has risen because of it. A ring that finds the line high, or leaves it low, is not
    measured.

    Parameters
    ----------
    data_width : int
        Width of the PCIe streams in bits, for FEATURES.
    windows : int
        Number of inbound windows, for FEATURES.
    guard : bool
        Whether the guard is built, for FEATURES.
    edma : EdmaShape
        What the eDMA is like, for FEATURES.

    Attributes
    ----------
    bus : In(csr.PAGE)
        Registers.
    write_refused, read_refused, unsupported, discontinued : In(1)
        Events, each a clock long.
    malformed : In(range(3))
        How many packets are, in this clock.
    rung, merged, delivered : In(4)
        Events of the doorbells, bit n for TRn.
    edma_rung, edma_merged, edma_delivered : In(2), In(2), In(1)
        Events of the eDMA: how many in this clock.
    mu_ring, edma_ring, ring_age : In(1), In(1), In(16)
        The host rings in this cycle; clocks since its request began, if it is no promise.
    promised, promised_age : In(1), In(16)
        The ring is a promise, and this is its age.
    irq_mu, irq_edma : In(2), In(1)
        Interrupt lines to the CPU, each high if any bit is.
    outbound_failed, outbound_cause, outbound_address : In(range(3)), In(Cause), In(32)
        How many accesses of the CPU to the host have just failed; why and where the last one did.
    bars : In(32).array(6)
        The base address registers as the host reads them.
    flr_begins, in_flr, low_power : In(1)
        A function-level reset begins in this clock; one is under way; the function is not in D0.
    interrupts : Out(InterruptRegisters())
        What raises interrupts of the host, and how they are.
    """

    bus: Any
    write_refused: Any
    read_refused: Any
    unsupported: Any
    discontinued: Any
    malformed: Any
    rung: Any
    merged: Any
    delivered: Any
    edma_rung: Any
    edma_merged: Any
    edma_delivered: Any
    mu_ring: Any
    edma_ring: Any
    ring_age: Any
    promised: Any
    promised_age: Any
    irq_mu: Any
    irq_edma: Any
    outbound_failed: Any
    outbound_cause: Any
    outbound_address: Any
    bars: Any
    flr_begins: Any
    in_flr: Any
    low_power: Any
    interrupts: Any

    def __init__(self, *, data_width: int, windows: int, guard: bool, edma: EdmaShape) -> None:
        self._features = {
            "DATA_BYTES": data_width // 8,
            "WINDOWS": windows,
            "GUARD": int(guard),
            "EDMA": PERSONALITIES.index(edma.personality),
            "EDMA_LINES": edma.lines,
        }
        self._block = csr.Block(epbell_regs.load("controller"), decode="sync", read_clocks=csr.PAGE.read_clocks)
        super().__init__({
            "bus": In(csr.PAGE),
            **{event: In(range(3) if event == "malformed" else 1) for event in EVENTS},
            **{event: In(VECTORS) for event in _BELL_EVENTS},
            **{event: In(range(most + 1)) for event, most in _EDMA_EVENTS.items()},
            "mu_ring": In(1),
            "edma_ring": In(1),
            "ring_age": In(LATENCY_BITS),
            "promised": In(1),
            "promised_age": In(LATENCY_BITS),
            "irq_mu": In(2),
            "irq_edma": In(1),
            "outbound_failed": In(range(3)),
            "outbound_cause": In(Cause),
            "outbound_address": In(32),
            "bars": In(32).array(BARS),
            **{name: In(1) for name in FUNCTION},
            "interrupts": Out(InterruptRegisters()),
        })

    def elaborate(self, platform: object) -> Module:
        """Build the registers and the counters behind them."""
        m: Any = Module()
        m.submodules.registers = self._block
        wiring.connect(m, wiring.flipped(self.bus), self._block.bus)
        for name, value in self._features.items():
            m.d.comb += self._value("FEATURES", name).eq(value)
        clear: Any = Signal(name="clears", init=1)  # as it is written, known a clock ahead; and at the reset
        m.d.sync += clear.eq(self._block.coming(m, "COUNTERS", "CLEAR"))
        for event in _INTERRUPT_EVENTS:
            self._count(m, event.upper(), getattr(self.interrupts, event), clear)
        self._count(m, "WRITES_REFUSED", self.write_refused, clear)
        self._count(m, "READS_REFUSED", self.read_refused, clear)
        self._count(m, "UNSUPPORTED", self.unsupported, clear)
        self._count(m, "DISCONTINUED", self.discontinued, clear)
        self._count(m, "MALFORMED", self.malformed, clear, 2)
        for vector in range(VECTORS):
            for event in _BELL_EVENTS:
                self._count(m, f"BELL{vector}_{event.upper()}", getattr(self, event)[vector], clear)
        for event, most in _EDMA_EVENTS.items():
            self._count(m, event.upper(), getattr(self, event), clear, most)
        self._measure(m, "IRQ_LATENCY", self.mu_ring, self.irq_mu, clear)
        self._measure(m, "EDMA_LATENCY", self.edma_ring, self.irq_edma, clear)
        self._count(m, "OUTBOUND_FAILED", self.outbound_failed, clear, 2)
        for number, bar in enumerate(self.bars):
            m.d.comb += self._value(f"BAR{number}", "BAR").eq(bar)
        self._failure(m)
        self._count(m, "FLRS", self.flr_begins, clear)
        m.d.comb += [
            self._block.field("FUNCTION", "FLR").set.eq(self.flr_begins),
            self._value("FUNCTION", "IN_FLR").eq(self.in_flr),
            self._value("FUNCTION", "LOW_POWER").eq(self.low_power),
        ]
        self._raise_interrupts(m)
        self._show_interrupts(m)
        return m

    def _value(self, register: str, field: str) -> Any:
        return self._block.field(register, field).value

    def _count(self, m: Any, register: str, event: Any, clear: Any, most: int = 1) -> None:
        m.submodules[register.lower()] = counter = Counter(32, most=most)
        m.d.comb += [
            counter.event.eq(event),
            counter.clear.eq(clear),
            self._value(register, "COUNT").eq(counter.count),
        ]

    def _measure(self, m: Any, registers: str, ring: Any, irq: Any, clear: Any) -> None:
        m.submodules[registers.lower()] = meter = LatencyMeter(len(irq))
        m.d.comb += [
            meter.ring.eq(ring),
            meter.ring_age.eq(self.ring_age),
            meter.promised.eq(self.promised),
            meter.promised_age.eq(self.promised_age),
            meter.irq.eq(irq),
            meter.clear.eq(clear),
            self._value(f"{registers}_LAST", "CYCLES").eq(meter.last),
            self._value(f"{registers}_MAX", "CYCLES").eq(meter.longest),
        ]

    def _failure(self, m: Any) -> None:
        """Keep the last failure of an access to the host until software has seen it."""
        cause: Any = Signal(Cause)
        address: Any = Signal(32)
        write = self._block.made("OUTBOUND_CAUSE")
        seen = write.strobes[0] & ~write.w_data[:3].any()
        with m.If(self.outbound_failed.any()):
            m.d.sync += [cause.eq(self.outbound_cause), address.eq(self.outbound_address)]
        with m.Elif(seen):
            m.d.sync += cause.eq(Cause.NONE)
        m.d.comb += [
            self._value("OUTBOUND_CAUSE", "CAUSE").eq(cause),
            self._value("OUTBOUND_ADDRESS", "ADDRESS").eq(Cat(Const(0, 2), address[2:])),
        ]

    def _raise_interrupts(self, m: Any) -> None:
        """Pass on what software writes."""
        out, field = self.interrupts, self._block.field
        msi, msix, level = field("MSI_RAISE", "VECTOR"), field("MSIX_RAISE", "VECTOR"), field("INTX", "LEVEL")
        m.d.comb += [
            out.msi_raise.eq(msi.w_stb),
            out.msi_vector.eq(msi.w_data),
            out.msix_raise.eq(msix.w_stb),
            out.msix_vector.eq(msix.w_data),
            out.msix_on.eq(self._value("MSIX_SIZE", "ON")),
            out.msix_last.eq(self._value("MSIX_SIZE", "LAST")),
            out.msix_table.eq(Cat(Const(0, 3), self._value("MSIX_TABLE", "ADDRESS"))),
            out.msix_pba.eq(Cat(Const(0, 3), self._value("MSIX_PBA", "ADDRESS"))),
            level.clear.eq(self.in_flr),
            out.intx_raise.eq(level.w_stb & level.w_data),
            out.intx_level.eq(level.value),
            out.intx_pulse.eq(field("INTX", "PULSE").pulse),
        ]

    def _show_interrupts(self, m: Any) -> None:
        """Show what has become of it."""
        shown = {
            "MSI_STATUS": {"ENABLED": "msi_enabled", "MULTIPLE": "msi_multiple", "ROOM": "msi_room"},
            "MSIX_STATUS": {"ENABLED": "msix_enabled", "FUNCTION_MASK": "msix_masked", "ROOM": "msix_room"},
            "INTX": {"BUSY": "intx_busy", "ASSERTED": "intx_asserted"},
            "MSI_MASK": {"MASK": "msi_mask"},
            "MSI_PENDING": {"PENDING": "msi_pending"},
        }
        shown["MSI_STATUS"] |= {"BUSY": "msi_busy", "BUS_MASTER": "bus_master"}
        shown["MSIX_STATUS"] |= {"BUSY": "msix_busy", "PENDING": "msix_pending", "BUS_MASTER": "bus_master"}
        for register, fields in shown.items():
            for name, member in fields.items():
                m.d.comb += self._value(register, name).eq(getattr(self.interrupts, member))
