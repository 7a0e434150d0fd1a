# amaranth: UnusedElaboratable=no

"""The AXI4-Lite bridge against a naive model, with every mix of stalls."""

import random
from collections import deque

import pytest
from amaranth.hdl import Elaboratable, Module, Signal
from quick_engine import Simulator

from epbell import axil, csr

WORDS = 16


class Scratch(Elaboratable):
    """A bridge in front of sixteen words of byte-enabled storage, as plain as storage can be."""

    def __init__(self, *, registered=False):
        self.registered = registered
        self.bridge = axil.Bridge(16, registered=registered)
        self.axil = self.bridge.axil
        self.bus = self.bridge.bus

    def elaborate(self, platform):
        m = Module()
        m.submodules.bridge = self.bridge
        bus = self.bus
        w_en, w_addr, w_data, w_strb, r_addr = bus.w_en, bus.w_addr, bus.w_data, bus.w_strb, bus.r_addr
        if self.registered:
            w_en, w_addr, w_data, w_strb, r_addr = Signal(), Signal(16), Signal(32), Signal(4), Signal(16)
            m.d.sync += [w_en.eq(bus.w_en), w_addr.eq(bus.w_addr), w_data.eq(bus.w_data), w_strb.eq(bus.w_strb)]
            with m.If(bus.r_load):
                m.d.sync += r_addr.eq(bus.r_addr)
        for n in range(WORDS):
            word = Signal(32, name=f"word{n}")
            with m.If(r_addr[2:6] == n):
                m.d.comb += bus.r_data.eq(word)
            with m.If(w_en & (w_addr[2:6] == n)):
                for lane in range(4):
                    with m.If(w_strb[lane]):
                        m.d.sync += word[8 * lane : 8 * lane + 8].eq(w_data[8 * lane : 8 * lane + 8])
        return m


def simulate(dut, *testbenches, limit=20_000):
    """Run until every testbench has ended, or fail after ``limit`` clocks."""
    sim = Simulator(dut)
    sim.add_clock(1e-6)

    async def watchdog(ctx):
        for _ in range(limit):
            await ctx.tick()
        raise AssertionError(f"not finished after {limit} clocks")

    for testbench in testbenches:
        sim.add_testbench(testbench)
    sim.add_testbench(watchdog, background=True)
    sim.run()


def merge(old, new, strobes):
    mask = sum(0xFF << 8 * lane for lane in range(4) if strobes >> lane & 1)
    return old & ~mask | new & mask


