"""Scenarios that end in every way, each in a fork of its own: only what happens in it may decide on it."""

import os
import signal

import cocotb
import pytest
from cocotb.triggers import Timer

from epbell_models.platform import BusError
from epbell_tb import figures
from epbell_tb.endpoint.bring_up import scenario

MARK = []


def told(name, **more):
    figures.append(name=name, rings=len(MARK), irqs=0, merged=0, **more)


async def refused(env):
    """Have something to check: every scenario must."""
    with pytest.raises(BusError):
        await env.memory.read32(env.address(2))


@cocotb.test(timeout_time=100, timeout_unit="us")
@scenario(linux=False)
async def leaves_a_mark(env):
    MARK.append(env)
    await env.cpu.write32(env.board.map["ram"].base, 0xABCD)
    await refused(env)


@cocotb.test(timeout_time=100, timeout_unit="us")
@scenario(linux=False)
async def finds_no_mark(env):
    """Neither in Python nor in the RTL is anything left of the others."""
    assert not MARK
    assert await env.cpu.read32(env.board.map["ram"].base) == 0, "a word of another scenario"
    await refused(env)


@cocotb.test(timeout_time=100, timeout_unit="us")
@scenario(linux=False)
async def fails(env):
    await env.clocks(10)
    assert env is None, "planted on purpose"


@cocotb.test(timeout_time=100, timeout_unit="us")
@scenario(linux=False)
async def fails_beside(env):
    async def check():
        await env.clocks(2)
        raise AssertionError("a monitor complains")

    cocotb.start_soon(check())
    await env.clocks(1000)


@cocotb.test(timeout_time=2, timeout_unit="us")
@scenario(linux=False)
async def never_ends(env):
    while True:
        await env.clocks(100)


@cocotb.test(timeout_time=1, timeout_unit="us")
async def dies(dut):
    await Timer(1, unit="ns")
    os.kill(os.getpid(), signal.SIGSEGV)


@cocotb.test(timeout_time=1, timeout_unit="us")
async def leaves(dut):
    await Timer(1, unit="ns")
    os._exit(3)


@cocotb.test(timeout_time=1, timeout_unit="us")
async def lies(dut):
    """Pass, although the simulator has said that an assertion of the RTL failed."""
    await Timer(1, unit="ns")
    print("%Error: top.sv:1: Assertion failed in TOP.top", flush=True)
    told("lies")


@cocotb.test(timeout_time=1, timeout_unit="us")
async def passes_alone(dut):
    await Timer(1, unit="ns")
    told("passes_alone")


@cocotb.test(timeout_time=100, timeout_unit="us")
@scenario(msix=0.5)
async def has_no_bring_up(env):
    """Never run: no table has half a vector."""
