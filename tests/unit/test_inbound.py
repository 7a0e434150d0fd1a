"""The inbound windows alone: every request against the reference model, and windows that change under way."""

from __future__ import annotations

import random
from typing import Any

import pytest
from driver import Driver
from quick_engine import Simulator
from register_page import read_page
from usp_packets import BAR_BASE, BARS

from epbell.bar import Bar
from epbell.inbound import FixedBar, Inbound
from epbell_models.reference.iatu import Refusal
from epbell_models.reference.inbound import InboundWindows

CTRL1, CTRL2, LOWER_BASE, UPPER_BASE, LIMIT, LOWER_TARGET, UPPER_TARGET, UPPER_LIMIT = (
    0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x20,
)  # fmt: skip
ENABLE, BAR_MATCH, FUNCTION_MATCH, INCREASE = 1 << 31, 1 << 30, 1 << 19, 1 << 13
LOW = 0xFFFF_FFFF
STAGES = 3
BARS_WITH_FIXED = (Bar(4 << 10), Bar(256 << 10))
SIZES = tuple(bar.size if bar else 0 for bar in BARS)


class Rig:
    """The block and the model, with the same register writes and the same requests."""

    def __init__(self, ctx: Any, dut: Inbound, windows: int) -> None:
        self.ctx, self.dut, self.model = ctx, dut, InboundWindows(SIZES, windows)
        self.driver = Driver(ctx)

    async def write(self, offset: int, value: int, strobes: int = 0xF) -> None:
        ctx, bus = self.ctx, self.dut.bus
        self.driver.drive((bus.w_en, 1), (bus.w_addr, offset), (bus.w_data, value), (bus.w_strb, strobes))
        await ctx.tick()
        self.driver.drive((bus.w_en, 0))
        self.model.write32(offset, value, strobes)

    async def read(self, offset: int) -> int:
        ctx, bus = self.ctx, self.dut.bus
        await ctx.tick()  # a write that is at the port is made then
        return await read_page(ctx, bus, offset)

    async def aim(self, window: int, base: int, limit: int, target: int, ctrl1: int = 0, ctrl2: int = ENABLE) -> None:
        values = {LOWER_BASE: base & LOW, UPPER_BASE: base >> 32, LIMIT: limit & LOW, UPPER_LIMIT: limit >> 32}
        values |= {LOWER_TARGET: target & LOW, UPPER_TARGET: target >> 32, CTRL1: ctrl1, CTRL2: ctrl2}
        for register, value in values.items():
            await self.write(0x200 * window + 0x100 + register, value)
        await self.ctx.tick().repeat(2)

    async def ask(self, bar: int, address: int, length: int = 1, function: int = 0) -> int | None:
        """Offer a request for three clocks; return the local address, None when it is refused."""
        ctx, dut = self.ctx, self.dut
        request = (dut.bar, bar), (dut.address, address), (dut.length, length), (dut.function, function)
        self.driver.drive(*request, (dut.address_again, address))
        await ctx.tick().repeat(STAGES)
        assert ctx.get(dut.local) & 0x7F == address & 0x7F, "the lower address of a completion, even of a refusal"
        return ctx.get(dut.local) if ctx.get(dut.claimed) and ctx.get(dut.fits) else None

    async def compare(self, bar: int, offset: int, length: int = 1, function: int = 0) -> int | None:
        """Offer a request to both."""
        address = BAR_BASE[bar] + offset
        crosses = offset + 4 * length > SIZES[bar] or address % 4096 + 4 * length > 4096
        expected = self.model.translate(bar, function, offset, address, 4 * length)
        got = await self.ask(bar, address, length, function)
        assert got == (None if crosses or isinstance(expected, Refusal) else expected), (bar, hex(offset), expected)
        return got


