"""The inbound windows as Linux's driver programs them: BARs of every size, and numbers of windows."""

from __future__ import annotations

import errno
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from amaranth.hdl import Fragment
from driver import Driver
from quick_engine import Simulator
from register_page import read_page

from epbell.bar import Bar
from epbell.inbound import Inbound
from epbell_models.devicetree import Region
from epbell_models.linux.dw_iatu import DwIatu, Way
from epbell_models.platform import VirtualPlatform
from epbell_models.reference.inbound import InboundWindows

GRANULE = 4096
SIZES = tuple(1 << bits for bits in range(7, 25))
NARROW = [SIZES[first : first + 6] for first in range(0, len(SIZES), 6)]
WIDE = [SIZES[first : first + 3] for first in range(0, len(SIZES), 3)]
PAGE = Region(0x5F31_0000, 0x1_0000)


class _NoTime(VirtualPlatform):
    async def sleep(self, seconds: float) -> None:
        """Let no time pass: the clock is the simulator's."""


class Linux:
    """The block, the model, and the driver at the CPU's bus of both."""

    def __init__(self, ctx: Any, dut: Inbound, sizes: tuple[int, ...], windows: int) -> None:
        self.ctx, self.dut, self.model = ctx, dut, InboundWindows(sizes, windows)
        self.driver, self.log = Driver(ctx), []
        self.iatu = DwIatu(_NoTime(), self, PAGE, self.log)

    async def read32(self, address: int) -> int:
        return await read_page(self.ctx, self.dut.bus, address - PAGE.address)

    async def write32(self, address: int, value: int) -> None:
        ctx, bus = self.ctx, self.dut.bus
        offset = address - PAGE.address
        self.driver.drive((bus.w_en, 1), (bus.w_addr, offset), (bus.w_data, value), (bus.w_strb, 0xF))
        await ctx.tick()
        self.driver.drive((bus.w_en, 0))
        await ctx.tick()
        self.model.write32(offset, value)

    async def read(self, address: int, length: int) -> bytes:
        raise NotImplementedError

    async def write(self, address: int, data: bytes) -> None:
        raise NotImplementedError

    async def ask(self, bar: int, start: int, offset: int, length: int = 1) -> int | None:
        """Offer a request of the host; return where it goes, as both say, None when it is refused."""
        ctx, dut = self.ctx, self.dut
        address = start + offset
        self.driver.drive((dut.bar, bar), (dut.address, address), (dut.address_again, address))
        self.driver.drive((dut.length, length), (dut.function, 0))
        await ctx.tick().repeat(4)
        local = ctx.get(dut.local) if ctx.get(dut.claimed) and ctx.get(dut.fits) else None
        expected = self.model.translate(bar, 0, offset, start + offset, 4 * length)
        assert local is None or local == expected, f"BAR {bar} at {offset:#x}"
        return local


def simulate(bench: Callable[[Linux], Awaitable[None]], bars: tuple[Bar | None, ...], windows: int) -> None:
    dut, ended = Inbound(bars, windows), []
    sizes = tuple(bar.size if bar else 0 for bar in (*bars, *(None,) * (6 - len(bars))))

    async def testbench(ctx: Any) -> None:
        linux = Linux(ctx, dut, sizes, windows)
        await linux.iatu.detect()
        await bench(linux)
        ended.append(linux)

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(testbench)
    simulator.run()
    assert ended, "the bench did not come to its end"


