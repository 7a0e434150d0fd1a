"""Bus mastering off: nothing is sent, nothing is lost, and the CPU does not wait."""

from __future__ import annotations

import random

from outbound_rig import (
    BASE,
    BUS_MASTER_OFF,
    DECERR,
    NO_WINDOW,
    OKAY,
    SLVERR,
    TARGET,
    TIMEOUT,
    Interrupt,
    Rig,
    Write,
    every_width,
    everything,
    memory,
)
from requester_packets import Sent


@every_width
def test_bus_master_off(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await everything(rig)
        memory(rig)
        rig.ctx.set(rig.dut.bus_master, 0)
        rig.writes.extend([Write(BASE + 4, 1), Write(BASE - 4, 1)])
        await rig.step()
        rig.interrupts.append(Interrupt(0xFEE0_0000, 3))
        await rig.step(20)
        rig.reads.append(BASE + 8)
        await rig.step(20)
        assert rig.sent == []
        assert rig.errors == [SLVERR, DECERR]
        assert [(a.data, a.error) for a in rig.answers] == [(0, SLVERR)]
        assert rig.failures == [(BUS_MASTER_OFF, BASE + 4), (NO_WINDOW, BASE - 4), (BUS_MASTER_OFF, BASE + 8)]
        assert len(rig.interrupts) == 1, "it waits"
        rig.ctx.set(rig.dut.bus_master, 1)
        await rig.drain()
        assert [sent for _, sent in rig.sent] == [Sent(True, 0xFEE0_0000, 0xF, 3)]

    Rig(width).run(bench)


@every_width
def test_bus_master_off_while_requests_wait(width: int) -> None:
    """They leave in order when it is on again; the CPU does not wait for that."""

    async def bench(rig: Rig) -> None:
        await everything(rig)
        memory(rig)
        rig.rq_ready = lambda: False
        rig.writes.extend(Write(BASE + 4 * n, n) for n in range(3))
        await rig.step(30)
        rig.interrupts.append(Interrupt(0xFEE0_0000, 3))
        rig.reads.append(BASE + 0x40)
        await rig.step(20)
        rig.writes.extend(Write(BASE + 4 * n, n) for n in range(10))
        await rig.step(50)
        taken = len(rig.taken)
        assert rig.writes, "there is no more room"
        rig.ctx.set(rig.dut.bus_master, 0)
        await rig.step()  # in which it does not count yet
        rig.rq_ready = lambda: True
        left = len(rig.writes)
        await rig.step(TIMEOUT + 100)
        assert not rig.writes
        assert rig.errors[-left:] == [SLVERR] * left
        assert len(rig.sent) == 1, "what was on the stream already"
        assert [a.error for a in rig.answers] == [SLVERR], "the read's time is up"
        rig.ctx.set(rig.dut.bus_master, 1)
        await rig.drain()
        assert [sent.write for _, sent in rig.sent] == [not isinstance(item, int) for _, item in rig.taken[:taken]]
        assert [sent.data for _, sent in rig.sent if sent.write] == [
            item.data for _, item in rig.taken[:taken] if not isinstance(item, int)
        ]
        assert rig.unexpected == 1, "the read's completion is late"

    Rig(width).run(bench)


@every_width
def test_bus_master_on_and_off_at_random(width: int) -> None:
    """What was taken is sent, once and in order, and nothing begins to leave while bus mastering is off."""
    rng = random.Random(width)
    levels = {}

    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.rq_ready = lambda: rng.random() < 0.5
        rig.cpu_pause = lambda: rng.random() < 0.4
        for n in range(300):
            rig.writes.append(Write(BASE + 4 * n, n))
            rig.interrupts.append(Interrupt(0xFEE0_0000 + 4 * n, n))
        level = 1
        while rig.writes or rig.interrupts:
            level ^= rng.random() < 0.05
            rig.ctx.set(rig.dut.bus_master, level)
            levels[rig.cycle] = level
            await rig.step()
        rig.ctx.set(rig.dut.bus_master, 1)
        rig.rq_ready = lambda: True
        await rig.drain()
        responses = iter(rig.errors)
        accepted = [item for _, item in rig.taken if isinstance(item, Interrupt) or next(responses) == OKAY]
        assert [(sent.address, sent.data) for _, sent in rig.sent] == [
            (item.address if isinstance(item, Interrupt) else item.address - BASE + TARGET, item.data)
            for item in accepted
        ]
        assert all(levels.get(clock - 2, 1) for clock, _ in rig.sent)
        assert all(levels.get(clock - 1, 1) for clock, item in rig.taken if isinstance(item, Interrupt))
        assert sum(isinstance(item, Interrupt) for item in accepted) == 300
        assert 30 < rig.errors.count(SLVERR) == rig.failed < 270

    Rig(width).run(bench)
