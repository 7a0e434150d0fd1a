"""Tests of a bench that pass, fail, hang and die: what the runner must tell apart."""

import os
import time

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from epbell_tb import figures


@cocotb.test(timeout_time=1, timeout_unit="us")
async def passes(dut):
    Clock(dut.clk, 4, unit="ns").start()
    dut.rst.value = 0
    dut.i.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    assert dut.o.value == 1
    figures.append(seed=os.environ["EPBELL_SEED"], told=os.environ.get("EPBELL_TOLD"))


@cocotb.test(timeout_time=1, timeout_unit="us")
async def fails(dut):
    await Timer(10, unit="ns")
    assert dut.o.value == 2, "it is planted"


@cocotb.test(timeout_time=1, timeout_unit="us")
async def hangs(dut):
    time.sleep(3600)


@cocotb.test(timeout_time=1, timeout_unit="us")
async def dies(dut):
    os._exit(0)
