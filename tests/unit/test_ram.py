"""The RAM against an array, both masters at once at random addresses, a beat per clock."""

import random
from typing import Any

import pytest
from amaranth.lib.memory import Memory
from quick_engine import Simulator
from torn_memory import TornMemory

from epbell.ram import READ_CLOCKS, Ram

SIZE = 1024


class Master:
    """One requester: keeps a request until it is granted."""

    def __init__(self, rng: random.Random, lanes: int, activity: float) -> None:
        self.rng, self.lanes, self.activity = rng, lanes, activity
        self.write: tuple[int, list[int], list[int]] | None = None
        self.read: int | None = None

    def think(self) -> None:
        rng = self.rng
        if self.write is None and rng.random() < self.activity:
            words = [rng.getrandbits(32) for _ in range(self.lanes)]
            strobes = [rng.choice((0, 15, rng.randrange(16))) for _ in range(self.lanes)]
            self.write = (rng.randrange(SIZE // 4), words, strobes)
        if self.read is None and rng.random() < self.activity:
            self.read = rng.randrange(SIZE // 4)


@pytest.mark.parametrize("memory", [Memory, TornMemory])
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_random_accesses(lanes: int, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a bank gives in the clock of a write to its row, nobody sees it."""
    monkeypatch.setattr("epbell.ram.Memory", memory)
    rng = random.Random(lanes)
    dut = Ram(lanes, SIZE, patience=3)
    memory = [0] * (SIZE // 4)
    reads = {"host": 0, "cpu": 0}

    def store(address: int, words: list[int], strobes: list[int]) -> None:
        for lane, (word, strobe) in enumerate(zip(words, strobes, strict=True)):
            mask = sum(0xFF << 8 * k for k in range(4) if strobe >> k & 1)
            index = (address + lane) % len(memory)
            memory[index] = memory[index] & ~mask | word & mask

    async def bench(ctx: Any) -> None:
        masters = {"host": Master(rng, lanes, 0.7), "cpu": Master(rng, 1, 0.5)}
        coming: list[tuple[str, list[int]] | None] = [None] * READ_CLOCKS
        for _ in range(1500):
            for name, master in masters.items():
                master.think()
                ctx.set(getattr(dut, f"{name}_w_valid"), int(master.write is not None))
                ctx.set(getattr(dut, f"{name}_r_valid"), int(master.read is not None))
                ctx.set(getattr(dut, f"{name}_r_addr"), master.read or 0)
                if master.write is not None:
                    address, words, strobes = master.write
                    ctx.set(getattr(dut, f"{name}_w_addr"), address)
                    ctx.set(getattr(dut, f"{name}_w_data"), words if name == "host" else words[0])
                    ctx.set(getattr(dut, f"{name}_w_strb"), strobes if name == "host" else strobes[0])
            if (due := coming.pop(0)) is not None:
                name, words = due
                assert [ctx.get(dut.r_data[k]) for k in range(len(words))] == words, name
                reads[name] += 1
            asked = None
            ready = {
                (name, way): ctx.get(getattr(dut, f"{name}_{way}_ready")) for name in masters for way in ("w", "r")
            }
            for name, master in masters.items():
                if master.read is not None and ready[name, "r"]:
                    assert asked is None, "two reads in one clock"
                    asked = name, [memory[(master.read + k) % len(memory)] for k in range(master.lanes)]
                    master.read = None
            for name, master in masters.items():
                if master.write is not None and ready[name, "w"]:
                    store(*master.write)
                    master.write = None
            coming.append(asked)
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(bench)
    sim.run()
    assert min(reads.values()) > 200
