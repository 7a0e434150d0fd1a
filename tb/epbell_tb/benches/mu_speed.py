"""How fast the single-clock Messaging Unit is, at its AXI4-Lite ports.

Figures are handed on as JSON lines (:mod:`epbell_tb.figures`): ``figure``, ``values``. ``EPBELL_MU_LAYOUT`` names the
layout.
"""

import os

import cocotb

from epbell_tb import figures, pins
from epbell_tb.mu_traffic import Registers

WRITES = 1000
VECTORS = 4


async def start(dut):
    """Reset, and enable all four interrupts of side A."""
    clocked = pins.start(dut)
    side_a, side_b = pins.AxiLite(clocked, "a_axil"), pins.AxiLite(clocked, "b_axil")
    regs = Registers(os.environ["EPBELL_MU_LAYOUT"])
    await clocked.reset()
    await side_a.write(regs.home("RIE"), regs.mask("RIE"))
    return clocked, side_a, side_b, regs


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def write_to_irq(dut):
    """Write handshake on side B -> a_irq high, in clocks."""
    clocked, side_a, side_b, regs = await start(dut)
    latencies = []
    for number in range(16):
        vector = number * 3 % VECTORS
        assert dut.a_irq.value == 0
        side_b.post((regs.offset[f"TR{vector}"], number))
        await clocked.until(lambda: dut.a_irq.value == 1)
        latencies.append(clocked.cycle - side_b.written[-1])
        assert await side_a.read(regs.offset[f"RR{vector}"]) == number
        await clocked.step(1 + number)
    figures.append(figure="mu_write_to_irq", values=latencies)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def doorbells_sustained(dut):
    """Write TR0 to TR3 in every clock: clocks from one to the next, and the last words arrive."""
    _, side_a, side_b, regs = await start(dut)
    side_b.post(*((regs.offset[f"TR{number % VECTORS}"], number) for number in range(WRITES)))
    await side_b.drain()
    for vector in range(VECTORS):
        assert await side_a.read(regs.offset[f"RR{vector}"]) == WRITES - VECTORS + vector
    assert len(side_b.written) == WRITES
    figures.append(figure="mu_doorbells_sustained", values=[(side_b.written[-1] - side_b.written[0]) / (WRITES - 1)])
