"""The eDMA page on the very cycle: what is decided in docs/edma.md about the doorbell and the interrupts."""

import itertools

import pytest
from edma_rig import CLEARS, ONES, STATUSES, WORDS, play
from quick_engine import Simulator

from epbell.edma import EdmaAxil, EdmaShape

DATA = (0, 1, 2, 0x8000_0000, ONES)


@pytest.mark.parametrize("word", STATUSES)
def test_any_data_and_any_strobe_ring(word):
    async def program(rig):
        for data, strobes in itertools.product(DATA, range(16)):
            assert rig.irq == 0
            await rig.write(word, data, strobes)
            assert rig.irq == (strobes != 0)  # in the clock after the write
            assert await rig.read("WRITE_INT_STATUS") == await rig.read("READ_INT_STATUS") == 0
            await rig.write("WRITE_INT_CLEAR", 0)
            assert rig.irq == 0
        assert rig.accounts == (len(DATA) * 15, 0, len(DATA) * 15)

    play(program)


@pytest.mark.parametrize("word", CLEARS)
def test_any_data_and_any_strobe_clear(word):
    async def program(rig):
        for data, strobes in itertools.product(DATA, range(16)):
            await rig.write("READ_INT_STATUS", 0)
            assert rig.irq == 1
            await rig.write(word, data, strobes)
            assert rig.irq == (strobes == 0)
            await rig.write("READ_INT_CLEAR", 0)
            assert rig.irq == 0

    play(program)


def test_the_line_stays_until_it_is_cleared():
    async def program(rig):
        await rig.write("READ_INT_STATUS", 0)
        for offset in (0x00, 0x08, 0x48, 0x50, 0x54, 0x5C, 0x9C, 0xA4, 0xA8, 0xB0, 0x0C, 0x2C, 0x200, 0x1058, 0x80AC):
            await rig.write(offset, 0)
            assert rig.irq == 1
        for word in (*STATUSES, *CLEARS):
            await rig.read(word)  # has no side effect
            assert rig.irq == 1
        for _ in range(100):
            await rig.clock()
            assert rig.irq == 1
        await rig.write("WRITE_INT_CLEAR", 0)
        assert rig.irq == 0
        assert rig.accounts == (1, 0, 1)

    play(program)


def test_nothing_else_rings():
    async def program(rig):
        near = {word ^ 1 << bit for word in STATUSES for bit in range(2, 16)}
        for offset in near | set(range(0, 0x200, 4)) - set(STATUSES):
            await rig.write(offset, 0)
            assert rig.irq == 0
        for word in STATUSES:
            await rig.read(word)
            assert rig.irq == 0
        assert rig.accounts == (0, 0, 0)

    play(program)


@pytest.mark.parametrize("ways", [("ring",), ("bus",), ("ring", "bus")])
@pytest.mark.parametrize("latched", [False, True])
def test_ring_without_clear(ways, latched):
    async def program(rig):
        if latched:
            await rig.clock(ring=1)
        before = rig.accounts
        await rig.clock((0xA0, 0) if "bus" in ways else None, ring="ring" in ways)
        assert rig.irq == 1
        rung, merged, delivered = (now - then for now, then in zip(rig.accounts, before, strict=True))
        assert (rung, delivered) == (len(ways), 0)
        assert merged == len(ways) - (not latched)

    play(program)


@pytest.mark.parametrize("clear", CLEARS)
@pytest.mark.parametrize("latched", [False, True])
def test_ring_and_clear_in_one_clock(clear, latched):
    """The clear is for the ring before; the one in its clock is not lost."""

    async def program(rig):
        if latched:
            await rig.clock(ring=1)
        await rig.clock((clear, 0), ring=1)
        assert rig.irq == 1
        assert rig.accounts == (1 + latched, 0, latched)
        await rig.clock((clear, 0))
        assert rig.irq == 0
        assert rig.accounts == (1 + latched, 0, 1 + latched)

    play(program)


def test_ring_in_every_clock_around_the_clear():
    async def program(rig):
        for distance in range(-3, 4):
            for clock in range(-4, 5):
                await rig.clock((0xAC, 0) if clock == 0 else None, ring=clock == distance)
            assert rig.irq == (distance >= 0)
            await rig.write("WRITE_INT_CLEAR", 0)
            assert rig.irq == 0
        assert rig.accounts == (7, 0, 7)

    play(program)


