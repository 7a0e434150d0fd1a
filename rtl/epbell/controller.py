"""The controller page: identity, MSIs towards the host, and what became of every request and doorbell."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import epbell_regs
from epbell import csr
from epbell.counter import Counter
from epbell.pcie.target import EVENTS, LATENCY_BITS

__all__ = ["Controller"]

VECTORS = 4
"""Doorbell vectors of the Messaging Unit."""

_BELL_EVENTS = ("rung", "merged", "delivered")


class Controller(wiring.Component):
    """Registers of the endpoint controller, map ``controller``.

    Counters saturate at their largest value. An event is in its counter in the next clock; COUNTERS.CLEAR in the same
    clock leaves it as the first.

    The latency is measured from the first beat of a request that writes to the Messaging Unit to the clock in which the
    interrupt line has risen because of it. A write that finds the line high, or leaves it low, is not measured.

    Parameters
    ----------
    data_width : int
        Width of the PCIe streams in bits, for FEATURES.
    windows : int
        Number of inbound windows, for FEATURES.
    guard : bool
        Whether the guard is built, for FEATURES.

    Attributes
    ----------
    bus : In(csr.Signature(16))
        Registers.
    write_refused, read_refused, unsupported, discontinued, malformed : In(1)
        Events, each a clock long.
    rung, merged, delivered : In(4)
        Events of the doorbells, bit n for TRn.
    ring, ring_age : In(1), In(16)
        The host writes to the Messaging Unit in this cycle, that many clocks after its request began.
    irq : In(1)
        Interrupt line to the CPU.
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
    ring: Any
    ring_age: Any
    irq: Any
    msi_raise: Any
    msi_vector: Any
    msi_enabled: Any
    msi_multiple: Any
    msi_room: Any
    msi_busy: Any
    bus_master: Any
    msi_sent: Any
    msi_refused: Any

    def __init__(self, *, data_width: int, windows: int, guard: bool) -> None:
        self._features = {"DATA_BYTES": data_width // 8, "WINDOWS": windows, "GUARD": int(guard)}
        self._block = csr.Block(epbell_regs.load("controller"))
        super().__init__({
            "bus": In(csr.Signature(16)),
            **{event: In(1) for event in EVENTS},
            **{event: In(VECTORS) for event in _BELL_EVENTS},
            "ring": In(1),
            "ring_age": In(LATENCY_BITS),
            "irq": In(1),
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
        self._measure(m, clear)
        self._msi(m)
        return m

    def _value(self, register: str, field: str) -> Any:
        return self._block.field(register, field).value

    def _count(self, m: Any, register: str, event: Any, clear: Any) -> None:
        m.submodules[register.lower()] = counter = Counter(32)
        m.d.comb += [
            counter.event.eq(event),
            counter.clear.eq(clear),
            self._value(register, "COUNT").eq(counter.count),
        ]

    def _measure(self, m: Any, clear: Any) -> None:
        """Keep the last and the longest time from a request to the interrupt."""
        was_high: Any = Signal()
        rang: Any = Signal()
        latency: Any = Signal(LATENCY_BITS)
        last: Any = Signal(LATENCY_BITS)
        longest: Any = Signal(LATENCY_BITS)
        m.d.sync += [
            was_high.eq(self.irq),
            rang.eq(self.ring),
            latency.eq(self.ring_age + ~self.ring_age.all()),
        ]
        with m.If(clear):
            m.d.sync += [last.eq(0), longest.eq(0)]
        with m.If(rang & self.irq & ~was_high):
            m.d.sync += last.eq(latency)
            with m.If(clear | (latency > longest)):
                m.d.sync += longest.eq(latency)
        m.d.comb += [
            self._value("IRQ_LATENCY_LAST", "CYCLES").eq(last),
            self._value("IRQ_LATENCY_MAX", "CYCLES").eq(longest),
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
