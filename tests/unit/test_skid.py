"""A stream through the skid buffer: in order, each entry once, without a lost clock, and refused out of a flip-flop."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.lib import data
from simulate import simulate

from epbell.skid import Skid

ENTRY = data.StructLayout({"number": 8})


@pytest.mark.parametrize(("offers", "takes"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.6, 0.6), (0.2, 0.9)])
def test_what_comes_goes_once_and_in_order(offers: float, takes: float) -> None:
    rng = random.Random(f"{offers} {takes}")
    dut: Any = Skid(ENTRY)

    async def bench(ctx: Any) -> None:
        came: list[int] = []
        went: list[int] = []
        offered = False
        for clock in range(400):
            offered = offered or rng.random() < offers
            ready = rng.random() < takes
            ctx.set(dut.i_valid, offered)
            ctx.set(dut.i_data.number, len(came) % 256 if offered else 0xAA)
            before = ctx.get(dut.i_ready)
            ctx.set(dut.o_ready, ready)
            assert ctx.get(dut.i_ready) == before, "a flip-flop"
            assert ctx.get(dut.o_valid) == (offered or len(came) > len(went)), clock
            if before and offered:
                came.append(len(came) % 256)
                offered = False
            if ready and ctx.get(dut.o_valid):
                went.append(ctx.get(dut.o_data.number))
            await ctx.tick()
            assert ctx.get(dut.i_ready) == (len(came) == len(went)), "room unless one is kept"
        assert went == came[: len(went)]
        assert len(went) > 50
        if takes == 1:
            assert len(went) == len(came)

    simulate(dut, bench)


def test_a_pause_costs_one_clock_and_no_more() -> None:
    dut: Any = Skid(ENTRY)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.i_valid, 1)
        came = 0
        for clock in range(12):
            ctx.set(dut.o_ready, clock != 5)
            assert ctx.get(dut.i_ready) == (clock != 6)
            ctx.set(dut.i_data.number, came)
            came += ctx.get(dut.i_ready)
            assert ctx.get(dut.o_valid)
            assert ctx.get(dut.o_data.number) == (clock if clock < 6 else clock - 1)
            await ctx.tick()

    simulate(dut, bench)
