"""What the benches of the Messaging Unit share: ports, the sides with their clocks, scoreboards, event counts."""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Combine, FallingEdge, Timer
from cocotb.utils import get_sim_time

from epbell_tb import bins_seen
from epbell_tb.mu_scoreboard import RequestScoreboard, WordScoreboard, unpack
from epbell_tb.mu_traffic import Access, Registers

NOTHING = Access(None, None, ("nothing",))


class Port:
    """One AXI4-Lite port, driven so that every request is taken in the clock in which it is made."""

    def __init__(self, dut, prefix):
        def pin(name):
            return getattr(dut, f"{prefix}_axil_{name}")

        self._valids = pin("awvalid"), pin("wvalid")
        self._awaddr, self._wdata, self._wstrb = pin("awaddr"), pin("wdata"), pin("wstrb")
        self._arvalid, self._araddr = pin("arvalid"), pin("araddr")
        self._rdata = pin("rdata")
        self._writing = self._reading = None
        pin("awprot").value = 0
        pin("arprot").value = 0
        pin("bready").value = 1
        pin("rready").value = 1
        self.drive(NOTHING)

    def drive(self, access):
        """Make an access in the clock that begins now."""
        writing, reading = access.write is not None, access.read is not None
        if writing is not self._writing:
            self._writing = writing
            for valid in self._valids:
                valid.value = writing
        if writing:
            self._awaddr.value, self._wdata.value, self._wstrb.value = access.write
        if reading is not self._reading:
            self._reading = reading
            self._arvalid.value = reading
        if reading:
            self._araddr.value = access.read

    def data(self):
        """Answer to the read of the clock before."""
        return int(self._rdata.value)


# Periods of side A and side B in ps; "drifting" ones pass through every phase.
RATIOS = {
    "1:1": (4000, 4000),
    "1:3": (4000, 12000),
    "3:1": (12000, 4000),
    "7:2": (7000, 2000),
    "2:7": (2000, 7000),
    "drifting": (4000, 4036),
    "drifting back": (4034, 4000),
}
FAR = {"a": "b", "b": "a"}


def now():
    """Return the simulated time in ps."""
    return int(get_sim_time("ps"))


class Side:
    """One side, its clock and what software does there."""

    def __init__(self, dut, name, period, regs):
        self.name = name
        self.period = period
        self.regs = regs
        self.clock = getattr(dut, f"{name}_clk")
        self.ticks = Clock(self.clock, period, unit="ps")
        self.reset = getattr(dut, f"{name}_rst")
        self.irq = getattr(dut, f"{name}_irq")
        self.port = Port(dut, f"{name}")
        self.falling = FallingEdge(self.clock)
        self._aligned = -1

    async def access(self, access):
        """Make an access in one clock; return what it read. The clock edge was half a period before the end of this."""
        if self._aligned != now():
            await self.falling
        self.port.drive(access)
        await self.falling
        self._aligned = now()
        self.port.drive(NOTHING)
        return self.port.data()

    async def stop(self, after):
        """Let the clock stop some ps from now, at the level that it has then."""
        await Timer(after, unit="ps")
        self.ticks.stop()

    async def go_on(self):
        """Let the clock go on, from a low level on."""
        self.clock.value = 0
        await Timer(self.period, unit="ps")
        self.ticks.start(start_high=False)

    async def read(self, offset):
        """Read a register."""
        return await self.access(Access(None, offset, ()))

    async def write(self, offset, data):
        """Write a register."""
        await self.access(Access((offset, data, 0xF), None, ()))

    async def in_reset(self):
        """Read MURS, or RS."""
        return bool(await self.read(self.regs.offset["SR"]) & self.regs.bit("SR", self.regs.in_reset))


