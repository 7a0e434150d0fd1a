"""The Messaging Unit on the very cycle: what is decided in docs/mu.md, in the single-clock build."""

import functools
import random
from collections import Counter

import pytest
from amaranth.hdl import Cat, Elaboratable, Module
from driver import Driver
from quick_engine import Simulator

from epbell.mu import LAYOUTS, MessagingUnit, MuAxil
from epbell.mu_side import MuSide
from epbell_models.reference.mu import MUR_CLOCKS
from epbell_tb.mu_traffic import KINDS, Registers, Traffic


class Rig:
    """Both register ports, one clock at a time: what is asked for in a clock is answered, and takes effect, in it."""

    def __init__(self, ctx, dut, layout):
        self.ctx = ctx
        self.dut = dut
        self.regs = Registers(layout)
        self.driver = Driver(ctx)
        self.v2 = layout == "imx8ulp"
        self.events = []

    async def clock(self, a_write=None, a_read=None, b_write=None, b_read=None):
        """One clock of accesses; a write is (offset, data) or (offset, data, strobes)."""
        ctx, inputs = self.ctx, []
        for port, write, read in ((self.dut.a, a_write, a_read), (self.dut.b, b_write, b_read)):
            if write is not None:
                strobes = write[2] if len(write) > 2 else 0xF
                inputs += [(port.w_addr, write[0]), (port.w_data, write[1]), (port.w_strb, strobes)]
            inputs += [(port.w_en, write is not None), (port.r_en, read is not None), (port.r_addr, read or 0)]
        self.driver.drive(*inputs)
        seen = ctx.get(self.dut.a.r_data), ctx.get(self.dut.b.r_data)
        self.events.append(tuple(ctx.get(getattr(self.dut.b_to_a, e)) for e in ("rung", "merged", "delivered")))
        await ctx.tick()
        return seen

    async def read(self, side, offset):
        return (await self.clock(**{f"{side}_read": offset}))[side == "b"]

    async def write(self, side, offset, data, strobes=0xF):
        await self.clock(**{f"{side}_write": (offset, data, strobes)})

    async def get(self, side, group):
        """Read a group of bits, in channel order."""
        return self.regs.channels(group, await self.read(side, self.regs.home(group)))

    async def put(self, side, group, channels):
        """Write a group of bits; with V1 and 7ULP, the others of the register become 0."""
        await self.write(side, self.regs.home(group), self.regs.mask(group, channels))

    def tr(self, n):
        return self.regs.offset[f"TR{n}"]

    def rr(self, n):
        return self.regs.offset[f"RR{n}"]

    def gir(self, channels):
        return self.regs.home("GIR"), self.regs.mask("GIR", channels)

    def gip(self, channels):
        return self.regs.home("GIP"), self.regs.mask("GIP", channels)

    @property
    def mur(self):
        return self.regs.home("MUR"), self.regs.mask("MUR")

    @property
    def irq(self):
        return self.ctx.get(self.dut.a_irq), self.ctx.get(self.dut.b_irq)

    def counted(self, event, channel):
        index = ("rung", "merged", "delivered").index(event)
        return sum(pulses[index] >> channel & 1 for pulses in self.events)


@functools.cache
def unit(layout):
    """One simulator for all programs of a layout, since to make it takes longer than to run them, and its programs."""
    dut = MessagingUnit(layout)
    programs = []

    async def bench(ctx):
        await programs[-1](Rig(ctx, dut, layout))
        programs.append(None)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    return simulator, programs


@pytest.fixture(params=LAYOUTS)
def play(request):
    """Run a program on a unit that has just been reset."""

    def start(program):
        simulator, programs = unit(request.param)
        if programs:
            simulator.reset()
        programs.append(program)
        simulator.run()
        assert programs[-1] is None, "the program did not end"

    return start


@pytest.mark.parametrize("make", [MessagingUnit, MuAxil, MuSide])
def test_unknown_layout_is_refused(make):
    with pytest.raises(ValueError, match=r"imx6sx, imx7ulp, imx8ulp, not 'imx9'$"):
        make("imx9")


