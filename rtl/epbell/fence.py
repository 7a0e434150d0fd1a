"""Keeps interrupts that take another way behind the writes that they announce."""

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Fence"]

_BITS = 3  # of the requests that are under way
_COUNT = 6  # of counts that are compared, though interrupts are looked at one by one, and late


class Fence(wiring.Component):
    """Tells whether requests that were taken before an interrupt was raised have not left yet.

    Each interrupt that waits in a queue keeps a boundary of its own, which later ones do not move: whatever is raised
    after it, it may go when the requests before it have left.

    One that leaves the queue early, while it is not ``open``, leaves its boundary to ``closed``; or, of interrupts that
    are merged with each other, one that is (``mark``): what it has been merged with must not go before that. Both are
    for times in which nothing can be sent, for ``closed`` moves with each of them. A queue has one sort or the other.

    Parameters
    ----------
    depth : int
        Interrupts that can wait, 1 or more.

    Attributes
    ----------
    entered, left : In(1)
        A request has been taken, a request has left; in order, at most 7 in between.
    raised : In(1)
        An interrupt has been queued; at most one in two clocks in the long run, `depth` at a time.
    taken : In(1)
        The oldest one leaves the queue.
    mark : In(1)
        An interrupt has become one with another.
    forget : In(1)
        The interrupts that wait are dropped, and those that are raised in this clock.
    flush : In(1)
        What has been taken and has not begun to leave is dropped, and so is what waits.
    leaving : In(1)
        A request has begun to leave; looked at while ``flush`` only.
    open : Out(1)
        All requests that were taken in a clock before the oldest interrupt was raised have left, in an earlier clock.
        Holds while there is one, from the clock after it was raised on.
    closed : Out(1)
        Some request that was taken in a clock before the last mark, or before an interrupt that was taken early, has
        not left in an earlier clock; from the clock after the mark on.
    """

    entered: Any
    left: Any
    raised: Any
    taken: Any
    mark: Any
    forget: Any
    flush: Any
    leaving: Any
    open: Any
    closed: Any

    def __init__(self, depth: int = 1) -> None:
        self._depth = depth
        super().__init__({
            **{name: In(1) for name in (
                "entered", "left", "raised", "taken", "mark", "forget", "flush", "leaving",
            )},
            "open": Out(1),
            "closed": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Count what has been taken and what has left; look at the boundaries one by one, in order."""
        m: Any = Module()
        entered: Any = Signal(_COUNT)
        left: Any = Signal(_COUNT)
        under_way: Any = Signal(_BITS)
        boundaries: Any = Array(Signal(_COUNT, name=f"boundary{n}") for n in range(self._depth))
        last = self._depth - 1
        places = range(max(2, self._depth))  # exported signals have a bit at least
        newest: Any = Signal(places)  # where the next one is put
        looked_at: Any = Signal(places)
        behind: Any = Signal(range(self._depth + 1))  # interrupts whose requests have not left, as far as is known
        passed: Any = Signal(range(self._depth + 1))
        ahead: Any = Signal(_COUNT)  # requests before the one that is looked at
        passes: Any = Signal()
        before: Any = Signal(_BITS)
        early: Any = Signal()
        counted: Any = Signal(_BITS)
        moves = passes | early
        m.d.comb += [
            under_way.eq(entered - left),
            ahead.eq(boundaries[looked_at] - left),
            passes.eq(behind.any() & (~ahead.any() | ahead[-1])),
            self.open.eq(passed.any() | passes),
            early.eq(self.taken & ~self.open),
            counted.eq(Mux(self.mark, under_way, Mux(early, ahead, before))),
            self.closed.eq(before.any()),
        ]
        m.d.sync += [
            entered.eq(entered + self.entered),
            left.eq(left + self.left),
            before.eq(counted - (self.left & counted.any())),
            behind.eq(behind + self.raised - moves),
            passed.eq(passed + passes - (self.taken & self.open)),
        ]
        with m.If(self.raised):
            m.d.sync += [boundaries[newest].eq(entered), newest.eq(Mux(newest == last, 0, newest + 1))]
        with m.If(moves):
            m.d.sync += looked_at.eq(Mux(looked_at == last, 0, looked_at + 1))
        with m.If(self.flush):
            m.d.sync += [entered.eq(self.leaving & ~self.left), left.eq(0)]
        with m.If(self.flush | self.forget):
            m.d.sync += [before.eq(0), behind.eq(0), passed.eq(0), newest.eq(0), looked_at.eq(0)]
        return m
