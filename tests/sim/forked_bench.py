"""Scenarios that end in every way, each in a fork of its own: only what happens in it may decide on it."""

import os
import random
import signal
import time
from pathlib import Path

import cocotb
import pytest
from cocotb.triggers import Timer

from epbell_models.platform import BusError
from epbell_tb import figures
from epbell_tb.endpoint import bring_up
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


@cocotb.test(timeout_time=1, timeout_unit="us")
async def draws(dut):
    """Tell a random number of cocotb's."""
    await Timer(1, unit="ns")
    told("draws", drawn=random.random())


@cocotb.test(timeout_time=1, timeout_unit="us")
async def hangs(dut):
    """Stop simulated time."""
    time.sleep(3600)


@cocotb.test(timeout_time=1, timeout_unit="us")
async def takes_all_along(dut):
    """End the process that all others have sprung from."""
    print("about to end all", flush=True)
    parent = Path(f"/proc/{os.getppid()}/stat").read_text()
    os.kill(int(parent.rpartition(")")[2].split()[1]), signal.SIGKILL)
    time.sleep(3600)


class Never(bring_up.BringUp):
    """A bring-up that takes for ever, in simulated time or in ours."""

    async def environment(self, dut):
        print("coming up", flush=True)
        if self.linux:
            time.sleep(3600)
        while True:
            await Timer(1, unit="ns")


@cocotb.test(timeout_time=3, timeout_unit="us")
async def never_comes_up(dut, env):
    """Never run."""


@cocotb.test(timeout_time=3, timeout_unit="us")
async def hangs_before(dut, env):
    """Never run."""


for test in (never_comes_up, hangs_before):
    bring_up._bring_ups[test.func] = Never(linux=test is hangs_before, msix=1)


@cocotb.test(timeout_time=1, timeout_unit="us", name="slashed/it")
async def slashed(dut):
    """Never run."""


@cocotb.test(timeout_time=100, timeout_unit="us")
@scenario(msix=0.5)
async def has_no_bring_up(env):
    """Never run: no table has half a vector."""
