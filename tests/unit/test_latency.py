"""The latency of a ring: what is measured, the ties, and the largest value."""

from collections.abc import Awaitable, Callable
from typing import Any

from quick_engine import Simulator

from epbell.latency import LatencyMeter


def simulate(bench: Callable[[LatencyMeter, Any], Awaitable[None]], causes: int = 1) -> None:
    dut = LatencyMeter(causes)

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


def test_the_age_of_a_promise() -> None:
    """Of both ages there are, only that of the promise counts: for the last time, and for which is the longest."""

    async def bench(dut: LatencyMeter, ctx: Any) -> None:
        for promised, ring_age, wanted in ((4, 90, (4, 4)), (9, 2, (9, 9)), (6, 80, (6, 9)), (30, 0, (30, 30))):
            ctx.set(dut.promised, 1)
            ctx.set(dut.promised_age, promised)
            assert await ring(dut, ctx, ring_age) == wanted
            await fall(dut, ctx)
            ctx.set(dut.promised, 0)
            ctx.set(dut.promised_age, 1000 - promised)
            assert await ring(dut, ctx, 1) == (1, wanted[1])
            await fall(dut, ctx)

    simulate(bench)


def test_a_line_that_another_cause_holds_does_not_rise() -> None:
    async def bench(dut: LatencyMeter, ctx: Any) -> None:
        assert await ring(dut, ctx, 3, irq=0b01) == (3, 3)
        assert await ring(dut, ctx, 7, irq=0b10) == (3, 3), "one cause hands over to the other"
        assert await ring(dut, ctx, 8, irq=0b11) == (3, 3)
        await fall(dut, ctx)
        assert await ring(dut, ctx, 5, irq=0b11) == (5, 5)

    simulate(bench, causes=2)
