# amaranth: UnusedElaboratable=no

"""Registers elaborated from SystemRDL: what each access does, in which cycle, and what is refused."""

import random
from collections import Counter

import pytest
from amaranth.hdl import DomainRenamer, Elaboratable, Module, ResetInserter, Signal
from amaranth.lib.wiring import In, Out
from quick_engine import Simulator
from systemrdl import RDLCompiler
from systemrdl.messages import MessagePrinter

from epbell import csr

EVERY_ACCESS = """
addrmap every {
    default regwidth = 32;
    default accesswidth = 8;
    reg { field { sw = rw; hw = r; } F[27:4] = 0x123456; } STORAGE @ 0x00;
    reg { field { sw = r; hw = na; } F[15:8] = 0xa5; } CONSTANT @ 0x04;
    reg { field { sw = r; hw = w; } F[31:28]; } STATUS @ 0x08;
    reg { field { sw = rw; hw = r; onwrite = woclr; hwset; hwclr; } F[11:4] = 0x0f; } W1C @ 0x0c;
    reg { field { sw = rw; hw = r; onwrite = woset; hwset; hwclr; } F[11:4] = 0; } W1S @ 0x10;
    reg { field { sw = w; hw = r; singlepulse; } F[9:9] = 0; } PULSE @ 0x14;
    reg { field { sw = w; hw = r; swmod; } F[11:4]; } ACTION @ 0x18;
    reg { accesswidth = 32; field { sw = rw; hw = r; swmod; } F[31:0] = 0; } WORD @ 0x1c;
    reg { field { sw = rw; hw = r; swmod; } F[19:4] = 0; } BYTES @ 0x20;
    reg { field { sw = r; hw = w; swacc; } F[31:0] = 0; } POP @ 0x24;
    reg { field { sw = rw; hw = na; } F[7:0] = 0x77; } UNSEEN @ 0x28;
    reg { field { sw = rw; hw = r; hwclr; } F[11:4] = 0x0f; } CLEARED @ 0x30;
    reg { default sw = rw; default hw = r; field {} N0[3:3] = 1; field {} N1[1:1] = 0; field {} N2[2:2] = 0; }
    MANY @ 0x2c;
    regfile { reg { field { sw = rw; hw = r; } F[31:0] = 0; } R[2] @ 0x8; } GROUP[2] @ 0x100 += 0x20;
};
"""


class Quiet(MessagePrinter):
    def print_message(self, severity, text, src_ref):
        pass


def compile_rdl(tmp_path, text, top):
    path = tmp_path / f"{top}.rdl"
    path.write_text(text)
    compiler = RDLCompiler(message_printer=Quiet())
    compiler.compile_file(str(path))
    return compiler.elaborate(top).top


@pytest.fixture
def block(tmp_path):
    return csr.Block(compile_rdl(tmp_path, EVERY_ACCESS, "every"))


def run(block, testbench):
    sim = Simulator(block)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def offer(ctx, block, address, data, strobes=0xF):
    """Put a write on the bus; the caller looks at this cycle and then ends it."""
    ctx.set(block.bus.w_en, 1)
    ctx.set(block.bus.w_addr, address)
    ctx.set(block.bus.w_data, data)
    ctx.set(block.bus.w_strb, strobes)


async def write(ctx, block, address, data, strobes=0xF):
    offer(ctx, block, address, data, strobes)
    await ctx.tick()
    ctx.set(block.bus.w_en, 0)


def peek(ctx, block, address):
    """Read in this cycle, without a clock edge."""
    ctx.set(block.bus.r_en, 1)
    ctx.set(block.bus.r_addr, address)
    data = ctx.get(block.bus.r_data)
    ctx.set(block.bus.r_en, 0)
    return data