def test_one_ring_in_every_clock():
    async def program(rig):
        for clock in range(16):
            await rig.clock((0x58, ONES) if clock % 4 == 3 else None, ring=1)
            assert rig.irq == 1
        assert rig.accounts == (16, 11, 4)
        assert rig.counts["rung"] == rig.counts["merged"] + rig.counts["delivered"] + 1

    play(program)


def test_clear_of_an_empty_latch():
    async def program(rig):
        await rig.write("READ_INT_CLEAR", ONES)
        await rig.write("WRITE_INT_CLEAR", ONES)
        assert rig.accounts == (0, 0, 0)
        await rig.clock(ring=1)
        assert rig.irq == 1

    play(program)


@pytest.mark.parametrize("mask", [0, ONES])
@pytest.mark.parametrize("engines", [0, 1])
@pytest.mark.parametrize("lie", [0, 1 << 3])
def test_nothing_gates_the_doorbell(mask, engines, lie):
    async def program(rig):
        for name in ("WRITE_INT_MASK", "READ_INT_MASK"):
            await rig.write(name, mask)
        for name in ("WRITE_ENGINE_EN", "READ_ENGINE_EN"):
            await rig.write(name, engines)
        for n in range(8):
            await rig.write(0x200 + 0x100 * n, lie)
        for ring in ({"write": (0x4C, 0)}, {"write": (0xA0, 0)}, {"ring": 1}):
            await rig.clock(**ring)
            assert rig.irq == 1
            await rig.write("READ_INT_CLEAR", 0)
            assert rig.irq == 0

    play(program)


@pytest.mark.parametrize(("way", "status", "mask", "clear"), [("wr", 0x4C, 0x54, 0x58), ("rd", 0xA0, 0xA8, 0xAC)])
class TestTransfers:
    """DONE and ABORT of either direction."""

    def test_each_channel(self, way, status, mask, clear):
        async def program(rig):
            await rig.enable()
            for kind, shift in (("done", 0), ("abort", 16)):
                for n in range(4):
                    await rig.clock(**{f"{way}_{kind}": 1 << n})
                    assert rig.irq == 1  # in the clock after the pulse
                    assert await rig.read(status) == 1 << n + shift
                    for other in (0x4C, 0xA0, 0x54, 0xA8):
                        assert other == status or await rig.read(other) == 0
                    errors = [await rig.read(offset) for offset in (0x5C, 0xB4, 0xB8)]
                    assert errors == [
                        1 << n if kind == "abort" and way == "wr" else 0,
                        1 << n if kind == "abort" and way == "rd" else 0,
                        0,
                    ]
                    await rig.write(clear, ONES & ~(1 << n + shift))
                    assert rig.irq == 1
                    await rig.write(clear, 1 << n + shift)
                    assert rig.irq == 0
                    assert await rig.read(status) == await rig.read(0x5C) == await rig.read(0xB4) == 0
            assert rig.accounts == (0, 0, 0)

        play(program)

    def test_pulse_and_clear_in_one_clock(self, way, status, mask, clear):
        async def program(rig):
            await rig.enable()
            for kind, bits in (("done", 0b0101), ("abort", 0b0110)):
                for _ in range(2):  # clear before, set before
                    await rig.clock((clear, ONES), **{f"{way}_{kind}": bits})
                    assert rig.irq == 1
                    assert await rig.read(status) == bits << (16 if kind == "abort" else 0)
                await rig.write(clear, ONES)
                assert rig.irq == 0

        play(program)

    def test_clear_honours_byte_strobes(self, way, status, mask, clear):
        async def program(rig):
            for strobes in range(16):
                await rig.clock(**{f"{way}_done": 0xF, f"{way}_abort": 0xF})
                await rig.write(clear, ONES, strobes)
                left = (0 if strobes & 1 else 0xF) | (0 if strobes & 4 else 0xF_0000)
                assert await rig.read(status) == left
                assert await rig.read(0x5C if way == "wr" else 0xB4) == left >> 16

        play(program)

    def test_clear_of_zero_and_writes_of_status_leave_it_alone(self, way, status, mask, clear):
        async def program(rig):
            await rig.clock(**{f"{way}_done": 0b1010, f"{way}_abort": 0b0001})
            await rig.clock(ring=1)
            for word in (*CLEARS, clear):
                await rig.write(word, 0)
            for data in DATA:
                await rig.write(status, data)
            assert await rig.read(status) == 0x0001_000A
            await rig.write(CLEARS[clear == CLEARS[0]], ONES)  # of the other direction
            assert await rig.read(status) == 0x0001_000A

        play(program)

    def test_clear_of_a_channel_drops_the_latch(self, way, status, mask, clear):
        async def program(rig):
            await rig.enable()
            await rig.clock(ring=1, **{f"{way}_done": 0b0100})
            await rig.write(clear, 0b0100)
            assert rig.irq == 0
            assert rig.accounts == (1, 0, 1)
            await rig.clock(ring=1, **{f"{way}_done": 0b0100})
            await rig.write(clear, 0)
            assert rig.irq == 1  # DONE keeps it up
            await rig.write(clear, 0b0100)
            assert rig.irq == 0

        play(program)

    def test_masks_and_local_enables(self, way, status, mask, clear):
        async def program(rig):
            await rig.enable(mask=ONES)
            for kind, shift in (("done", 0), ("abort", 16)):
                for n in range(4):
                    await rig.clock(**{f"{way}_{kind}": 1 << n})
                    assert rig.irq == 0
                    assert await rig.read(status) == 1 << n + shift  # whatever the mask is
                    await rig.write(mask, ONES & ~(1 << n + shift))
                    assert rig.irq == 1
                    block = (0x200 if way == "wr" else 0x300) + 0x200 * n
                    await rig.write(block, ONES & ~(1 << 3))
                    assert rig.irq == 0
                    await rig.write(block, 1 << 3)
                    assert rig.irq == 1
                    await rig.write(mask, 1 << n + shift)
                    assert rig.irq == 0
                    await rig.write(clear, ONES)
                    await rig.write(mask, ONES)

        play(program)

    def test_reset_masks_every_channel(self, way, status, mask, clear):
        async def program(rig):
            assert await rig.read(mask) == 0x000F_000F
            for n in range(4):
                await rig.write(0x200 + 0x200 * n, 1 << 3)
                await rig.write(0x300 + 0x200 * n, 1 << 3)
            await rig.clock(wr_done=0xF, wr_abort=0xF, rd_done=0xF, rd_abort=0xF)
            assert rig.irq == 0

        play(program)


