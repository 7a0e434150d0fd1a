"""The controller page: identity, MSIs towards the host, and what became of every request and doorbell."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import epbell_regs
from epbell import csr
from epbell.counter import Counter
from epbell.edma import PERSONALITIES, EdmaShape
from epbell.latency import LatencyMeter
from epbell.pcie.requester import Cause
from epbell.pcie.target import EVENTS, LATENCY_BITS

__all__ = ["Controller"]

VECTORS = 4
"""Doorbell vectors of the Messaging Unit."""

_BELL_EVENTS = ("rung", "merged", "delivered")
_EDMA_EVENTS = {"edma_rung": 2, "edma_merged": 2, "edma_delivered": 1}  # at most in a clock


class Controller(wiring.Component):
    """Registers of the endpoint controller, map ``controller``.

    Counters saturate at their largest value. An event is in its counter in the next clock; COUNTERS.CLEAR in the same
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
    bus : In(csr.Signature(16))
        Registers.
    write_refused, read_refused, unsupported, discontinued, malformed : In(1)
        Events, each a clock long.
    rung, merged, delivered : In(4)
        Events of the doorbells, bit n for TRn.
    edma_rung, edma_merged, edma_delivered : In(2), In(2), In(1)
        Events of the eDMA: how many in this clock.
    mu_ring, edma_ring, ring_age : In(1), In(1), In(16)
        The host rings in this cycle, that many clocks after its request began.
    irq_mu, irq_edma : In(1)
        Interrupt lines to the CPU.
    outbound_failed, outbound_cause, outbound_address : In(range(3)), In(Cause), In(32)
        How many accesses of the CPU to the host have just failed; why and where the last one did.
    msi_raise, msi_vector : Out(1), Out(5)
        Queue an MSI.
    msi_enabled, msi_multiple, msi_room, msi_busy, bus_master : In
        State of the queue and of the host's enables: 1, 3, 6, 1 and 1 bits.
    msi_sent, msi_refused : In(1)
        Events of the queue.
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
    irq_mu: Any
    irq_edma: Any
    outbound_failed: Any
    outbound_cause: Any
    outbound_address: Any
    msi_raise: Any
    msi_vector: Any
    msi_enabled: Any
    msi_multiple: Any
    msi_room: Any
    msi_busy: Any
    bus_master: Any
    msi_sent: Any
    msi_refused: Any

    def __init__(self, *, data_width: int, windows: int, guard: bool, edma: EdmaShape) -> None:
        self._features = {
            "DATA_BYTES": data_width // 8,
            "WINDOWS": windows,
            "GUARD": int(guard),
            "EDMA": PERSONALITIES.index(edma.personality),
            "EDMA_LINES": edma.lines,
        }
        self._block = csr.Block(epbell_regs.load("controller"))
        super().__init__({
            "bus": In(csr.Signature(16)),
            **{event: In(1) for event in EVENTS},
            **{event: In(VECTORS) for event in _BELL_EVENTS},
            **{event: In(range(most + 1)) for event, most in _EDMA_EVENTS.items()},
            "mu_ring": In(1),
            "edma_ring": In(1),
            "ring_age": In(LATENCY_BITS),
            "irq_mu": In(1),
            "irq_edma": In(1),
            "outbound_failed": In(range(3)),
            "outbound_cause": In(Cause),
            "outbound_address": In(32),
            "msi_raise": Out(1),
            "msi_vector": Out(5),
            "msi_enabled": In(1),
            "msi_multiple": In(3),
            "msi_room": In(6),
            "msi_busy": In(1),
            "bus_master": In(1),
            "msi_sent": In(1),
            "msi_refused": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Build the registers and the counters behind them."""
        m: Any = Module()
        m.submodules.registers = self._block
        wiring.connect(m, wiring.flipped(self.bus), self._block.bus)
        for name, value in self._features.items():
            m.d.comb += self._value("FEATURES", name).eq(value)
        clear = self._block.field("COUNTERS", "CLEAR").pulse
        self._count(m, "MSI_SENT", self.msi_sent, clear)
        self._count(m, "MSI_REFUSED", self.msi_refused, clear)
        self._count(m, "WRITES_REFUSED", self.write_refused, clear)
        self._count(m, "READS_REFUSED", self.read_refused, clear)
        self._count(m, "UNSUPPORTED", self.unsupported, clear)
        self._count(m, "DISCONTINUED", self.discontinued, clear)
        self._count(m, "MALFORMED", self.malformed, clear)
        for vector in range(VECTORS):
            for event in _BELL_EVENTS:
                self._count(m, f"BELL{vector}_{event.upper()}", getattr(self, event)[vector], clear)
        for event, most in _EDMA_EVENTS.items():
            self._count(m, event.upper(), getattr(self, event), clear, most)
        self._measure(m, "IRQ_LATENCY", self.mu_ring, self.irq_mu, clear)
        self._measure(m, "EDMA_LATENCY", self.edma_ring, self.irq_edma, clear)
        self._count(m, "OUTBOUND_FAILED", self.outbound_failed, clear, 2)
        self._failure(m)
        self._msi(m)
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
        m.submodules[registers.lower()] = meter = LatencyMeter()
        m.d.comb += [
            meter.ring.eq(ring),
            meter.ring_age.eq(self.ring_age),
            meter.irq.eq(irq),
            meter.clear.eq(clear),
            self._value(f"{registers}_LAST", "CYCLES").eq(meter.last),
            self._value(f"{registers}_MAX", "CYCLES").eq(meter.longest),
        ]

    def _failure(self, m: Any) -> None:
        """Keep the last failure of an access to the host until software has seen it."""
        cause: Any = Signal(Cause)
        address: Any = Signal(32)
        here = self.bus.w_addr[2:] == epbell_regs.offsets("controller")["OUTBOUND_CAUSE"] >> 2
        with m.If(self.outbound_failed.any()):
            m.d.sync += [cause.eq(self.outbound_cause), address.eq(self.outbound_address)]
        with m.Elif(self.bus.w_en & here & self.bus.w_strb[0] & ~self.bus.w_data[:3].any()):
            m.d.sync += cause.eq(Cause.NONE)
        m.d.comb += [
            self._value("OUTBOUND_CAUSE", "CAUSE").eq(cause),
            self._value("OUTBOUND_ADDRESS", "ADDRESS").eq(Cat(Const(0, 2), address[2:])),
        ]

    def _msi(self, m: Any) -> None:
        raised = self._block.field("MSI_RAISE", "VECTOR")
        m.d.comb += [
            self.msi_raise.eq(raised.w_stb),
            self.msi_vector.eq(raised.w_data),
            self._value("MSI_STATUS", "ENABLED").eq(self.msi_enabled),
            self._value("MSI_STATUS", "MULTIPLE").eq(self.msi_multiple),
            self._value("MSI_STATUS", "ROOM").eq(self.msi_room),
            self._value("MSI_STATUS", "BUSY").eq(self.msi_busy),
            self._value("MSI_STATUS", "BUS_MASTER").eq(self.bus_master),
        ]
