"""A counter that stays at its largest value."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Counter"]


class Counter(wiring.Component):
    """Counts events, up to the largest value.

    Parameters
    ----------
    width : int
        Width of the count in bits, 1 or more.
    most : int
        The largest number of events in a clock, 1 or more.

    Attributes
    ----------
    event : In(range(most + 1))
        Number of events in this clock; in ``count`` from the next one on.
    clear : In(1)
        Zero the count. Events in the same clock are its first.
    count : Out(width)
        The count.

    Raises
    ------
    ValueError
        If `width` or `most` is less than 1.
    """

    event: Any
    clear: Any
    count: Any

    def __init__(self, width: int = 32, *, most: int = 1) -> None:
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"The width of a counter must be 1 bit or more, not {width!r}")
        if not isinstance(most, int) or most < 1:
            raise ValueError(f"A counter must take 1 event in a clock or more, not {most!r}")
        super().__init__({"event": In(range(most + 1)), "clear": In(1), "count": Out(width)})

    def elaborate(self, platform: object) -> Module:
        """Add the events; at the largest value stay there."""
        m: Any = Module()
        width = len(self.count)
        added = Mux(self.clear, 0, self.count) + self.event
        total: Any = Signal.like(added)
        m.d.comb += total.eq(added)
        m.d.sync += self.count.eq(Mux(total[width:].any(), ~0, total[:width]))
        return m
