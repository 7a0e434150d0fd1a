"""Tests of a tiny module with mutants: one sees all of it, one is blind, one fails without any mutant."""

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge


async def run(dut, look):
    Clock(dut.clk, 4, unit="ns").start()
    dut.rst.value = 1
    dut.a.value = dut.b.value = 0
    for _ in range(2):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    last = 0
    for step in range(64):
        dut.a.value, dut.b.value = step & 7, step >> 3
        await RisingEdge(dut.clk)
        if look and step:
            assert dut.o.value == last, f"step {step}"
        last = (step & 7) & (step >> 3)


@cocotb.test(timeout_time=1, timeout_unit="us")
async def sharp(dut):
    await run(dut, look=True)


@cocotb.test(timeout_time=1, timeout_unit="us")
async def blind(dut):
    await run(dut, look=False)


@cocotb.test(timeout_time=1, timeout_unit="us")
async def wrong(dut):
    raise AssertionError("planted on purpose")
