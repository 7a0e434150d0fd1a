"""How fast the eDMA page is, at its AXI4-Lite port.

Figures are handed on as JSON lines (:mod:`epbell_tb.figures`): ``figure``, ``values``.
"""

import cocotb

from epbell_regs import offsets
from epbell_tb import figures, pins

WRITES = 1000
EDMA = offsets("edma")
BELLS = (EDMA["WRITE_INT_STATUS"], EDMA["READ_INT_STATUS"])


async def start(dut):
    """Reset, with no DMA engine."""
    clocked = pins.start(dut)
    bus = pins.AxiLite(clocked, "s_axil")
    for pulse in (dut.wr_done, dut.wr_abort, dut.rd_done, dut.rd_abort):
        pulse.value = 0
    await clocked.reset()
    return clocked, bus


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def write_to_irq(dut):
    """Write handshake of either INT_STATUS -> irq high, in clocks."""
    clocked, bus = await start(dut)
    latencies = []
    for number in range(16):
        assert dut.irq.value == 0
        bus.post((BELLS[number % 2], number))
        await clocked.until(lambda: dut.irq.value == 1)
        latencies.append(clocked.cycle - bus.written[-1])
        await bus.write(EDMA["WRITE_INT_CLEAR"], 0)
        await clocked.step(1 + number)
    figures.append(figure="edma_write_to_irq", values=latencies)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def writes_sustained(dut):
    """Ring in every clock: clocks from one ring to the next; then one acknowledge is enough."""
    clocked, bus = await start(dut)
    bus.post(*((BELLS[number % 2], number) for number in range(WRITES)))
    await bus.drain()
    assert len(bus.written) == WRITES
    figures.append(figure="edma_writes_sustained", values=[(bus.written[-1] - bus.written[0]) / (WRITES - 1)])
    assert dut.irq.value == 1
    await bus.write(EDMA["READ_INT_CLEAR"], 0)
    await clocked.step(2)
    assert dut.irq.value == 0
