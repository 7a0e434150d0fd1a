"""A Messaging Unit for benches that also look at its loss accounting."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import DomainRenamer, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell import axil
from epbell.mu import BellEvents, MessagingUnit

__all__ = ["MuProbe"]


class MuProbe(wiring.Component):
    """The two-clock build behind AXI4-Lite ports, as ``epbell.mu.MuAxilAsync``, with the events of its words as ports.

    Parameters
    ----------
    layout : str
        Layout of the Messaging Unit.

    Attributes
    ----------
    a_axil, b_axil : In(axil.Signature(16))
        Register ports of the sides.
    a_irq, b_irq : Out(1)
        Interrupt lines.
    events : Out(BellEvents())
        ``b_to_a`` of the unit.
    """

    a_axil: Any
    b_axil: Any
    a_irq: Any
    b_irq: Any
    events: Any

    def __init__(self, layout: str) -> None:
        self._unit = MessagingUnit(layout, synchronous=False)
        ports = {f"{side}_axil": In(axil.Signature(16)) for side in "ab"} | {f"{side}_irq": Out(1) for side in "ab"}
        super().__init__({**ports, "events": Out(BellEvents())})

    def elaborate(self, platform: object) -> Module:
        """Put a bridge in front of each side."""
        m: Any = Module()
        m.submodules.unit = unit = self._unit
        for side in "ab":
            bridge = axil.Bridge(16)
            m.submodules[f"bridge_{side}"] = DomainRenamer(side)(bridge)
            wiring.connect(m, wiring.flipped(getattr(self, f"{side}_axil")), bridge.axil)
            wiring.connect(m, bridge.bus, getattr(unit, side))
            m.d.comb += getattr(self, f"{side}_irq").eq(getattr(unit, f"{side}_irq"))
        wiring.connect(m, wiring.flipped(self.events), unit.b_to_a)
        return m
