"""How fast the endpoint is, at its pins: host write to interrupt, doorbells per clock, read round trip, raise to host.

Every test hands its figures on as JSON lines (:mod:`epbell_tb.figures`): ``figure``, ``values``.
``EPBELL_BENCH_REPEATS`` is the number of repetitions of the wall-clock measurements, 5 by default.
"""

import os
import time

import cocotb
from cocotb.triggers import Timer

from epbell.address_map import AddressMap
from epbell_regs import offsets
from epbell_tb import figures, pins
from epbell_tb.window_writes import bar_window

BAR, BAR_BASE = 1, 0x8000_4000
EDMA_BAR, EDMA_BAR_BASE = 2, 0x8000_8000
MEMORY_BAR, MEMORY_BAR_BASE = 3, 0x8000_C000
PAYLOAD, LONG_READS = 256, 5
DOORBELLS = 240
VECTORS = 4
MAP, MU, CONTROLLER = AddressMap(), offsets("mu_imx8ulp"), offsets("controller")
EDMA = offsets("edma")
EDMA_BELLS = (EDMA["WRITE_INT_STATUS"], EDMA["READ_INT_STATUS"])
MSIX_TABLE, MSIX_PBA, MSIX_VECTORS = MAP.ram + 0x80, MAP.ram + 0x4000, 4
MSIX_ADDRESS, MSIX_DATA = 0x1_FEE0_0000, 0x4000
QUIET = (
    *("s_axis_rc_tvalid", "cfg_interrupt_msi_mmenable", "cfg_interrupt_msi_mask_update", "cfg_interrupt_msi_data"),
    *("cfg_interrupt_msi_sent", "cfg_interrupt_msi_fail", "cfg_interrupt_msi_enable", "cfg_interrupt_msix_enable"),
    *("cfg_interrupt_msix_mask", "cfg_interrupt_msix_sent", "cfg_interrupt_msix_fail", "cfg_interrupt_sent"),
    *("cfg_mgmt_read_data", "cfg_mgmt_read_write_done", "cfg_flr_in_process", "cfg_function_power_state"),
)
REPEATS = int(os.environ.get("EPBELL_BENCH_REPEATS", "5"))


