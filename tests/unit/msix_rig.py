"""A RAM, a host and a taker of messages around the MSI-X engine, and what must hold in every clock."""

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from driver import Driver
from quick_engine import Simulator

from epbell.msix import Msix

TABLE = 0x80 // 4
GATES = ("set_up", "enabled", "masked", "bus_master")
LATE = 2
"""Clocks for which a gate counts."""
SETTLED = 8  # clocks: the host's last write may be on its way
CROSSES = 5
"""Clocks in which a message crosses the host's write to its entry."""


def address_of(vector: int, version: int = 0) -> int:
    return (0x1234_5678 + version) << 32 | 0xFEE0_0000 | vector << 4


def entry(vector: int, *, masked: int = 0, version: int = 0) -> list[int]:
    address = address_of(vector, version)
    return [address & 0xFFFF_FFFF, address >> 32, version << 16 | vector, masked]


@dataclass
class Manners:
    """How the RAM and the taker behave: how likely each is to be ready, clocks until data or answer, failures."""

    ram: float = 1.0
    latency: tuple[int, int] = (1, 1)
    taker: float = 1.0
    answer: tuple[int, int] = (0, 0)
    failing: float = 0.0


@dataclass
class Rig:
    """Call ``clock`` once per clock; what it is given happens in that clock."""

    vectors: int = 33
    last: int = 32
    lanes: int = 4
    queue: int = 8
    manners: Manners = field(default_factory=Manners)
    rng: random.Random = field(default_factory=lambda: random.Random(3))
    ram_size: int = 4096

    def __post_init__(self) -> None:
        self.dut = Msix(self.vectors, ram_size=self.ram_size, lanes=self.lanes, queue=self.queue)
        self.pba = TABLE + 4 * (self.last + 1)
        self.pba += self.pba % 2
        self.ram = [0xDEAD_0000 + i for i in range(self.ram_size // 4)]
        for vector in range(self.last + 1):
            self.ram[TABLE + 4 * vector : TABLE + 4 * vector + 4] = entry(vector)
        self.now = 0
        self.then: deque[tuple[dict[str, int], list[int]]] = deque(maxlen=CROSSES + 1)  # gates and RAM, clock by clock
        self.messages: list[tuple[int, int]] = []  # clock of the taking, vector
        self.sent: list[tuple[int, int]] = []
        self.raised: list[tuple[int, int]] = []
        self.counts: Counter[str] = Counter()
        self.reads: deque[tuple[int, int]] = deque()
        self.answer: tuple[int, bool] | None = None
        self.taken: int = 0
        self.gates = {"set_up": 1, "enabled": 1, "masked": 0, "bus_master": 1}
        self.request: tuple[int, ...] | None = None

    def run(self, bench: Any) -> None:
        sim = Simulator(self.dut)
        sim.add_clock(1e-9)

        async def testbench(ctx: Any) -> None:
            self.ctx, self.driver = ctx, Driver(ctx)
            ctx.set(self.dut.table, TABLE)
            ctx.set(self.dut.pba, self.pba)
            ctx.set(self.dut.last, self.last)
            await bench()

        sim.add_testbench(testbench)
        sim.run()

    async def clock(
        self, *, vector: int | None = None, write: tuple[int, list[int | None]] | None = None, **gates: int
    ) -> bool:
        """One clock, in which a vector is raised, the host writes some dwords, or a gate changes; was it raised?"""
        ctx, dut = self.ctx, self.dut
        self.gates.update(gates)
        self.then.append((dict(self.gates), list(self.ram)))
        took = vector is not None and not ctx.get(dut.full)
        inputs = [(getattr(dut, name), self.gates[name]) for name in GATES]
        inputs += [(dut.raise_valid, took), (dut.raise_vector, vector or 0)]
        inputs.append((dut.host_wrote, write is not None))
        if write is not None:
            assert len(write[1]) <= self.lanes
            written = sum((word is not None) << lane for lane, word in enumerate(write[1]))
            inputs += [(dut.host_address, write[0]), (dut.host_written, written)]
        self.driver.drive(*inputs)
        self._memory()
        self._messages()
        for name in ("sent", "held", "merged", "refused"):
            self.counts[name] += ctx.get(getattr(dut, name))
        if took:
            self.raised.append((self.now, vector))
        if self._written is not None:
            self.ram[self._written[0]] = self._written[1]
        for lane, word in enumerate(write[1] if write else ()):
            if word is not None:
                self.ram[(write[0] + lane) % len(self.ram)] = word
        await ctx.tick()
        self.now += 1
        return took

    def _memory(self) -> None:
        ctx, dut = self.ctx, self.dut
        self._written = None
        comes = bool(self.reads) and self.reads[0][0] <= self.now
        data = self.reads.popleft()[1] if comes else 0xBAD0_BAD0
        ready = self.rng.random() < self.manners.ram
        self.driver.drive((dut.mem_rvalid, comes), (dut.mem_rdata, data), (dut.mem_ready, ready))
        request = (
            (ctx.get(dut.mem_write), ctx.get(dut.mem_addr), ctx.get(dut.mem_write) and ctx.get(dut.mem_data))
            if ctx.get(dut.mem_valid)
            else None
        )
        set_up = [gates["set_up"] for gates, _ in list(self.then)[-2:]]
        if self.request is not None and set_up[0]:
            assert request == self.request, "a request has changed or gone before it was granted"
        assert request is None or set_up[0]
        if request is not None and ready:
            if request[0]:
                assert self.pba <= request[1] <= self.pba + (self.last >> 5 | 1), "a write outside the PBA"
                self._written = request[1:]
            else:
                assert TABLE <= request[1] < TABLE + 4 * (self.last + 1), "a read outside the table"
                due = self.now + self.rng.randint(*self.manners.latency)
                self.reads.append((max([due, *(when + 1 for when, _ in self.reads)]), self.ram[request[1]]))
                assert len(self.reads) <= 4
        self.request = None if ready else request

    def _messages(self) -> None:
        """Check a message against the table as the host has written it before this clock."""
        ctx, dut = self.ctx, self.dut
        ready = self.answer is None and self.rng.random() < self.manners.taker
        # Also where nobody looks, an answer is nothing but noise.
        sent, failed = (self.answer is None and self.rng.random() < 0.5 for _ in range(2))
        self.driver.drive((dut.i_ready, ready), (dut.i_sent, sent), (dut.i_failed, failed))
        if ready and ctx.get(dut.i_valid):
            gates, _ = self.then[-1 - LATE]
            assert all(gates[name] != (name == "masked") for name in GATES), "a message while the way is closed"
            vector = ctx.get(dut.i_data) & 0xFFFF
            entries = [ram[TABLE + 4 * vector :][:4] for _, ram in self.then]
            high, low = divmod(ctx.get(dut.i_address), 1 << 32)
            same = [each for each in entries if each[:3] == [low, high, ctx.get(dut.i_data)]]
            assert same, "a message that the table does not hold"
            assert any(not each[3] & 1 for each in same), "a message of a masked vector"
            word = self.ram[self.pba + vector // 32]
            assert not word >> vector % 32 & 1, "the PBA still shows the vector"
            self.messages.append((self.now, vector))
            self.taken = vector
            due = self.now + self.rng.randint(*self.manners.answer)
            self.answer = due, self.rng.random() < self.manners.failing
        if self.answer is not None:
            due, fails = self.answer
            self.driver.drive((dut.i_sent, due <= self.now and not fails), (dut.i_failed, due <= self.now and fails))
            if due <= self.now:
                if not fails:
                    self.sent.append((self.now, self.taken))
                self.answer = None

    async def clocks(self, count: int) -> None:
        for _ in range(count):
            await self.clock()

    def fresh(self) -> None:
        """Forget what has been seen; nothing may be pending."""
        assert self.pending() == set()
        self.messages, self.sent, self.raised, self.counts = [], [], [], Counter()

    async def settle(self, most: int = 6000) -> None:
        rests = 0
        for _ in range(most):
            await self.clock()
            rests = 0 if self.ctx.get(self.dut.busy) else rests + 1
            if rests == SETTLED:
                return
        raise AssertionError("still busy")

    def unmask(self, vector: int, masked: int = 0) -> tuple[int, list[int | None]]:
        return TABLE + 4 * vector + 3, [masked]

    def pending(self) -> set[int]:
        """What the PBA shows; beyond the last vector it must be zero."""
        words = self.ram[self.pba : self.pba + (self.last >> 5 | 1) + 1]
        found = {32 * i + bit for i, word in enumerate(words) for bit in range(32) if word >> bit & 1}
        assert all(vector <= self.last for vector in found)
        assert len(found) == self.ctx.get(self.dut.pending)
        return found

    def check(self) -> None:
        """Everything that was raised is accounted for."""
        sent = Counter(vector for _, vector in self.sent)
        raised = Counter(vector for _, vector in self.raised if vector <= self.last)
        assert self.counts["sent"] == len(self.sent)
        assert sum(raised.values()) == self.counts["sent"] + self.counts["merged"] + len(self.pending())
        assert self.counts["refused"] == len(self.raised) - sum(raised.values())
        for vector, count in raised.items():
            assert sent[vector] <= count
            last = max(clock for clock, each in self.raised if each == vector)
            if vector not in self.pending():
                assert max(clock for clock, each in self.sent if each == vector) >= last, "an event is lost"
        assert set(sent) <= set(raised)
