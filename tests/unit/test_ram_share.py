"""CPU and MSI-X engine at the RAM's ports: every access once, data to the one who asked, nobody waits for ever."""

import random
from typing import Any

import pytest
from quick_engine import Simulator

from epbell.ram import READ_CLOCKS
from epbell.ram_share import RamShare


@pytest.mark.parametrize("seed", range(2))
def test_random_accesses(seed: int) -> None:
    rng = random.Random(seed)
    dut = RamShare(4)
    counts = {"cpu_w": 0, "cpu_r": 0, "mem_w": 0, "mem_r": 0}

    async def bench(ctx: Any) -> None:
        engine: tuple[int, int, int] | None = None
        wants: dict[str, tuple[int, int] | None] = {"w": None, "r": None}
        waited = {"w": 0, "r": 0, "mem": 0}
        came = [0] * READ_CLOCKS
        for _ in range(3000):
            if engine is None and rng.random() < 0.5:
                engine = rng.randrange(2), rng.randrange(16), rng.getrandbits(32)
            for way in wants:
                if wants[way] is None and rng.random() < 0.5:
                    wants[way] = rng.randrange(16), rng.getrandbits(32)
            ctx.set(dut.mem_valid, engine is not None)
            if engine is not None:
                for port, value in zip((dut.mem_write, dut.mem_addr, dut.mem_data), engine, strict=True):
                    ctx.set(port, value)
            ready = {way: rng.random() < 0.6 for way in wants}
            for way, access in wants.items():
                ctx.set(getattr(dut, f"cpu_{way}_valid"), access is not None)
                ctx.set(getattr(dut, f"{way}_ready"), 0)
                if access is not None:
                    ctx.set(getattr(dut, f"cpu_{way}_addr"), access[0])
            if wants["w"] is not None:
                ctx.set(dut.cpu_w_data, wants["w"][1])
                ctx.set(dut.cpu_w_strb, wants["w"][1] & 0xF)
            assert ctx.get(dut.mem_rvalid) == came.pop(0)
            came.append(0)
            assert not ctx.get(dut.mem_ready) | ctx.get(dut.cpu_w_ready) | ctx.get(dut.cpu_r_ready), "the RAM is not"
            for way in wants:
                ctx.set(getattr(dut, f"{way}_ready"), ready[way])
            for way, access in list(wants.items()):
                served = bool(ctx.get(getattr(dut, f"cpu_{way}_ready")))
                mine = engine is not None and engine[0] == (way == "w") and bool(ctx.get(dut.mem_ready))
                wanted = access is not None or (engine is not None and engine[0] == (way == "w"))
                assert ctx.get(getattr(dut, f"{way}_valid")) == wanted
                assert served + mine == (wanted and ready[way]), "one of them, whenever the RAM is ready"
                address = ctx.get(getattr(dut, f"{way}_addr"))
                if served and access is not None:
                    assert address == access[0]
                    if way == "w":
                        assert (ctx.get(dut.w_data), ctx.get(dut.w_strb)) == (access[1], access[1] & 0xF)
                    counts[f"cpu_{way}"] += 1
                    wants[way] = None
                if mine and engine is not None:
                    assert address == engine[1]
                    if way == "w":
                        assert (ctx.get(dut.w_data), ctx.get(dut.w_strb)) == (engine[2], 0xF)
                    came[-1] = int(way == "r")
                    counts[f"mem_{way}"] += 1
                waited[way] = waited[way] + 1 if mine and access is not None else 0
                assert waited[way] < 2, "the CPU waits for one access of the engine at most"
                waited["mem"] = waited["mem"] + 1 if served and engine is not None and engine[0] == (way == "w") else 0
                assert waited["mem"] < 2
                if mine:
                    engine = None
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(counts.values()) > 300
