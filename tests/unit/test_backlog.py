"""What waits behind stages that run freely: in order, each entry once, never without room, and without a lost clock."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import pytest
from amaranth.lib import data
from simulate import simulate

from epbell.backlog import Backlog

ENTRY = data.StructLayout({"number": 8})
UNDER_WAY = 8
PLACES = 2 * UNDER_WAY
SAYS = 0.7
"""Share of the beats that come to be entries."""


class Way:
    """Stages in front of the backlog, as many as there may be, and whoever takes from it."""

    def __init__(self, ctx: Any, dut: Any, under_way: int = UNDER_WAY) -> None:
        self.ctx, self.dut = ctx, dut
        self.stages: deque[int | None] = deque([None] * (under_way - 2))
        self.ready = True  # at the pins: `room` of the clock before
        self.came: list[int] = []
        self.went: list[int] = []
        self.clock = 0

    async def step(self, offers: bool, takes: bool, says: bool = True) -> bool:
        """One clock; return whether the beat was accepted."""
        ctx, dut = self.ctx, self.dut
        comes = self.stages.pop()
        ctx.set(dut.i_valid, comes is not None)
        ctx.set(dut.i_data.number, 0xAA if comes is None else comes)
        ctx.set(dut.o_ready, takes)
        assert ctx.get(dut.o_valid) == (len(self.came) > len(self.went)), self.clock
        if takes and ctx.get(dut.o_valid):
            self.went.append(ctx.get(dut.o_data.number))
        accepted = offers and self.ready
        self.stages.appendleft(self.clock % 256 if accepted and says else None)
        self.ready = bool(ctx.get(dut.room))
        if comes is not None:
            self.came.append(comes)
        assert len(self.came) - len(self.went) <= PLACES
        await ctx.tick()
        self.clock += 1
        return accepted


@pytest.mark.parametrize(("offers", "takes"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (1.0, 0.1), (0.6, 0.6), (0.2, 0.9)])
def test_what_comes_goes_once_and_in_order(offers: float, takes: float) -> None:
    rng = random.Random(f"{offers} {takes}")
    dut: Any = Backlog(ENTRY, UNDER_WAY)

    async def bench(ctx: Any) -> None:
        way, most = Way(ctx, dut), 0
        for _ in range(600):
            await way.step(rng.random() < offers, rng.random() < takes, rng.random() < SAYS)
            most = max(most, len(way.came) - len(way.went))
        assert way.went == way.came[: len(way.went)]
        assert len(way.went) > 50
        assert offers < 1 or takes > 0.5 or most > UNDER_WAY

    simulate(dut, bench)


@pytest.mark.parametrize("stops", [1, 5, 9, 100])
def test_after_a_stop_one_goes_in_each_clock(stops: int) -> None:
    """It fills to the last place, and is not empty before the first one that comes after the stop is there."""
    dut: Any = Backlog(ENTRY, UNDER_WAY)

    async def bench(ctx: Any) -> None:
        way = Way(ctx, dut)
        for clock in range(60 + stops):
            before = len(way.went)
            await way.step(True, not 20 <= clock < 20 + stops)
            if clock >= 20 + stops:
                assert len(way.went) == before + 1, clock
        assert way.went == way.came[: len(way.went)]

    simulate(dut, bench)


def test_it_is_full_to_the_last_place() -> None:
    dut: Any = Backlog(ENTRY, UNDER_WAY)

    async def bench(ctx: Any) -> None:
        way = Way(ctx, dut)
        accepted = [await way.step(True, False) for _ in range(40)]
        assert accepted == [True] * PLACES + [False] * (40 - PLACES)
        assert len(way.came) == PLACES

    simulate(dut, bench)


def test_never_held_up_there_is_always_room() -> None:
    dut: Any = Backlog(ENTRY, UNDER_WAY)

    async def bench(ctx: Any) -> None:
        way = Way(ctx, dut)
        assert all([await way.step(True, True) for _ in range(100)])

    simulate(dut, bench)


@pytest.mark.parametrize("under_way", [0, -1, "8"])
def test_bad_number(under_way: Any) -> None:
    with pytest.raises(ValueError, match=f"must be 1 or more, not {under_way!r}"):
        Backlog(ENTRY, under_way)