def test_all_lines_are_the_same():
    async def program(rig):
        await rig.enable()
        assert rig.irq == 0
        await rig.clock(ring=1)
        assert rig.irq == 0xF
        await rig.write("WRITE_INT_CLEAR", 0)
        assert rig.irq == 0
        await rig.clock(rd_done=0b01)
        assert rig.irq == 0xF

    play(program, EdmaShape(write_channels=2, read_channels=2, lines=4))


@pytest.mark.parametrize(("write_channels", "read_channels"), [(1, 1), (8, 3), (2, 8)])
def test_channels_that_are_not_built(write_channels, read_channels):
    async def program(rig):
        assert await rig.read(0x08) == read_channels << 16 | write_channels
        for offset, channels in ((0x54, write_channels), (0xA8, read_channels)):
            ones = (1 << channels) - 1
            assert await rig.read(offset) == ones << 16 | ones
            await rig.write(offset, 0)
            await rig.write(offset, ONES)
            assert await rig.read(offset) == ones << 16 | ones
        for n in range(8):
            for block, channels in ((0x200, write_channels), (0x300, read_channels)):
                await rig.write(block + 0x200 * n + 0x0C, 0x1234_5678)
                assert await rig.read(block + 0x200 * n + 0x0C) == (0x1234_5678 if n < channels else 0)

    play(program, EdmaShape(write_channels=write_channels, read_channels=read_channels))


