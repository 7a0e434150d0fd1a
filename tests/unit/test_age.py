"""The age of requests by a time that stands now and then, against the clocks since they began."""

from __future__ import annotations

import random
from typing import Any

import pytest
from simulate import simulate

from epbell.pcie.age import REQUESTS, AgeClock, time_shape

BITS = 4
LIMIT = (1 << BITS) - 1


@pytest.mark.parametrize("seed", range(8))
def test_ages(seed: int) -> None:
    """Of requests that begin soon after each other, or after as many clocks as an age can have, twice, or some more."""
    rng = random.Random(seed)
    dut: Any = AgeClock(BITS)
    waits = [choice + rng.randrange(-2, 3) for choice in rng.choices((2, LIMIT, 2 * LIMIT, 5 * LIMIT), k=100)]
    starts = {sum(waits[: n + 1]) for n in range(len(waits))}

    async def bench(ctx: Any) -> None:
        began: list[tuple[int, int]] = []  # clock, and time
        beyond = 0
        for clock in range(max(starts) + 3 * LIMIT):
            if clock in starts:
                began.append((clock, ctx.get(dut.time)))
            for when, time in began[-REQUESTS:]:
                age = (ctx.get(dut.time) - time) % (1 << time_shape(BITS).width)
                assert min(age, LIMIT) == min(clock - when, LIMIT), (clock, when)
                beyond += age != clock - when
            ctx.set(dut.begins, clock in starts)
            await ctx.tick()
        assert beyond, "time has never stood"

    simulate(dut, bench)


def test_rest() -> None:
    """While nothing is on the way time stands; what begins then, and goes on, has its age from its first clock on."""
    dut: Any = AgeClock(BITS)

    async def bench(ctx: Any) -> None:
        await ctx.tick().repeat(3)
        ctx.set(dut.rests, 1)
        stood = ctx.get(dut.time)
        await ctx.tick().repeat(5)
        assert ctx.get(dut.time) == stood
        ctx.set(dut.begins, 1)
        await ctx.tick()
        ctx.set(dut.begins, 0)
        ctx.set(dut.rests, 0)
        await ctx.tick().repeat(7)
        assert ctx.get(dut.time) == stood + 8

    simulate(dut, bench)


@pytest.mark.parametrize("bits", [3, 0, "16"])
def test_bad_width(bits: Any) -> None:
    with pytest.raises(ValueError, match=f"must be 4 bits or more, not {bits!r}"):
        AgeClock(bits)