class Bench:
    """The endpoint: BAR 1 on the Messaging Unit, all four vectors enabled, BAR 2 on the eDMA page, BAR 3 on memory."""

    def __init__(self, dut):
        self.clocked = pins.start(dut)
        self.width = len(dut.s_axis_cq_tdata)
        self.cq = pins.CompleterRequests(self.clocked)
        self.cpu = pins.AxiLite(self.clocked, "cpu_axil")
        self.completions = pins.Completions(self.clocked)
        self.irq, self.irq_edma = dut.irq_mu, dut.irq_edma
        dut.m_axis_rq_tready.value = 1
        dut.cfg_max_payload.value = 0
        dut.cfg_function_status.value = 7
        for name in QUIET:
            getattr(dut, name).value = 0
        for pulse in (dut.edma_wr_done, dut.edma_wr_abort, dut.edma_rd_done, dut.edma_rd_abort):
            pulse.value = 0

    async def start(self):
        """Reset; aim inbound windows at side B, the eDMA and memory; enable the interrupts on side A."""
        await self.clocked.reset()
        await self.aim()
        await self.cpu.write(MAP.mu_a + MU["RCR"], 0xF)
        await self.clocked.step(4)

    async def aim(self):
        """Write the inbound windows, after which no doorbell is known to the express lane."""
        aims = (BAR, MAP.mu_b), (EDMA_BAR, MAP.edma), (MEMORY_BAR, MAP.ram)
        for window, (bar, target) in enumerate(aims):
            for address, value in bar_window(MAP.iatu, window, bar, target):
                await self.cpu.write(address, value)

    def ring(self, vector, data):
        """Put a doorbell write on the stream."""
        self.cq.queue += pins.memory_write(self.width, BAR, BAR_BASE + MU[f"TR{vector}"], data)

    def ring_edma(self, number):
        """Put a write to one of the eDMA's two doorbell words on the stream."""
        self.cq.queue += pins.memory_write(self.width, EDMA_BAR, EDMA_BAR_BASE + EDMA_BELLS[number % 2], number)

    async def acknowledge(self):
        """Write 0 to INT_CLEAR of both directions, as dw_edma does."""
        await self.cpu.write(MAP.edma + EDMA["WRITE_INT_CLEAR"], 0)
        await self.cpu.write(MAP.edma + EDMA["READ_INT_CLEAR"], 0)

    async def take(self, vector):
        """Read the word of a vector, as the interrupt handler does."""
        return await self.cpu.read(MAP.mu_a + MU[f"RR{vector}"])

    async def set_up_msix(self):
        """Write a table whose vectors have a message each, and switch MSI-X on at both ends."""
        for vector in range(MSIX_VECTORS):
            message = MSIX_ADDRESS & 0xFFFF_FFFF, MSIX_ADDRESS >> 32, MSIX_DATA + vector, 0
            for number, word in enumerate(message):
                await self.cpu.write(MSIX_TABLE + 16 * vector + 4 * number, word)
        for register, value in (
            ("MSIX_TABLE", MSIX_TABLE),
            ("MSIX_PBA", MSIX_PBA),
            ("MSIX_SIZE", 1 << 31 | MSIX_VECTORS - 1),
        ):
            await self.cpu.write(MAP.controller + CONTROLLER[register], value)
        self.clocked.dut.cfg_interrupt_msix_enable.value = 1
        await self.clocked.step(200)  # the engine clears the pending bits, and looks through them once

    async def raised(self, register, vector, pin):
        """Write a raise register; return the clocks from the write's handshake until a pin of the way out is not 0."""
        begin = len(self.cpu.written)
        self.cpu.post((MAP.controller + CONTROLLER[register], vector))
        await self.clocked.until(lambda: pin.value != 0)
        seen = self.clocked.cycle
        await self.cpu.drain()
        return seen - self.cpu.written[begin]

    async def read(self, size):
        """Read memory; return the clocks from the first beat of the request to the last one of its completions."""
        seen = self.completions
        wanted, packets = seen.dwords + size // 4, len(seen.ends) + size // PAYLOAD
        self.cq.queue += pins.memory_read(self.width, MEMORY_BAR, MEMORY_BAR_BASE, size // 4)
        await self.clocked.until(lambda: len(seen.ends) == packets, limit=10_000)
        assert seen.dwords == wanted
        await self.clocked.step(20)
        return seen.ends[-1] - self.cq.offered[-1]

    async def rung(self):
        """Read how often each vector was rung."""
        return [await self.cpu.read(MAP.controller + CONTROLLER[f"BELL{n}_RUNG"]) for n in range(VECTORS)]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def host_write_to_irq(dut):
    """First CQ beat of a ring on the stream -> irq_mu high, window and guard included, in clocks.

    The first ring of all vectors after the windows have been written is another figure.
    """
    bench = Bench(dut)
    await bench.start()
    known, first = [], []
    for number, vector in enumerate([0, 3, 1, 0, 2] * 4):
        if number % 5 == 0:
            await bench.aim()
            await bench.clocked.step(number)
        assert bench.irq.value == 0
        bench.ring(vector, 0x1000 + number)
        await bench.clocked.until(lambda: bench.irq.value == 1)
        (known if number % 5 else first).append(bench.clocked.cycle - bench.cq.offered[-1])
        assert await bench.take(vector) == 0x1000 + number
        await bench.clocked.step(1 + number)
    figures.append(figure="host_write_to_irq", values=known)
    figures.append(figure="first_host_write_to_irq", values=first)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def doorbells_sustained(dut):
    """Back-to-back single-dword doorbells: clocks from one to the next, with none lost."""
    bench = Bench(dut)
    await bench.start()
    for number in range(DOORBELLS):
        bench.ring(number % VECTORS, number)
    await bench.clocked.until(lambda: bench.cq.idle, limit=20 * DOORBELLS)
    await bench.clocked.step(8)
    assert await bench.rung() == [DOORBELLS // VECTORS] * VECTORS
    for vector in range(VECTORS):
        assert await bench.take(vector) == DOORBELLS - VECTORS + vector
    accepted = bench.cq.accepted
    assert len(accepted) == DOORBELLS
    figures.append(figure="doorbells_sustained", values=[(accepted[-1] - accepted[0]) / (DOORBELLS - 1)])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def host_write_to_irq_edma(dut):
    """First CQ beat of a write to a doorbell word of the eDMA -> irq_edma high, window and guard included.

    The first ring after the windows have been written, or of the other word, is another figure.
    """
    bench = Bench(dut)
    await bench.start()
    known, first = [], []
    for number in range(20):
        if number == 10:
            await bench.aim()
            await bench.clocked.step(number)
        assert bench.irq_edma.value == 0
        bench.ring_edma(number // 5)
        await bench.clocked.until(lambda: bench.irq_edma.value == 1)
        (known if number % 5 else first).append(bench.clocked.cycle - bench.cq.offered[-1])
        await bench.acknowledge()
        await bench.clocked.step(1 + number)
    assert bench.irq.value == 0
    figures.append(figure="host_write_to_irq_edma", values=known)
    figures.append(figure="first_host_write_to_irq_edma", values=first)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def edma_doorbells_sustained(dut):
    """Back-to-back doorbells of the eDMA: clocks from one to the next, with every one of them counted."""
    bench = Bench(dut)
    await bench.start()
    for number in range(DOORBELLS):
        bench.ring_edma(number)
    await bench.clocked.until(lambda: bench.cq.idle, limit=20 * DOORBELLS)
    await bench.clocked.step(8)
    counts = [await bench.cpu.read(MAP.controller + CONTROLLER[f"EDMA_{what}"]) for what in ("RUNG", "MERGED")]
    assert counts == [DOORBELLS, DOORBELLS - 1]
    accepted = bench.cq.accepted
    assert len(accepted) == DOORBELLS
    figures.append(figure="edma_doorbells_sustained", values=[(accepted[-1] - accepted[0]) / (DOORBELLS - 1)])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def read_round_trip(dut):
    """First CQ beat of a read of a doorbell word on the stream -> first beat of its completion, in clocks."""
    bench = Bench(dut)
    await bench.start()
    trips = []
    for number in range(8):
        bench.cq.queue += pins.memory_read(bench.width, BAR, BAR_BASE + MU["TR0"])
        await bench.clocked.until(lambda: dut.m_axis_cc_tvalid.value == 1)
        trips.append(bench.clocked.cycle - bench.cq.offered[-1])
        await bench.clocked.step(10 + number)
    figures.append(figure="read_round_trip", values=trips)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def long_reads(dut):
    """First CQ beat of a read -> last beat of its last completion; bytes per clock of reads back to back."""
    bench = Bench(dut)
    dut.cfg_max_payload.value = PAYLOAD.bit_length() - 8
    await bench.start()
    for size in (256, 4096):
        clocks = [await bench.read(size) for _ in range(4)]
        figures.append(figure=f"read_{size}", values=clocks)
    seen, packets = bench.completions, 4096 // PAYLOAD
    begin, dwords = len(seen.ends), seen.dwords
    for _ in range(LONG_READS):
        bench.cq.queue += pins.memory_read(bench.width, MEMORY_BAR, MEMORY_BAR_BASE, 1024)
    await bench.clocked.until(lambda: len(seen.ends) == begin + LONG_READS * packets, limit=10_000)
    assert seen.dwords == dwords + LONG_READS * 1024
    ends = seen.ends[begin + packets - 1 :: packets]
    figures.append(figure="read_bytes_per_clock", values=[4096 * (LONG_READS - 1) / (ends[-1] - ends[0])])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def raise_to_rq(dut):
    """CPU's write of MSIX_RAISE accepted -> first beat of the message on RQ, its table entry read, in clocks."""
    bench = Bench(dut)
    await bench.start()
    await bench.set_up_msix()
    clocks = []
    for number in range(16):
        vector = number % MSIX_VECTORS
        clocks.append(await bench.raised("MSIX_RAISE", vector, dut.m_axis_rq_tvalid))
        await bench.clocked.step(20 + number)
        assert await bench.cpu.read(MAP.controller + CONTROLLER["MSIX_SENT"]) == number + 1
    figures.append(figure="raise_to_rq", values=clocks)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def raise_to_msi_port(dut):
    """CPU's write of MSI_RAISE accepted -> cfg_interrupt_msi_int, in clocks."""
    bench = Bench(dut)
    await bench.start()
    dut.cfg_interrupt_msi_enable.value = 1
    await bench.clocked.step(20)
    clocks = []
    for number in range(16):
        clocks.append(await bench.raised("MSI_RAISE", 0, dut.cfg_interrupt_msi_int))
        await bench.clocked.step(1 + number)
        dut.cfg_interrupt_msi_sent.value = 1
        await bench.clocked.step()
        dut.cfg_interrupt_msi_sent.value = 0
        await bench.clocked.step(20)
        assert await bench.cpu.read(MAP.controller + CONTROLLER["MSI_SENT"]) == number + 1
    figures.append(figure="raise_to_msi_port", values=clocks)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def simulation_speed(dut):
    """Wall-clock speed: clock cycles per second with nothing to do, doorbells per second driven at the pins."""
    bench = Bench(dut)
    await bench.start()
    idle, rings = [], []
    for _ in range(REPEATS):
        clocks, begin = 50_000, time.perf_counter()
        await Timer(4 * clocks, unit="ns")
        idle.append(clocks / (time.perf_counter() - begin))
    for _ in range(REPEATS):
        count = 1000
        for number in range(count):
            bench.ring(number % VECTORS, number)
        begin = time.perf_counter()
        await bench.clocked.until(lambda: bench.cq.idle, limit=20 * count)
        rings.append(count / (time.perf_counter() - begin))
    figures.append(figure="cycles_per_second", values=idle)
    figures.append(figure="doorbells_per_second", values=rings)