async def sweep(linux: Linux, bar: int, size: int, start: int, rng: random.Random) -> None:
    """Put doorbells at the first, the middle and the last dword of a BAR at `start`, anywhere in 64 bits."""
    for place in (0, size // 2, size - 4):
        for high in (0, rng.getrandbits(32) << 32 | 1 << 63):
            bell = high + (rng.getrandbits(32) & ~(max(size, GRANULE) - 1)) + place
            base, offset = bell & ~(size - 1), bell & (size - 1)
            assert await linux.iatu.program_bar(0, bar, base, size) == 0
            assert await linux.ask(bar, start, offset) == bell
            for bit in range(2, size.bit_length() - 1):
                # Every bit of the offset counts, and none above it: the host's address of the BAR is not seen.
                assert await linux.ask(bar, start, offset ^ 1 << bit) == bell ^ 1 << bit
            assert await linux.ask(bar, start, size - 4) == base + size - 4
            assert await linux.ask(bar, start, size - 4, 2) is None, "beyond its end"
            assert await linux.ask(bar ^ 1, start, offset) is None, "another BAR"


async def between_pages(linux: Linux, bar: int, size: int, start: int) -> None:
    """Put a doorbell where no window can begin: Linux refuses, and what there is stays as it is."""
    if size >= GRANULE:
        return
    assert await linux.iatu.program_bar(0, bar, 0x5D30_0000, size) == 0
    for base in range(0x5D30_0000 + size, 0x5D30_0000 + GRANULE, size):
        assert await linux.iatu.program_bar(0, bar, base, size) == -errno.EINVAL
    assert await linux.ask(bar, start, 4) == 0x5D30_0004
    # By hand: the low bits are not there to be written.
    for register, value in ((0x14, 0x5D30_1000 + size), (0x04, 3 << 30 | bar << 8)):
        await linux.write32(PAGE.address + 0x100 + register, value)
    assert await linux.ask(bar, start, 4) == 0x5D30_1004


@pytest.mark.parametrize("sizes", NARROW, ids=lambda sizes: f"{sizes[0]}-{sizes[-1]}")
def test_doorbell_in_a_bar_of_every_size(sizes: tuple[int, ...]) -> None:
    rng = random.Random(sizes[0])

    async def bench(linux: Linux) -> None:
        for bar, size in enumerate(sizes):
            start = rng.getrandbits(32) & ~(size - 1)
            await sweep(linux, bar, size, start, rng)
            await between_pages(linux, bar, size, start)

    simulate(bench, tuple(Bar(size) for size in sizes), 1)


@pytest.mark.parametrize("sizes", WIDE, ids=lambda sizes: f"{sizes[0]}-{sizes[-1]}")
def test_doorbell_in_a_64_bit_bar_of_every_size(sizes: tuple[int, ...]) -> None:
    """The host has put it above 4 GiB, up to the last one."""
    rng = random.Random(sizes[0])

    async def bench(linux: Linux) -> None:
        for pair, size in enumerate(sizes):
            for start in (rng.getrandbits(64) & ~(size - 1), (1 << 64) - size):
                await sweep(linux, 2 * pair, size, start, rng)

    simulate(bench, tuple(bar for size in sizes for bar in (Bar(size, wide=True), None)), 1)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("size", [1 << 7, 1 << 11, 1 << 12, 1 << 20, 1 << 24, 1 << 31])
def test_slice_of_a_bar(size: int, wide: bool) -> None:
    """In address match every bit of the host's address counts: another one that differs in one bit is not meant.

    A BAR below the granule is a part of the window's first page, where the host has put it.
    """
    rng = random.Random(size + wide)

    async def bench(linux: Linux) -> None:
        start = (rng.getrandbits(64 if wide else 32) | (wide << 40)) & ~(size - 1)
        piece = max(size // 2, GRANULE)
        first = (start + size - 4) & ~(piece - 1)
        bell = (rng.getrandbits(64) & ~(GRANULE - 1)) + (start + size - 4) % piece
        target = bell - (start + size - 4 - first)
        assert await linux.iatu.program(Way.INBOUND, 0, first, target & (1 << 64) - 1, piece) == 0
        assert await linux.ask(0, start, size - 4) == bell & (1 << 64) - 1
        for bit in range(piece.bit_length() - 1, 64):
            assert await linux.ask(0, start ^ 1 << bit, size - 4) is None, f"bit {bit}"

    simulate(bench, (Bar(size, wide=wide), None), 1)


@pytest.mark.parametrize("windows", [1, 6, 16])
def test_linux_finds_the_windows(windows: int) -> None:
    """How many there are, how fine, how large; each of them works, the last as the first, and there are no more."""

    async def bench(linux: Linux) -> None:
        iatu = linux.iatu
        assert (iatu.count, iatu.align, iatu.limit) == (
            {Way.INBOUND: windows, Way.OUTBOUND: 0}, GRANULE, (1 << 64) - 1,
        )  # fmt: skip
        used = sorted({0, windows // 2, windows - 1})
        for window in used:
            start = 0x8000_0000 + window * GRANULE
            assert await linux.ask(0, start, 0) is None, "found out without being switched on"
            assert await iatu.program(Way.INBOUND, window, start, window << 40, GRANULE) == 0
        for window in used:
            assert await linux.ask(0, 0x8000_0000 + window * GRANULE, 8) == (window << 40) + 8
        assert await iatu.program(Way.INBOUND, windows, 0, 0, GRANULE) == -errno.ETIMEDOUT
        assert linux.log == ["Inbound iATU is not being enabled"]

    simulate(bench, (Bar(1 << 20),), windows)


@pytest.mark.parametrize("windows", range(1, 17))
def test_every_number_of_windows_can_be_built(windows: int) -> None:
    dut = Inbound((Bar(1 << 14),), windows)
    assert len([name for _, name, _ in Fragment.get(dut, None).subfragments if name == "registers"]) == 1
