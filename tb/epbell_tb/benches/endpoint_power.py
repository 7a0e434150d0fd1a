"""Scenarios of a function that answers nothing: memory space off, and D3hot with whatever is under way.

The hard block refuses the host's requests by itself. What is the endpoint's own goes on, and what it has for the host
waits.
"""

import cocotb
import pytest

from epbell_models.host.resets import D0, D3HOT
from epbell_models.platform import BusError
from epbell_models.reference.outbound import Cause
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.reset_cases import (
    HASTE,
    INTX,
    MSI,
    MSIX,
    Bell,
    host_reads,
    map_host,
    mask_vector,
    pending_vectors,
    silent,
    stalled,
    until_fired,
)

_VECTORS = 8
_WORDS = 4
_COMMAND, _MEMORY = 0x04, 1 << 1
_ONES = 0xFFFF_FFFF
_LOW_POWER = 1 << 2
_BEGUN_NS = 2000


async def _memory_space(env, on):
    command = await env.function.config_read32(_COMMAND) & 0xFFFF
    await env.function.config_write32(_COMMAND, command | _MEMORY if on else command & ~_MEMORY)
    await env.clocks(20)


async def _refused(env, bell):
    """Ring, and read the doorbell, while the function answers nothing: neither reaches the endpoint."""
    dropped, requests, rang = len(env.block.dropped), env.board.counts["requests"], bell.line()
    await bell.ring()
    assert await bell.read() == _ONES
    assert env.device.refused_reads
    await silent(env)
    assert len(env.block.dropped) == dropped + 2
    assert env.board.counts["requests"] == requests, "the hard block answers it, and the endpoint sees nothing"
    assert bell.line() == rang


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def ring_with_memory_space_off(env):
    """Ring with Memory Space Enable off: refused, nobody hears of it. Then with a ring pending, and no bus master."""
    bell = Bell(env)
    await bell.enable()
    await _memory_space(env, False)
    await _refused(env, bell)
    await _memory_space(env, True)
    await silent(env)
    fired = list(env.device.fired)
    await bell.ring()
    await until_fired(env, fired, (0,))
    # What rang before is the CPU's; its MSI waits for bus mastering only.
    await env.device.disable()
    await bell.ring_unseen()
    await _memory_space(env, False)
    await _refused(env, bell)
    env.cpu.release()
    await env.until(lambda: not bell.line(), "the CPU takes the ring")
    fired = list(env.device.fired)
    await silent(env)
    await env.device.set_master()
    await env.until(lambda: env.device.fired[0] == fired[0] + 1, "the MSI follows bus mastering")
    await _memory_space(env, True)
    await silent(env)
    await bell.disable()
    assert await env.host.doorbell_test() == 0, env.software.log


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def d3hot_while_pending(env):
    """Go to D3hot idle, then with a ring pending, and ring there: refused; what was pending is told once, in D0."""
    bell, resets = Bell(env), env.device.resets
    resets.haste = HASTE
    await bell.enable()
    assert await resets.suspend() == 0
    assert await env.counters.read("FUNCTION") == _LOW_POWER
    await _refused(env, bell)
    assert await resets.resume() == 0
    assert await env.counters.read("FUNCTION") == 0
    await silent(env)
    for _ in range(2):
        fired = list(env.device.fired)
        await bell.ring()
        await until_fired(env, fired, (0,))
    await bell.ring_unseen()
    assert await resets.suspend() == 0
    await _refused(env, bell)
    env.cpu.release()
    await env.until(lambda: not bell.line(), "the CPU takes the ring")
    fired = list(env.device.fired)
    await silent(env)
    assert await resets.resume() == 0
    await until_fired(env, fired, (0,))
    await silent(env)
    await bell.disable()
    assert await env.host.doorbell_test() == 0, env.software.log
    assert await env.counters.read("FLRS") == 0
    assert not env.block.while_asleep


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def d3hot_while_reading(env):
    """Go to D3hot with reads under way both ways: they are answered; new ones of the CPU are refused until D0."""
    memory, source, resets = env.to_host.memory, env.random, env.device.resets
    resets.haste = HASTE
    size = 4 * _WORDS
    base = memory.allocate(0x1000, 0x1000)
    data, image = source.randbytes(size), source.randbytes(0x100)
    memory.poke(base, data)
    mapping = await map_host(env, base)
    await env.device.write(4, 0, image)
    env.to_host.delay = lambda: 3000
    sent = env.board.counts["to_host_reads"]
    reading = cocotb.start_soon(env.cpu.read(mapping.address, size))
    await env.until(lambda: env.board.counts["to_host_reads"] == sent + _WORDS, "the CPU's reads have left")
    async with stalled(env, env.block.cc_sink, after_ns=_BEGUN_NS):
        asked = host_reads(env, 4, len(image))
        await env.clocks(100)
    assert await resets.set_power_state(D3HOT) == 0
    assert await reading == data, "what was asked for in D0 may be answered in D3hot"
    for offset, read in asked:
        answer = await read
        assert answer == image[offset : offset + len(answer)], "a read of the host from before D3hot"
    sent = env.board.counts["to_host_reads"] + env.board.counts["to_host_writes"]
    for access in (env.cpu.read32(mapping.address), env.cpu.write32(mapping.address + 0x80, 1)):
        with pytest.raises(BusError, match="CA"):
            await access
        assert await env.counters.read("OUTBOUND_CAUSE") == Cause.NOT_MASTER
        await env.counters.write("OUTBOUND_CAUSE", 0)
    assert env.board.counts["to_host_reads"] + env.board.counts["to_host_writes"] == sent
    assert await resets.set_power_state(D0) == 0
    env.to_host.delay = lambda: 0
    assert memory.peek(base + 0x80, 4) == bytes(4)
    assert await env.cpu.read(mapping.address, size) == data, "the windows are kept"
    assert await env.device.read(4, 0, len(image)) == image
    await env.software.epc.mem_unmap(mapping)
    assert await env.host.copy_test(100) == 0, env.software.log
    assert await env.host.doorbell_test() == 0, env.software.log
    assert not env.block.while_asleep


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def d3hot_with_interrupts_due(env):
    """Raise MSI, MSI-X and INTx in D3hot: the host hears nothing, and in D0 of each once."""
    host, device, counters, resets = env.host, env.device, env.counters, env.device.resets
    resets.haste = HASTE
    assert await host.set_irqtype(MSI) == 0
    fired = list(device.fired)
    assert await resets.suspend() == 0
    for vector in (3, 5):
        await counters.write("MSI_RAISE", vector)
    await silent(env)
    assert await resets.resume() == 0
    await until_fired(env, fired, (3, 5))
    await silent(env)
    assert await host.set_irqtype(MSIX) == 0
    fired = list(device.fired)
    await mask_vector(env, 4, True)
    assert await resets.set_power_state(D3HOT) == 0
    for vector in (2, 2, 4, 6):
        await counters.write("MSIX_RAISE", vector)
    await silent(env)
    env.board.counts["msix_merged"] += 1
    assert await resets.set_power_state(D0) == 0
    await until_fired(env, fired, (2, 6))
    assert await pending_vectors(env, _VECTORS) == 1 << 4
    await mask_vector(env, 4, False)
    await until_fired(env, fired, (2, 6, 4))
    assert await host.doorbell_test() == 0, env.software.log
    assert await host.set_irqtype(INTX) == 0
    await device.free_irq(0)
    line = env.to_host.intx
    await counters.write("INTX", 1)
    await env.until(line.level, "INTA is asserted")
    assert await resets.suspend() == 0
    assert not line.level(), "INTA in D3hot"
    await silent(env)
    assert await resets.resume() == 0
    await env.until(line.level, "INTA is asserted again")
    await counters.write("INTX", 0)
    await env.until(lambda: not line.level(), "INTA is deasserted")
    assert not env.block.while_asleep
