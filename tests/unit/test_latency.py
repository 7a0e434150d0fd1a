"""The latency of a ring: what is measured, the ties, and the largest value."""

from collections.abc import Awaitable, Callable
from typing import Any

from quick_engine import Simulator

from epbell.latency import LatencyMeter


def simulate(bench: Callable[[LatencyMeter, Any], Awaitable[None]]) -> None:
    dut = LatencyMeter()

    async def testbench(ctx: Any) -> None:
        await bench(dut, ctx)

    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(testbench)
    sim.run()


async def ring(dut: LatencyMeter, ctx: Any, age: int, *, irq: int = 1, clear: int = 0) -> tuple[int, int]:
    """Ring at that age, with the line's level and a clear in the same clock; return the last and the longest time."""
    ctx.set(dut.ring, 1)
    ctx.set(dut.ring_age, age)
    ctx.set(dut.irq, irq)
    ctx.set(dut.clear, clear)
    await ctx.tick()
    ctx.set(dut.ring, 0)
    ctx.set(dut.ring_age, 0x55)
    ctx.set(dut.clear, 0)
    await ctx.tick()
    return ctx.get(dut.last), ctx.get(dut.longest)


async def fall(dut: LatencyMeter, ctx: Any) -> None:
    ctx.set(dut.irq, 0)
    await ctx.tick()


def test_last_and_longest() -> None:
    async def bench(dut: LatencyMeter, ctx: Any) -> None:
        for age, longest in ((3, 3), (9, 9), (1, 9), (10, 10)):
            assert await ring(dut, ctx, age) == (age, longest)
            await fall(dut, ctx)

    simulate(bench)


def test_only_a_ring_that_raises_the_line_is_measured() -> None:
    async def bench(dut: LatencyMeter, ctx: Any) -> None:
        assert await ring(dut, ctx, 7, irq=0) == (0, 0)
        ctx.set(dut.irq, 1)  # by something else
        await ctx.tick()
        assert await ring(dut, ctx, 7) == (0, 0)
        await fall(dut, ctx)
        assert await ring(dut, ctx, 5) == (5, 5)

    simulate(bench)


def test_a_measurement_survives_the_clear_of_its_clock() -> None:
    async def bench(dut: LatencyMeter, ctx: Any) -> None:
        assert await ring(dut, ctx, 100) == (100, 100)
        await fall(dut, ctx)
        assert await ring(dut, ctx, 5, clear=1) == (5, 5)
        await fall(dut, ctx)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        await ctx.tick()
        assert (ctx.get(dut.last), ctx.get(dut.longest)) == (0, 0)

    simulate(bench)


def test_a_shorter_one_behind_a_clear_is_the_longest() -> None:
    async def bench(dut: LatencyMeter, ctx: Any) -> None:
        for early in range(1, 4):
            assert await ring(dut, ctx, 100) == (100, 100)
            await fall(dut, ctx)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            for _ in range(early - 1):
                await ctx.tick()
            assert await ring(dut, ctx, 5) == (5, 5), f"{early} clocks behind the clear"
            await fall(dut, ctx)

    simulate(bench)


def test_largest_value() -> None:
    async def bench(dut: LatencyMeter, ctx: Any) -> None:
        assert await ring(dut, ctx, 0xFFFE) == (0xFFFE, 0xFFFE)
        await fall(dut, ctx)
        assert await ring(dut, ctx, 0xFFFF) == (0xFFFF, 0xFFFF)

    simulate(bench)