class Bench:
    """Clocks, sides and scoreboards."""

    def __init__(self, dut, ratio):
        self.seed = int(os.environ.get("EPBELL_SEED", cocotb.RANDOM_SEED))
        self.random = random.Random(f"{self.seed} {ratio}")
        self.ratio = ratio
        self.layout = os.environ["EPBELL_MU_LAYOUT"]
        if bins_seen.wanted():
            bins_seen.begin(layout=self.layout)
        cocotb.log.info("layout %s, clocks %s, EPBELL_SEED=%d", self.layout, ratio, self.seed)
        self.dut = dut
        self.regs = Registers(self.layout)
        periods = dict(zip("ab", RATIOS[ratio], strict=True))
        self.sides = {name: Side(dut, name, period, self.regs) for name, period in periods.items()}
        # docs/mu.md, "Latency": a word may have to wait for the one that is under way.
        bounds = {name: 5 * period + 8 * periods[FAR[name]] for name, period in periods.items()}
        self.words = {s: [WordScoreboard(f"{s} TR{n}", bounds[s]) for n in range(4)] for s in "ab"}
        self.requests = {s: [RequestScoreboard(f"{s} GIR{n}", bounds[s]) for n in range(4)] for s in "ab"}
        self.bound = max(bounds.values())
        # The same: until EP is 0 at both sides.
        self.rest = max(5 * period + 9 * periods[FAR[name]] for name, period in periods.items())

    async def start(self):
        """Start both clocks at any phase, leave reset at different times, and wait for the link."""
        for side in self.sides.values():
            side.clock.value = 0
            side.reset.value = 1
        for side in self.sides.values():
            await Timer(self.random.randrange(1, side.period), unit="ps")
            side.ticks.start(start_high=False)
        await Timer(4 * self.bound, unit="ps")
        for side in self.sides.values():
            await side.falling
            side.reset.value = 0
        await self.link()

    async def link(self):
        """Wait until neither side reads in reset, at most 16 clocks of each."""
        limit = 16 * sum(side.period for side in self.sides.values())
        start = now()
        for side in (*self.sides.values(), *self.sides.values()):
            while await side.in_reset():
                assert now() - start < limit, f"{side.name} stays in reset"
        return now() - start

    async def idle(self):
        """Let everything that is under way arrive."""
        await Timer(self.bound, unit="ps")

    async def rested(self):
        """Wait until nothing is under way and EP may not be 1 any more."""
        await Timer(self.rest, unit="ps")

    async def both(self, program):
        """Run a program on both sides at once."""
        await Combine(*(cocotb.start_soon(program(side)) for side in self.sides.values()))

    async def settle(self):
        """Check both directions at rest."""
        await self.rested()
        regs, values = self.regs, {}
        for name, side in self.sides.items():
            status = await side.read(regs.offset["SR"])
            for busy in ("EP", "FUP"):
                assert not status & regs.bit("SR", busy), f"{name}: {busy} is 1 at rest"
            for group in ("RF", "TE", "GIP", "GIR"):
                values[name, group] = regs.channels(group, await side.read(regs.home(group)))
        for name, side in self.sides.items():
            for n, words in enumerate(self.words[FAR[name]]):
                full, empty = (bool(values[key] >> n & 1) for key in ((name, "RF"), (FAR[name], "TE")))
                words.settle(full, empty)
                words.take(now(), unpack(await side.read(regs.offset[f"RR{n}"])))
                assert words.delivered == words.written, f"{words.name}: at rest, {words.delivered} is not the last"
                pending, asked = (bool(values[key] >> n & 1) for key in ((name, "GIP"), (FAR[name], "GIR")))
                self.requests[FAR[name]][n].settle(pending, asked)


class EventCounts:
    """Counts of the pulses of ``b_to_a``, each in its own clock."""

    def __init__(self, bench):
        self.counts = {event: [0, 0, 0, 0] for event in ("rung", "superseded", "merged", "delivered")}
        for domain, events in (("b", ("rung", "superseded")), ("a", ("merged", "delivered"))):
            cocotb.start_soon(self._count(bench, domain, events))

    def check(self, boards):
        """Compare with what the scoreboards counted, when everything has been read."""
        for n, words in enumerate(boards):
            rung, superseded, merged, delivered = (counts[n] for counts in self.counts.values())
            assert (rung, delivered) == (words.rung, words.deliveries), f"{words.name}: {self.counts}"
            assert rung == superseded + merged + delivered, f"{words.name}: {self.counts}"

    async def _count(self, bench, domain, events):
        side = bench.sides[domain]
        pulses = {event: getattr(bench.dut, f"events_{event}") for event in events}
        # Just before the rising edge: what software drives since the falling edge has settled.
        while True:
            await side.falling
            await Timer(side.period // 2 - 1, unit="ps")
            for event, pulse in pulses.items():
                value = int(pulse.value)
                for n in range(4) if value else ():
                    self.counts[event][n] += value >> n & 1