def test_storage_changes_at_the_edge_and_keeps_its_bytes(block):
    async def testbench(ctx):
        value = block.field("STORAGE", "F").value
        assert ctx.get(value) == 0x123456
        assert peek(ctx, block, 0) == 0x1234560
        offer(ctx, block, 0, 0xFFFF_FFFF)
        assert ctx.get(value) == 0x123456
        assert peek(ctx, block, 0) == 0x1234560
        await ctx.tick()
        ctx.set(block.bus.w_en, 0)
        assert ctx.get(value) == 0xFFFFFF
        assert peek(ctx, block, 0) == 0x0FFF_FFF0
        for lane, expected in ((0, 0x0FFF_FF00), (1, 0x0FFF_0000), (2, 0x0F00_0000), (3, 0)):
            await write(ctx, block, 0, 0, 1 << lane)
            assert peek(ctx, block, 0) == expected
        await write(ctx, block, 0, 0x1234_5678, 0b1010)
        assert peek(ctx, block, 0) == 0x0200_5600 | 0x1000_0000 & 0x0FFF_FFF0
        await write(ctx, block, 0, 0xFFFF_FFFF, 0)
        assert peek(ctx, block, 0) == 0x0200_5600

    run(block, testbench)


def test_low_address_bits_are_ignored_and_high_ones_are_not(block):
    async def testbench(ctx):
        await write(ctx, block, 0x03, 0x0ABC_DEF0)
        assert peek(ctx, block, 0x01) == 0x0ABC_DEF0
        for address in (0x8000, 0x1000, 0x40):
            await write(ctx, block, address, 0)
            assert peek(ctx, block, address) == 0
        assert peek(ctx, block, 0) == 0x0ABC_DEF0

    run(block, testbench)


def test_nothing_without_enable(block):
    async def testbench(ctx):
        offer(ctx, block, 0, 0)
        ctx.set(block.bus.w_en, 0)
        await ctx.tick()
        assert peek(ctx, block, 0) == 0x1234560
        ctx.set(block.bus.r_addr, 0)
        assert ctx.get(block.bus.r_data) == 0

    run(block, testbench)


def test_constant_and_status(block):
    async def testbench(ctx):
        assert peek(ctx, block, 4) == 0xA500
        await write(ctx, block, 4, 0xFFFF_FFFF)
        assert peek(ctx, block, 4) == 0xA500
        for value in (0, 9, 15):
            ctx.set(block.field("STATUS", "F").value, value)
            assert peek(ctx, block, 8) == value << 28
            await write(ctx, block, 8, 0x5000_0000)
            assert peek(ctx, block, 8) == value << 28

    run(block, testbench)


def test_constants_and_unseen_storage_have_no_ports(block):
    for register, field in (("CONSTANT", "F"), ("UNSEEN", "F")):
        with pytest.raises(KeyError, match=r"one that the hardware sees"):
            block.field(register, field)
    with pytest.raises(KeyError, match=r"one that the address map declares"):
        block.field("CONSTANT", "G")

    async def testbench(ctx):
        assert peek(ctx, block, 0x28) == 0x77
        await write(ctx, block, 0x28, 0x12)
        assert peek(ctx, block, 0x28) == 0x12

    run(block, testbench)


def test_one_to_clear(block):
    async def testbench(ctx):
        field = block.field("W1C", "F")
        assert peek(ctx, block, 0xC) == 0x0F0
        offer(ctx, block, 0xC, 0x050)
        assert ctx.get(field.clear_strobe) == 0x05
        assert ctx.get(field.value) == 0x0F
        await ctx.tick()
        ctx.set(block.bus.w_en, 0)
        assert ctx.get(field.clear_strobe) == 0
        assert ctx.get(field.value) == 0x0A
        await write(ctx, block, 0xC, 0x000)
        assert ctx.get(field.value) == 0x0A
        ctx.set(field.set, 0xC0)
        await ctx.tick()
        ctx.set(field.set, 0)
        assert peek(ctx, block, 0xC) == 0xCA0
        await write(ctx, block, 0xC, 0xFFF, 0b0001)
        assert peek(ctx, block, 0xC) == 0xC00
        await write(ctx, block, 0xC, 0xFFF, 0b1101)
        assert peek(ctx, block, 0xC) == 0xC00
        await write(ctx, block, 0xC, 0xFFF, 0b0010)
        assert peek(ctx, block, 0xC) == 0

    run(block, testbench)


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("by", ["software", "hardware", "both"])
def test_set_wins_over_a_clear_in_the_same_cycle(block, before, by):
    async def testbench(ctx):
        field = block.field("W1C", "F")
        ctx.set(field.set, 0xFF if before else 0)
        await write(ctx, block, 0xC, 0xFFF)
        assert ctx.get(field.value) == (0xFF if before else 0)
        # The very cycle: bit 1 is set and cleared, bit 0 is only cleared.
        ctx.set(field.set, 0b10)
        if by != "software":
            ctx.set(field.clear, 0b11)
        if by != "hardware":
            offer(ctx, block, 0xC, 0b11 << 4)
        await ctx.tick()
        assert ctx.get(field.value) & 0b11 == 0b10
        # The clear still acts when the set is over: it was a tie, not a lock.
        ctx.set(field.set, 0)
        await ctx.tick()
        assert ctx.get(field.value) & 0b11 == 0

    run(block, testbench)


