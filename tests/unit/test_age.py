"""The age of requests by a time that stands now and then, against the clocks since they began."""

from __future__ import annotations

import random
from typing import Any

import pytest
from simulate import simulate

from epbell.pcie.age import LATENCY_BITS, TIME, AgeClock

LIMIT = (1 << LATENCY_BITS) - 1
MOST = 31
"""Requests that may be on the way."""


async def _check(ctx: Any, dut: Any, waits: list[int]) -> None:
    """Let a request begin after each of the waits; none of them ever leaves."""
    began: list[tuple[int, int]] = []  # clock, and time
    clock = 0

    def compare() -> None:
        now = ctx.get(dut.time)
        for when, time in began[-MOST:]:
            age = (now - time) % (1 << TIME.width)
            assert min(age, LIMIT) == min(clock - when, LIMIT), (clock, when, time)

    for wait in waits:
        while wait:
            clocks = min(wait, random.Random(clock).choice((1, 7, 4096, LIMIT // 2)))
            await ctx.tick().repeat(clocks)
            clock, wait = clock + clocks, wait - clocks
            compare()
        ctx.set(dut.begins, 1)
        began.append((clock, ctx.get(dut.time)))
        compare()
        await ctx.tick()
        ctx.set(dut.begins, 0)
        clock += 1
        compare()


@pytest.mark.parametrize("first", [0, LIMIT])
def test_ages(first: int) -> None:
    """Of requests that begin soon after each other, or after more clocks than an age can have, by one more or less."""
    waits = [first, 0, 5, LIMIT - 1, 1, LIMIT + 1, 2 * LIMIT, 2 * LIMIT + 2, 9, 40]
    dut: Any = AgeClock()

    async def bench(ctx: Any) -> None:
        await _check(ctx, dut, waits)

    simulate(dut, bench)


def test_rest() -> None:
    """While nothing is on the way time stands; what begins then, and goes on, has its age from its first clock on."""
    dut: Any = AgeClock()

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
