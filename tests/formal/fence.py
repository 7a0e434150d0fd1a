"""Proofs of what holds interrupts back, and of what ends a wait: the fence behind writes, the patience."""

from functools import partial
from typing import Any

from amaranth.hdl import Mux, Signal
from amaranth.lib.wiring import In
from inside import Inside

from epbell.fence import Fence
from epbell.patience import Patience
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

# Requests that may be under way at once; docs/endpoint.md.
_MOST = 14


class _Patience(Bench):
    """The wait is over after as many clocks as it may take, and not before."""

    def __init__(self, clocks: int) -> None:
        self.clocks = clocks
        super().__init__({"waits": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = Patience(self.clocks)
        inside = Inside(dut)
        m.d.comb += dut.waits.eq(self.waits)
        before: Any = Signal(range(self.clocks), name="before")
        with m.If(~self.waits):
            m.d.sync += before.eq(0)
        with m.Elif(before != self.clocks - 1):
            m.d.sync += before.eq(before + 1)
        long = self.waits & (before == self.clocks - 1)
        checks.invariant("clocks are counted", inside.signal("waited") == before)
        checks.invariant("the end is known ahead", inside.signal("ends") == (before == self.clocks - 1))
        checks.forward("a wait of so many clocks is over, and stays so", ~long | dut.over)
        checks.backward("no wait is over earlier", ~dut.over | long)
        checks.cover("a wait goes on after it is over", long & checks.past(long, "long_ago"))
        ended: Any = Signal(name="ended")
        m.d.sync += ended.eq(ended | long)
        checks.cover("a second wait is over", long & ended & checks.past(~long, "not_long_ago"))


class _Fence(Bench):
    """An interrupt is let go when the requests before it have left, and no later.

    The bench numbers the requests, and notes for each interrupt that waits how many were taken before it.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        names = ("entered", "left", "raised", "taken", "mark", "forget", "flush", "leaving")
        super().__init__(dict.fromkeys(names, In(1)))

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = Fence(self.depth)
        inside = Inside(dut)
        for name in self.signature.members:
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        # Per interrupt that waits, the oldest first: requests before it that have not left.
        ahead = [Signal(5, name=f"ahead{n}") for n in range(self.depth)]
        waits: Any = Signal(range(self.depth + 1), name="waits")
        under_way: Any = Signal(5, name="under_way")
        marked: Any = Signal(5, name="marked_ahead")
        checks.assume("a request leaves only when one is under way", ~self.left | (under_way != 0))
        checks.assume(
            "14 requests are under way at most: the requester has room for less",
            ~self.entered | self.left | (under_way != _MOST),
        )
        checks.assume("one has begun to leave only when one is under way", ~self.leaving | (under_way != 0))
        loaded = waits - checks.past(self.raised & ~(self.flush | self.forget), "raised_before")
        checks.assume("only an interrupt that waits is taken, and not in the clock after it was raised",
                      ~self.taken | (loaded != 0))  # fmt: skip
        took = checks.past(self.taken, "took")
        checks.assume("none is taken in two clocks one after the other", ~(self.taken & took))
        checks.assume("an interrupt is queued only where there is room", ~self.raised | (waits != self.depth))
        early = self.taken & ~dut.open
        merges: Any = Signal(name="merges")
        takes: Any = Signal(name="takes_early")
        m.d.sync += [merges.eq(merges | self.mark), takes.eq(takes | early)]
        checks.assume("a queue has interrupts that are taken early, or some that are merged",
                      ~((merges | self.mark) & (takes | early)))  # fmt: skip
        gone = self.flush | self.forget
        later = [Mux(one != 0, one - self.left, 0)[:5] for one in ahead]
        m.d.sync += [
            under_way.eq(Mux(self.flush, self.leaving & ~self.left, under_way + self.entered - self.left)),
            waits.eq(Mux(gone, 0, waits + self.raised - self.taken)),
        ]
        # The requests that left are no longer ahead of anything.
        place = (waits - self.taken)[: len(waits)]
        for n, one in enumerate(ahead):
            moved = Mux(self.taken, later[n + 1] if n + 1 < self.depth else 0, later[n])
            m.d.sync += one.eq(Mux(self.raised & (place == n), (under_way - self.left)[:5], moved))
        counted: Any = Signal(5, name="counted")
        m.d.comb += counted.eq(Mux(self.mark, under_way, Mux(early, ahead[0], marked)))
        m.d.sync += marked.eq(Mux(gone, 0, Mux(counted != 0, counted - self.left, 0)))
        self.ahead, self.waits, self.under_way, self.marked = ahead, waits, under_way, marked
        present = waits != 0
        free: Any = Signal(2, name="clocks_free")
        calm = present & (ahead[0] == 0) & ~self.taken & ~gone
        m.d.sync += free.eq(Mux(calm, free + (free != 3), 0))
        moved = checks.past((self.mark | early) & ~gone, "moved")
        moved_before = checks.past(moved & ~gone, "moved_before")
        marked_before = checks.past(Mux(gone, 0, marked), "marked_before")
        behind_before = checks.past(Mux(gone, 0, marked_before), "marked_long_before")
        checks.invariant("what was taken early was behind no more", merges | ~present | (marked <= ahead[0]))
        checks.invariant("it is one sort or the other", ~(merges & takes))
        self._look_inside(m, checks, inside)
        checks.invariant("what was behind requests is", inside.signal("shut") == (marked_before != 0))
        checks.invariant("an interrupt that is free is looked at", (free < 2) | inside.signal("present"))
        places = inside.signal("oldest") & inside.signal("waits") & ~inside.signal("took").replicate(self.depth)
        checks.invariant("it was not left", (free < 2) | ~inside.signal("took_before"))
        checks.invariant("it has its place", (free < 1) | places.any() & ~inside.signal("over"))
        checks.invariant("nothing is ahead of it", (free < 1) | (places & ~inside.signal("behind")).any())
        checks.forward("the oldest interrupt may go in the fourth clock after the requests before it have left, "
                       "it was raised, and the one before it was taken", (free != 3) | dut.open)  # fmt: skip
        checks.backward("it may not go before", ~dut.open | (present & (ahead[0] == 0)))
        checks.forward("one that left early, or was merged, closes", (marked == 0) | dut.closed)
        checks.backward("it is closed for nothing else, but for two clocks after it",
                        ~dut.closed | moved | moved_before | (behind_before != 0))  # fmt: skip
        checks.cover("two wait, with requests between them", (waits == 2) & (ahead[0] == 1) & (ahead[1] == 2))
        checks.cover("an interrupt goes early", early & (under_way == 2))
        checks.cover("requests come in after the interrupt that may go", present & dut.open & (under_way == 2))
        checks.cover("a request leaves beside a flush", self.flush & self.leaving & (under_way == 2))

    def _look_inside(self, m: Any, checks: Checks, inside: Any) -> None:
        raised, marked, early, took = (inside.signal(n) for n in ("raised", "marked", "early", "took"))
        newest, oldest, waits, behind = (inside.signal(n) for n in ("newest", "oldest", "waits", "behind"))
        next_in, next_out, over = (inside.signal(n) for n in ("next_in", "next_out", "over"))
        entered, flush, stays_on = ~inside.signal("none_entered"), inside.signal("flush"), inside.signal("stays")
        waits = waits & ~(oldest & took.replicate(self.depth))  # which a place that has been left is not any more
        checks.invariant("no two are left in turn", ~(took & inside.signal("took_before")))
        ends = [inside.signal(f"ends{n}") for n in range(self.depth)]

        def ahead(end: Any) -> Any:
            return (end - next_out)[:4]

        first: Any = Signal(self.depth, name="first")  # the place of the oldest one
        loaded: Any = Signal(range(self.depth + 1), name="loaded")
        m.d.comb += [
            first.eq(Mux(took, oldest.rotate_left(1), oldest)),
            loaded.eq(sum(waits)),
        ]
        # The boundary is drawn behind those that were taken in a clock before.
        counted = Mux(flush, stays_on, ahead(next_in) + entered)
        checks.invariant("requests under way are counted", counted[:4] == self.under_way)
        checks.invariant("no more are under way than there is room for", self.under_way <= _MOST)
        checks.invariant("a place is one", sum(newest) == 1)
        checks.invariant("a place is one", sum(oldest) == 1)
        checks.invariant("interrupts that wait are counted", loaded + raised == self.waits)
        checks.invariant("no more wait than there is room for", self.waits <= self.depth)
        checks.invariant("a place that has been left is no more", ~took | over)
        place, expected = first, 0
        for n in range(self.depth + 1):
            checks.invariant("the next one is put behind them", (loaded != n) | (newest == place))
            checks.invariant("they are one behind the other", (loaded != n) | (waits == expected))
            expected, place = expected | place, place.rotate_left(1)
        place = first
        for n, one in enumerate(self.ahead):
            held = sum(Mux(bit & shut, ahead(end), 0) for bit, shut, end in zip(place, behind, ends, strict=True))
            own = Mux(n < loaded, held, ahead(next_in))
            checks.invariant("each knows what is ahead of it", (n >= self.waits) | (own == one))
            checks.invariant("no more are ahead than are under way", (n >= self.waits) | (one <= self.under_way))
            if n:
                checks.invariant("a later one is behind as many", (n >= self.waits) | (self.ahead[n - 1] <= one))
            place = place.rotate_left(1)
        left_early = Mux((oldest & behind).any(), ahead(inside.signal("looked")), 0)
        stays = Mux(inside.signal("shut"), ahead(inside.signal("end")), 0)
        last = Mux(marked, ahead(next_in), Mux(early, left_early, stays))
        checks.invariant("those merged or gone early are behind so many", last == self.marked)
        checks.invariant("no more are ahead than are under way", self.marked <= self.under_way)
        seen = (oldest & waits & ~behind).any() & (self.ahead[0] == 0)
        left = over | inside.signal("took_before")
        checks.invariant("what is looked at is the oldest one", ~inside.signal("present") | left | seen)
        checks.invariant("what is open is looked at", ~inside.signal("open") | inside.signal("present") & ~over)


PROOFS = [
    *(
        Proof(
            f"fence.patience.{clocks}",
            "a wait is over after as many clocks as it may take, not before",
            partial(_Patience, clocks),
            cover_depth=10,
        )
        for clocks in (1, 3)
    ),
    Proof(
        "fence.order.2",
        "an interrupt may go when the requests taken before it was raised have left, no earlier and no later",
        partial(_Fence, 2),
        cover_depth=10,
        mutant_depth=9,
    ),
]
