"""MSIs that the host masks: kept, shown, and sent once when they are unmasked."""

import random
from collections import Counter
from typing import Any

import pytest
from quick_engine import Simulator
from test_msi import HardBlock, run

from epbell.msi import MsiSender


async def clocks(ctx: Any, dut: MsiSender, block: HardBlock, count: int, **inputs: int) -> None:
    """Some clocks; the inputs belong to the first."""
    for _ in range(count):
        ctx.set(dut.valid, int("vector" in inputs))
        ctx.set(dut.vector, inputs.get("vector", 0))
        if "mask" in inputs:
            ctx.set(dut.hard.data, inputs["mask"])
        inputs = {}
        block.clock(ctx, dut)
        await ctx.tick()


def test_pending_while_masked() -> None:
    block = HardBlock(random.Random(1), 0.0)

    async def bench(ctx: Any, dut: MsiSender) -> None:
        assert ctx.get(dut.hard.select) == 0
        assert ctx.get(dut.hard.pending_status_data_enable) == 1
        assert ctx.get(dut.hard.pending_status_function_num) == 0
        for vector in (3, 31, 4, 3, 0):
            await clocks(ctx, dut, block, 15, vector=vector, mask=1 << 3 | 1 << 31)
        assert block.delivered == [4, 0]
        assert ctx.get(dut.hard.pending_status) == 1 << 3 | 1 << 31
        assert ctx.get(dut.busy) == 0
        assert ctx.get(dut.room) == 4
        await clocks(ctx, dut, block, 20, mask=1 << 3)
        assert block.delivered == [4, 0, 31]
        assert ctx.get(dut.hard.pending_status) == 1 << 3
        await clocks(ctx, dut, block, 20, mask=0)
        assert block.delivered == [4, 0, 31, 3]
        assert ctx.get(dut.hard.pending_status) == 0
        await clocks(ctx, dut, block, 20, mask=0xFFFF_FFFF)
        await clocks(ctx, dut, block, 20, mask=0)
        assert len(block.delivered) == 4

    run(bench)


def test_unmasked_while_off() -> None:
    """It waits, as what is in the queue does."""
    block = HardBlock(random.Random(1), 0.0)

    async def bench(ctx: Any, dut: MsiSender) -> None:
        for gate in (dut.hard.enable, dut.bus_master):
            await clocks(ctx, dut, block, 9, vector=9, mask=1 << 9)
            ctx.set(gate, 0)
            await clocks(ctx, dut, block, 10, mask=0)
            assert block.delivered == []
            assert ctx.get(dut.busy) == 1
            ctx.set(gate, 1)
            await clocks(ctx, dut, block, 15)
            assert block.delivered == [9]
            block.delivered.clear()

    run(bench)


@pytest.mark.parametrize("log2", range(6))
def test_fewer_vectors_than_there_are(log2: int) -> None:
    """The host granted 1 to 32: a vector beyond is sent as the one with the same low bits, and masked with it."""
    block = HardBlock(random.Random(log2), 0.2)
    count = 1 << log2
    order = random.Random(log2).sample(range(32), 32)

    async def bench(ctx: Any, dut: MsiSender) -> None:
        ctx.set(dut.hard.mmenable, log2 | 0o770)  # what the other functions were granted does not matter
        for vector in order:
            await clocks(ctx, dut, block, 60, vector=vector, mask=0xFFFF_FFFF << count & 0xFFFF_FFFF)
        assert block.delivered == [vector % count for vector in order]
        masked = count - 1
        await clocks(ctx, dut, block, 25, mask=1 << masked)
        for vector in (*range(masked, 32, count), masked, 0):
            await clocks(ctx, dut, block, 25, vector=vector)
        assert ctx.get(dut.hard.pending_status) == 1 << masked
        assert block.delivered[32:] == ([0] if count > 1 else [])
        await clocks(ctx, dut, block, 40, mask=0)
        assert block.delivered[32:] == ([0] if count > 1 else []) + [masked]

    run(bench)


@pytest.mark.parametrize(("log2", "left"), [(5, 0x8000_4401), (4, 0xC401), (3, 0xC5), (2, 0xD), (1, 3), (0, 1)])
def test_pending_when_fewer_are_granted(log2: int, left: int) -> None:
    """The host disables MSI and enables it with fewer vectors: what is pending moves to them, and is sent once."""
    block = HardBlock(random.Random(log2), 0.2)

    async def bench(ctx: Any, dut: MsiSender) -> None:
        await clocks(ctx, dut, block, 25, mask=0xFFFF_FFFF)
        for vector in (0, 10, 14, 31):
            await clocks(ctx, dut, block, 10, vector=vector)
        ctx.set(dut.hard.enable, 0)
        ctx.set(dut.hard.mmenable, log2)
        await clocks(ctx, dut, block, 10)
        ctx.set(dut.hard.enable, 1)
        await clocks(ctx, dut, block, 10)
        assert ctx.get(dut.hard.pending_status) == left
        assert block.delivered == []
        await clocks(ctx, dut, block, 150, mask=0)
        assert block.delivered == [vector for vector in range(32) if left >> vector & 1]
        assert ctx.get(dut.hard.pending_status) == ctx.get(dut.busy) == 0

    run(bench)


