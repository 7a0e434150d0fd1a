# amaranth: UnusedElaboratable=no

"""A walk through the register tree of every block, against the RTL behind AXI4-Lite.

For each register: value after reset, access right of every field, byte strobes, reserved bits, one-to-clear. For each
page: unmapped offsets. What is expected comes from the declared properties of the tree (which tests of its own compare
with literal tables), evaluated here and not by the code that elaborates them.

A page is walked once, in one simulation, with a reset before each register; the verdict on each register is a test of
its own.
"""

import functools
import random
from dataclasses import dataclass, field

import pytest
from amaranth.hdl import ResetInserter, Signal
from quick_engine import Simulator
from regs_pages import ONES, PAGES

# Every bit up and down with all strobes, then every lane alone to the complement of what it holds, then mixtures.
WRITES = [
    (ONES, 0xF), (0, 0xF), (0xA5C3_0F96, 0xF),
    (0x5A3C_F069, 1), (0x5A3C_F069, 2), (0x5A3C_F069, 4), (0x5A3C_F069, 8),
    (0xA5C3_0F96, 0), (0xA5C3_0F96, 0b0110), (ONES, 0b1101),
]  # fmt: skip
# Nothing to keep or to clear in there: whatever is written, nothing may happen.
WRITES_READ_ONLY = [(ONES, 0xF), (0, 0xF), (0xA5C3_0F96, 0xF), (ONES, 0b0110)]


@dataclass
class Verdict:
    """What became of the checks of one register."""

    checks: int = 0
    failures: list[str] = field(default_factory=list)

    def equal(self, value, expected, what):
        self.checks += 1
        if value != expected:
            self.failures.append(f"{what}: {value:#010x}, expected {expected:#010x}")


async def walk_register(page, ctx, register, verdict):
    port, address = page.port, register.address
    known = ONES & ~register.unknown
    mur = getattr(page, "mur", 0) if register.name == "CR" else 0
    value = register.reset
    verdict.equal(await port.read(ctx, address) & known, value & known, "after reset")
    writable = register.mask("storage", "w1c", "w1s", "action")
    for data, strobes in WRITES if writable else WRITES_READ_ONLY:
        data &= ~mur
        if register.mask("w1c"):
            await page.provoke(ctx, register)
            value |= register.mask("w1c")
            verdict.equal(await port.read(ctx, address) & known, value & known, "set by hardware")
        await port.write(ctx, address, data, strobes)
        if register.mask("status"):
            await page.settle(ctx)
        value = register.after(value, data, strobes)
        verdict.equal(await port.read(ctx, address) & known, value & known, f"{data:#010x} written, {strobes:#06b}")
    await page.extras(ctx, register, verdict)


async def walk_unmapped(page, ctx, verdict):
    """Offsets near the registers, at every power of two, and at random: read as zero, ignore writes."""
    rng = random.Random("unmapped")
    mapped = {register.address for register in page.registers.values()}
    offsets = {
        *range(0, 0x40, 4),
        *(1 << bit for bit in range(2, 16)),
        *(rng.randrange(0, 0x10000, 4) for _ in range(40)),
    }
    for address in mapped:
        offsets |= {address + 4, max(address - 4, 0), *(address ^ 1 << bit for bit in range(2, 16))}
    offsets -= mapped | getattr(page, "bank", set())
    chosen = sorted(rng.sample(sorted(offsets), 100))
    for offset in chosen:
        await page.port.write(ctx, offset, ONES)
        verdict.equal(await page.port.read(ctx, offset), 0, f"unmapped {offset:#06x}")
    for register in page.registers.values():
        known = ONES & ~register.unknown
        value = await page.port.read(ctx, register.address)
        verdict.equal(value & known, register.reset & known, f"{register.name} must not change")


@functools.cache
def walk(name):
    """Walk a page; the verdict on each register, and on the unmapped offsets."""
    page = PAGES[name][1]()
    reset = Signal()
    sim = Simulator(ResetInserter(dict.fromkeys(page.domains, reset))(page.dut))
    for domain, period in zip(page.domains, (1e-6, 0.7e-6), strict=False):
        sim.add_clock(period, domain=domain)
    verdicts = {register: Verdict() for register in [*page.registers, "unmapped"]}

    async def testbench(ctx):
        page.prepare(ctx)
        for register, verdict in verdicts.items():
            ctx.set(reset, 1)
            await page.port.wait(ctx, 2 if len(page.domains) == 1 else 6)
            ctx.set(reset, 0)
            await page.port.wait(ctx, 2 if len(page.domains) == 1 else 6)
            if register == "unmapped":
                await walk_unmapped(page, ctx, verdict)
            else:
                await walk_register(page, ctx, page.registers[register], verdict)

    sim.add_testbench(testbench)
    sim.run()
    return verdicts


def in_one_worker(page, *rest):
    return pytest.param(page, *rest, marks=pytest.mark.xdist_group(page))


@pytest.mark.parametrize(
    ("page", "register"),
    [in_one_worker(page, register) for page, (names, _) in PAGES.items() for register in names],
)
def test_register(page, register):
    verdict = walk(page)[register]
    assert verdict.checks > len(WRITES_READ_ONLY)
    assert not verdict.failures, verdict.failures


@pytest.mark.parametrize("page", [in_one_worker(page) for page in PAGES])
def test_unmapped_offsets(page):
    verdict = walk(page)["unmapped"]
    assert verdict.checks >= 100
    assert not verdict.failures, verdict.failures