def test_linux_probe_and_doorbell():
    """dw-edma: everything off and masked at probe, the doorbell rings all the same, and the ack of it is two zeroes."""

    async def program(rig):
        assert await rig.read(0x08) == 0x0004_0004
        for name in ("WRITE_INT_MASK", "READ_INT_MASK", "WRITE_INT_CLEAR", "READ_INT_CLEAR"):
            await rig.write(name, 0x00FF_00FF)
        for name in ("WRITE_ENGINE_EN", "READ_ENGINE_EN"):
            await rig.write(name, 0)
        await rig.clock(ring=1)
        assert rig.irq == 1
        assert [await rig.read(word) for word in STATUSES] == [0, 0]
        await rig.write("WRITE_INT_CLEAR", 0)
        assert rig.irq == 0
        await rig.clock((WORDS["READ_INT_CLEAR"], 0), ring=1)
        assert rig.irq == 1  # rung between the two writes of the ack: another interrupt, not a lost one

    play(program)


def test_axil_write_to_line_is_one_clock():
    dut = EdmaAxil()
    seen = []

    async def bench(ctx):
        bus = dut.s_axil
        ctx.set(bus.bready, 1)
        ctx.set(bus.wstrb, 0xF)
        for offset, level in ((0xA0, 1), (0x58, 0), (0x4C, 1), (0xAC, 0)):
            ctx.set(bus.awaddr, offset)
            ctx.set(bus.awvalid, 1)
            ctx.set(bus.wvalid, 1)
            assert ctx.get(bus.awready)
            assert ctx.get(bus.wready)
            assert ctx.get(dut.irq) != level
            await ctx.tick()
            assert ctx.get(dut.irq) == level  # one write per clock, too
            assert ctx.get(bus.bvalid)
            assert ctx.get(bus.bresp) == 0
            seen.append(level)
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        for pulse in ("wr_done", "rd_abort"):
            ctx.set(getattr(dut, pulse), 0b1000)
        await ctx.tick()
        assert ctx.get(dut.irq) == 0  # masked after reset

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"personality": "native"}, "personality of an eDMA must be one of unroll, legacy, hdma, not 'native'"),
        ({"write_channels": 0}, "number of write channels of an eDMA must be 1 to 8, not 0"),
        ({"write_channels": 9}, "number of write channels of an eDMA must be 1 to 8, not 9"),
        ({"read_channels": 9}, "number of read channels of an eDMA must be 1 to 8, not 9"),
        ({"read_channels": 1.5}, "number of read channels of an eDMA must be 1 to 8, not 1.5"),
        ({"lines": 0}, "number of interrupt lines of an eDMA must be 1 to 16, not 0"),
        ({"lines": 17}, "number of interrupt lines of an eDMA must be 1 to 16, not 17"),
        ({"base": 2}, "must be a multiple of 4 from 0 to 0xf600, not 2"),
        ({"base": -4}, "must be a multiple of 4 from 0 to 0xf600, not -4"),
        ({"base": 0xF604}, "must be a multiple of 4 from 0 to 0xf600, not 62980"),
        ({"base": 0xFE04, "personality": "legacy"}, "must be a multiple of 4 from 0 to 0xfe00, not 65028"),
        ({"base": 0xF804, "personality": "hdma"}, "must be a multiple of 4 from 0 to 0xf800, not 63492"),
        ({"base": 0xFF04, "doorbell_only": True}, "must be a multiple of 4 from 0 to 0xff00, not 65284"),
        ({"doorbell_only": 1}, "an eDMA is a doorbell only must be True or False, not 1"),
        (
            {"doorbell_only": True, "personality": "hdma"},
            "personality of an eDMA that is a doorbell only must be unroll or legacy, not 'hdma'",
        ),
    ],
)
@pytest.mark.parametrize("make", [EdmaShape, EdmaAxil])
def test_wrong_parameters(make, parameters, message):
    with pytest.raises(ValueError, match=f"{message}$"):
        make(**parameters)


@pytest.mark.parametrize(
    ("shape", "doorbells"),
    [
        (EdmaShape(), (0x4C, 0xA0)),
        (EdmaShape("legacy"), (0x9BC, 0xA10)),
        (EdmaShape("legacy", base=0), (0x4C, 0xA0)),
        (EdmaShape(base=0xF600), (0xF64C, 0xF6A0)),
        (EdmaShape("hdma"), ()),
        (EdmaShape("legacy", doorbell_only=True), (0x9BC, 0xA10)),
        (EdmaShape(base=0xFF00, doorbell_only=True), (0xFF4C, 0xFFA0)),
    ],
)
def test_where_the_doorbells_are(shape, doorbells):
    assert shape.doorbells == doorbells
