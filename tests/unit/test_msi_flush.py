"""MSIs and the reset of the function: in every clock around a raise, a vector that leaves, and its answer."""

import random
from typing import Any

import pytest
from test_msi import HardBlock
from test_msi import run as run_enabled

from epbell.msi import MsiSender


def run(bench: Any) -> None:
    run_enabled(lambda ctx, dut: bench(ctx, dut, HardBlock(random.Random(1), 0.0)))


async def clock(ctx: Any, dut: MsiSender, block: HardBlock, vector: int | None = None, flush: int = 0) -> None:
    ctx.set(dut.valid, int(vector is not None))
    ctx.set(dut.vector, vector or 0)
    ctx.set(dut.flush, flush)
    block.clock(ctx, dut)
    await ctx.tick()


@pytest.mark.parametrize("mask", [0, 1 << 5])
@pytest.mark.parametrize("start", range(22))
def test_in_each_clock(start: int, mask: int) -> None:
    """Until it is idle again: nothing of before comes afterwards, and nothing of afterwards is lost."""

    async def bench(ctx: Any, dut: MsiSender, block: HardBlock) -> None:
        ctx.set(dut.hard.data, mask)
        for now in range(start):
            await clock(ctx, dut, block, 5 if now in (2, 3) else 9 if now == 4 else None)
        assert ctx.get(dut.refused) == 0
        refused = 0
        for now in range(40):
            vector = 5 if start + now in (2, 3) else None
            ctx.set(dut.valid, int(vector is not None))
            ctx.set(dut.flush, 1)
            await clock(ctx, dut, block, vector, flush=1)
            refused += ctx.get(dut.refused)
            if now > 1 and ctx.get(dut.idle):
                break
            assert now < 20, "an answer is awaited for ever"
        assert block.under_way is None, "idle before the answer"
        assert refused == sum(raised >= start for raised in (2, 3) if raised < start + now + 1)
        assert ctx.get(dut.hard.pending_status) == 0
        await clock(ctx, dut, block, flush=1)
        assert (ctx.get(dut.room), ctx.get(dut.busy)) == (4, 0)
        before = list(block.delivered)
        ctx.set(dut.hard.data, 0)
        for _ in range(16):
            await clock(ctx, dut, block)
        assert block.delivered == before, "what was forgotten comes all the same"
        await clock(ctx, dut, block, 7)
        for _ in range(16):
            await clock(ctx, dut, block)
        assert block.delivered == [*before, 7]

    run(bench)


def test_in_random_clocks() -> None:
    """What is delivered was raised, once, in order; after a reset nothing of before it."""
    rng = random.Random(4)
    resets = 0

    async def bench(ctx: Any, dut: MsiSender, block: HardBlock) -> None:
        nonlocal resets
        raised: list[int] = []
        first, number = 0, 0
        flush = 0
        for _ in range(4000):
            vector = number % 32 if rng.random() < 0.2 else None
            if flush:
                flush = int(not ctx.get(dut.idle))
            elif rng.random() < 0.02:
                flush, resets = 1, resets + 1
            ctx.set(dut.flush, flush)
            ctx.set(dut.valid, int(vector is not None))
            if ctx.get(dut.queued):
                raised.append(vector)
                number += 1
            already = len(block.delivered)
            await clock(ctx, dut, block, vector, flush)
            if flush:
                # One may be on its way to the hard block, or there.
                keep = int(block.under_way is not None or ctx.get(dut.hard.int) != 0)
                del raised[len(block.delivered) + keep :]
            assert block.delivered == raised[: len(block.delivered)]
            first += len(block.delivered) > already
        assert first > 200

    run(bench)
    assert resets > 30
