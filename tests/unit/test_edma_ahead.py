"""The eDMA page that decodes a clock ahead, beside the one that does not: the same a clock later, but for the line."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Elaboratable, Module
from quick_engine import Simulator

from epbell import csr
from epbell.edma import Edma, EdmaShape

CLOCKS = 2000
EVENTS = ("rung", "merged", "delivered")
PULSES = ("wr_done", "wr_abort", "rd_done", "rd_abort")
SHAPES = {
    "unroll": EdmaShape(),
    "moved": EdmaShape(base=0x1234),
    "legacy": EdmaShape("legacy", write_channels=3, read_channels=2, lines=2),
    "hdma": EdmaShape("hdma", write_channels=2, read_channels=2),
    "doorbell": EdmaShape(doorbell_only=True),
}
OFFSETS = (0x4C, 0x54, 0x58, 0xA0, 0xA8, 0xAC, 0xFC, 0xFC, 0x100, 0x100, 0x104, 0x200, 0x300, 0x400, 0x88, 0x8C, 0x84)


class Both(Elaboratable):
    """One page of each kind."""

    def __init__(self, shape: EdmaShape) -> None:
        self.direct, self.ahead = Edma(shape), Edma(shape, registered=True)

    def elaborate(self, platform: object) -> Module:
        m: Any = Module()
        m.submodules.direct, m.submodules.ahead = self.direct, self.ahead
        return m


@pytest.mark.parametrize("name", SHAPES)
def test_the_same_a_clock_later(name: str) -> None:
    """Back-to-back writes and reads, also of the viewport and its bank; rings beside the port and ends of transfers."""
    shape = SHAPES[name]
    dut, rng = Both(shape), random.Random(name)

    async def bench(ctx: Any) -> None:
        direct, ahead = dut.direct, dut.ahead
        due: dict[int, int] = {}
        before: dict[str, int] = {}
        raised = read = 0
        for clock in range(CLOCKS):
            now = {
                "w_en": rng.random() < 0.7,
                "w_addr": shape.offset + rng.choice(OFFSETS) & 0xFFFF,
                "w_data": rng.getrandbits(32) & rng.getrandbits(32),
                "w_strb": rng.choice((0xF, 0xF, rng.randrange(16))),
                "r_en": rng.random() < 0.7,
                "r_addr": shape.offset + rng.choice(OFFSETS) & 0xFFFF,
            }
            for member in ("w_en", "w_addr", "w_data", "w_strb", "r_addr"):
                ctx.set(getattr(ahead.bus, member), now[member])
            ctx.set(ahead.bus.r_load, now["r_en"])
            ctx.set(ahead.bus.r_en, before.get("r_en", 0))
            for member, value in before.items():
                ctx.set(getattr(direct.bus, member), value)
            ring = rng.random() < 0.1
            for page in (direct, ahead):
                ctx.set(page.ring, ring)
            for pulse in PULSES:
                value = rng.getrandbits(len(getattr(direct, pulse))) if rng.random() < 0.05 else 0
                for page in (direct, ahead):
                    ctx.set(getattr(page, pulse), value)
            rings = ctx.get(direct.rung)
            lines = (1 << shape.lines) - 1
            assert ctx.get(ahead.irq) == (lines if rings else ctx.get(direct.irq)), clock
            accounts = [ctx.get(getattr(direct, event)) for event in EVENTS]
            assert [ctx.get(getattr(ahead, event)) for event in EVENTS] == accounts, clock
            if before.get("r_en"):
                due[clock + csr.PAGE.read_clocks] = ctx.get(direct.bus.r_data)
            if clock in due:
                assert ctx.get(ahead.bus.r_data) == due[clock], clock
                read += due[clock] != 0
            raised += rings
            before = now
            await ctx.tick()
        assert read > 30
        assert raised > 100 or not shape.doorbells

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
