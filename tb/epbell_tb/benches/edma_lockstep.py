"""Bench of the eDMA page: RTL and reference model in lock-step, with rings and ends of transfers beside the bus.

What a read shows, the interrupt line and the loss accounting are compared in every clock. Parameters come through the
environment: ``EPBELL_SEED`` (default: cocotb's), ``EPBELL_EDMA_PERSONALITY``, ``EPBELL_EDMA_CHANNELS`` (write and read
channels, default ``4,4``), ``EPBELL_EDMA_DOORBELL_ONLY`` (``1``: without transfers), ``EPBELL_EDMA_OPERATIONS`` (number
of accesses, default 200,000).
"""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from epbell_models.reference.edma import EdmaPage
from epbell_tb import bins_seen
from epbell_tb.edma_bins import EdmaBins
from epbell_tb.edma_traffic import PULSES, Coverage, Traffic


class Pins:
    """The ports of the page; values that stay as they are are not driven again."""

    def __init__(self, dut):
        bus = ("w_en", "w_addr", "w_data", "w_strb", "r_en", "r_addr")
        names = {f"bus_{name}": getattr(dut, f"bus_{name}") for name in bus}
        self._inputs = names | {name: getattr(dut, name) for name in ("ring", *PULSES)}
        self._driven = dict.fromkeys(self._inputs)
        self.data, self.irq = dut.bus_r_data, dut.irq
        self.events = dut.rung, dut.merged, dut.delivered
        self.drive(bus_w_en=0, bus_w_strb=0, bus_r_en=0, ring=0, **dict.fromkeys(PULSES, 0))

    def drive(self, **values):
        """Drive inputs by name."""
        for name, value in values.items():
            if self._driven[name] != value:
                self._driven[name] = value
                self._inputs[name].value = value

    def apply(self, stimulus):
        """Drive one clock."""
        self.drive(bus_w_en=int(stimulus.write is not None), bus_r_en=int(stimulus.read is not None))
        if stimulus.write is not None:
            offset, data, strobes = stimulus.write
            self.drive(bus_w_addr=offset, bus_w_data=data, bus_w_strb=strobes)
        if stimulus.read is not None:
            self.drive(bus_r_addr=stimulus.read)
        self.drive(ring=int(stimulus.ring), **{pulse: stimulus.pulses.get(pulse, 0) for pulse in PULSES})


async def reset(dut):
    """Start the clock and reset the page; return just behind a rising edge."""
    Clock(dut.clk, 4, unit="ns").start()
    pins = Pins(dut)
    dut.rst.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    return pins


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def lockstep(dut):
    """Random accesses until both the number asked for is reached and everything has met everything."""
    seed = int(os.environ.get("EPBELL_SEED", cocotb.RANDOM_SEED))
    operations = int(os.environ.get("EPBELL_EDMA_OPERATIONS", "200000"))
    personality = os.environ["EPBELL_EDMA_PERSONALITY"]
    channels = tuple(int(number) for number in os.environ.get("EPBELL_EDMA_CHANNELS", "4,4").split(","))
    cocotb.log.info("%s, channels %s, %d operations, EPBELL_SEED=%d", personality, channels, operations, seed)
    pins = await reset(dut)
    page = EdmaPage(personality, *channels, doorbell_only=os.environ.get("EPBELL_EDMA_DOORBELL_ONLY") == "1")
    traffic = Traffic(page, random.Random(seed))
    coverage = Coverage(page, traffic.kinds)
    bins = EdmaBins(page) if bins_seen.wanted() else None
    edge = RisingEdge(dut.clk)
    levels = (1 << len(pins.irq)) - 1
    clock = 0
    while coverage.accesses < operations:
        stimulus = traffic.next()
        pins.apply(stimulus)
        coverage.record(stimulus)
        if bins:
            bins.record(stimulus)
        irq, before = page.irq, (page.rung, page.merged, page.delivered)
        data = page.step(stimulus.write, stimulus.read, ring=stimulus.ring, **stimulus.pulses)
        after = page.rung, page.merged, page.delivered
        # At the edge, everything is as it was in the clock that it ends.
        await edge
        seen = (
            int(pins.data.value) if stimulus.read is not None else 0,
            int(pins.irq.value),
            *(int(event.value) for event in pins.events),
        )
        expected = data, levels if irq else 0, *(now - then for now, then in zip(after, before, strict=True))
        assert seen == expected, f"clock {clock}, EPBELL_SEED={seed}: saw {seen}, not {expected}, in {stimulus}"
        clock += 1
    missing = coverage.missing()
    assert not missing, f"EPBELL_SEED={seed}: never happened: {missing}"
    assert page.rung == page.merged + page.delivered + page.latched
    assert (page.rung > operations // 10) is bool(page.doorbells)
    cocotb.log.info(
        "%d accesses in %d clocks: %d rings, %d merged, %d delivered; %d and %d meetings covered",
        coverage.accesses,
        clock,
        page.rung,
        page.merged,
        page.delivered,
        len(coverage.rings),
        len(coverage.meetings),
    )
