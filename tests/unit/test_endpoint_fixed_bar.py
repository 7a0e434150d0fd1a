"""A BAR that shows the eDMA page whatever the inbound windows say, as on an RK3588."""

import pytest
from edma_traffic import DMA_CTRL, READ_CLEAR, READ_STATUS, WRITE_CLEAR, WRITE_MASK, WRITE_STATUS, refused, rings
from usp_packets import read, write
from usp_rig import EDMA, IATU, MU_A, MU_B, RAM, RCR, TR, Rig

from epbell.bar import Bar


@pytest.mark.parametrize("fixed_bar", [0, 2, 4])
@pytest.mark.parametrize("width", [64, 256])
def test_fixed_bar(width: int, fixed_bar: int) -> None:
    """It shows the eDMA page with no window, with one that is off, and with any that claims the BAR for something."""

    async def bench(rig: Rig) -> None:
        other = 1
        await rings(rig, fixed_bar, READ_STATUS)
        for target in (RAM, MU_B, EDMA, IATU, RAM << 32):
            await rig.map(0, fixed_bar, target)
            await rig.cpu_write(MU_A + RCR, 0xF)
            await rings(rig, fixed_bar, WRITE_STATUS)
            await rings(rig, fixed_bar, READ_STATUS)
            await refused(rig, write(fixed_bar, TR, 0), read(fixed_bar, TR))
        await rig.cpu_write(IATU + 0x104, 0)
        await rings(rig, fixed_bar, READ_STATUS)
        assert [await rig.cpu_read(RAM + offset) for offset in (WRITE_STATUS, READ_STATUS, TR)] == [0, 0, 0]
        assert not rig.irq_rises
        rest = (0, DMA_CTRL, WRITE_CLEAR, READ_CLEAR, WRITE_MASK, READ_STATUS + 4)
        await refused(rig, *(write(fixed_bar, offset, 0) for offset in rest))
        await refused(rig, *(read(fixed_bar, offset) for offset in rest))
        await refused(rig, write(fixed_bar, READ_STATUS, 0, 0), write(fixed_bar, READ_STATUS, 0, function=1))
        await refused(rig, write(other, READ_STATUS, 0))
        await rig.map(0, other, RAM)
        rig.send(write(other, READ_STATUS, 7))
        await rig.drain()
        assert await rig.cpu_read(RAM + READ_STATUS) == 7
        await rig.map(1, other + 2, EDMA)  # a window may show the page as well
        await rings(rig, other + 2, WRITE_STATUS)

    Rig(width, fixed_bar=fixed_bar).run(bench)


def test_fixed_bar_larger_than_the_page() -> None:
    """Behind the 64 KiB there is nothing, with and without the guard."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        await rings(rig, 0, READ_STATUS)
        for offset in (0x10000, 0x10000 + READ_STATUS, 0x3_0000 + READ_STATUS):
            await refused(rig, write(0, offset, 0), read(0, offset))

    for guard in (True, False):
        Rig(128, fixed_bar=0, guard=guard, bars=(Bar(256 << 10),)).run(bench)


def test_fixed_bar_without_guard() -> None:
    async def bench(rig: Rig) -> None:
        rig.send(write(4, READ_STATUS, 0), read(4, DMA_CTRL))
        assert (await rig.answers(1))[0].data == [0x0004_0004]
        assert rig.edma == 1
        rig.send(write(4, READ_CLEAR, 0))
        await rig.drain()
        assert rig.edma == 0

    Rig(256, fixed_bar=4, guard=False).run(bench)
