"""A counter that stays at its largest value."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["Counter"]


class Counter(wiring.Component):
    """Counts events, up to the largest value.

    Events are taken into a flip-flop, since they come from far away. Then the lowest bits count, and those above them,
    with an adder of their own, in the next clock; until then the lowest are shown as they were. A flip-flop knows in
    time that all bits above are 1: then the lowest stay at 1, too.

    Parameters
    ----------
    width : int
        Width of the count in bits, 1 or more.
    most : int
        The largest number of events in a clock, 1 or more.

    Attributes
    ----------
    event : In(range(most + 1))
        Number of events in this clock; in ``count`` from the third clock after it on.
    clear : In(1)
        Zero the count, from the next clock on. Events in the same clock are its first. The domain's reset does not
        reach the count: let ``clear`` be a flip-flop that is 1 in it, and so drives all bits without logic before them.
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
        # They overflow no second time before it is known that the largest value is near: three lots of events later.
        bits = min(len(self.count), ceil_log2(3 * ((1 << len(self.event)) - 1)))
        count: Any = Signal(len(self.count), reset_less=True)
        shown, upper = count[:bits], count[bits:]
        event: Any = Signal(len(self.event), name="events")
        low: Any = Signal(bits, reset_less=True)
        carry: Any = Signal(reset_less=True)
        near: Any = Signal(init=len(upper) == 0, reset_less=True)
        total: Any = Signal(max(bits, len(self.event)) + 1)
        over = total[bits:].any()
        m.d.comb += [total.eq(Mux(self.clear, 0, low + event)), self.count.eq(count)]
        m.d.sync += [
            event.eq(self.event),
            low.eq(total[:bits] | (near & over).replicate(bits)),
            carry.eq(over & ~near),
            near.eq(upper.all()),
        ]
        with m.If(self.clear):
            m.d.sync += count.eq(0)
        with m.Else():
            m.d.sync += [shown.eq(low), upper.eq(upper + carry)]
        return m