class Traffic:
    """Independent channels with random gaps, and a monitor that predicts from the handshakes it sees."""

    def __init__(self, rng, count, gap, stall, *, registered=False):
        self.dut = Scratch(registered=registered)
        self.registered = registered
        self.asked = deque()
        self.decoded = None
        self.bus = self.dut.axil
        self.rng, self.count, self.gap, self.stall = rng, count, gap, stall
        self.memory = [0] * WORDS
        self.owed_b = 0
        self.owed_r = deque()
        self.writes = self.reads = self.b_seen = self.r_seen = 0
        self.clocks = 0

    def offer(self, channel, **payload):
        valid, ready = getattr(self.bus, f"{channel}valid"), getattr(self.bus, f"{channel}ready")

        async def testbench(ctx):
            for _ in range(self.count):
                while self.rng.random() < self.gap:
                    await ctx.tick()
                for name, bits in payload.items():
                    ctx.set(getattr(self.bus, name), self.rng.getrandbits(bits))
                ctx.set(valid, 1)
                # Not tick().until(): a background testbench that is dropped in there leaves a warning behind.
                taken = False
                while not taken:
                    _, _, taken = await ctx.tick().sample(ready)
                ctx.set(valid, 0)
                # What is no longer offered must not be used.
                for name in payload:
                    ctx.set(getattr(self.bus, name), 0x2A)

        return testbench

    def take(self, ready):
        async def testbench(ctx):
            while True:
                ctx.set(ready, self.rng.random() >= self.stall)
                await ctx.tick()

        return testbench

    async def monitor(self, ctx):
        bus, port = self.bus, self.dut.bus
        names = list(bus.signature.members)
        before = None
        while self.b_seen < self.count or self.r_seen < self.count:
            signals = [getattr(bus, name) for name in names]
            _, _, *values, w_en, r_en = await ctx.tick().sample(*signals, port.w_en, port.r_en)
            now = dict(zip(names, values, strict=True))
            self.clocks += 1
            self.check_stable(before, now)
            self.check_read(now, r_en)
            self.check_write(now, w_en)
            before = now

    def check_stable(self, before, now):
        if before is None:
            return
        for valid, ready, payload in (("bvalid", "bready", ("bresp",)), ("rvalid", "rready", ("rdata", "rresp"))):
            if before[valid] and not before[ready]:
                assert now[valid], f"{valid} fell before {ready}"
                for name in payload:
                    assert now[name] == before[name], f"{name} changed while it waited"

    def check_read(self, now, r_en):
        if now["rvalid"] and now["rready"]:
            assert self.owed_r, "an answer nobody asked for"
            assert now["rdata"] == self.owed_r.popleft()
            assert now["rresp"] == 0
            self.r_seen += 1
        taken = now["arvalid"] and now["arready"]
        if self.registered:
            # It is made as soon as there is room for the answer; a clock behind the handshake, or more.
            assert r_en == (bool(self.asked) and not self.owed_r)
            if r_en:
                self.owed_r.append(self.memory[self.asked.popleft() >> 2 & 15])
            assert now["arready"] == (not self.asked)
        else:
            assert r_en == taken
            if r_en:
                self.owed_r.append(self.memory[now["araddr"] >> 2 & 15])
        if taken:
            self.reads += 1
            if self.registered:
                self.asked.append(now["araddr"])
        assert len(self.owed_r) <= 1

    def check_write(self, now, w_en):
        if now["bvalid"]:
            assert self.owed_b, "a response to nothing"
            assert now["bresp"] == 0
        if now["bvalid"] and now["bready"]:
            self.owed_b -= 1
            self.b_seen += 1
        address, data = now["awvalid"] and now["awready"], now["wvalid"] and now["wready"]
        assert address == data == w_en, "w_en belongs to the cycle of the handshake"
        if w_en:
            self.owed_b += 1
            self.writes += 1
        write = (now["awaddr"] >> 2 & 15, now["wdata"], now["wstrb"]) if w_en else None
        if self.registered:
            self.decoded, write = write, self.decoded
        if write is not None:
            index, data, strobes = write
            self.memory[index] = merge(self.memory[index], data, strobes)

    def run(self):
        bus = self.bus
        sim = Simulator(self.dut)
        sim.add_clock(1e-6)
        sim.add_testbench(self.offer("aw", awaddr=6), background=True)
        sim.add_testbench(self.offer("w", wdata=32, wstrb=4), background=True)
        sim.add_testbench(self.offer("ar", araddr=6), background=True)
        sim.add_testbench(self.take(bus.bready), background=True)
        sim.add_testbench(self.take(bus.rready), background=True)

        async def bounded(ctx):
            for _ in range(100 * self.count + 100):
                await ctx.tick()
            raise AssertionError(f"{self.b_seen} writes and {self.r_seen} reads of {self.count} were answered")

        sim.add_testbench(bounded, background=True)
        sim.add_testbench(self.monitor)
        sim.run()


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("gap", [0.0, 0.3, 0.8])
def test_random_traffic(gap, stall, registered):
    traffic = Traffic(random.Random(f"axil {gap} {stall}"), 150, gap, stall, registered=registered)
    traffic.run()
    assert traffic.writes == traffic.reads == traffic.b_seen == traffic.r_seen == 150
    assert traffic.owed_b == 0
    assert not traffic.owed_r


@pytest.mark.parametrize("registered", [False, True])
def test_one_write_and_one_read_per_clock(registered):
    traffic = Traffic(random.Random(1), 100, 0.0, 0.0, registered=registered)
    traffic.run()
    # A hundred of each, and a clock for the first address and for the last answer to get through.
    assert traffic.clocks <= 103 + registered


def test_registered_read_waits_behind_an_answer_and_holds_the_third_back():
    dut = Scratch(registered=True)
    bus = dut.axil

    async def testbench(ctx):
        ctx.set(bus.arvalid, 1)
        assert ctx.get(bus.arready)
        await ctx.tick()  # the first is being decoded
        assert ctx.get(dut.bus.r_en)
        assert not ctx.get(bus.rvalid)
        assert ctx.get(bus.arready)
        ctx.set(bus.araddr, 4)
        await ctx.tick()
        for _ in range(5):
            assert ctx.get(bus.rvalid)
            assert not ctx.get(bus.arready)
            assert not ctx.get(dut.bus.r_en)
            await ctx.tick()
        # Written while both wait: the first one was made before, the second one is made behind it.
        ctx.set(bus.arvalid, 0)
        for signal in (bus.awvalid, bus.wvalid, bus.bready):
            ctx.set(signal, 1)
        ctx.set(bus.wstrb, 0xF)
        for address in (0, 4):
            ctx.set(bus.awaddr, address)
            ctx.set(bus.wdata, 0xA0 + address)
            await ctx.tick()
        ctx.set(bus.awvalid, 0)
        await ctx.tick()
        ctx.set(bus.rready, 1)
        assert ctx.get(bus.rdata) == 0
        assert ctx.get(dut.bus.r_en)
        await ctx.tick()
        assert ctx.get(bus.rvalid)
        assert ctx.get(bus.rdata) == 0xA4
        await ctx.tick()
        assert not ctx.get(bus.rvalid)

    simulate(dut, testbench)


