"""A counter that stays at its largest value."""

from typing import Any

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Counter"]


class Counter(wiring.Component):
    """Counts clocks in which an event is there, up to the largest value.

    Parameters
    ----------
    width : int
        Width of the count in bits, 1 or more.

    Attributes
    ----------
    event : In(1)
        Count this clock; in ``count`` from the next one on.
    clear : In(1)
        Zero the count. An event in the same clock leaves it at 1.
    count : Out(width)
        The count.

    Raises
    ------
    ValueError
        If `width` is less than 1.
    """

    event: Any
    clear: Any
    count: Any

    def __init__(self, width: int = 32) -> None:
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"The width of a counter must be 1 bit or more, not {width!r}")
        super().__init__({"event": In(1), "clear": In(1), "count": Out(width)})

    def elaborate(self, platform: object) -> Module:
        """Add the event unless the count is full."""
        m: Any = Module()
        m.d.sync += self.count.eq(Mux(self.clear, 0, self.count) + (self.event & (self.clear | ~self.count.all())))
        return m
