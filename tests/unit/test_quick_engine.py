"""The quick engine against the stock one: the same values of every signal, whatever a design consists of."""

import random
from collections.abc import Callable
from typing import Any

import amaranth.sim
import pytest
import quick_engine
import usp_rig
from amaranth.hdl import (
    Array,
    Assert,
    Cat,
    ClockDomain,
    Elaboratable,
    Module,
    Print,
    ResetSignal,
    Signal,
    signed,
)
from amaranth.lib.memory import Memory
from usp_packets import read, write
from usp_rig import CONTROLLER, EDMA, MU_A, MU_B, RAM, RCR, TR, Rig

ENGINES = [amaranth.sim.Simulator, quick_engine.Simulator]


class Everything(Elaboratable):
    """Each kind of statement that a process may consist of, in two clock domains."""

    def __init__(self) -> None:
        self.inputs = [Signal(8, name=f"input{n}") for n in range(3)]
        self.enable, self.reset = Signal(2), Signal()
        self.rows = Memory(shape=8, depth=4, init=[1, 2, 3, 4])
        self.outputs = [
            Signal(shape, name=f"output{n}", reset_less=n == 6) for n, shape in enumerate([8, 8, 8, signed(8), 8, 8, 8])
        ]
        self.parts, self.late = Array(Signal(4, name=f"part{n}") for n in range(3)), Signal(8)

    @property
    def signals(self) -> list[Signal]:
        return [*self.inputs, self.enable, *self.outputs, *self.parts, self.late]

    def elaborate(self, platform: object) -> Module:
        m: Any = Module()
        m.domains.other = ClockDomain(clk_edge="neg", async_reset=True)
        m.submodules.rows = self.rows
        a, b, c = self.inputs
        one, two, sampled, below, comb, sticky, total = self.outputs
        m.d.comb += ResetSignal("other").eq(self.reset)
        writer, other = self.rows.write_port(granularity=4), self.rows.write_port(domain="other")
        clocked = self.rows.read_port(transparent_for=(writer,))
        at_once = self.rows.read_port(domain="comb")
        m.d.comb += [writer.en.eq(self.enable), writer.addr.eq(a), writer.data.eq(b)]
        m.d.comb += [other.en.eq(a[7]), other.addr.eq(b), other.data.eq(c)]
        m.d.comb += [clocked.addr.eq(a[2:]), at_once.addr.eq(c), clocked.en.eq(b[0])]
        m.d.comb += [one.eq(clocked.data), two.eq(at_once.data), comb.eq(a + (b ^ c))]
        m.d.sync += below.eq(below - a.as_signed())
        m.d.sync += self.parts[a[:2]].eq(c)
        with m.Switch(b):
            with m.Case("1-------"):
                m.d.sync += sampled[:4].eq(a)
            with m.Case(0, 1, 2, 3):
                m.d.sync += sampled.word_select(a[0], 4).eq(~b)
            with m.Default():
                m.d.sync += Cat(sampled[2], sampled[7]).eq(c)
        m.d.other += sticky.eq(sticky | a & b)
        with m.If(c[0]):
            m.d.sync += total.eq(total + 1)
        m.d.other += self.late.eq(sampled)
        return m


