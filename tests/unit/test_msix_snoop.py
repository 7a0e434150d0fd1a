"""What the host writes to the table of MSI-X is found, whatever it writes in one clock."""

import random
from collections import Counter
from typing import Any

import pytest
from quick_engine import Simulator

from epbell.msix_snoop import SNOOPED, Snoop


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_snoop(lanes: int) -> None:
    """Against the plain meaning of the addresses; the table at the end of the RAM, and around it."""
    dut, rng = Snoop(7, lanes), random.Random(lanes)
    seen: Counter[str] = Counter()

    async def bench(ctx: Any) -> None:
        for _ in range(1500):
            table, last, address = rng.randrange(128), rng.randrange(12), rng.randrange(128)
            written, wrote, each = rng.randrange(1 << lanes), int(rng.random() < 0.9), rng.randrange(14)
            for name, value in (("table", table), ("last", last), ("wrote", wrote), ("address", address)):
                ctx.set(getattr(dut, name), value)
            ctx.set(dut.written, written)
            ctx.set(dut.entry, each)
            await ctx.tick()
            ctx.set(dut.wrote, 0)
            for _ in range(SNOOPED - 1):
                await ctx.tick()
            dwords = [(address + lane - table) % 128 for lane in range(lanes) if wrote and written >> lane & 1]
            controls = [dword // 4 for dword in dwords if dword % 4 == 3 and dword // 4 <= last]
            assert ctx.get(dut.touched) == (each <= last and any(dword // 4 == each for dword in dwords))
            assert ctx.get(dut.control_valid) == (len(controls) == 1)
            assert ctx.get(dut.control_many) == (len(controls) > 1)
            if len(controls) == 1:
                assert ctx.get(dut.control) == controls[0]
            seen.update(touched=ctx.get(dut.touched), one=len(controls) == 1, many=len(controls) > 1)

    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(bench)
    sim.run()
    assert seen["touched"] > 10
    assert seen["one"] > 20
    assert seen["many"] > 20 or lanes <= 4


def test_wrong_address_width() -> None:
    with pytest.raises(ValueError, match="must be 3 or more, not 2"):
        Snoop(2, 1)
