"""Keeps interrupts that take another way behind the writes that they announce."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell.csr_register import any_of

__all__ = ["Fence"]

_BITS = 4  # of the number of a request; fewer than 16 are under way


class Fence(wiring.Component):
    """Tells whether requests that were taken before an interrupt was raised have not left yet.

    Each interrupt that waits in a queue has a boundary of its own, behind the requests that are ahead of it, which
    later ones do not move: whatever is raised after it, it may go when the requests before it have left.

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
        """Give the requests numbers; compare that of the next one to leave with each interrupt's boundary."""
        m: Any = Module()
        # These three in the clock before: they come from far away, and a boundary is drawn a clock later anyhow. The
        # first is the other way round: else synthesis would make it one with what the requester has for itself.
        none_entered: Any = Signal(init=1)
        flush: Any = Signal()
        stays: Any = Signal()  # what has begun to leave has not left
        next_in: Any = Signal(_BITS)  # the number of the next request that is taken, by then
        next_out: Any = Signal(_BITS)  # of the next one that leaves
        raised: Any = Signal()  # in the clock before
        marked: Any = Signal()
        early: Any = Signal()
        newest: Any = Signal(self._depth, init=1)  # where the next one is put
        oldest: Any = Signal(self._depth, init=1)
        took: Any = Signal()  # the oldest place has been left in the clock before
        took_before: Any = Signal()  # and in the one before that
        ends = [Signal(_BITS, name=f"ends{n}") for n in range(self._depth)]  # of the requests ahead of it
        behind: Any = Signal(self._depth)  # not all of these had left in the clock before
        waits: Any = Signal(self._depth)
        looked: Any = Signal(_BITS)  # where those ahead of the oldest end
        present: Any = Signal()  # there was an oldest one, and nothing was ahead of it
        over: Any = Signal()  # it has gone in the clock before
        end: Any = Signal(_BITS)  # of the requests ahead of what was marked, or taken early
        shut: Any = Signal()  # not all of these had left in the clock before
        gone = self.flush | self.forget
        takes_early = self.taken & ~self.open
        puts = newest & raised.replicate(self._depth)
        m.d.sync += [
            none_entered.eq(~self.entered),
            flush.eq(self.flush),
            stays.eq(self.leaving & ~self.left),
            next_in.eq(Mux(flush, next_out + stays, next_in + ~none_entered)),
            next_out.eq(next_out + self.left),
            raised.eq(self.raised & ~gone),
            marked.eq(self.mark & ~gone),
            early.eq(takes_early & ~gone),
            took.eq(self.taken & ~gone),
            took_before.eq(took & ~gone),
            looked.eq(any_of([Mux(place, last, 0) for place, last in zip(oldest, ends, strict=True)])),
            present.eq((oldest & waits & ~behind).any()),
            over.eq(self.taken | gone),
            self.open.eq(present & ~self.taken & ~over & ~took_before & ~gone),
            shut.eq(shut & (end != next_out)),
            self.closed.eq((self.mark | takes_early | marked | early | shut) & ~gone),
            waits.eq((waits & ~(oldest & took.replicate(self._depth))) | puts),  # a clock late, as `oldest` is
        ]
        for place, (put, last) in enumerate(zip(puts, ends, strict=True)):
            m.d.sync += behind[place].eq(Mux(put, next_in != next_out, behind[place] & (last != next_out)))
            with m.If(put):
                m.d.sync += last.eq(next_in)
        with m.If(marked):
            m.d.sync += [end.eq(next_in), shut.eq(next_in != next_out)]
        with m.Elif(early):
            m.d.sync += [end.eq(looked), shut.eq((oldest & behind).any() & (looked != next_out))]
        with m.If(raised):
            m.d.sync += newest.eq(newest.rotate_left(1))
        with m.If(took):
            m.d.sync += oldest.eq(oldest.rotate_left(1))
        with m.If(gone):
            m.d.sync += [shut.eq(0), waits.eq(0), newest.eq(1), oldest.eq(1)]
        return m