def simulate(bench: Any, windows: int = 6, fixed: FixedBar | None = None) -> None:
    dut = Inbound(BARS if fixed is None else BARS_WITH_FIXED, windows, fixed)

    async def testbench(ctx: Any) -> None:
        await bench(Rig(ctx, dut, windows))

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("windows", "rounds"), [(1, 400), (6, 150), (16, 80)])
def test_random_windows_and_requests(windows: int, rounds: int) -> None:
    """Both match modes, overlaps, limits beyond 4 GiB, 64-bit targets, partial register writes, other functions."""
    rng = random.Random(windows)

    def edge() -> int:
        """An address around some BAR."""
        bar = rng.randrange(len(BAR_BASE))
        return BAR_BASE[bar] + 4096 * rng.randrange(-1, max(SIZES[bar] // 4096, 1) + 1)

    async def bench(rig: Rig) -> None:
        claimed = refused = 0
        for _ in range(rounds):
            ctrl2 = rng.choice((ENABLE, ENABLE, ENABLE | BAR_MATCH, ENABLE | BAR_MATCH, BAR_MATCH, 0))
            ctrl2 |= rng.choice((0, 0, FUNCTION_MATCH)) | rng.randrange(8) << 8
            ctrl1 = rng.choice((0, 0, 0, 2, 4)) | rng.choice((0, INCREASE)) | rng.randrange(2) << 20
            base = edge()
            limit = rng.choice((base | 0xFFF, edge() - 1, base + (rng.randrange(3) << 32), rng.getrandbits(64)))
            target = rng.choice((rng.getrandbits(64), rng.getrandbits(32)))
            await rig.aim(rng.randrange(windows), base, limit, target, ctrl1, ctrl2)
            if rng.random() < 0.3:
                await rig.write(0x100 + 0x200 * rng.randrange(windows) + CTRL2, rng.getrandbits(32), rng.randrange(16))
                await rig.ctx.tick().repeat(2)
            for _ in range(12):
                bar = rng.randrange(len(BAR_BASE))
                page = rng.randrange(max(SIZES[bar] // 4096, 1)) * 4096
                offset = page + rng.choice((0, 4 * rng.randrange(1024), 4092)) % SIZES[bar]
                got = await rig.compare(bar, offset, rng.choice((1, 1, 2, 4, 1024)), rng.randrange(3))
                claimed, refused = claimed + (got is not None), refused + (got is None)
        assert claimed > 50
        assert refused > 50

    simulate(bench, windows)


def test_edges_of_a_window_in_address_match() -> None:
    """First and last dword are in, their neighbours are not; a longer request is in with its last dword, too."""

    async def bench(rig: Rig) -> None:
        base = BAR_BASE[0] + 0x1000
        await rig.aim(2, base, base + 0x1FFF, 0x6000_5000)
        assert await rig.compare(0, 0xFFC) is None
        assert await rig.compare(0, 0x1000) == 0x6000_5000
        assert await rig.compare(0, 0x2FFC) == 0x6000_6FFC
        assert await rig.compare(0, 0x3000) is None
        assert await rig.compare(0, 0x2FF0, 4) == 0x6000_6FF0
        assert await rig.compare(0, 0x2FF0, 5) is None
        assert await rig.compare(0, 0x1FFC, 2) is None, "a request never crosses 4 KiB, not even inside of the window"

    simulate(bench)


@pytest.mark.parametrize("grows", [False, True])
def test_upper_limit_counts_with_increase_region_size(grows: bool) -> None:
    async def bench(rig: Rig) -> None:
        base, limit = BAR_BASE[4] - (1 << 32), BAR_BASE[4] + 0xFFF
        await rig.aim(0, base, limit, 0xABCD_0000_0000_0000, INCREASE if grows else 0)
        assert await rig.compare(4, 0x10) == (0xABCD_0001_0000_0010 if grows else None)
        await rig.aim(0, base, limit & LOW, 0, INCREASE if grows else 0)
        assert await rig.compare(4, 0x10) is None

    simulate(bench)


def test_target_wraps_at_64_bits_and_no_sooner() -> None:
    async def bench(rig: Rig) -> None:
        base = BAR_BASE[0]
        await rig.aim(0, base, base + 0x3FFF, 0xFFFF_F000)
        assert await rig.compare(0, 0x1000) == 1 << 32
        await rig.aim(0, base, base + 0x3FFF, 0xFFFF_FFFF_FFFF_F000)
        assert await rig.compare(0, 0x1004) == 4

    simulate(bench)


def test_address_match_of_what_no_bar_is() -> None:
    """The hard block names a BAR with every request; 5 is the upper half of BAR 4, 6 the expansion ROM, 7 none."""

    async def bench(rig: Rig) -> None:
        await rig.aim(0, 0, (1 << 64) - 1, 0, INCREASE)
        for bar in range(8):
            assert (await rig.ask(bar, 0x8000_0000) is None) == (bar > 4)

    simulate(bench)


def test_a_fixed_bar_does_not_ask_the_windows() -> None:
    """It shows its page without a window and with any; behind the page there is nothing, whatever they say."""
    number, page, base = 1, 0x5F09_0000, 0x8010_0000

    async def shows_its_page_once(rig: Rig) -> None:
        for offset in (0, 0xA0, 0x1004, 0xFFFC):
            assert await rig.ask(number, base + offset) == page + offset
        for offset in (0x1_0000, 0x1_00A0, 0x3_FFFC):
            assert await rig.ask(number, base + offset) is None

    async def bench(rig: Rig) -> None:
        await shows_its_page_once(rig)
        for ctrl2 in (ENABLE, ENABLE | BAR_MATCH | number << 8, BAR_MATCH | number << 8):
            await rig.aim(1, base, base + 0x3_FFFF, 0x6000_0000, 0, ctrl2)
            await shows_its_page_once(rig)
        assert await rig.ask(0, base + 0xA0) is None
        await rig.aim(1, base, base + 0xFFF, 0x6000_0000)
        assert await rig.ask(0, base + 0xA0) == 0x6000_00A0, "the windows are for the other BARs"

    simulate(bench, 2, FixedBar(number, page))


@pytest.mark.parametrize("match", [0, BAR_MATCH])
def test_registers_take_effect_together(match: int) -> None:
    """Whatever is written meanwhile, and whenever a request comes: it goes to the old or to the new target."""

    async def bench(rig: Rig) -> None:
        base = BAR_BASE[0]
        await rig.aim(0, base, base + 0x3FFF, 0x6000_0000, 0, ENABLE | match)
        for register, value in (
            (LOWER_BASE, base + 0x1000), (UPPER_BASE, 0), (LIMIT, base + 0x2FFF), (UPPER_LIMIT, 5),
            (LOWER_TARGET, 0x5D30_0000), (UPPER_TARGET, 9), (CTRL1, INCREASE),
        ):  # fmt: skip
            await rig.write(0x100 + register, value)
            for _ in range(3):
                assert await rig.ask(0, base + 0x1010) == 0x6000_1010
        new = 0x9_5D30_1010 if match else 0x9_5D30_0010
        ctx, dut = rig.ctx, rig.dut
        answers = []
        await rig.write(0x100 + CTRL2, 0x80, 0b0001)  # a byte that says nothing new; made in the clock that begins here
        for _ in range(3 + STAGES):
            answers.append(ctx.get(dut.local))
            await ctx.tick()
        old = 0x6000_1010
        assert answers == [old] * (2 + STAGES) + [new], "looked at two clocks after it is made, or later"

    simulate(bench)


def test_a_request_goes_to_the_target_of_one_clock() -> None:
    """Requests one after the other, while a window is aimed to and fro."""
    rng = random.Random(7)
    base, targets = BAR_BASE[0], (0x6000_0000, 0x5D30_0000)

    async def bench(rig: Rig) -> None:
        ctx, dut, bus = rig.ctx, rig.dut, rig.dut.bus
        await rig.aim(0, base, base + 0x3FFF, targets[0])
        inside: list[tuple[int, int]] = []  # offset, and where the window was aimed in the clock of the request
        aimed, seen = [0] * 4, set()
        for step in range(600):
            offset = 4 * rng.randrange(1024)
            address = (dut.address, base + offset), (dut.address_again, base + offset)
            request = (dut.bar, 0), *address, (dut.length, 1), (dut.function, 0)
            target = step // 2 % 2
            register, value = (CTRL2, ENABLE) if step % 2 else (LOWER_TARGET, targets[target])
            write = (bus.w_en, 1), (bus.w_addr, 0x100 + register), (bus.w_data, value), (bus.w_strb, 15)
            rig.driver.drive(*request, *write)
            aimed.append(target if step % 2 else aimed[-1])
            await ctx.tick()
            inside.append((offset, aimed[-4]))
            if len(inside) >= STAGES:
                offset, way = inside.pop(0)
                assert ctx.get(dut.local) == targets[way] + offset, step
                assert ctx.get(dut.claimed) & ctx.get(dut.fits)
                seen.add(way)
        assert seen == {0, 1}

    simulate(bench)


def test_linux_finds_number_alignment_and_limit() -> None:
    """As the DesignWare driver asks the registers, in its order."""

    async def bench(rig: Rig) -> None:
        count = 0
        while True:
            await rig.write(0x200 * count + 0x100 + LOWER_TARGET, 0x1111_0000)
            if await rig.read(0x200 * count + 0x100 + LOWER_TARGET) != 0x1111_0000:
                break
            count += 1
        await rig.write(0x100 + LIMIT, 0)
        align = 1 << (await rig.read(0x100 + LIMIT)).bit_length()
        await rig.write(0x100 + UPPER_LIMIT, LOW)
        assert (count, align, await rig.read(0x100 + UPPER_LIMIT)) == (3, 4096, LOW)
        for register in (LOWER_BASE, LOWER_TARGET):
            await rig.write(0x100 + register, LOW)
            assert await rig.read(0x100 + register) == 0xFFFF_F000

    simulate(bench, 3)
