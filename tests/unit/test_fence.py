"""The fence against a list of what is under way."""

import random
from typing import Any

import pytest
from simulate import simulate

from epbell.fence import Fence

OPENS = 5
"""Clocks from the last request to the opening, or from the interrupt before."""
CLOSED = 3
"""Clocks from the last request to the end of being closed, or from the mark."""


class Traffic:
    """Requests and raised interrupts, each with the clock in which it was taken or raised."""

    def __init__(self) -> None:
        self.under_way: list[int] = []
        self.raised: list[int] = []
        self.mark = -1
        self.now = 2
        self.took = self.moved = self.free = self.calm = 0  # when; and for how long nothing has been in the way

    async def clock(self, ctx: Any, dut: Fence, *, take: bool | None = False, **now: int) -> tuple[int, int]:
        """A clock; take the oldest if it is asked for, or if it is open (None). Return open and closed."""
        under_way, raised = self.under_way, self.raised
        for name in ("entered", "left", "raised", "mark", "forget", "flush", "leaving"):
            ctx.set(getattr(dut, name), now.get(name, 0))
        opened, closed = ctx.get(dut.open), ctx.get(dut.closed)
        shut = bool(raised) and any(start < raised[0] for start in under_way)
        assert not (opened and (shut or not raised)), "too early"
        self.free = self.free + 1 if raised and not shut else 0
        assert opened or self.free <= OPENS, "too late"
        behind = any(start < self.mark for start in under_way)
        assert closed or not behind, "too early"
        self.calm = 0 if behind or self.now - self.moved <= 1 else self.calm + 1
        assert not closed or self.calm <= CLOSED, "too late"
        may_take = self.now - self.took > 1 and bool(raised) and self.now - raised[0] > 1
        take = bool(opened) if take is None else take and may_take
        takes = bool(raised) and take
        ctx.set(dut.taken, int(takes))
        if takes:
            boundary, self.took, self.free = raised.pop(0), self.now, 0
            if not opened:
                self.mark, self.moved = max(self.mark, boundary), self.now
        if now.get("left"):
            under_way.pop(0)
        if now.get("entered"):
            under_way.append(self.now)
        if now.get("raised"):
            raised.append(self.now)
        if now.get("mark"):
            self.mark = self.moved = self.now
        if now.get("forget"):
            self.raised, self.mark = [], -1
        if now.get("flush"):
            self.under_way, self.raised, self.mark = under_way[: now["leaving"] - now.get("left", 0)], [], -1
        await ctx.tick()
        self.now += 1
        return opened, closed


@pytest.mark.parametrize("merges", [False, True])
@pytest.mark.parametrize("depth", [1, 3, 16])
def test_random_traffic(depth: int, merges: bool) -> None:
    """Each interrupt with its own boundary; taken early now and then or merged, and dropped with what has not left."""
    rng, dut, traffic = random.Random(depth), Fence(depth), Traffic()
    seen = {"closed": 0, "shut": 0, "early": 0, "taken": 0}

    async def bench(ctx: Any) -> None:
        for clock in range(4000):
            busy = clock // 100 % 2
            left = bool(traffic.under_way) and rng.random() < (0.4 if busy else 0.9)
            entered = len(traffic.under_way) < 7 and rng.random() < (0.8 if busy else 0.2)
            raises = len(traffic.raised) < depth and rng.random() < 0.3
            flush, forget = rng.random() < 0.01, rng.random() < 0.01
            # What follows the one that has begun is dropped.
            leaving = flush and bool(traffic.under_way) and (left or rng.random() < 0.5)
            early = not merges and rng.random() < 0.02
            before = len(traffic.raised)
            opened, closed = await traffic.clock(
                ctx,
                dut,
                take=True if early else None if rng.random() < 0.5 else False,
                entered=int(entered and not flush),
                left=left,
                raised=int(raises and not flush and not forget),
                mark=int(merges and not flush and not forget and rng.random() < 0.02),
                forget=int(forget),
                flush=int(flush),
                leaving=int(leaving),
            )
            seen["closed"] += closed
            seen["shut"] += bool(before) and not opened
            seen["early"] += bool(before) and early and not opened
            seen["taken"] += before > len(traffic.raised)

    simulate(dut, bench)
    assert min(seen["shut"], seen["taken"]) > 300, seen
    assert seen["closed"] > 50
    assert seen["early"] > 5 or merges


def test_others_do_not_move_the_boundary() -> None:
    """Requests leave one clock in four and never run out, interrupts are raised all the time: each goes in its time."""
    dut, traffic = Fence(16), Traffic()
    waits: list[int] = []

    async def bench(ctx: Any) -> None:
        for clock in range(2000):
            oldest = traffic.raised[0] if traffic.raised else None
            await traffic.clock(
                ctx,
                dut,
                take=None,
                entered=int(len(traffic.under_way) < 7),
                left=int(clock % 4 == 0 and bool(traffic.under_way)),
                raised=int(len(traffic.raised) < 16 and clock % 4 == 1),
            )
            if oldest is not None and oldest not in traffic.raised[:1]:
                waits.append(clock - oldest)

    simulate(dut, bench)
    assert len(waits) > 450
    assert max(waits) <= 4 * 7 + 4 * 16 + OPENS, "seven requests, one clock in four; then one interrupt in four clocks"


def test_far_behind() -> None:
    """One that waits while more requests leave than the counts can tell apart: once it may go, it may go."""
    dut, traffic = Fence(4), Traffic()

    async def bench(ctx: Any) -> None:
        for clock in range(500):
            under_way = len(traffic.under_way)
            opened, _ = await traffic.clock(
                ctx, dut, entered=1, left=int(under_way > 3), raised=int(clock in (10, 12, 300))
            )
            assert opened or not traffic.raised or not clock > 310

    simulate(dut, bench)
