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
        withdrawn = False
        wants: dict[str, tuple[int, int] | None] = {"w": None, "r": None}
        owner: dict[str, str | None] = {"w": None, "r": None}  # whose access is asked for
        served = {"w": "cpu", "r": "cpu"}
        came: list[int] = []
        for clock in range(4000):
            if engine is None and not withdrawn and rng.random() < 0.5:
                engine = rng.randrange(2), rng.randrange(16), rng.getrandbits(32)
            withdrawn = engine is not None and rng.random() < 0.03
            if withdrawn:
                engine = None
            for way in wants:
                if wants[way] is None and rng.random() < 0.5:
                    wants[way] = rng.randrange(16), rng.getrandbits(32)
            ctx.set(dut.mem_valid, engine is not None)
            if engine is not None:
                for port, value in zip((dut.mem_write, dut.mem_addr, dut.mem_data), engine, strict=True):
                    ctx.set(port, value)
            for way, access in wants.items():
                ctx.set(getattr(dut, f"cpu_{way}_valid"), access is not None)
                ctx.set(getattr(dut, f"{way}_ready"), 0)
                if access is not None:
                    ctx.set(getattr(dut, f"cpu_{way}_addr"), access[0])
            if wants["w"] is not None:
                ctx.set(dut.cpu_w_data, wants["w"][1])
                ctx.set(dut.cpu_w_strb, wants["w"][1] & 0xF)
            assert ctx.get(dut.mem_rvalid) == (clock in came)
            assert not ctx.get(dut.mem_ready) | ctx.get(dut.cpu_w_ready) | ctx.get(dut.cpu_r_ready), "the RAM is not"
            for way, access in list(wants.items()):
                of_engine = engine if engine is not None and engine[0] == (way == "w") else None
                offered = {"cpu": access, "engine": of_engine, None: None}
                asked = offered[owner[way]] is not None
                assert ctx.get(getattr(dut, f"{way}_valid")) == asked
                ready = rng.random() < 0.6
                ctx.set(getattr(dut, f"{way}_ready"), ready)
                done = owner[way] if asked and ready else None
                assert ctx.get(getattr(dut, f"cpu_{way}_ready")) == (done == "cpu")
                if of_engine is not None:
                    assert ctx.get(dut.mem_ready) == (done == "engine")
                if asked:
                    words = access if owner[way] == "cpu" else of_engine[1:] if of_engine else None
                    assert words is not None
                    assert ctx.get(getattr(dut, f"{way}_addr")) == words[0]
                    if way == "w":
                        strobes = words[1] & 0xF if owner[way] == "cpu" else 0xF
                        assert (ctx.get(dut.w_data), ctx.get(dut.w_strb)) == (words[1], strobes)
                if done == "cpu":
                    wants[way] = None
                    counts[f"cpu_{way}"] += 1
                if done == "engine":
                    engine = None
                    counts[f"mem_{way}"] += 1
                    if way == "r":
                        came.append(clock + READ_CLOCKS)
                if owner[way] is None:
                    # Who was served last comes last.
                    both = [who for who in ("engine", "cpu") if offered[who] is not None]
                    owner[way] = next((who for who in both if who != served[way]), both[0] if both else None)
                elif done or not asked:
                    served[way] = done or served[way]
                    owner[way] = None
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(counts.values()) > 300
