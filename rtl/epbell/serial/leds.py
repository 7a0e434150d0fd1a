"""Lights for what happens faster than an eye can see."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["EVENTS", "Leds"]

EVENTS = ("irq_mu", "irq_edma", "to_host", "session", "received", "sent", "bad", "repeated")
"""What lights an LED, LED 0 first: interrupts of the CPU by rings of the Messaging Unit and of the eDMA; interrupts and
other requests to the host; a session has begun; bytes from the host and to it; a frame was no good; a message was sent
again."""

_BITS = 20


class Leds(wiring.Component):
    """Keeps each LED lit for one to two periods after its event; `bits` is the log2 of a period's clocks.

    Attributes
    ----------
    irq_mu, irq_edma, to_host, session, received, sent, bad, repeated : In(1)
        Events, :data:`EVENTS`.
    leds : Out(8)
        The LEDs, active high, LED 0 first.
    """

    irq_mu: Any
    irq_edma: Any
    to_host: Any
    session: Any
    received: Any
    sent: Any
    bad: Any
    repeated: Any
    leds: Any

    def __init__(self, bits: int = _BITS) -> None:
        self._bits = bits
        super().__init__({**{name: In(1) for name in EVENTS}, "leds": Out(len(EVENTS))})

    def elaborate(self, platform: object) -> Module:
        """Remember events until a period has gone by since."""
        m: Any = Module()
        events = Cat(getattr(self, name) for name in EVENTS)
        period: Any = Signal(self._bits)
        recent: Any = Signal(len(EVENTS))
        m.d.sync += [period.eq(period + 1), recent.eq(recent | events)]
        with m.If(period.all()):
            m.d.sync += [recent.eq(events), self.leds.eq(recent)]
        with m.Else():
            m.d.sync += self.leds.eq(self.leds | events)
        return m
