"""Bench of the single-clock Messaging Unit: RTL and reference model in lock-step, both sides at once.

Every read value and both interrupt lines are compared in every clock. The model makes an access a clock after the port
has accepted it, as the unit does; a word holds the line meanwhile. Parameters come through the environment:
``EPBELL_SEED`` (default: cocotb's), ``EPBELL_MU_LAYOUT``, ``EPBELL_MU_OPERATIONS`` (number of accesses, default
200,000).
"""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from epbell_models.reference.mu import MessagingUnit
from epbell_tb import bins_seen
from epbell_tb.benches.mu_env import NOTHING, Port
from epbell_tb.mu_bins import MuBins
from epbell_tb.mu_traffic import Coverage, Traffic


async def reset(dut):
    """Start the clock and reset both sides; return at a falling edge, as far from any race as can be."""
    Clock(dut.clk, 4, unit="ns").start()
    ports = Port(dut, "a"), Port(dut, "b")
    dut.rst.value = 1
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    return ports


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def lockstep(dut):
    """Random accesses until both the number asked for is reached and everything has met everything."""
    seed = int(os.environ.get("EPBELL_SEED", cocotb.RANDOM_SEED))
    operations = int(os.environ.get("EPBELL_MU_OPERATIONS", "200000"))
    layout = os.environ["EPBELL_MU_LAYOUT"]
    cocotb.log.info("layout %s, %d operations, EPBELL_SEED=%d", layout, operations, seed)
    port_a, port_b = await reset(dut)
    traffic, unit, coverage = Traffic(layout, random.Random(seed)), MessagingUnit(layout), Coverage()
    bins = MuBins(unit) if bins_seen.wanted() else None
    edge, a_irq, b_irq = FallingEdge(dut.clk), dut.a_irq, dut.b_irq
    clock = 0
    accepted = NOTHING, NOTHING
    while coverage.accesses < operations:
        (access_a, access_b), accepted = accepted, traffic.next()
        port_a.drive(accepted[0])
        port_b.drive(accepted[1])
        coverage.record(unit, access_a, access_b)
        if bins:
            bins.before(access_a, access_b)
        a_data, b_data = unit.step(access_a.write, access_a.read, access_b.write, access_b.read)
        if bins:
            bins.after()
        await edge
        # What a port answers without a read is of no interest.
        seen = (
            port_a.data() if access_a.read is not None else 0,
            port_b.data() if access_b.read is not None else 0,
            a_irq.value == 1,
            b_irq.value == 1,
        )
        writes = accepted[0].write, accepted[1].write  # being made now
        expected = a_data, b_data, unit.irq_meanwhile("a", *writes), unit.irq_meanwhile("b", *writes)
        assert seen == expected, (
            f"clock {clock}, EPBELL_SEED={seed}: saw {seen}, not {expected}, after {access_a} and {access_b}"
        )
        clock += 1
    missing = coverage.missing()
    assert not missing, f"EPBELL_SEED={seed}: never happened: {missing}"
    for source in "ab":
        for n, bell in enumerate(unit.bells(source)):
            assert bell.rung == bell.merged + bell.delivered + (unit.unread(source) >> n & 1)
    cocotb.log.info(
        "%d accesses in %d clocks, %d pairs and %d meetings covered",
        coverage.accesses,
        clock,
        len(coverage.pairs),
        len(coverage.meetings),
    )