def test_one_doorbell_per_clock(play):
    async def program(rig):
        await rig.put("a", "RIE", 0xF)
        assert rig.irq == (0, 0)
        for clock in range(16):
            _, _ = await rig.clock(b_write=(rig.tr(clock % 4), clock), a_read=rig.rr((clock - 1) % 4))
            assert rig.irq == (1, 0)  # in the clock after the write, for the word just written
        assert await rig.get("a", "RF") == 0b1000
        assert [rig.counted("rung", n) for n in range(4)] == [4] * 4
        assert [rig.counted("delivered", n) for n in range(4)] == [4, 4, 4, 3]
        assert [rig.counted("merged", n) for n in range(4)] == [0] * 4

    play(program)


def test_write_when_full(play):
    async def program(rig):
        await rig.write("b", rig.tr(2), 1)
        await rig.write("b", rig.tr(2), 2)
        assert await rig.get("a", "RF") == 0b0100
        assert await rig.get("b", "TE") == 0b1011
        assert await rig.read("a", rig.rr(2)) == 2
        assert await rig.get("a", "RF") == 0
        assert [rig.counted(event, 2) for event in ("rung", "merged", "delivered")] == [2, 1, 1]

    play(program)


def test_read_when_empty(play):
    async def program(rig):
        assert await rig.read("a", rig.rr(0)) == 0
        await rig.write("b", rig.tr(0), 77)
        for _ in range(3):
            assert await rig.read("a", rig.rr(0)) == 77
        assert await rig.get("b", "TE") == 0xF
        assert rig.counted("delivered", 0) == 1

    play(program)


def test_write_and_read_in_one_clock(play):
    async def program(rig):
        await rig.put("a", "RIE", 0b0010)
        await rig.write("b", rig.tr(1), 10)
        seen, _ = await rig.clock(b_write=(rig.tr(1), 11), a_read=rig.rr(1))
        assert seen == 10
        assert rig.irq == (1, 0)
        assert await rig.get("b", "TE") == 0b1101
        assert await rig.read("a", rig.rr(1)) == 11
        assert rig.irq == (0, 0)
        seen, _ = await rig.clock(b_write=(rig.tr(1), 12), a_read=rig.rr(1))  # empty
        assert seen == 11
        assert await rig.get("a", "RF") == 0b0010
        assert [rig.counted(event, 1) for event in ("rung", "merged", "delivered")] == [3, 0, 2]

    play(program)


def test_partial_store_never_rings(play):
    async def program(rig):
        for strobes in range(15):
            await rig.write("b", rig.tr(3), 0xFFFF_FFFF, strobes)
        assert await rig.get("a", "RF") == 0
        assert await rig.read("a", rig.rr(3)) == 0
        assert rig.counted("rung", 3) == 0

    play(program)


def test_request_wins_over_acknowledge(play):
    async def program(rig):
        await rig.put("a", "GIE", 0b0001)
        await rig.clock(b_write=rig.gir(0b0001))
        assert rig.irq == (1, 0)
        await rig.clock(b_write=rig.gir(0b0001), a_write=rig.gip(0b0001))
        assert rig.irq == (1, 0)
        assert await rig.get("b", "GIR") == 0b0001
        await rig.clock(b_write=(rig.gir(0)[0], 0))  # 0 takes nothing back
        assert await rig.get("a", "GIP") == 0b0001
        await rig.clock(a_write=rig.gip(0b1110))
        assert rig.irq == (1, 0)
        await rig.clock(a_write=rig.gip(0b0001))
        assert rig.irq == (0, 0)
        assert await rig.get("b", "GIR") == 0

    play(program)


def test_masked_stays_silent_and_enable_fires(play):
    async def program(rig):
        await rig.put("a", "RIE", 0b0111)
        await rig.write("b", rig.tr(3), 1)
        await rig.clock(b_write=rig.gir(0b1111))
        for _ in range(50):
            await rig.clock()
            assert rig.irq == (0, 0)
        await rig.put("a", "RIE", 0b1000)
        assert rig.irq == (1, 0)
        await rig.put("a", "RIE", 0b0000)
        assert rig.irq == (0, 0)

    play(program)


def test_level_drops_with_the_last_enabled_word(play):
    async def program(rig):
        await rig.put("a", "RIE", 0b0111)
        for n in range(4):
            await rig.write("b", rig.tr(n), n)
        for n, level in ((0, 1), (3, 1), (2, 1), (1, 0)):
            await rig.read("a", rig.rr(n))
            assert rig.irq == (level, 0)

    play(program)


