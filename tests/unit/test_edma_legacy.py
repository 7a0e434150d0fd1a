"""The legacy map of the eDMA page: its base, and the bank behind the viewport."""

import pytest
from edma_rig import ONES, play

from epbell.edma import EdmaShape

CHANNELS = [(way, n) for way in (0, 1) for n in range(4)]


def viewport(way, n):
    return way << 31 | n


@pytest.mark.parametrize("base", [None, 0, 0x1234, 0xFE00])
def test_doorbells_are_at_the_base(base):
    async def program(rig):
        for status, clear in ((0x4C, 0x58), (0xA0, 0xAC), (0x4C, 0xAC), (0xA0, 0x58)):
            await rig.write(status, 0)
            assert rig.irq == 1
            await rig.write(clear, 0)
            assert rig.irq == 0
        for offset in (0x4C, 0xA0):
            if rig.base:
                await rig.write(offset - rig.base, 0)
                assert rig.irq == 0
        assert await rig.read(0x08) == 0x0004_0004
        assert rig.accounts == (4, 0, 4)

    play(program, EdmaShape("legacy", base=base))


def test_the_bank_shows_the_selected_channel():
    async def program(rig):
        for number, (way, n) in enumerate(CHANNELS):
            await rig.write("VIEWPORT_SEL", viewport(way, n))
            for register in range(1, 9):
                await rig.write(0x100 + 4 * register, number << 16 | register)
        for number, (way, n) in enumerate(CHANNELS):
            await rig.write("VIEWPORT_SEL", viewport(way, n))
            assert await rig.read("VIEWPORT_SEL") == viewport(way, n)
            assert [await rig.read(0x100 + 4 * r) for r in range(1, 9)] == [number << 16 | r for r in range(1, 9)]

    play(program, EdmaShape("legacy"))


@pytest.mark.parametrize("way", [0, 1])
@pytest.mark.parametrize("n", [4, 7])
def test_a_channel_that_is_not_built(way, n):
    async def program(rig):
        await rig.write("VIEWPORT_SEL", viewport(way, n))
        for offset in range(0x100, 0x124, 4):
            await rig.write(offset, ONES)
            assert await rig.read(offset) == 0
        for other, m in CHANNELS:
            await rig.write("VIEWPORT_SEL", viewport(other, m))
            assert [await rig.read(offset) for offset in range(0x100, 0x124, 4)] == [0] * 9

    play(program, EdmaShape("legacy"))


def test_nothing_is_mapped_beside_the_bank():
    """Neither the blocks of the unroll map, nor its registers where the bank is."""

    async def program(rig):
        for offset in (*range(0x124, 0x200, 4), *range(0x200, 0xC00, 0x100), *range(0x204, 0xC04, 0x100), 0x1100):
            await rig.write(offset, ONES)
            assert await rig.read(offset) == 0
        await rig.write("VIEWPORT_SEL", viewport(1, 2))
        assert await rig.read(0x100) == 0

    play(program, EdmaShape("legacy"))


def test_the_viewport_turns_at_the_clock_edge():
    async def program(rig):
        await rig.write("VIEWPORT_SEL", viewport(0, 1))
        await rig.write(0x10C, 0x1111)
        assert await rig.clock((0xFC, viewport(1, 3)), 0x10C) == 0x1111
        assert await rig.clock((0xFC, viewport(0, 1), 0b0111), 0x10C) == 0
        assert await rig.read("VIEWPORT_SEL") == viewport(1, 1)  # byte strobes
        assert await rig.clock((0xFC, 0, 0b1000), 0x10C) == 0
        assert await rig.read(0x10C) == 0x1111

    play(program, EdmaShape("legacy"))


def test_local_enables_behind_the_viewport():
    async def program(rig):
        await rig.write("WRITE_INT_MASK", 0)
        await rig.write("READ_INT_MASK", 0)
        for way, n in CHANNELS:
            await rig.write("VIEWPORT_SEL", viewport(way, n))
            await rig.clock(**{("wr_done", "rd_done")[way]: 1 << n})
            assert rig.irq == 0
            await rig.write(0x100, 1 << 3)
            assert rig.irq == 1
            await rig.write(("WRITE_INT_CLEAR", "READ_INT_CLEAR")[way], 1 << n)
            assert rig.irq == 0

    play(program, EdmaShape("legacy"))
