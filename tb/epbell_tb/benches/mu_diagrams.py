"""The Messaging Unit's timing diagram: a word from side B to side A; ``EPBELL_MU_LAYOUT`` names the layout."""

import cocotb

from epbell_tb.benches.mu_speed import start
from epbell_tb.docs.trace import Trace

WORD = 0x1234


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def mu_alone(dut):
    """Show a write of TR0 at side B, the line, the read of RR0 at side A."""
    clocked, side_a, side_b, regs = await start(dut)
    await clocked.step(2)
    trace = Trace(clocked, "mu_alone")
    side_b.post((regs.offset["TR0"], WORD))
    await clocked.until(lambda: dut.a_irq.value == 1)
    await clocked.step(1)
    assert await side_a.read(regs.offset["RR0"]) == WORD
    await clocked.step(2)
    assert dut.a_irq.value == 0
    trace.end()