def test_one_to_set_and_self_clearing(block):
    async def testbench(ctx):
        field = block.field("W1S", "F")
        offer(ctx, block, 0x10, 0x810)
        assert ctx.get(field.set_strobe) == 0x81
        assert ctx.get(field.value) == 0
        await ctx.tick()
        assert ctx.get(field.value) == 0x81
        offer(ctx, block, 0x10, 0x010)
        assert ctx.get(field.set_strobe) == 0x01  # again, though it is set already
        await ctx.tick()
        ctx.set(block.bus.w_en, 0)
        assert ctx.get(field.set_strobe) == 0
        assert peek(ctx, block, 0x10) == 0x810
        await write(ctx, block, 0x10, 0)
        assert peek(ctx, block, 0x10) == 0x810
        ctx.set(field.clear, 0x01)
        await ctx.tick()
        assert peek(ctx, block, 0x10) == 0x800
        # Tie: software sets bit 0 while the hardware clears it, the hardware sets bit 1 while it clears it.
        ctx.set(field.clear, 0x83)
        ctx.set(field.set, 0x02)
        await write(ctx, block, 0x10, 0x010)
        assert peek(ctx, block, 0x10) == 0x030

    run(block, testbench)


def test_pulse(block):
    async def testbench(ctx):
        pulse = block.field("PULSE", "F").pulse
        for data, strobes, expected in ((0x200, 0xF, 1), (0x200, 0b0010, 1), (0x200, 0b1101, 0), (0xFDFF, 0xF, 0)):
            offer(ctx, block, 0x14, data, strobes)
            assert ctx.get(pulse) == expected
            await ctx.tick()
            ctx.set(block.bus.w_en, 0)
            assert ctx.get(pulse) == 0
            assert peek(ctx, block, 0x14) == 0

    run(block, testbench)


def test_write_action(block):
    async def testbench(ctx):
        field = block.field("ACTION", "F")
        cases = ((0xABC, 0xF, 1, 0xAB), (0xABC, 0b0001, 1, 0x0B), (0xABC, 0b0010, 1, 0xA0), (0xABC, 0b1100, 0, None))
        for data, strobes, stb, seen in cases:
            offer(ctx, block, 0x18, data, strobes)
            assert ctx.get(field.w_stb) == stb
            if stb:
                assert ctx.get(field.w_data) == seen
            await ctx.tick()
            ctx.set(block.bus.w_en, 0)
            assert ctx.get(field.w_stb) == 0
            assert peek(ctx, block, 0x18) == 0

    run(block, testbench)


def test_whole_word_register_ignores_every_partial_write(block):
    async def testbench(ctx):
        field = block.field("WORD", "F")
        for strobes in range(15):
            offer(ctx, block, 0x1C, 0xFFFF_FFFF, strobes)
            assert ctx.get(field.w_stb) == 0
            await ctx.tick()
            assert peek(ctx, block, 0x1C) == 0
        offer(ctx, block, 0x1C, 0xDEAD_BEEF)
        assert ctx.get(field.w_stb) == 1
        assert ctx.get(field.w_data) == 0xDEAD_BEEF
        await ctx.tick()
        assert ctx.get(field.value) == 0xDEAD_BEEF
        assert peek(ctx, block, 0x1C) == 0xDEAD_BEEF

    run(block, testbench)


def test_write_seen_on_storage_tells_the_value_to_come(block):
    async def testbench(ctx):
        field = block.field("BYTES", "F")
        for data, strobes, stb, value in (
            (0xABCD0, 0xF, 1, 0xABCD),
            (0x12345, 0b0010, 1, 0xA23D),
            (0, 0b1000, 0, 0xA23D),
        ):
            offer(ctx, block, 0x20, data, strobes)
            assert ctx.get(field.w_stb) == stb
            assert ctx.get(field.w_data) == value
            await ctx.tick()
            assert ctx.get(field.value) == value

    run(block, testbench)


