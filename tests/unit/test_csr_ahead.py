# amaranth: UnusedElaboratable=no

"""Registers that decode a clock ahead: every access is the same, a clock later."""

import random
from collections import Counter

import pytest
from amaranth.hdl import DomainRenamer, Elaboratable, Module, ResetInserter, Signal
from amaranth.lib.wiring import In, Out
from csr_rig import EVERY_ACCESS, compile_rdl, run, write

from epbell import csr


class Late(Elaboratable):
    """Two blocks of one map: one decodes a clock ahead, the other has each access a clock later."""

    def __init__(self, node):
        self.ahead, self.plain = csr.Block(node, decode="decode"), csr.Block(node)
        self.reset = Signal()

    def elaborate(self, platform):
        m = Module()
        ahead, plain = self.ahead, self.plain
        m.submodules.ahead = DomainRenamer({"decode": "sync"})(ResetInserter(self.reset)(ahead))
        m.submodules.plain = ResetInserter(self.reset)(plain)
        for name in ("w_en", "w_addr", "w_data", "w_strb"):
            m.d.sync += getattr(plain.bus, name).eq(getattr(ahead.bus, name))
        with m.If(ahead.bus.r_load):
            m.d.sync += plain.bus.r_addr.eq(ahead.bus.r_addr)
        m.d.comb += plain.bus.r_en.eq(ahead.bus.r_en)
        return m


def members(block, direction):
    """Path and ports of all members of the fields of a direction, in one order for every block of a map."""
    for name in sorted(block.signature.members):
        if name != "bus":
            interface = getattr(block, name)
            for member, port in interface.signature.members.items():
                if port.flow is direction:
                    yield f"{name}.{member}", getattr(interface, member)


@pytest.mark.parametrize("seed", range(4))
def test_decoded_ahead_every_access_is_the_same_a_clock_later(tmp_path, seed):
    dut = Late(compile_rdl(tmp_path, EVERY_ACCESS, "every"))
    rng = random.Random(seed)
    addresses = [*range(0, 0x38, 4), *range(0x100, 0x140, 4), 0x8000]

    async def testbench(ctx):
        bus = dut.ahead.bus
        seen, hits = Counter(), 0
        for clock in range(3000):
            together = [
                (bus.w_en, rng.random() < 0.8),
                (bus.w_addr, rng.choice(addresses) | rng.randrange(4)),
                (bus.w_data, rng.choice((0xFFFF_FFFF, rng.getrandbits(32)))),
                (bus.w_strb, rng.choice((0xF, rng.getrandbits(4)))),
                (bus.r_load, clock == 0 or rng.random() < 0.7),
                (bus.r_addr, rng.choice(addresses)),
                (bus.r_en, clock > 0 and rng.random() < 0.7),
                (dut.reset, rng.random() < 0.02),
            ]
            for (_, ahead), (_, plain) in zip(members(dut.ahead, In), members(dut.plain, In), strict=True):
                value = rng.getrandbits(len(ahead)) & rng.getrandbits(len(ahead))
                together += [(ahead, value), (plain, value)]
            for port, value in together:
                ctx.set(port, value)
            for (name, ahead), (_, plain) in zip(members(dut.ahead, Out), members(dut.plain, Out), strict=True):
                value = ctx.get(ahead)
                assert value == ctx.get(plain), (clock, name)
                seen[name] += bool(value)
            if ctx.get(bus.r_en):
                assert ctx.get(bus.r_data) == ctx.get(dut.plain.bus.r_data), clock
                hits += ctx.get(bus.r_data) != 0
            await ctx.tick()
        assert min(seen.values()) > 5, seen
        assert hits > 500

    run(dut, testbench)


def test_decoded_ahead_an_accepted_write_outlives_a_reset_of_the_registers_but_not_of_all(tmp_path):
    dut = Late(compile_rdl(tmp_path, EVERY_ACCESS, "every"))
    rst = Signal()

    async def testbench(ctx):
        value = dut.ahead.field("STORAGE", "F").value
        for reset, expected in ((dut.reset, 0xFFFFFF), (rst, 0x123456)):
            ctx.set(reset, 1)
            await write(ctx, dut.ahead, 0, 0xFFFF_FFFF)  # accepted in the clock of the reset
            ctx.set(reset, 0)
            assert ctx.get(value) == 0x123456
            await ctx.tick()
            assert ctx.get(value) == expected
        await write(ctx, dut.ahead, 0, 0xFFFF_FFFF)
        ctx.set(dut.reset, 1)  # in the clock in which it is made
        await ctx.tick()
        ctx.set(dut.reset, 0)
        await ctx.tick()
        assert ctx.get(value) == 0x123456

    run(ResetInserter(rst)(dut), testbench)
