"""How long a doorbell takes from the host's request to the interrupt line."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell.compare import less
from epbell.pcie.target import LATENCY_BITS

__all__ = ["LatencyMeter"]


class LatencyMeter(wiring.Component):
    """Keeps the last and the longest time from the first beat of a request to the interrupt line that it raises.

    A ring that finds the line high, or leaves it low, is not measured. A measurement is shown two clocks after the one
    in which the line has risen.

    Parameters
    ----------
    causes : int
        What the interrupt line is the OR of, 1 or more.

    Attributes
    ----------
    ring, ring_age : In(1), In(16)
        The host rings in this cycle; clocks since its request began, if it is no promise.
    promised, promised_age : In(1), In(16)
        The ring is a promise, and this is its age.
    irq : In(causes)
        Interrupt line, high if any bit of this is; a ring raises it in its own clock.
    clear : In(1)
        Forget both times, from the next clock but one on; a measurement of the same clock stays.
    last, longest : Out(16)
        Clocks.
    """

    ring: Any
    ring_age: Any
    promised: Any
    promised_age: Any
    irq: Any
    clear: Any
    last: Any
    longest: Any

    def __init__(self, causes: int = 1) -> None:
        super().__init__({
            "ring": In(1),
            "ring_age": In(LATENCY_BITS),
            "promised": In(1),
            "promised_age": In(LATENCY_BITS),
            "irq": In(causes),
            "clear": In(1),
            "last": Out(LATENCY_BITS),
            "longest": Out(LATENCY_BITS),
        })

    def elaborate(self, platform: object) -> Module:
        """Look at all inputs a clock later; but whether a time is the longest is known then.

        A line does not rise in two clocks behind each other: nothing is measured that was compared with another time.
        """
        m: Any = Module()
        was_high, rang, clears = (Signal(name=name) for name in ("was_high", "rang", "clears"))
        causes: Any = Signal(len(self.irq))
        high = causes.any()
        latency: Any = Signal(LATENCY_BITS)
        longer: Any = Signal()
        m.d.sync += [
            causes.eq(self.irq),
            was_high.eq(high),
            rang.eq(self.ring),
            latency.eq(Mux(self.promised, self.promised_age, self.ring_age)),
            clears.eq(self.clear),
            # Which it is comes late.
            longer.eq(
                clears | Mux(self.promised, less(self.longest, self.promised_age), less(self.longest, self.ring_age))
            ),
        ]
        with m.If(clears):
            m.d.sync += [self.last.eq(0), self.longest.eq(0)]
        with m.If(rang & high & ~was_high):
            m.d.sync += self.last.eq(latency)
            with m.If(clears | longer):
                m.d.sync += self.longest.eq(latency)
        return m
