"""The native HDMA: interrupts of each channel, and no doorbell anywhere."""

import pytest
from edma_rig import ONES, play

from epbell.edma import EdmaShape

INT_STAT, INT_SETUP, INT_CLEAR = 0x84, 0x88, 0x8C
STOP, ABORT = 1 << 0, 1 << 2
LOCAL = {STOP: 1 << 4, ABORT: 1 << 6}
SHAPE = EdmaShape("hdma")
CHANNELS = [("wr", n, 0x200 * n) for n in range(4)] + [("rd", n, 0x200 * n + 0x100) for n in range(4)]


def pulse(way, kind, n):
    return {f"{way}_{'done' if kind == STOP else 'abort'}": 1 << n}


def test_no_write_rings():
    """Neither to INT_STAT, nor to where the eDMA has its doorbells, nor through the other input."""

    async def program(rig):
        for offset in range(0, 0x1000, 4):
            if offset & 0xFF != INT_SETUP:
                await rig.write(offset, ONES)
                assert rig.irq == 0
        for offset in (0x4C, 0xA0, 0x58, 0xAC):
            await rig.write(offset, 0)
        await rig.clock(ring=1)
        assert rig.irq == 0
        for _, _, block in CHANNELS:
            assert await rig.read(block + INT_STAT) == 0
        assert rig.accounts == (0, 0, 0)

    play(program, SHAPE)


@pytest.mark.parametrize("kind", [STOP, ABORT])
def test_each_channel(kind):
    async def program(rig):
        for way, n, block in CHANNELS:
            await rig.clock(**pulse(way, kind, n))
            assert rig.irq == 0  # its local enable is 0 after reset
            assert await rig.read(block + INT_STAT) == kind
            for _, _, other in CHANNELS:
                assert other == block or await rig.read(other + INT_STAT) == 0
            await rig.write(block + INT_SETUP, LOCAL[kind])
            assert rig.irq == 1
            await rig.write(block + INT_SETUP, LOCAL[kind] | kind)
            assert rig.irq == 0  # masked
            await rig.write(block + INT_SETUP, (0x7F & ~LOCAL[kind] & ~kind))
            assert rig.irq == 0  # every other enable is not its own
            await rig.write(block + INT_SETUP, LOCAL[kind])
            for clear, strobes, level in ((ONES & ~kind, 0xF, 1), (kind, 0b1110, 1), (0, 0xF, 1), (kind, 0b0001, 0)):
                await rig.write(block + INT_CLEAR, clear, strobes)
                assert rig.irq == level
            assert await rig.read(block + INT_STAT) == 0

    play(program, SHAPE)


@pytest.mark.parametrize("kind", [STOP, ABORT])
def test_pulse_and_clear_in_one_clock(kind):
    async def program(rig):
        for way, n, block in CHANNELS:
            await rig.write(block + INT_SETUP, LOCAL[kind])
            for _ in range(2):
                await rig.clock((block + INT_CLEAR, ONES), **pulse(way, kind, n))
                assert rig.irq == 1
            await rig.write(block + INT_CLEAR, ONES)
            assert rig.irq == 0

    play(program, SHAPE)


def test_writes_of_status_leave_it_alone():
    async def program(rig):
        await rig.clock(wr_done=1, wr_abort=1)
        for data in (0, ONES):
            await rig.write(INT_STAT, data)
            assert await rig.read(INT_STAT) == STOP | ABORT
            assert await rig.read(INT_CLEAR) == 0

    play(program, SHAPE)


def test_there_is_no_number_of_channels():
    async def program(rig):
        for n in range(8):
            for block, channels in ((0x200 * n, 2), (0x200 * n + 0x100, 1)):
                await rig.write(block + 0x20, 0x1234_5678)
                assert await rig.read(block + 0x20) == (0x1234_5678 if n < channels else 0)
        assert await rig.read(0x08) == 0

    play(program, EdmaShape("hdma", write_channels=2, read_channels=1))


def test_base_and_lines():
    async def program(rig):
        await rig.write(INT_SETUP, LOCAL[STOP])
        await rig.clock(wr_done=1)
        assert rig.irq == 0b11
        assert await rig.read(INT_STAT - rig.base) == 0
        assert await rig.read(INT_STAT) == STOP

    play(program, EdmaShape("hdma", base=0x4000, lines=2))
