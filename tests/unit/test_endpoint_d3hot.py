"""D3hot of the whole endpoint: nothing begins to leave, everything leaves afterwards, once."""

from __future__ import annotations

import pytest
from requester_packets import good
from resets_rig import D0, D3HOT, LEAVES, LONG, bring_up, flr, kind, post
from test_endpoint_interrupts import INTX, MSI_RAISE, RAISE
from test_endpoint_outbound import APERTURE, BUS_MASTER_OFF, CAUSE
from usp_rig import CONTROLLER, CpuAccess, Rig

from epbell_tb.endpoint.latencies import DECIDED

FUNCTION, MSI_STATUS = CONTROLLER + 0xA8, CONTROLLER + 0x14
LOW_POWER, BUS_MASTER = 1 << 2, 1 << 17
UNINITIALIZED = 0


@pytest.mark.parametrize(("which", "way"), [("msi", "rq"), ("msix", "rq"), ("msix", "port"), ("level", "rq")])
def test_around_an_interrupt(which: str, way: str) -> None:
    """In each clock from the raise on, for one clock and for longer; it crosses D3hot for so many clocks only."""
    outcomes, crossed = set[bool](), set[int]()
    late = 1 if which == "level" or (which, way) == ("msix", "rq") else DECIDED - 1

    async def bench(rig: Rig) -> None:
        hard, power = await bring_up(rig), rig.dut.cfg_function_power_state
        await kind(rig, which)
        mine = "rq" if (which, way) == ("msix", "rq") else "intx 1" if which == "level" else f"{which} 3"
        for start in range(LEAVES[which] + 8):
            length = (1, LONG)[start % 2]
            first = rig.cycle
            post(rig, which)
            await rig.step(start)
            rig.ctx.set(power, D3HOT | 0o4440)
            asleep = rig.cycle
            await rig.step(length)
            awake = rig.cycle
            rig.ctx.set(power, 0o4440 | (D0 if start % 3 else UNINITIALIZED))
            await rig.step(LONG)
            crossed.update(clock - asleep for clock, _ in hard.left if asleep <= clock <= asleep + late)
            begun = [what for clock, what in hard.left if asleep + late < clock <= awake]
            outcomes.add(any(clock > awake + late for clock, _ in hard.left))
            if which == "level":
                assert "intx 1" not in begun
                assert hard.since(first)[-1] == "intx 1"
                await rig.cpu_write(INTX, 0)
                await rig.step(LONG)
            else:
                assert begun == []
                assert hard.since(first) == [mine], "not once"
            hard.left.clear()

    Rig(128, msix=way).run(bench)
    assert max(crossed) == late
    # The level is told again in any case: the line was deasserted, or it is not sure that the host has heard of it.
    assert outcomes == ({True} if which == "level" else {True, False}), "never held back, or always"


def test_requests_of_the_cpu() -> None:
    """New ones fail as with bus mastering off; the completion of an earlier one is taken."""

    async def bench(rig: Rig) -> None:
        hard, power = await bring_up(rig), rig.dut.cfg_function_power_state
        pending = CpuAccess(APERTURE, None)
        rig.cpu.append(pending)
        await rig.step(12)
        rig.ctx.set(power, D3HOT)
        await rig.step(4)
        rig.replies.append(good(rig.sent[0][1].tag, 0x55))
        await rig.step(10)
        assert (pending.done, pending.value, pending.response) == (True, 0x55, 0)
        assert await rig.cpu_write(APERTURE, 1) == 2
        assert await rig.cpu_read_response(APERTURE) == (0, 2)
        assert await rig.cpu_read(CAUSE) == BUS_MASTER_OFF
        assert await rig.cpu_read(FUNCTION) == LOW_POWER
        assert await rig.cpu_read(MSI_STATUS) & BUS_MASTER, "the host's bit is shown as it is"
        rig.ctx.set(power, D0)
        assert await rig.cpu_write(APERTURE, 1) == 0
        await rig.step(10)
        assert await rig.cpu_read(FUNCTION) == 0
        assert hard.since(0) == ["rq", "rq"]

    Rig(128).run(bench)


def test_reset_in_d3hot() -> None:
    """It wakes the function up, and forgets what D3hot has held back."""

    async def bench(rig: Rig) -> None:
        hard, power = await bring_up(rig), rig.dut.cfg_function_power_state
        rig.ctx.set(rig.dut.cfg_interrupt_msi.enable, 1)
        rig.ctx.set(power, D3HOT)
        await rig.cpu_write(MSI_RAISE, 1)
        await rig.cpu_write(RAISE, 2)
        await rig.cpu_write(INTX, 1)
        await rig.step(LONG)
        await flr(rig, hard)
        rig.ctx.set(power, UNINITIALIZED)
        for which in ("msi", "msix", "none"):
            await kind(rig, which)
            await rig.step(2 * LONG)
        assert hard.left == []

    Rig(128).run(bench)