def test_read_action(block):
    async def testbench(ctx):
        field = block.field("POP", "F")
        ctx.set(field.value, 0x1234_5678)
        ctx.set(block.bus.r_addr, 0x24)
        assert ctx.get(field.r_stb) == 0
        ctx.set(block.bus.r_en, 1)
        assert ctx.get(field.r_stb) == 1
        assert ctx.get(block.bus.r_data) == 0x1234_5678
        ctx.set(block.bus.r_addr, 0x20)
        assert ctx.get(field.r_stb) == 0

    run(block, testbench)


def test_write_and_read_in_one_cycle(block):
    async def testbench(ctx):
        offer(ctx, block, 0x1C, 0x55)
        ctx.set(block.bus.r_en, 1)
        ctx.set(block.bus.r_addr, 0x1C)
        assert ctx.get(block.bus.r_data) == 0
        await ctx.tick()
        assert ctx.get(block.bus.r_data) == 0x55

    run(block, testbench)


def test_vector_is_in_order_of_numbers_wherever_the_bits_are(block):
    async def testbench(ctx):
        vector = block.vector("MANY", "N")
        assert len(vector) == 3
        assert ctx.get(vector) == 0b001
        await write(ctx, block, 0x2C, 1 << 1)
        assert ctx.get(vector) == 0b010
        await write(ctx, block, 0x2C, 1 << 2)
        assert ctx.get(vector) == 0b100

    run(block, testbench)
    with pytest.raises(KeyError, match=r"numbered fields in MANY, not 'X'"):
        block.vector("MANY", "X")
    with pytest.raises(KeyError, match=r"must be one of value, not 'set'"):
        block.vector("MANY", "N", "set")


def test_arrays_have_flat_names(block):
    async def testbench(ctx):
        for n, address in enumerate((0x108, 0x10C, 0x128, 0x12C)):
            await write(ctx, block, address, 0x100 + n)
            assert ctx.get(block.field(f"GROUP{n // 2}_R{n % 2}", "F").value) == 0x100 + n
        assert [peek(ctx, block, address) for address in (0x108, 0x10C, 0x128, 0x12C)] == [0x100, 0x101, 0x102, 0x103]

    run(block, testbench)


def test_address_map_larger_than_the_bus(tmp_path):
    node = compile_rdl(tmp_path, EVERY_ACCESS, "every")
    with pytest.raises(ValueError, match=r"needs 0x140 bytes; .* not 8$"):
        csr.Block(node, addr_width=8)
    csr.Block(node, addr_width=9)


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


def test_signature_is_a_value():
    assert csr.Signature(16) == csr.Signature()
    assert csr.Signature(16) != csr.Signature(12)
    assert hash(csr.Signature(12)) == hash(csr.Signature(12))
    assert (csr.Signature(12).addr_width, csr.Signature(12).data_width) == (12, 32)
    assert repr(csr.Signature(12)) == "csr.Signature(addr_width=12, data_width=32)"


@pytest.mark.parametrize("width", [2, 65, "16"])
def test_address_width_out_of_range(width):
    with pytest.raises(ValueError, match=rf"must be 3 to 64 bits, not {width!r}$"):
        csr.Signature(width)


def test_data_width_other_than_32():
    with pytest.raises(ValueError, match=r"must be 32 bits, not 64$"):
        csr.Signature(16, 64)


def test_field_signature_is_a_value(block):
    one, other = block.field("GROUP0_R0", "F").signature, block.field("GROUP1_R1", "F").signature
    assert one == other
    assert hash(one) == hash(other)
    assert one != block.field("WORD", "F").signature
    assert repr(one) == "csr.FieldSignature(STORAGE, width=32, options=['visible'])"


def test_storage_that_the_hardware_clears(block):
    """Bit by bit; a write in the same cycle comes before it."""
    field = block.field("CLEARED", "F")

    async def testbench(ctx):
        assert ctx.get(field.value) == 0x0F
        ctx.set(field.clear, 0x81)
        await ctx.tick()
        assert ctx.get(field.value) == 0x0E
        offer(ctx, block, 0x30, 0xFF0)
        await ctx.tick()
        assert ctx.get(field.value) == 0x7E
        ctx.set(field.clear, 0)
        await ctx.tick()
        assert ctx.get(field.value) == 0xFF

    run(block, testbench)
