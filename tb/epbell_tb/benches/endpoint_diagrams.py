"""The endpoint's timing diagrams: each test records the pins of the diagram that has its name.

Traces go to the file of :mod:`epbell_tb.figures`: ``diagram``, ``trace``.
"""

import cocotb

from epbell_tb import pins
from epbell_tb.benches.endpoint_speed import BAR, BAR_BASE, CONTROLLER, MAP, MU, Bench
from epbell_tb.docs.trace import Trace

NO_WINDOW = 4
WORD = 0x10


async def get_known(bench):
    """Ring another vector: the express lane knows the Messaging Unit from then on."""
    bench.ring(1, WORD)
    await bench.clocked.until(lambda: bench.irq.value == 1)
    await bench.take(1)
    await bench.clocked.step(8)


async def ring_and_take(bench):
    """Ring, wait for the interrupt, take the word as its handler does: the line falls."""
    bench.ring(0, WORD)
    await bench.clocked.until(lambda: bench.irq.value == 1)
    await bench.clocked.step(1)
    assert await bench.take(0) == WORD
    await bench.clocked.step(2)
    assert bench.irq.value == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def ring_mu(dut):
    """Show a ring of a doorbell that is known, the interrupt, the handler's read of RR0."""
    bench = Bench(dut)
    await bench.start()
    await get_known(bench)
    trace = Trace(bench.clocked, "ring_mu")
    await ring_and_take(bench)
    trace.end()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def first_ring(dut):
    """Show the first ring after the windows were written, and the interrupt."""
    bench = Bench(dut)
    await bench.start()
    trace = Trace(bench.clocked, "first_ring")
    await ring_and_take(bench)
    trace.end()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def ring_edma(dut):
    """Show a ring of the eDMA that is known, the interrupt, the handler's writes of both INT_CLEAR."""
    bench = Bench(dut)
    await bench.start()
    bench.ring_edma(1)
    await bench.clocked.until(lambda: bench.irq_edma.value == 1)
    await bench.acknowledge()
    await bench.clocked.step(8)
    trace = Trace(bench.clocked, "ring_edma")
    bench.ring_edma(1)
    await bench.clocked.until(lambda: bench.irq_edma.value == 1)
    await bench.clocked.step(1)
    await bench.acknowledge()
    await bench.clocked.step(2)
    assert bench.irq_edma.value == 0
    trace.end()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def rings_back_to_back(dut):
    """Write three words to TR0 in three clocks: the CPU takes the last one, and two are counted as merged."""
    bench = Bench(dut)
    await bench.start()
    await get_known(bench)
    trace = Trace(bench.clocked, "rings_back_to_back")
    for number in range(3):
        bench.ring(0, WORD + number)
    await bench.clocked.until(lambda: bench.irq.value == 1)
    await bench.clocked.step(3)
    assert await bench.take(0) == WORD + 2
    await bench.clocked.step(2)
    trace.end()
    assert await bench.cpu.read(MAP.controller + CONTROLLER["BELL0_MERGED"]) == 2


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def window(dut):
    """Show a read behind a window, and one of a BAR without a window."""
    bench = Bench(dut)
    bench.clocked.parts.remove(bench.completions._clock)  # it takes a completion without success for a failure
    await bench.start()
    trace = Trace(bench.clocked, "window")
    for bar in (BAR, NO_WINDOW):
        bench.cq.queue += pins.memory_read(bench.width, bar, BAR_BASE + MU["TR0"])
        await bench.clocked.until(lambda: dut.m_axis_cc_tvalid.value == 1)
        await bench.clocked.step(2)
    trace.end()
    assert await bench.cpu.read(MAP.controller + CONTROLLER["READS_REFUSED"]) == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def msi(dut):
    """Let the CPU raise MSI 2; the hard block says three clocks later that it is sent."""
    bench = Bench(dut)
    await bench.start()
    dut.cfg_interrupt_msi_enable.value = 1
    dut.cfg_interrupt_msi_mmenable.value = 2
    await bench.clocked.step(20)
    trace = Trace(bench.clocked, "msi")
    bench.cpu.post((MAP.controller + CONTROLLER["MSI_RAISE"], 2))
    await bench.clocked.until(lambda: dut.cfg_interrupt_msi_int.value != 0)
    await bench.clocked.step(3)
    dut.cfg_interrupt_msi_sent.value = 1
    await bench.clocked.step()
    dut.cfg_interrupt_msi_sent.value = 0
    await bench.clocked.step(2)
    trace.end()
    assert await bench.cpu.read(MAP.controller + CONTROLLER["MSI_SENT"]) == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def msix(dut):
    """Let the CPU raise MSI-X vector 1, whose message leaves on RQ."""
    bench = Bench(dut)
    await bench.start()
    await bench.set_up_msix()
    trace = Trace(bench.clocked, "msix")
    await bench.raised("MSIX_RAISE", 1, dut.m_axis_rq_tvalid)
    await bench.clocked.step(2)
    trace.end()
    assert await bench.cpu.read(MAP.controller + CONTROLLER["MSIX_SENT"]) == 1
