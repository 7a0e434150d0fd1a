"""The reference of all speeds: the endpoint behind cocotbext-pcie as it comes, used as its own examples use it.

Nothing here is mended, replaced or made quick: a root complex, its link with flow control and ACKs, the model of the
UltraScale+ hard block, cocotbext-axi for the CPU. Only the log is quiet. `epbell bench` runs it beside the tiers of our
own and gives their speeds as multiples of its speeds.

Figures (:mod:`epbell_tb.figures`): ``reference_writes``, ``reference_reads`` and ``reference_idle``, per second of
wall-clock time. ``EPBELL_BENCH_REPEATS`` is the number of measurements, 5 by default.
"""

import logging
import os
import time
from typing import Any

import cocotb
from cocotb.triggers import Timer
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus
from cocotbext.pcie.core import RootComplex
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice

from epbell.address_map import AddressMap
from epbell.bar import DEFAULT_BARS
from epbell_regs import offsets
from epbell_tb import figures
from epbell_tb.hard_block_pins import PINS
from epbell_tb.window_writes import bar_window

PERIOD_NS = 4
BAR = 1
VECTORS = 4
WRITES, READS, IDLE_CLOCKS = 400, 100, 20_000
REPEATS = int(os.environ.get("EPBELL_BENCH_REPEATS", "5"))
MAP, MU = AddressMap(), offsets("mu_imx8ulp")
QUIET = (
    "cfg_interrupt_msi_mask_update",
    *(f"edma_{way}_{what}" for way in ("wr", "rd") for what in ("done", "abort")),
)


class Reference:
    """The endpoint, a hard block, a root complex."""

    def __init__(self, dut: Any) -> None:
        for name in ("cocotb", f"cocotb.{dut._name}"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.dut = dut
        self.device: Any = UltraScalePlusPcieDevice(
            pcie_generation=3, user_clk_frequency=1e9 / PERIOD_NS, user_clk=dut.clk, user_reset=dut.rst,
            pf0_msi_enable=True, pf0_msi_count=VECTORS,
            cq_bus=AxiStreamBus.from_prefix(dut, "s_axis_cq"), cc_bus=AxiStreamBus.from_prefix(dut, "m_axis_cc"),
            rq_bus=AxiStreamBus.from_prefix(dut, "m_axis_rq"), rc_bus=AxiStreamBus.from_prefix(dut, "s_axis_rc"),
            **{name: getattr(dut, name) for name in PINS},
        )  # fmt: skip
        for name in QUIET:
            getattr(dut, name).value = 0
        for number, bar in enumerate(DEFAULT_BARS):
            if bar is not None:
                self.device.functions[0].configure_bar(number, bar.size)
        self.root: Any = RootComplex()
        self.root.make_port().connect(self.device)
        self.cpu = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "cpu_axil"), dut.clk, dut.rst)
        self.window: Any = None

    async def start(self) -> None:
        """Enumerate, aim BAR 1 at the Messaging Unit, enable its interrupts."""
        await self.root.enumerate()
        function = self.root.find_device(self.device.functions[0].pcie_id)
        await function.enable_device()
        await function.set_master()
        self.window = function.bar_window[BAR]
        for address, value in bar_window(MAP.iatu, 0, BAR, MAP.mu_b):
            await self.cpu.write_dword(address, value)
        await self.cpu.write_dword(MAP.mu_a + MU["RCR"], (1 << VECTORS) - 1)


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def reference_speed(dut: Any) -> None:
    """Doorbells posted one after the other, reads that wait for their data, and time in which nothing happens."""
    bench = Reference(dut)
    await bench.start()
    writes, reads, idle = [], [], []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        for number in range(WRITES):
            await bench.window.write_dword(MU[f"TR{number % VECTORS}"], number)
        # A read pushes the writes before it, and returns after them.
        assert await bench.window.read_dword(MU["TSR"]) == 0, "no vector has been read by the CPU"
        writes.append(WRITES / (time.perf_counter() - begin))
    for vector in range(VECTORS):
        assert await bench.cpu.read_dword(MAP.mu_a + MU[f"RR{vector}"]) == WRITES - VECTORS + vector
    for _ in range(REPEATS):
        begin = time.perf_counter()
        for _ in range(READS):
            assert await bench.window.read_dword(MU["TSR"]) == (1 << VECTORS) - 1
        reads.append(READS / (time.perf_counter() - begin))
    for _ in range(REPEATS):
        begin = time.perf_counter()
        await Timer(PERIOD_NS * IDLE_CLOCKS, unit="ns")
        idle.append(IDLE_CLOCKS / (time.perf_counter() - begin))
    figures.append(figure="reference_writes", values=writes)
    figures.append(figure="reference_reads", values=reads)
    figures.append(figure="reference_idle", values=idle)