def test_transmit_interrupt_is_the_level_of_empty(play):
    async def program(rig):
        await rig.write("a", rig.tr(2), 5)
        await rig.put("a", "TIE", 0b0100)
        assert rig.irq == (0, 0)
        await rig.read("b", rig.rr(2))
        assert rig.irq == (1, 0)
        await rig.write("a", rig.tr(2), 6)
        assert rig.irq == (0, 0)

    play(program)


@pytest.mark.parametrize("side", ["a", "b"])
def test_mur_wins_over_everything(play, side):
    async def program(rig):
        far = "b" if side == "a" else "a"
        rivals = [(rig.tr(0), 9), rig.gir(0xF), rig.gip(0xF), (rig.regs.home("RIE"), rig.regs.mask("RIE"))]
        rivals += [(rig.regs.home("F"), 7), (rig.regs.home("TIE"), rig.regs.mask("TIE"))]
        for rival in rivals:
            await rig.write("b", rig.tr(0), 8)
            before = [rig.counted(event, 0) for event in ("rung", "merged")]
            await rig.clock(**{f"{side}_write": rig.mur, f"{far}_write": rival})
            assert [rig.counted(event, 0) for event in ("rung", "merged")] == [before[0], before[1] + 1]
            assert rig.irq == (0, 0)
            for one in "ab":
                assert await rig.get(one, "RF") == await rig.get(one, "GIP") == await rig.get(one, "GIR") == 0
                assert await rig.get(one, "TE") == 0xF
                assert await rig.read(one, rig.regs.home("F")) & 7 == 0
                assert await rig.get(one, "RIE") == await rig.get(one, "TIE") == 0

    play(program)


def test_ring_right_after_mur_counts(play):
    async def program(rig):
        status = rig.regs.offset["SR"]
        bit = rig.regs.bit("SR", rig.regs.in_reset)
        await rig.clock(a_write=rig.mur)
        for _ in range(MUR_CLOCKS):
            seen = await rig.clock(a_read=status, b_read=status, b_write=(rig.tr(0), 3))
            assert seen[0] & seen[1] & bit
        assert not await rig.read("a", status) & bit
        assert await rig.get("a", "RF") == 1
        assert await rig.read("a", rig.rr(0)) == 3
        assert [rig.counted(event, 0) for event in ("rung", "merged", "delivered")] == [MUR_CLOCKS, MUR_CLOCKS - 1, 1]

    play(program)


def test_mailbox_probe(play):
    """imx-mailbox at probe: clear all enables, write the status back, read the four words without a look at RF."""

    async def program(rig):
        await rig.write("b", rig.tr(0), 9)
        await rig.clock(b_write=rig.gir(0b0010))
        for group in ("MUR", "GIE", "GIR", "TIE", "RIE"):
            await rig.write("a", rig.regs.home(group), 0)
        status = rig.regs.home("GIP")
        await rig.write("a", status, await rig.read("a", status))
        assert await rig.get("b", "GIR") == 0
        assert [await rig.read("a", rig.rr(n)) for n in range(4)] == [9, 0, 0, 0]
        assert (await rig.get("a", "RF"), await rig.get("a", "TE")) == (0, 0xF)
        await rig.write("b", rig.tr(0), 10)
        assert await rig.get("a", "RF") == 1

    play(program)


def test_murip():
    dut = MessagingUnit("imx8ulp")

    async def bench(ctx):
        rig = Rig(ctx, dut, "imx8ulp")
        await rig.write("b", 0x008, 1)
        await rig.clock()
        assert await rig.read("a", 0x00C) & 2
        assert not await rig.read("b", 0x00C) & 2
        await rig.write("a", 0x008, 2)
        assert rig.irq == (1, 0)
        await rig.write("a", 0x00C, 2)
        assert rig.irq == (0, 0)
        await rig.clock(a_write=(0x008, 1), b_write=(0x008, 1))
        await rig.clock(a_write=(0x00C, 2))  # it is being set in this very clock: set wins
        assert await rig.read("a", 0x00C) & await rig.read("b", 0x00C) & 2

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


