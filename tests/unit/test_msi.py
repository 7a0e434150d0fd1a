"""MSIs through the hard block's port: one at a time, each for one clock, none lost and none twice."""

import random
from typing import Any

from simulate import simulate

from epbell.msi import MsiSender


class HardBlock:
    """Takes an MSI, answers some clocks later; refuses one now and then."""

    def __init__(self, rng: random.Random, failing: float) -> None:
        self.rng, self.failing = rng, failing
        self.delivered: list[int] = []
        self.under_way: int | None = None
        self.wait = 0

    def clock(self, ctx: Any, dut: MsiSender) -> None:
        ctx.set(dut.hard.sent, 0)
        ctx.set(dut.hard.fail, 0)
        if self.under_way is not None:
            self.wait -= 1
            if self.wait == 0:
                failed = self.rng.random() < self.failing
                ctx.set(dut.hard.fail if failed else dut.hard.sent, 1)
                if not failed:
                    self.delivered.append(self.under_way)
                self.under_way = None
        asked = ctx.get(dut.hard.int)
        if asked:
            assert self.under_way is None, "asked again before the answer, or for two clocks"
            assert asked.bit_count() == 1
            self.under_way, self.wait = asked.bit_length() - 1, self.rng.randrange(1, 6)


def run(bench: Any) -> None:
    """Run ``bench(ctx, dut)`` with everything enabled that a message needs."""
    dut = MsiSender(4)

    async def testbench(ctx: Any) -> None:
        ctx.set(dut.hard.enable, 1)
        ctx.set(dut.hard.mmenable, 5)
        ctx.set(dut.bus_master, 1)
        await bench(ctx, dut)

    simulate(dut, testbench)


def test_random_vectors() -> None:
    rng = random.Random(7)
    block = HardBlock(rng, 0.3)
    wanted: list[int] = []
    sent = refused = 0

    async def bench(ctx: Any, dut: MsiSender) -> None:
        nonlocal sent, refused
        for cycle in range(3000):
            offer = cycle < 2900 and rng.random() < 0.2
            vector = rng.randrange(32)
            ctx.set(dut.valid, int(offer))
            ctx.set(dut.vector, vector)
            block.clock(ctx, dut)
            room = ctx.get(dut.room)
            assert ctx.get(dut.busy) == (room < 4)
            assert ctx.get(dut.refused) == (offer and room == 0)
            if offer and room:
                wanted.append(vector)
            refused += ctx.get(dut.refused)
            sent += ctx.get(dut.sent)
            await ctx.tick()

    run(bench)
    assert block.delivered == wanted
    assert sent == len(wanted) > 300
    assert refused > 10


def test_waits_for_the_hosts_enables() -> None:
    async def bench(ctx: Any, dut: MsiSender) -> None:
        asked: list[int] = []

        async def clocks(count: int) -> None:
            for _ in range(count):
                asked.append(ctx.get(dut.hard.int))
                await ctx.tick()

        ctx.set(dut.hard.enable, 0)
        ctx.set(dut.valid, 1)
        ctx.set(dut.vector, 5)
        await ctx.tick()
        ctx.set(dut.valid, 0)
        await clocks(20)
        ctx.set(dut.hard.enable, 1)
        ctx.set(dut.bus_master, 0)
        await clocks(20)
        assert not any(asked)
        ctx.set(dut.bus_master, 1)
        await clocks(10)
        assert [a for a in asked if a] == [1 << 5]
        # The host switches MSI off before there is an answer: the vector stays, and goes when it is on again.
        ctx.set(dut.hard.enable, 0)
        await clocks(5)
        ctx.set(dut.hard.enable, 1)
        await clocks(5)
        assert [a for a in asked if a] == [1 << 5, 1 << 5]
        assert ctx.get(dut.busy) == 1

    run(bench)
