# amaranth: UnusedElaboratable=no

"""Registers elaborated from SystemRDL: what each access does, in which cycle, and what is refused."""

import pytest
from csr_rig import EVERY_ACCESS, compile_rdl, offer, run, write

from epbell import csr


@pytest.fixture
def block(tmp_path):
    return csr.Block(compile_rdl(tmp_path, EVERY_ACCESS, "every"))


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