class Late(Elaboratable):
    """Two units of one layout: one decodes a clock ahead, the other has each access a clock later."""

    def __init__(self, layout):
        self.ahead, self.plain = MessagingUnit(layout, registered=True), MessagingUnit(layout)

    def elaborate(self, platform):
        m = Module()
        m.submodules.ahead, m.submodules.plain = self.ahead, self.plain
        for side in "ab":
            ahead, plain = getattr(self.ahead, side), getattr(self.plain, side)
            for name in ("w_en", "w_addr", "w_data", "w_strb", "r_addr"):
                m.d.sync += getattr(plain, name).eq(getattr(ahead, name))
            m.d.comb += [ahead.r_load.eq(1), plain.r_en.eq(ahead.r_en)]
        return m

    def lines(self, unit):
        """Return the lines as they have to be: those of the plain unit, and words that come count already."""
        if unit is self.ahead:
            return Cat(unit.a_irq, unit.b_irq)
        a, b = unit._side_a, unit._side_b
        stays = ~(a.mur | b.mur)
        comes = [(far.ring & near._vector("RIE")).any() & stays for near, far in ((a, b), (b, a))]
        return Cat(unit.a_irq | comes[0], unit.b_irq | comes[1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_registered_every_access_is_the_same_a_clock_later(layout):
    dut, traffic = Late(layout), Traffic(layout, random.Random(layout))

    async def bench(ctx):
        driver, coverage, reads = Driver(ctx), Counter(), (None, None)
        for clock in range(3000):
            inputs, accesses = [], traffic.next()
            for port, access, read in zip((dut.ahead.a, dut.ahead.b), accesses, reads, strict=True):
                address, data, strobes = access.write or (0, 0, 0)
                inputs += [(port.w_en, access.write is not None), (port.w_addr, address), (port.w_data, data)]
                inputs += [(port.w_strb, strobes), (port.r_addr, access.read or 0), (port.r_en, read is not None)]
                coverage.update(access.kinds)
            driver.drive(*inputs)
            for unit in (dut.ahead, dut.plain):
                events = Cat(getattr(unit.b_to_a, event) for event in ("rung", "superseded", "merged", "delivered"))
                shown = ctx.get(Cat(dut.lines(unit), events))
                given = [
                    ctx.get(port.r_data) for port, read in zip((unit.a, unit.b), reads, strict=True) if read is not None
                ]
                if unit is dut.ahead:
                    wanted = shown, given
                else:
                    assert (shown, given) == wanted, clock
            reads = [access.read for access in accesses]
            await ctx.tick()
        assert min(coverage[kind] for kind in KINDS) > 10, coverage

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


def test_ports_with_two_clocks_are_not_registered():
    with pytest.raises(ValueError, match=r"must be False with two clocks, not True$"):
        MessagingUnit("imx6sx", synchronous=False, registered=True)


@pytest.mark.parametrize("registered", [True, False])
def test_answers_come_a_clock_later_through_registered_ports_and_the_line_does_not(registered):
    dut = MuAxil("imx8ulp", registered=registered)

    async def bench(ctx):
        a, b = dut.a_axil, dut.b_axil
        for port in (a, b):
            for signal, value in ((port.wstrb, 0xF), (port.bready, 1), (port.rready, 1)):
                ctx.set(signal, value)

        async def send(port, address, data):
            """End the clock of a write's handshake."""
            for signal, value in ((port.awaddr, address), (port.wdata, data), (port.awvalid, 1), (port.wvalid, 1)):
                ctx.set(signal, value)
            assert ctx.get(port.awready)
            await ctx.tick()
            ctx.set(port.awvalid, 0)

        async def ask(port, address):
            """Read; return the data and how many clocks after the handshake it came."""
            ctx.set(port.araddr, address)
            ctx.set(port.arvalid, 1)
            assert ctx.get(port.arready)
            await ctx.tick()
            ctx.set(port.arvalid, 0)
            clocks = 1
            while not ctx.get(port.rvalid):
                await ctx.tick()
                clocks += 1
            return ctx.get(port.rdata), clocks

        await send(a, 0x128, 0xF)
        if registered:  # the enable is made, and the word decoded
            await ctx.tick()
        await send(b, 0x200, 77)
        assert ctx.get(b.bvalid)
        assert ctx.get(dut.a_irq)
        assert await ask(a, 0x280) == (77, 1 + registered)
        assert not ctx.get(dut.a_irq)
        # One after the other in every clock: a word, MUR, and a word behind it, which stays.
        await send(b, 0x200, 1)
        await send(b, 0x008, 1)
        await send(b, 0x204, 2)
        assert await ask(b, 0x00C) == (1, 1 + registered)
        assert (await ask(b, 0x200))[0] == 0
        assert (await ask(a, 0x284))[0] == 2
        assert (await ask(a, 0x12C))[0] == 0

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
