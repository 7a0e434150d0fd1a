"""The fence against a list of what is under way."""

import random
from typing import Any

from amaranth.sim import Simulator

from epbell.fence import Fence


def test_random_traffic() -> None:
    rng = random.Random(1)
    dut = Fence()
    closed = opened = 0

    async def bench(ctx: Any) -> None:
        nonlocal closed, opened
        under_way: list[int] = []
        mark = -1
        for clock in range(4000):
            left = bool(under_way) and rng.random() < 0.4
            entered = len(under_way) < 7 and rng.random() < (0.8 if clock // 100 % 2 else 0.2)
            marks = rng.random() < 0.1
            ctx.set(dut.left, left)
            ctx.set(dut.entered, entered)
            ctx.set(dut.mark, marks)
            expected = any(start < mark for start in under_way)
            assert ctx.get(dut.closed) == expected
            closed, opened = closed + expected, opened + (not expected)
            if left:
                under_way.pop(0)
            if entered:
                under_way.append(clock)
            if marks:
                mark = clock
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert closed > 300
    assert opened > 300
