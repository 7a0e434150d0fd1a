"""Proofs of what holds interrupts back, and of what ends a wait: the fence behind writes, the patience."""

from functools import partial
from typing import Any

from amaranth.hdl import Array, Cat, Mux, Signal
from amaranth.lib.wiring import In
from inside import Inside

from epbell.fence import Fence
from epbell.patience import Patience
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

# Requests that may be under way at once; docs/endpoint.md.
_MOST = 7


class _Patience(Bench):
    """The wait is over after as many clocks as it may take, and not before."""

    def __init__(self, clocks: int) -> None:
        self.clocks = clocks
        super().__init__({"waits": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = Patience(self.clocks)
        inside = Inside(dut).signal("waited")
        m.d.comb += dut.waits.eq(self.waits)
        before: Any = Signal(range(self.clocks), name="before")
        with m.If(~self.waits):
            m.d.sync += before.eq(0)
        with m.Elif(before != self.clocks - 1):
            m.d.sync += before.eq(before + 1)
        long = self.waits & (before == self.clocks - 1)
        checks.invariant("clocks are counted", inside == before)
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
            "7 requests are under way at most: the requester has room for 6",
            ~self.entered | self.left | (under_way != _MOST),
        )
        checks.assume("one has begun to leave only when one is under way", ~self.leaving | (under_way != 0))
        checks.assume("only an interrupt that waits is taken", ~self.taken | (waits != 0))
        checks.assume("an interrupt is queued only where there is room", ~self.raised | (waits != self.depth))
        checks.assume("a queue has interrupts that are taken early, or some that are merged", ~(self.mark & self.taken))
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
        early = self.taken & (ahead[0] != 0)
        counted: Any = Signal(5, name="counted")
        m.d.comb += counted.eq(Mux(self.mark, under_way, Mux(early, ahead[0], marked)))
        m.d.sync += marked.eq(Mux(gone, 0, Mux(counted != 0, counted - self.left, 0)))
        self._look_inside(m, checks, inside, Cat(ahead), waits, under_way, marked)
        present = waits != 0
        checks.forward(
            "the oldest interrupt may go as soon as the requests before it have left",
            ~present | (ahead[0] != 0) | dut.open,
        )
        checks.backward("it may not go before", ~(present & dut.open) | (ahead[0] == 0))
        checks.forward("one that left early, or was merged, closes", (marked == 0) | dut.closed)
        checks.backward("it is closed for nothing else", ~dut.closed | (marked != 0))
        checks.cover("two wait, with requests between them", (waits == 2) & (ahead[0] == 1) & (ahead[1] == 2))
        checks.cover("an interrupt goes early", early & (under_way == 2))
        checks.cover("requests come in after the interrupt that may go", present & dut.open & (under_way == 2))
        checks.cover("a request leaves beside a flush", self.flush & self.leaving & (under_way == 2))

    def _look_inside(
        self, m: Any, checks: Checks, inside: Any, ahead: Any, waits: Any, under_way: Any, marked: Any
    ) -> None:
        entered, left, behind, passed = (inside.signal(name) for name in ("entered", "left", "behind", "passed"))
        newest, looked_at = inside.signal("newest"), inside.signal("looked_at")
        boundaries = Array(inside.signal(f"boundary{n}") for n in range(self.depth))
        checks.invariant("requests under way are counted", (entered - left)[:6] == under_way)
        checks.invariant("no more are under way than there is room for", under_way <= _MOST)
        checks.invariant("interrupts that wait are counted", behind + passed == waits)
        checks.invariant("no more wait than there is room for", waits <= self.depth)
        checks.invariant("those merged or gone early are behind so many", inside.signal("before") == marked)
        checks.invariant("no more are ahead than are under way", marked <= under_way)
        checks.invariant("places are places", (newest < self.depth) & (looked_at < self.depth))
        distance = Mux(newest >= looked_at, newest - looked_at, newest + self.depth - looked_at)
        full = behind == self.depth
        checks.invariant("the one that is looked at is behind the newest", full | (distance == behind))
        checks.invariant("all places wait to be looked at", ~full | (distance == 0))
        for n in range(self.depth):
            own = ahead.word_select(n, 5)
            checks.invariant("no more are ahead than are under way", (n >= waits) | (own <= under_way))
            if n:
                checks.invariant("a later one is behind as many", (n >= waits) | (ahead.word_select(n - 1, 5) <= own))
            known = (n >= passed) & (n < waits)
            index: Any = Signal(range(2 * self.depth), name=f"index{n}")
            m.d.comb += index.eq(looked_at + n - passed)
            at = Mux(index >= self.depth, index - self.depth, index)
            boundary: Any = Signal(6, name=f"ahead_as_noted{n}")
            m.d.comb += boundary.eq(boundaries[at] - left)
            stale = boundary[-1] & (0 - boundary <= self.depth)
            checks.invariant(
                "a boundary says what is ahead", ~known | Mux(own != 0, boundary == own, (boundary == 0) | stale)
            )
            checks.invariant("what was passed has nothing ahead", (n >= passed) | (own == 0))


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