@pytest.mark.parametrize("log2", range(5))
def test_unmasked_when_fewer_are_granted(log2: int) -> None:
    """The same with the masks gone before: the vectors move, and the first is sent, soon after the enable."""
    block = HardBlock(random.Random(log2), 0.0)

    async def bench(ctx: Any, dut: MsiSender) -> None:
        await clocks(ctx, dut, block, 1, mask=0xFFFF_FFFF)
        for vector in (10, 14, 31):
            await clocks(ctx, dut, block, 10, vector=vector)
        ctx.set(dut.hard.enable, 0)
        ctx.set(dut.hard.mmenable, log2)
        await clocks(ctx, dut, block, 10, mask=0)
        ctx.set(dut.hard.enable, 1)
        await clocks(ctx, dut, block, 12)
        assert block.under_way is not None or block.delivered
        await clocks(ctx, dut, block, 60)
        assert block.delivered == sorted({vector % (1 << log2) for vector in (10, 14, 31)})
        assert ctx.get(dut.hard.pending_status) == ctx.get(dut.busy) == 0

    run(bench)


def test_changes_of_the_mask_around_the_raise() -> None:
    """Masked or unmasked in each clock around it, with and without a failure: one MSI in the end."""
    for masked_first in (0, 1):
        for failing in (0.0, 0.7):
            for offset in range(14):
                block = HardBlock(random.Random(offset), failing)

                async def bench(
                    ctx: Any, dut: MsiSender, block: HardBlock = block, offset: int = offset, first: int = masked_first
                ) -> None:
                    for clock in range(15):
                        mask = 0x20 * (first ^ (clock >= offset))
                        await clocks(ctx, dut, block, 1, mask=mask, **({"vector": 5} if clock == 4 else {}))
                    await clocks(ctx, dut, block, 30)
                    shown = bool(ctx.get(dut.hard.pending_status))
                    assert shown != bool(block.delivered) or (ctx.get(dut.busy) and not block.delivered)
                    await clocks(ctx, dut, block, 300, mask=0)
                    assert block.delivered == [5]
                    assert ctx.get(dut.busy) == 0

                run(bench)


def test_random_masks() -> None:
    """Nothing lost, nothing doubled, and nothing asked for that was masked in the fourth clock before."""
    rng = random.Random(11)
    block = HardBlock(rng, 0.3)
    dut = MsiSender(4)
    raised: Counter[int] = Counter()
    counts: Counter[str] = Counter()

    async def bench(ctx: Any) -> None:
        mask, on, late = 0, 1, 0
        masks = [(0, 1)] * 5
        for cycle in range(8000):
            before = ~masks[-4][0] if masks[-3][1] else 0
            if cycle >= 7500:
                mask, on = 0, 1
            elif rng.random() < 0.05:
                mask, on = rng.getrandbits(32) & rng.getrandbits(32), int(rng.random() < 0.9)
            vector = rng.randrange(32) if cycle < 7500 and rng.random() < 0.15 else None
            masks.append((mask, on))
            ctx.set(dut.hard.data, mask)
            ctx.set(dut.hard.enable, 1)
            ctx.set(dut.hard.mmenable, 5)
            ctx.set(dut.bus_master, on)
            ctx.set(dut.valid, int(vector is not None))
            ctx.set(dut.vector, vector or 0)
            block.clock(ctx, dut)
            assert not ctx.get(dut.hard.int) & ~before
            counts.update({name: ctx.get(getattr(dut, name)) for name in ("sent", "held", "merged")})
            pending = ctx.get(dut.hard.pending_status)
            rests = not pending and not ctx.get(dut.busy)
            owes = rests and raised.total() != counts["sent"] + counts["merged"]
            late = late + 1 if owes else 0
            assert late <= 1, "nothing to do, and not all is told"
            if ctx.get(dut.queued):
                raised[vector] += 1
            await ctx.tick()
        assert ctx.get(dut.busy) == 0

    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(bench)
    sim.run()
    delivered = Counter(block.delivered)
    assert delivered.total() == counts["sent"] == raised.total() - counts["merged"]
    assert all(delivered[vector] <= count for vector, count in raised.items())
    assert set(delivered) == set(raised)
    assert counts["held"] > 50
    assert counts["merged"] > 10
