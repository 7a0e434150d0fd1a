"""Doorbells at the first, the middle and the last dword of BARs, in the whole endpoint."""

from __future__ import annotations

import pytest
from usp_packets import BARS, read, write
from usp_rig import EDMA, MU_A, MU_B, RAM, Rig

from epbell.edma import EdmaShape

WRITE_STATUS = 0x4C
RR_IMX6SX = 0x10
SIZES = tuple(bar.size if bar else 0 for bar in BARS)


@pytest.mark.parametrize(
    ("width", "at", "bars"),
    [
        # The last dword of 16 KiB, and of 4 KiB.
        (64, 0x3FFC, {0: 0x3FFC, 2: 0x0FFC, 4: 0x3FFC}),
        # The last one of 4 KiB, which is none of 16 KiB.
        pytest.param(64, 0x0FFC, {0: 0x0FFC, 2: 0x0FFC, 4: 0x0FFC}, marks=pytest.mark.long),
        # The middle of 16 KiB, the first one of 4 KiB and of 128 bytes.
        pytest.param(256, 0x2000, {0: 0x2000, 2: 0x0000, 3: 0x0000, 4: 0x2000}, marks=pytest.mark.long),
        # The last one of 128 bytes.
        pytest.param(128, 0x007C, {0: 0x007C, 2: 0x007C, 3: 0x007C}, marks=pytest.mark.long),
    ],
)
def test_a_doorbell_anywhere_in_bars_of_any_size(width: int, at: int, bars: dict[int, int]) -> None:
    """The registers are moved so that a doorbell is there; it rings, and every other dword around it does not."""

    async def bench(rig: Rig) -> None:
        for bar, offset in bars.items():
            size = SIZES[bar]
            assert (EDMA + at) % size == offset
            await rig.map(0, bar, EDMA + at & ~(size - 1))
            rung = (await rig.edma_bell())[0]
            around = [offset ^ 1 << bit for bit in range(2, size.bit_length() - 1)]
            rig.send(*(write(bar, other, 0) for other in around))
            await rig.drain()
            assert (await rig.edma_bell())[0] == rung
            rig.send(write(bar, offset, 0), read(bar, offset))
            (answer,) = await rig.answers(1)
            assert answer.status == 0
            assert (await rig.edma_bell())[0] == rung + 1

    Rig(width, edma=EdmaShape("unroll", base=at - WRITE_STATUS)).run(bench)


def test_a_bar_of_128_bytes_shows_what_begins_a_page() -> None:
    """The Messaging Unit of an i.MX6SX begins with its doorbells: the host needs no more than the smallest BAR."""

    async def bench(rig: Rig) -> None:
        await rig.map(1, 3, MU_B)
        for vector in range(4):
            rig.send(write(3, 4 * vector, 0x100 + vector))
        await rig.drain()
        words = [await rig.cpu_read(MU_A + RR_IMX6SX + 4 * vector) for vector in range(4)]
        assert words == [0x100, 0x101, 0x102, 0x103]
        # Beyond the BAR there is nothing, though the page goes on.
        rig.send(write(3, 0x7C, 1, 2), read(3, 0x7C, 2))
        (answer,) = await rig.answers(1)
        assert answer.status == 1
        assert (await rig.counters())["writes"] == 1
        await rig.map(1, 3, RAM)
        rig.send(write(3, 0x7C, 7))
        await rig.drain()
        assert await rig.cpu_read(RAM + 0x7C) == 7

    Rig(64, layout="imx6sx").run(bench)