@pytest.mark.parametrize("seed", range(3))
def test_every_kind_of_statement(seed: int) -> None:
    """Inputs that come and stay, registers and rows that a test sets, both clocks, resets, and all of it once more."""

    def traces(simulator: Callable[..., Any]) -> list[list[tuple[int, ...]]]:
        dut, found = Everything(), []
        sim = simulator(dut)
        sim.add_clock(1e-6)
        sim.add_clock(0.7e-6, phase=0.33e-6, domain="other")  # edges that meet race in either engine

        async def testbench(ctx: Any) -> None:
            rng, trace = random.Random(seed), []
            found.append(trace)
            for _ in range(600):
                match rng.randrange(12):
                    case 0 | 1 | 2:
                        ctx.set(rng.choice(dut.inputs), rng.getrandbits(8))
                    case 3:
                        ctx.set(dut.enable, rng.getrandbits(2))
                    case 4:
                        ctx.set(dut.outputs[rng.choice((2, 3, 5, 6))], rng.randrange(128))
                    case 5:
                        ctx.set(dut.rows.data[rng.randrange(4)], rng.getrandbits(8))
                    case 6 if not rng.randrange(4):
                        ctx.set(dut.reset, 1)
                        ctx.set(dut.reset, 0)
                    case 7:
                        await ctx.tick("other")
                    case 8:
                        await ctx.delay(0.3e-6)
                    case _:
                        await ctx.tick()
                trace.append((*map(ctx.get, dut.signals), *(ctx.get(row) for row in dut.rows.data)))

        sim.add_testbench(testbench)
        sim.run()
        sim.reset()
        sim.run()
        return found

    stock, quick = map(traces, ENGINES)
    assert quick == stock
    assert stock[0] == stock[1]
    assert all(len({values[n] for values in stock[0]}) > 1 for n in range(len(stock[0][0]))), "a value never changed"


def test_whole_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every signal and every word of memory in every clock of some traffic with stalls, a reset in its middle."""

    def trace(simulator: Callable[..., Any]) -> list[list[Any]]:
        monkeypatch.setattr(usp_rig, "Simulator", simulator)
        simulation = usp_rig._Simulation(64)
        monkeypatch.setattr(usp_rig, "_simulation", lambda *_: simulation)
        rig, slots, found = Rig(64, seed=4), simulation._simulator._engine.state.slots, []

        def snapshot() -> None:
            found.append([list(slot.data) if hasattr(slot, "data") else slot.curr for slot in slots])

        async def bench(rig: Rig) -> None:
            rig.watch.append(snapshot)
            for _ in range(2):
                rig.stall(0.2, 0.2)
                for window, target in enumerate((RAM, MU_B, EDMA)):
                    await rig.map(window, window, target)
                await rig.cpu_write(MU_A + RCR, 0xF)
                for n in range(8):
                    offset = rig.random.choice((0x4C, 0xA0, TR))
                    bar = rig.random.randrange(3)
                    rig.send(write(bar, offset, n), read(bar, offset, tag=n))
                    rig.post(CONTROLLER + 0x40, n)
                await rig.answers(8)
                await rig.reset()

        rig.run(bench)
        assert rig.irq_rises
        assert rig.edma_rises
        return found

    stock, quick = map(trace, ENGINES)
    assert len(stock) > 200
    assert quick == stock


def test_idle_processes_are_skipped() -> None:
    """The code that Amaranth generates is as the engine expects it, so that there is something to gain."""
    dut = Everything()
    sim = quick_engine.Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_clock(1e-6, domain="other")
    skipping = sim._engine._skipping

    async def testbench(ctx: Any) -> None:
        assert all(names["changed"] for names in skipping)
        for value in (5, 6):
            ctx.set(dut.inputs[0], value)
            assert any(names["changed"] for names in skipping)
            ctx.set(dut.inputs[0], 0)
            await ctx.tick().repeat(3)
            await ctx.tick("other").repeat(2)
            assert not any(names["changed"] for names in skipping)

    sim.add_testbench(testbench)
    sim.run()
    sim.reset()
    sim.run()
    assert len(skipping) == 4  # the registers and the memory, in either domain


@pytest.mark.parametrize("simulator", ENGINES)
def test_what_is_printed_and_asserted(simulator: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    """In every clock, also if nothing has changed."""
    m, bad, state = Module(), Signal(), Signal()
    m.d.sync += [state.eq(bad), Print("clock")]
    m.d.sync += Assert(~bad)
    sim = simulator(m)
    sim.add_clock(1e-6)

    async def testbench(ctx: Any) -> None:
        await ctx.tick().repeat(5)
        ctx.set(bad, 1)
        await ctx.tick()

    sim.add_testbench(testbench)
    with pytest.raises(AssertionError, match="Assertion violated"):
        sim.run()
    assert capsys.readouterr().out.count("clock") in (5, 6)
