"""The host first, the CPU within its patience."""

import random
from typing import Any

import pytest
from quick_engine import Simulator

from epbell.share import Share


@pytest.mark.parametrize("patience", [1, 2, 3, 8])
def test_cpu_waits_exactly_its_patience(patience: int) -> None:
    """With the host asking all the time: `patience` clocks refused, one granted, and so on."""
    dut = Share(patience)
    grants: list[tuple[int, int]] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.host_wants, 1)
        ctx.set(dut.cpu_wants, 1)
        for _ in range(3 * (patience + 1)):
            grants.append((ctx.get(dut.host_ready), ctx.get(dut.cpu_ready)))
            await ctx.tick()

    run(dut, bench)
    assert grants == ([(1, 0)] * patience + [(0, 1)]) * 3


def test_random_requests() -> None:
    """Never both at once, never a wait beyond the patience, no wait at all without the host."""
    dut, rng = Share(4), random.Random(1)
    granted = 0

    async def bench(ctx: Any) -> None:
        nonlocal granted
        waited, wants = 0, 0
        for _ in range(3000):
            host = int(rng.random() < 0.8)
            wants = wants or int(rng.random() < 0.3)
            ctx.set(dut.host_wants, host)
            ctx.set(dut.cpu_wants, wants)
            cpu = ctx.get(dut.cpu_ready)
            assert not (cpu and host and ctx.get(dut.host_ready))
            assert cpu <= wants
            assert cpu or not wants or host, "nobody else wanted it"
            waited = 0 if cpu or not wants else waited + 1
            assert waited <= 4
            if cpu:
                wants = 0
                granted += 1
            await ctx.tick()

    run(dut, bench)
    assert granted > 300


@pytest.mark.parametrize("waits", [1, 3, 5, 9])
def test_its_turn_waits_while_it_is_held_up(waits: int) -> None:
    """The port is the host's alone meanwhile; the CPU's turn comes in the second clock after, if it waited enough."""
    dut, patience = Share(4), 4
    turn = max(waits + 1, patience)
    grants: list[tuple[int, int]] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.host_wants, 1)
        ctx.set(dut.cpu_wants, 1)
        ctx.set(dut.hold, 1)
        for clock in range(turn + patience):
            if clock == waits:
                ctx.set(dut.hold, 0)
            grants.append((ctx.get(dut.host_ready), ctx.get(dut.cpu_ready)))
            await ctx.tick()

    run(dut, bench)
    assert grants == [(int(clock != turn), int(clock == turn)) for clock in range(len(grants))]


def test_held_up_in_its_turn() -> None:
    """The CPU's clock is nobody's if it is held up in it; the port is the host's behind that, and then the CPU's."""
    dut = Share(4)
    grants: list[tuple[int, int]] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.host_wants, 1)
        ctx.set(dut.cpu_wants, 1)
        for hold in (0, 0, 0, 0, 1, 1, 1, 0, 0, 0):
            ctx.set(dut.hold, hold)
            grants.append((ctx.get(dut.host_ready), ctx.get(dut.cpu_ready)))
            await ctx.tick()

    run(dut, bench)
    assert grants == [*[(1, 0)] * 4, (0, 0), *[(1, 0)] * 3, (0, 1), (1, 0)]


def test_held_up_alone() -> None:
    """Nor has it the port while nobody else wants it; then it has it at once."""
    dut = Share(4)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.cpu_wants, 1)
        for hold in (1, 1, 0, 1, 0):
            ctx.set(dut.hold, hold)
            assert (ctx.get(dut.host_ready), ctx.get(dut.cpu_ready)) == (1, 1 - hold)
            await ctx.tick()

    run(dut, bench)


def run(dut: Share, bench: Any) -> None:
    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(bench)
    sim.run()
