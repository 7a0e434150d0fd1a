"""Inbound windows as the host meets them."""

import pytest
from usp_packets import BAR_BASE, BARS, read, write
from usp_rig import CONTROLLER, IATU, LATENCY, MU_A, MU_B, RAM, RAM_SIZE, RCR, RR, TR, WIDTHS, Rig

from epbell.address_map import AddressMap

CTRL1, CTRL2, LOWER_TARGET, UPPER_TARGET = 0x00, 0x04, 0x14, 0x18


def region(window: int) -> int:
    return IATU + 0x200 * window + 0x100


@pytest.mark.parametrize("width", WIDTHS)
def test_first_middle_and_last_dword_of_every_bar(width: int) -> None:
    async def bench(rig: Rig) -> None:
        for number, bar in enumerate(BARS):
            if bar is None:
                continue
            rig.send(read(number, 0))
            assert (await rig.answers(1))[0].status == 1, "another BAR's window claims it"
            await rig.map(number, number, RAM)
            size = min(bar.size, RAM_SIZE)
            for offset in (0, size // 2 - 4, size // 2, size - 4):
                value = rig.random.getrandbits(32)
                rig.send(write(number, offset, value))
                await rig.drain()
                assert await rig.cpu_read(RAM + offset) == value
        assert (await rig.counters())["writes"] == 0

    Rig(width, seed=width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_target_drops_the_bits_below_the_bar_size(width: int) -> None:
    """BAR 0 has 16 KiB, and so has the RAM: 0x1000 or 0x3000 into it makes no difference. BAR 2 has 4 KiB: it does."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM + 0x3000)
        await rig.map(2, 2, RAM + 0x3000)
        rig.send(write(0, 0x10, 0xA), write(2, 0x10, 0xB))
        await rig.drain()
        assert await rig.cpu_read(RAM + 0x10) == 0xA
        assert await rig.cpu_read(RAM + 0x3010) == 0xB

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_lowest_window_wins(width: int) -> None:
    async def bench(rig: Rig) -> None:
        targets = {1: RAM + 0x1000, 3: RAM + 0x3000, 5: RAM}
        for window in (5, 1, 3):
            await rig.map(window, 2, targets[window])
        for winner in (1, 3, 5):
            rig.send(write(2, 0x20, winner))
            await rig.drain()
            assert {w: await rig.cpu_read(targets[w] + 0x20) for w in targets} == {
                w: w if w <= winner else 0 for w in targets
            }
            await rig.cpu_write(region(winner) + CTRL2, 0)
        rig.send(read(2, 0x20))
        assert (await rig.answers(1))[0].status == 1

    Rig(width).run(bench)


@pytest.mark.parametrize(
    ("what", "register", "value"),
    [
        ("disabled", CTRL2, 1 << 30 | 2 << 8),
        ("address match elsewhere", CTRL2, 1 << 31 | 2 << 8),
        ("other BAR", CTRL2, 1 << 31 | 1 << 30 | 3 << 8),
        ("BAR that does not exist", CTRL2, 1 << 31 | 1 << 30 | 5 << 8),
        ("I/O window", CTRL1, 2),
        ("target above 4 GiB", UPPER_TARGET, 1),
    ],
)
def test_window_that_claims_nothing(what: str, register: int, value: int) -> None:
    async def bench(rig: Rig) -> None:
        await rig.map(0, 2, RAM)
        await rig.cpu_write(region(0) + register, value)
        if register != CTRL2:
            await rig.cpu_write(region(0) + CTRL2, 1 << 31 | 1 << 30 | 2 << 8)
        rig.send(write(2, 0, 1), read(2, 0))
        assert (await rig.answers(1))[0].status == 1, what
        assert await rig.cpu_read(RAM) == 0

    Rig(128).run(bench)


def test_registers_take_effect_with_ctrl2() -> None:
    """A new target shows only after CTRL2 is written, by any byte of it; reading CTRL2 back shows ENABLE."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, 2, RAM)
        await rig.cpu_write(region(0) + LOWER_TARGET, RAM + 0x1000)
        await rig.cpu_write(region(0) + UPPER_TARGET, 7)
        await rig.cpu_write(region(0) + UPPER_TARGET, 0)
        rig.send(write(2, 0, 1))
        await rig.drain()
        assert [await rig.cpu_read(RAM), await rig.cpu_read(RAM + 0x1000)] == [1, 0]
        assert await rig.cpu_read(region(0) + CTRL2) == 1 << 31 | 1 << 30 | 2 << 8
        await rig.cpu_write(region(0) + CTRL2, 2 << 8, strobes=0b0010)
        rig.send(write(2, 0, 2))
        await rig.drain()
        assert [await rig.cpu_read(RAM), await rig.cpu_read(RAM + 0x1000)] == [1, 2]

    Rig(256).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_retarget_in_flight(width: int) -> None:
    """Rings stream while the window is aimed from RAM at the doorbell and back: each goes to the one or the other."""

    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, RAM)
        await rig.cpu_write(MU_A + RCR, 0xF)
        rings = 0
        for turn in range(6):
            target = MU_B if turn % 2 == 0 else RAM
            for address, value in ((LOWER_TARGET, target), (UPPER_TARGET, 0), (CTRL1, 0), (CTRL2, 3 << 30 | 1 << 8)):
                count = rig.random.randrange(2, 6)
                rig.send(*(write(1, TR, rings + k) for k in range(count)))
                rings += count
                await rig.cpu_write(region(1) + address, value)
        rig.send(write(1, TR, rings))
        rings += 1
        await rig.drain()
        rung, merged, delivered = await rig.bell(0)
        assert 0 < rung < rings
        assert rung == merged + delivered + 1
        assert set((await rig.counters()).values()) == {0}, "a ring went to a third place"
        assert await rig.cpu_read(RAM + TR) == rings - 1, "the window shows RAM again, so the last one is there"
        assert await rig.cpu_read(MU_A + RR) < rings - 1
        for other in (RAM, RAM + TR - 4, RAM + TR + 4):
            assert await rig.cpu_read(other) == 0

    Rig(width, seed=width).run(bench)


@pytest.mark.parametrize("windows", [1, 16])
def test_number_of_windows(windows: int) -> None:
    """The last one works, the one behind it is not there."""

    async def bench(rig: Rig) -> None:
        await rig.map(windows - 1, 2, RAM)
        rig.send(write(2, 0, 5))
        await rig.drain()
        assert await rig.cpu_read(RAM) == 5
        await rig.cpu_write(region(windows) + LOWER_TARGET, 0x11110000)
        assert await rig.cpu_read(region(windows) + LOWER_TARGET) == 0
        assert await rig.cpu_read(CONTROLLER + 8) >> 8 & 0xFF == windows

    Rig(64, windows=windows).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_windows_tile_a_bar(width: int) -> None:
    """BAR 0, of 16 KiB, shows RAM, the doorbells, RAM again, and nothing; the doorbell is no slower than in a BAR."""

    async def bench(rig: Rig) -> None:
        base = BAR_BASE[0]
        await rig.map_addresses(0, base, base + 0xFFF, RAM + 0x3000)
        await rig.map_addresses(1, base + 0x1000, base + 0x1FFF, MU_B)
        await rig.map_addresses(2, base + 0x2000, base + 0x2FFF, RAM)
        await rig.cpu_write(MU_A + RCR, 0xF)
        rig.send(write(0, 0xFFC, 1), write(0, 0x2000, 3), write(0, 0x2FFC, 4), write(0, 0x3000, 5))
        await rig.drain()
        assert [await rig.cpu_read(RAM + at) for at in (0x3FFC, 0, 0xFFC, 0x3000)] == [1, 3, 4, 0]
        rig.send(write(0, 0x1000 + TR, 2))
        await rig.drain()
        assert rig.irq_rises[-1] - rig.first_beats[-1] == LATENCY[width]
        assert await rig.cpu_read(MU_A + RR) == 2
        rig.send(read(0, 0x2FF8, 2), read(0, 0x2FFC, 2), read(0, 0x3000))
        answers = await rig.answers(3)
        assert [(a.status, a.length) for a in answers] == [(0, 2), (1, 0), (1, 0)]
        assert answers[0].data == [0, 4]
        assert (await rig.counters())["writes"] == 1

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_retarget_in_flight_in_address_match(width: int) -> None:
    """The slice moves from RAM to the doorbell and back while rings stream to it: each goes to the one or the other."""

    async def bench(rig: Rig) -> None:
        base = BAR_BASE[0] + 0x1000
        await rig.map_addresses(1, base, base + 0xFFF, RAM)
        rings = 0
        for turn in range(6):
            target = MU_B if turn % 2 == 0 else RAM
            for address, value in ((0x08, base), (0x10, base), (LOWER_TARGET, target), (CTRL1, 0), (CTRL2, 1 << 31)):
                count = rig.random.randrange(1, 5)
                rig.send(*(write(0, 0x1000 + TR, rings + k) for k in range(count)))
                rings += count
                await rig.cpu_write(region(1) + address, value)
        await rig.drain()
        rig.send(write(0, 0x1000 + TR, rings))
        await rig.drain()
        assert 0 < (await rig.bell(0))[0] < rings
        assert set((await rig.counters()).values()) == {0}, "a ring went to a third place"
        assert await rig.cpu_read(RAM + TR) == rings
        assert [await rig.cpu_read(RAM + at) for at in (0, TR - 4, TR + 4)] == [0, 0, 0]

    Rig(width, seed=width).run(bench)


def test_doorbells_above_4_gib() -> None:
    """A 64-bit target reaches what is there, and only that."""

    async def bench(rig: Rig) -> None:
        for target, rung in ((MU_B, 0), (2 << 32 | MU_B, 0), (1 << 32 | MU_B, 1)):
            await rig.map(1, 1, target)
            rig.send(write(1, TR, 7), read(1, TR))
            assert (await rig.answers(1))[0].status == 1 - rung
            assert (await rig.bell(0))[0] == rung
        await rig.map(1, 1, 1 << 32 | RAM)
        rig.send(write(1, 0, 7))
        await rig.drain()
        assert await rig.cpu_read(RAM) == 0

    Rig(128, address_map=AddressMap(mu_b=1 << 32 | MU_B)).run(bench)
