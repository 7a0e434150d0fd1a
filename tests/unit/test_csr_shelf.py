# amaranth: UnusedElaboratable=no

"""Words in a memory: to the register port they are what flip-flops would be."""

import random

from amaranth.hdl import DomainRenamer, Elaboratable, Module, ResetInserter, Signal
from csr_rig import compile_rdl, run

from epbell import csr

SHELVED = """
addrmap shelves {
    default regwidth = 32;
    default accesswidth = 8;
    reg word { field { sw = rw; hw = na; } VALUE[31:0] = 0; };
    word FIRST[3] @ 0x00;
    reg { field { sw = rw; hw = r; } SEEN[31:0] = 0; } SEEN @ 0x0c;
    reg { field { sw = rw; hw = na; } SET[31:0] = 5; } SET @ 0x10;
    reg { field { sw = rw; hw = na; } SHORT[30:0] = 0; } SHORT @ 0x14;
    word SECOND @ 0x48;
    reg { accesswidth = 32; field { sw = rw; hw = na; } WHOLE[31:0] = 0; } WHOLE @ 0x4c;
    word THIRD @ 0x68;
    word ALONE @ 0x80;
};
"""
ADDRESSES = (*range(0, 0x1C, 4), 0x48, 0x4C, 0x68, 0x6C, 0x80, 0x84, 0x100, 0x4048, 0x8000)


class Both(Elaboratable):
    """Two blocks of one map: one with shelves, the other has flip-flops, and each access a clock later."""

    def __init__(self, node):
        self.shelves = csr.Block(node, decode="decode", read_clocks=csr.PAGE.read_clocks)
        self.plain = csr.Block(node)
        self.reset = Signal()

    def elaborate(self, platform):
        m = Module()
        shelves, plain = self.shelves, self.plain
        m.submodules.shelves = DomainRenamer({"decode": "sync"})(ResetInserter(self.reset)(shelves))
        m.submodules.plain = ResetInserter(self.reset)(plain)
        for name in ("w_en", "w_addr", "w_data", "w_strb"):
            m.d.sync += getattr(plain.bus, name).eq(getattr(shelves.bus, name))
        with m.If(shelves.bus.r_load):
            m.d.sync += plain.bus.r_addr.eq(shelves.bus.r_addr)
        m.d.comb += plain.bus.r_en.eq(shelves.bus.r_en)
        return m


def test_the_same_as_flip_flops(tmp_path):
    """Any bytes in any clock, reads of the clock of a write and before any write, resets in between."""
    dut = Both(compile_rdl(tmp_path, SHELVED, "shelves"))
    rng = random.Random(1)
    decoder = dut.shelves._decoder
    kept = [register.name for register in dut.shelves._registers if decoder.keeps(register)]
    assert kept == ["FIRST0", "FIRST1", "FIRST2", "SECOND", "THIRD"]
    seen: dict[str, set[int]] = {"partly": set(), "zero again": set()}

    async def testbench(ctx):
        bus, due, written = dut.shelves.bus, {}, set()
        address = 0
        for clock in range(6000):
            loads, reset, strobes = clock == 0 or rng.random() < 0.7, rng.random() < 0.02, rng.choice((0xF, 1, 4, 6, 0))
            target, reads = rng.choice(ADDRESSES), clock > 0 and rng.random() < 0.8
            place = rng.choice(ADDRESSES)
            for port, value in (
                (bus.w_en, rng.random() < 0.4),
                (bus.w_addr, target | rng.randrange(4)),
                (bus.w_data, rng.getrandbits(32) | 0x0101_0101),
                (bus.w_strb, strobes),
                (bus.r_load, loads),
                (bus.r_addr, place),
                (bus.r_en, reads),
                (dut.reset, reset),
            ):
                ctx.set(port, value)
            if reads:
                due[clock + csr.PAGE.read_clocks] = address, ctx.get(dut.plain.bus.r_data)
            if clock in due:
                read, word = due[clock]
                assert ctx.get(bus.r_data) == word, (clock, hex(read))
                if word and not word & 0xFF:
                    seen["partly"].add(read)
                if not word and read in written:
                    seen["zero again"].add(read)
                if word:
                    written.add(read)
            if loads:
                address = place
            await ctx.tick()

    run(dut, testbench)
    shelved = {0, 4, 8, 0x48, 0x68}
    assert shelved <= seen["partly"] & seen["zero again"]
