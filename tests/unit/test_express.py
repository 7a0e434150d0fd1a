"""The express lane alone: what it promises, in every clock."""

from __future__ import annotations

import random
from typing import Any

import pytest
from driver import Driver
from express_rig import Traffic, WayIn
from quick_engine import Simulator

import epbell_regs
from epbell.express import Express, Promises
from epbell.mu_side import LAYOUTS

WIDTHS = (64, 128, 256, 512)
CLOCKS = 30000


@pytest.mark.parametrize("width", WIDTHS)
def test_promises(width: int) -> None:
    """Of random packets, windows and writes of the CPU: each clock of the lines, ages, and what is learned of them."""
    dut, rng = Express(width), random.Random(width)
    bells: Any = dut.bells
    way = WayIn(rng)
    traffic = Traffic(width, rng, way)

    async def bench(ctx: Any) -> None:
        driver = Driver(ctx)
        beats: list[tuple[Any, int]] = []
        often, aims, pause = 0.1, False, 0
        for clock in range(CLOCKS):
            if clock % 200 == 0:
                often = rng.choice((0.02, 0.05, 0.3))
            if not beats and rng.random() < often:
                packet = traffic.packet()
                beats = [(packet, number) for number in range(len(packet.beats))]
                # Some windows are written shortly before.
                aims, pause = rng.random() < 0.04, rng.randrange(7)
            way.begin(aims=aims or rng.random() < (0.012 if way.packets else 0.0003), cpu_writes=rng.random() < 0.3)
            came = bool(beats) and pause == 0 and rng.random() < 0.8
            aims, pause = False, max(0, pause - 1)
            if came:
                packet, number = beats.pop(0)
                way.accept(packet, number)
                beat = packet.beats[number]
                for name in ("data", "keep", "user", "last"):
                    driver.put(getattr(dut, f"t{name}"), getattr(beat, name))
            unit = way.made.unit if way.made else None
            driver.drive(
                (dut.accepted, came),
                (dut.idle, way.idle),
                (dut.aimed, way.aimed),
                (dut.cpu_writes, way.cpu_writes),
                (dut.made, way.made is not None),
                (bells.rung_mu, 1 << way.made.dword if way.made and unit == "mu" else 0),
                (bells.rung_edma, unit == "edma"),
            )
            promised = way.promised
            lines = (0, 0)
            if promised:
                lines = (1 << promised.dword, 0) if way.promise == "mu" else (0, 1)
            assert (ctx.get(bells.mu), ctx.get(bells.edma)) == lines, clock
            assert ctx.get(dut.outstanding) == (promised is not None), clock
            begins = tuple(bool(line and way.begins) for line in lines)
            assert (ctx.get(bells.begins_mu), ctx.get(bells.begins_edma)) == begins, clock
            if promised and way.begins:
                assert ctx.get(bells.age) == clock - promised.first, clock
            await ctx.tick()
            way.end()

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(way.seen.values()) > 3, way.seen


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_doorbells_are_in_16_bytes(layout: str) -> None:
    """What the lane relies on: a window that shows one TRn shows the others beside it."""
    offsets = epbell_regs.offsets(f"mu_{layout}")
    assert offsets["TR0"] % 16 == 0
    assert [offsets[f"TR{n}"] - offsets["TR0"] for n in range(4)] == [0, 4, 8, 12]


def test_inbound_windows_are_told_by_a_bit() -> None:
    """What the endpoint relies on: of the windows' page, bit 8 of an address says that it is an inbound one's."""
    assert all(offset >> 8 & 1 for offset in epbell_regs.offsets("iatu", windows=16).values())
    assert not any(offset >> 8 & 1 for offset in epbell_regs.offsets("iatu_outbound", windows=16).values())


def test_promises_compare_by_kind() -> None:
    """One signature of promises is like the other."""
    assert Promises() == Promises()
    assert len({Promises(), Promises()}) == 1
    assert repr(Promises()) == "express.Promises()"
    assert Promises() != object()


@pytest.mark.parametrize("width", [0, 32, 96, 1024])
def test_width(width: int) -> None:
    """Widths that no stream has are refused."""
    with pytest.raises(ValueError, match=f"64, 128, 256 or 512 bits, not {width}"):
        Express(width)
