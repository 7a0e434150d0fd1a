"""Scenarios that `make sim` must not show as passed."""

import cocotb
from cocotb.triggers import Timer

from epbell_tb import figures


@cocotb.test(timeout_time=1, timeout_unit="us")
async def planted_failure(dut):
    await Timer(1, unit="ns")
    assert dut.irq_mu.value == 1, "planted on purpose"


@cocotb.test(timeout_time=1, timeout_unit="us")
async def planted_silence(dut):
    await Timer(1, unit="ns")


@cocotb.test(timeout_time=1, timeout_unit="us")
async def planted_pass(dut):
    await Timer(1, unit="ns")
    figures.append(
        name="planted_pass", width=256, stalls=False, rings=3, irqs=2, merged=1, cycles_to_irq_min=2,
        cycles_to_irq_max=5, seed=1,
    )  # fmt: skip
