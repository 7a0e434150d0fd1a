"""Keeps an interrupt that takes another way behind the writes that it announces."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Fence"]

_BITS = 5


class Fence(wiring.Component):
    """Tells whether requests that were taken before the last mark have not left yet.

    Attributes
    ----------
    entered, left : In(1)
        A request has been taken, a request has left; in order, at most 31 in between.
    mark : In(1)
        An interrupt is raised.
    closed : Out(1)
        Some request that was taken in a clock before the last mark has not left: from the clock after the mark to the
        one in which the last of them leaves, both included.
    """

    entered: Any
    left: Any
    mark: Any
    closed: Any

    def __init__(self) -> None:
        super().__init__({"entered": In(1), "left": In(1), "mark": In(1), "closed": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Count what is under way, and what of it was before the mark."""
        m: Any = Module()
        under_way: Any = Signal(_BITS)
        before: Any = Signal(_BITS)
        counted: Any = Signal(_BITS)
        m.d.comb += [self.closed.eq(before.any()), counted.eq(Mux(self.mark, under_way, before))]
        m.d.sync += [
            under_way.eq(under_way + self.entered - self.left),
            before.eq(counted - (self.left & counted.any())),
        ]
        return m
