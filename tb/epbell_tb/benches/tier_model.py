"""Speed of the model tier: what `epbell_tb.bench_reference` does, in the environment of the scenarios, checked by all.

Figures (:mod:`epbell_tb.figures`): ``model_writes``, ``model_reads`` and ``model_idle``, per second of wall-clock time;
``EPBELL_BENCH_FIGURES`` names those that are wanted, without ``model_``, all by default.
"""

import os
import time

import cocotb
from cocotb.triggers import Timer

from epbell_models.reference.address_map import AddressMap
from epbell_regs import offsets
from epbell_tb import figures
from epbell_tb.bench_reference import BAR, IDLE_CLOCKS, PERIOD_NS, READS, REPEATS, VECTORS, WRITES
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.window_writes import bar_window

MU = offsets("mu_imx8ulp")
FIGURES = os.environ.get("EPBELL_BENCH_FIGURES", "writes,reads,idle").split(",")


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def model_speed(dut):
    """Doorbells posted one after the other, reads that wait for their data, and time in which nothing happens."""
    env = EndpointEnv(dut, "model_speed")
    await env.start(linux=False)
    places = AddressMap.of(env.tree)
    mu_a = places["mu_a"].base
    for address, value in bar_window(places["iatu"].base, 0, BAR, places["mu_b"].base):
        await env.cpu.write32(address, value)
    await env.cpu.write32(mu_a + MU["RCR"], (1 << VECTORS) - 1)
    bells = [env.address(BAR, MU[f"TR{vector}"]) for vector in range(VECTORS)]
    flags = env.address(BAR, MU["TSR"])
    writes, reads, idle = [], [], []
    for _ in range(REPEATS if "writes" in FIGURES else 1):
        begin = time.perf_counter()
        for number in range(WRITES):
            await env.memory.write32(bells[number % VECTORS], number)
        assert await env.memory.read32(flags) == 0, "no vector has been read by the CPU"
        writes.append(WRITES / (time.perf_counter() - begin))
    for vector in range(VECTORS):
        assert await env.cpu.read32(mu_a + MU[f"RR{vector}"]) == WRITES - VECTORS + vector
    for _ in range(REPEATS if "reads" in FIGURES else 0):
        begin = time.perf_counter()
        for _ in range(READS):
            assert await env.memory.read32(flags) == (1 << VECTORS) - 1
        reads.append(READS / (time.perf_counter() - begin))
    for _ in range(REPEATS if "idle" in FIGURES else 0):
        begin = time.perf_counter()
        await Timer(PERIOD_NS * IDLE_CLOCKS, unit="ns")
        idle.append(IDLE_CLOCKS / (time.perf_counter() - begin))
    await env.finish()
    for figure, values in {"writes": writes, "reads": reads, "idle": idle}.items():
        if figure in FIGURES:
            figures.append(figure=f"model_{figure}", values=values)