@pytest.mark.parametrize("first", ["address", "data"])
@pytest.mark.parametrize("delay", [1, 2, 7])
def test_half_a_write_waits_for_the_other(first, delay):
    dut = Scratch()
    bus = dut.axil

    async def testbench(ctx):
        ctx.set(bus.bready, 1)
        ctx.set(bus.awaddr, 0x14)
        ctx.set(bus.wdata, 0x1234_5678)
        ctx.set(bus.wstrb, 0xF)
        early, late = (bus.awvalid, bus.wvalid) if first == "address" else (bus.wvalid, bus.awvalid)
        ctx.set(early, 1)
        for _ in range(delay):
            assert not ctx.get(bus.awready)
            assert not ctx.get(bus.wready)
            assert not ctx.get(dut.bus.w_en)
            await ctx.tick()
            assert not ctx.get(bus.bvalid)
        ctx.set(late, 1)
        assert ctx.get(bus.awready)
        assert ctx.get(bus.wready)
        assert ctx.get(dut.bus.w_en)
        assert (ctx.get(dut.bus.w_addr), ctx.get(dut.bus.w_data), ctx.get(dut.bus.w_strb)) == (0x14, 0x1234_5678, 0xF)
        await ctx.tick()
        ctx.set(early, 0)
        ctx.set(late, 0)
        assert ctx.get(bus.bvalid)
        await ctx.tick()
        assert not ctx.get(bus.bvalid)

    simulate(dut, testbench)


def test_answers_do_not_wait_for_ready_and_hold_the_next_request_back():
    dut = Scratch()
    bus = dut.axil

    async def testbench(ctx):
        for signal in (bus.awvalid, bus.wvalid, bus.arvalid):
            ctx.set(signal, 1)
        ctx.set(bus.wstrb, 0xF)
        ctx.set(bus.wdata, 0xA)
        await ctx.tick()
        for _ in range(5):
            assert ctx.get(bus.bvalid)
            assert ctx.get(bus.rvalid)
            assert not ctx.get(bus.awready)
            assert not ctx.get(bus.wready)
            assert not ctx.get(bus.arready)
            assert not ctx.get(dut.bus.w_en)
            assert not ctx.get(dut.bus.r_en)
            assert ctx.get(bus.rdata) == 0  # as it was when the read was accepted
            await ctx.tick()
        ctx.set(bus.bready, 1)
        ctx.set(bus.rready, 1)
        assert ctx.get(dut.bus.w_en)
        assert ctx.get(dut.bus.r_en)
        await ctx.tick()
        assert ctx.get(bus.rdata) == 0xA

    simulate(dut, testbench)


def test_silent_without_a_request():
    dut = Scratch()

    async def testbench(ctx):
        ctx.set(dut.axil.bready, 1)
        ctx.set(dut.axil.rready, 1)
        ctx.set(dut.axil.wstrb, 0xF)
        for _ in range(10):
            await ctx.tick()
            for signal in (dut.axil.bvalid, dut.axil.rvalid, dut.bus.w_en, dut.bus.r_en):
                assert not ctx.get(signal)

    simulate(dut, testbench)


def test_signature_is_a_value():
    assert axil.Signature(16) == axil.Signature(16)
    assert hash(axil.Signature(16)) == hash(axil.Signature(16))
    assert axil.Signature(16) != axil.Signature(32)
    assert axil.Signature(16) != csr.Signature(16)
    assert (axil.Signature(32).addr_width, axil.Signature(32).data_width) == (32, 32)
    assert repr(axil.Signature(32)) == "axil.Signature(addr_width=32, data_width=32)"


@pytest.mark.parametrize("width", [2, 65, "16"])
def test_address_width_out_of_range(width):
    with pytest.raises(ValueError, match=rf"must be 3 to 64 bits, not {width!r}$"):
        axil.Bridge(width)


def test_data_width_other_than_32():
    with pytest.raises(ValueError, match=r"must be 32 bits, not 64$"):
        axil.Signature(16, 64)
