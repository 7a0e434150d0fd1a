"""One clock of an eDMA page at a time, for its unit tests. Offsets are typed in from docs/edma.md's sources."""

import functools

from driver import Driver
from quick_engine import Simulator

from epbell.edma import Edma, EdmaShape

PULSES = ("wr_done", "wr_abort", "rd_done", "rd_abort")
EVENTS = ("rung", "merged", "delivered")
ONES = 0xFFFF_FFFF
WORDS = {
    "WRITE_ENGINE_EN": 0x0C,
    "READ_ENGINE_EN": 0x2C,
    "WRITE_INT_STATUS": 0x4C,
    "WRITE_INT_MASK": 0x54,
    "WRITE_INT_CLEAR": 0x58,
    "WRITE_ERR_STATUS": 0x5C,
    "READ_INT_STATUS": 0xA0,
    "READ_INT_MASK": 0xA8,
    "READ_INT_CLEAR": 0xAC,
    "READ_ERR_STATUS": 0xB4,
    "VIEWPORT_SEL": 0xFC,
}
STATUSES = (0x4C, 0xA0)
CLEARS = (0x58, 0xAC)
_USED = set()


class Rig:
    """The page and its pulse inputs; ``base`` is added to every offset."""

    def __init__(self, ctx, dut):
        self.ctx = ctx
        self.dut = dut
        self.base = dut.shape.offset
        self.driver = Driver(ctx)
        self.counts = dict.fromkeys(EVENTS, 0)

    async def clock(self, write=None, read=None, *, ring=0, **pulses):
        """Spend one clock; a write is (offset, data) or (offset, data, strobes). Return what is read in it."""
        ctx, bus = self.ctx, self.dut.bus
        offset, data, strobes = (0, 0, 0) if write is None else (*write, 0xF)[:3]
        self.driver.drive(
            (bus.w_en, write is not None),
            (bus.w_addr, self.base + offset & 0xFFFF),
            (bus.w_data, data),
            (bus.w_strb, strobes),
            (bus.r_en, read is not None),
            (bus.r_addr, self.base + (read or 0) & 0xFFFF),
            (self.dut.ring, ring),
            *((getattr(self.dut, pulse), pulses.get(pulse, 0)) for pulse in PULSES),
        )
        seen = ctx.get(bus.r_data)
        for event in EVENTS:
            self.counts[event] += ctx.get(getattr(self.dut, event))
        await ctx.tick()
        return seen

    async def write(self, offset, data, strobes=0xF):
        await self.clock((WORDS.get(offset, offset), data, strobes))

    async def read(self, offset):
        return await self.clock(read=WORDS.get(offset, offset))

    @property
    def irq(self):
        """Level of the line, in the clock that begins."""
        return self.ctx.get(self.dut.irq)

    @property
    def accounts(self):
        """Rung, merged and delivered so far."""
        return tuple(self.counts.values())

    async def enable(self, *, mask=0):
        """Take every mask away, and enable the local interrupt of every channel of the unroll map."""
        for name in ("WRITE_INT_MASK", "READ_INT_MASK"):
            await self.write(name, mask)
        for n in range(self.dut.shape.write_channels):
            await self.write(0x200 + 0x200 * n, 1 << 3)
        for n in range(self.dut.shape.read_channels):
            await self.write(0x300 + 0x200 * n, 1 << 3)


@functools.cache
def page(shape):
    """One simulator for all programs of a shape, since to make it takes longer than to run them, and its program."""
    dut = Edma(shape)
    programs = []

    async def bench(ctx):
        await programs[-1](Rig(ctx, dut))
        programs.clear()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    return simulator, programs


def play(program, shape=None):
    """Run a program on a page that has just been reset."""
    simulator, programs = page(EdmaShape() if shape is None else shape)
    if simulator in _USED:
        simulator.reset()
    _USED.add(simulator)
    programs[:] = [program]
    simulator.run()
    assert not programs, "the program did not end"
