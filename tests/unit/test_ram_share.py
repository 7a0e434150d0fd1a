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
        engine: tuple[int, int, int] | None = None  # what it offers
        chosen: dict[str, tuple[int, int, int]] = {}  # of that
        tells = cancels = False
        wants: dict[str, tuple[int, int] | None] = {"w": None, "r": None}
        owner: dict[str, str | None] = {"w": None, "r": None}  # whose access is asked for
        served = {"w": "cpu", "r": "cpu"}
        came: list[int] = []
        for clock in range(4000):
            if cancels:
                engine = None
            elif engine is None and rng.random() < 0.5:
                engine = rng.randrange(2), rng.randrange(16), rng.getrandbits(32)
            told, tells, cancels = tells, False, rng.random() < 0.03
            for way in wants:
                if wants[way] is None and rng.random() < 0.5:
                    wants[way] = rng.randrange(16), rng.getrandbits(32)
            ctx.set(dut.mem_valid, engine is not None)
            ctx.set(dut.mem_cancel, cancels)
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
            assert ctx.get(dut.mem_ready) == told
            assert not ctx.get(dut.cpu_w_ready) | ctx.get(dut.cpu_r_ready), "the RAM is not"
            for way, access in list(wants.items()):
                who = owner[way]
                assert ctx.get(getattr(dut, f"{way}_valid")) == (who is not None)
                ready = rng.random() < 0.6
                ctx.set(getattr(dut, f"{way}_ready"), ready)
                done = who is not None and ready
                assert ctx.get(getattr(dut, f"cpu_{way}_ready")) == (done and who == "cpu")
                if who is not None:
                    words = access if who == "cpu" else chosen[way][1:]
                    assert words is not None
                    assert ctx.get(getattr(dut, f"{way}_addr")) == words[0]
                    if way == "w":
                        strobes = words[1] & 0xF if who == "cpu" else 0xF
                        assert (ctx.get(dut.w_data), ctx.get(dut.w_strb)) == (words[1], strobes)
                if who is not None and ready:
                    counts[f"{'mem' if who == 'engine' else 'cpu'}_{way}"] += 1
                    served[way], owner[way] = who, None
                    if who == "cpu":
                        wants[way] = None
                    elif way == "r":
                        came.append(clock + READ_CLOCKS)
                    else:
                        tells = True
                elif who == "engine" and way == "w" and cancels:
                    owner[way] = None
                elif who is None:
                    offers = engine is not None and engine[0] == (way == "w") and not told
                    # Who was served last comes last.
                    both = [one for one, there in (("engine", offers), ("cpu", access is not None)) if there]
                    first = next((one for one in both if one != served[way]), both[0] if both else None)
                    if first == "cpu":
                        owner[way] = "cpu"
                    elif first == "engine" and engine is not None and not cancels:
                        owner[way], chosen[way] = "engine", engine
                        tells = tells or way == "r"
            if told:
                engine = None
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(counts.values()) > 300
