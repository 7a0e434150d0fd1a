"""Scenarios of the host's commands to the bridge: how soon they are answered, and what else becomes of them."""

import errno

import cocotb
import pytest

from epbell_models.host.ntb_hw_epf_regs import Command, EpfRegisters, Register
from epbell_models.platform import BusError
from epbell_models.reference.outbound import Cause
from epbell_tb.endpoint.bring_up import after
from epbell_tb.endpoint.vntb_env import VntbBringUp

_CONFIG = 0
_TICK, _LIMIT = 0.5, 1.0
_SLACK = 30e-3
"""Seconds of Linux time that the host may take to look again for an answer."""

_UNKNOWN = 7
_PAGE = 0x1000


async def _timed(env, command):
    """Return what a command that is on its way returns, and how many seconds of Linux time it still took."""
    start = env.platform.now()
    return await env.patiently(command), env.platform.now() - start


@cocotb.test(timeout_time=8000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_commands_in_time(env):
    """Send commands while doorbells interrupt: answered when the work runs, every half second."""
    commands = env.vntb.commands
    # The work has just run: it answered the driver's probe.
    error, seconds = await _timed(env, cocotb.start_soon(env.driver.link_enable()))
    assert error == 0
    assert _TICK - 2 * _SLACK < seconds < _TICK + _SLACK
    assert await env.driver.link_is_up() == await env.ntb.link_is_up() == 1
    assert env.near.take() == ["link"]
    # One that nobody takes.
    await commands.stop()
    error, seconds = await _timed(env, cocotb.start_soon(env.driver.link_disable()))
    assert error == -errno.ETIMEDOUT
    assert _LIMIT < seconds < _LIMIT + _SLACK
    assert env.driver.log[-1] == "ntb_hw_epf: Fail to disable link"
    assert await env.driver.link_is_up() == 1
    await env.cpu.write32(env.vntb.control.address, 0)
    commands.start()
    await env.settle()
    assert env.near.take() == []
    # The work runs when it starts.
    await commands.stop()
    answer = cocotb.start_soon(env.driver.link_disable())
    await env.settle()
    commands.start()
    error, seconds = await _timed(env, answer)
    assert error == 0
    assert seconds < 2 * _SLACK
    assert await env.driver.link_is_up() == await env.ntb.link_is_up() == 0
    assert env.near.take() == ["link"]


@cocotb.test(timeout_time=4000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_commands_that_fail(env):
    """Configure a window when all of the controller's are taken: -EINVAL. Send what is no command: no answer at all."""
    send = EpfRegisters(env.device, 1e-3).send
    memory, size = env.to_host.memory, env.config().mw_sizes[0]
    buffer = env.driver.dma_alloc(size)
    taken = [await env.software.epc.mem_map(memory.allocate(_PAGE, _PAGE), _PAGE) for _ in range(_windows(env))]
    assert await env.driver.mw_set_trans(0, 0, buffer, size) == 0, "the host's driver does not look at the answer"
    assert env.software.log[-1] == "pci_epf_vntb: Failed to map memory window 0 address"
    assert await send(Command.CONFIGURE_MW, 0) == -errno.EINVAL
    assert await env.device.read32(_CONFIG, Register.COMMAND_STATUS) == 0, "the host has cleared it"
    with pytest.raises(BusError):
        await env.ntb.peer_mw_write(0, 0, b"lost")
    assert await env.counters.read("OUTBOUND_CAUSE") == Cause.NO_WINDOW
    await env.counters.write("OUTBOUND_CAUSE", 0)
    error, seconds = await _timed(env, cocotb.start_soon(send(_UNKNOWN, 1)))
    assert error == -errno.ETIMEDOUT
    assert _LIMIT < seconds < _LIMIT + _SLACK
    assert await env.device.read(_CONFIG, 0, 12) == bytes(12), "it was taken, and nothing was answered"
    assert env.software.log[-1] == f"pci_epf_vntb: UNKNOWN command: {_UNKNOWN}"
    await env.software.epc.mem_unmap(taken.pop())
    assert await send(Command.CONFIGURE_MW, 0) == 0
    data = env.random.randbytes(64)
    await env.ntb.peer_mw_write(0, size - 64, data)
    await env.settle()
    assert memory.peek(buffer + size - 64, 64) == data
    assert await env.ntb.peer_mw_read(0, size - 64, 64) == data
    assert await env.driver.mw_clear_trans(0, 0) == 0
    with pytest.raises(BusError):
        await env.ntb.peer_mw_write(0, 0, b"lost")
    await env.counters.write("OUTBOUND_CAUSE", 0)
    assert not memory.dropped


def _windows(env):
    return env.tree.endpoint.outbound_windows
