"""Keeps interrupts that take another way behind the writes that they announce."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell.csr_register import any_of

__all__ = ["Fence"]

_BITS = 4  # of the requests that are under way


class Fence(wiring.Component):
    """Tells whether requests that were taken before an interrupt was raised have not left yet.

    Each interrupt that waits in a queue has a count of its own, of the requests that are ahead of it, which later ones
    do not move: whatever is raised after it, it may go when the requests before it have left.

    One that leaves the queue early, while it is not ``open``, leaves its count to ``closed``; or, of interrupts that
    are merged with each other, one that is (``mark``): what it has been merged with must not go before that. Both are
    for times in which nothing can be sent, for ``closed`` moves with each of them. A queue has one sort or the other.

    Parameters
    ----------
    depth : int
        Interrupts that can wait, 1 or more.

    Attributes
    ----------
    entered, left : In(1)
        A request has been taken, a request has left; in order, at most 14 in between.
    raised : In(1)
        An interrupt has been queued; `depth` at a time.
    taken : In(1)
        The oldest one leaves the queue: in the second clock after it was raised or later, and not in two clocks one
        after the other.
    mark : In(1)
        An interrupt has become one with another.
    forget : In(1)
        The interrupts that wait are dropped, and those that are raised in this clock.
    flush : In(1)
        What has been taken and has not begun to leave is dropped, and so is what waits.
    leaving : In(1)
        A request has begun to leave; looked at while ``flush`` only.
    open : Out(1)
        All requests that were taken in a clock before the oldest interrupt was raised have left. Rises in the fourth
        clock after it was raised, after the last of them has left, and after the interrupt before it was taken, or as
        many of them as there are; low where none waits.
    closed : Out(1)
        Some request that was taken in a clock before the last mark, or before an interrupt that was taken early, has
        not left; from the clock after the mark on. Falls in the third clock after the mark and after the request has
        left, whichever is later.
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
        """Count what is under way, and of it what is ahead of each interrupt; look at the oldest one."""
        m: Any = Module()
        left: Any = Signal()
        under_way: Any = Signal(_BITS)
        recent: Any = Signal(_BITS)  # of these, what had been taken before the clock before
        raised: Any = Signal()  # in the clock before
        marked: Any = Signal()
        early: Any = Signal()
        newest: Any = Signal(self._depth, init=1)  # where the next one is put
        oldest: Any = Signal(self._depth, init=1)
        took: Any = Signal()  # the oldest place has been left in the clock before
        ahead = [Signal(_BITS, name=f"ahead{n}") for n in range(self._depth)]
        waits: Any = Signal(self._depth)
        counted: Any = Signal(_BITS)  # ahead of the oldest, but for the one that left in the clock before
        leaves: Any = Signal()
        front: Any = Signal(_BITS)  # without that
        present: Any = Signal()
        before: Any = Signal(_BITS)  # ahead of what was marked, or taken early
        gone = self.flush | self.forget
        takes_early = self.taken & ~self.open
        fresh: Any = Signal(_BITS)  # ahead of what was raised, or marked
        m.d.comb += [fresh.eq(_less(recent, left)), front.eq(_less(counted, leaves))]
        puts = newest & raised.replicate(self._depth)
        looks = any_of([Mux(place, count, 0) for place, count in zip(oldest, ahead, strict=True)])
        m.d.sync += [
            left.eq(self.left & ~self.flush),
            under_way.eq(Mux(self.flush, self.leaving & ~self.left, under_way + self.entered - left)),
            recent.eq(under_way - left),
            raised.eq(self.raised & ~gone),
            marked.eq(self.mark & ~gone),
            early.eq(takes_early & ~gone),
            took.eq(self.taken & ~gone),
            counted.eq(looks),
            leaves.eq(left),
            present.eq((oldest & waits).any() & ~self.taken & ~gone),
            self.open.eq(present & ~front.any() & ~self.taken & ~gone),
            before.eq(Mux(marked, fresh, _less(_less(Mux(early, counted, before), early & leaves), left))),
            self.closed.eq((self.mark | takes_early | marked | early | before.any()) & ~gone),
            waits.eq((waits & ~(oldest & self.taken.replicate(self._depth))) | puts),
        ]
        for put, count in zip(puts, ahead, strict=True):
            m.d.sync += count.eq(Mux(put, fresh, _less(count, left)))
        with m.If(raised):
            m.d.sync += newest.eq(newest.rotate_left(1))
        with m.If(took):
            m.d.sync += oldest.eq(oldest.rotate_left(1))
        with m.If(gone):
            m.d.sync += [before.eq(0), waits.eq(0), newest.eq(1), oldest.eq(1)]
        return m


def _less(count: Any, left: Any) -> Any:
    """Return a count without the request that has left, if it is among those that are counted."""
    falls = [left & ~count[:bit].any() & count[bit:].any() for bit in range(_BITS)]
    return count ^ Cat(falls)
