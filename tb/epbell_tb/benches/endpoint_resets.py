"""Scenarios of function-level and hot resets: idle, with a doorbell pending, with reads under way, with interrupts due.

The host's side is Linux's: state saved, reset, state restored. What was due before must not come afterwards.
"""

from collections import Counter

import cocotb
import pytest

from epbell_models.platform import BusError
from epbell_models.reference.outbound import Cause
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.reset_cases import (
    HASTE,
    INTX,
    MSI,
    MSIX,
    Bell,
    function_is_fresh,
    host_reads,
    map_host,
    mask_vector,
    pending_vectors,
    reset,
    silent,
    stalled,
    until_fired,
)
from epbell_tb.endpoint.resets import HotReset

_VECTORS = 8
_WORDS = 4
_TAGS = 32
_AT_A_TIME, _EVERY_TAG = 8, 9
"""Reads of the host that are under way at most; rounds of one more, after which each of 32 tags was one of them."""

_READS_AFTER = 40
_BEGUN_NS = 3000
_LINK_DOWN = 500
_TOLD = 3
"""Clocks until `cfg_flr_done` of other functions (docs/endpoint.md)."""
_LINK_UP = 100e-3
"""Seconds that the host waits after the link has come up (PCI Express, 6.6.1)."""

_DELAYS = (5_000, 15_000, 28_000, 31_000)
"""Nanoseconds until the host answers: while the function is in reset, and after it has been set up again."""


@cocotb.test(timeout_time=3000, timeout_unit="us")
@scenario()
async def flr_while_pending(env):
    """Reset the function, idle and with a ring that the CPU has not taken: it stays, and the host hears nothing."""
    bell = Bell(env)
    await _idle(env, "flr")
    resets = env.device.resets
    resets.haste = HASTE
    for late in (False, True):
        await bell.enable()
        await bell.ring_unseen()
        fired = list(env.device.fired)
        await resets.save_and_disable()
        assert await resets.flr() == 0
        await function_is_fresh(env)
        assert bell.line(), "a ring is the CPU's, and a reset of the function does not take it away"
        if not late:
            env.cpu.release()
            await env.until(lambda: "Invalid MSI" in str(env.software.log), "the CPU takes the ring, and has no MSI")
            assert not bell.line()
        await resets.restore()
        await silent(env)
        assert env.device.fired == fired
        if late:
            env.cpu.release()
            await until_fired(env, fired, (0,))
        await silent(env)
        await bell.disable()
        assert await env.host.doorbell_test() == 0, env.software.log
    assert await env.counters.read("FLRS") == 3
    assert await env.counters.read("FUNCTION") == 1
    await env.counters.write("FUNCTION", 1)
    assert await env.counters.read("FUNCTION") == 0


@cocotb.test(timeout_time=3000, timeout_unit="us")
@scenario()
async def hot_reset_while_pending(env):
    """Reset the link, idle and with a ring that the CPU has not taken: it is gone, and the doorbell comes back."""
    bell = Bell(env)
    await _idle(env, "hot")
    await bell.enable()
    await bell.ring_unseen()
    fired = list(env.device.fired)
    await reset(env, "hot")
    assert not bell.line(), "a ring from before the reset"
    await silent(env)
    assert env.device.fired == fired
    # The host's driver ends its test as if nothing had been: this is what frees the doorbell.
    await bell.disable()
    for _ in range(2):
        assert await env.host.doorbell_test() == 0, env.software.log
    assert await env.counters.read("FUNCTION") == 0


async def _idle(env, kind):
    """Reset between two tests, and see that only what has to be is forgotten."""
    assert await env.host.doorbell_test() == 0, env.software.log
    fired = list(env.device.fired)
    await reset(env, kind)
    await silent(env)
    assert env.device.fired == fired
    assert await env.host.doorbell_test() == 0, env.software.log


@cocotb.test(timeout_time=3000, timeout_unit="us")
@scenario()
async def flr_while_reading(env):
    """Reset the function with reads and writes under way both ways: they fail, and no late completion is believed."""
    await _while_reading(env, "flr")
    assert await env.counters.read("FLRS") == 1


@cocotb.test(timeout_time=3000, timeout_unit="us")
@scenario()
async def hot_reset_while_reading(env):
    """Reset the link with reads and writes under way both ways: all of it is lost, and what follows is right."""
    await _while_reading(env, "hot")


@cocotb.test(timeout_time=3000, timeout_unit="us")
@scenario()
async def flr_with_every_tag(env):
    """Reset the function until reads with each tag have failed: no late completion is believed, or costs a tag."""
    memory, source = env.to_host.memory, env.random
    base, size = memory.allocate(0x1000, 0x1000), 4 * _AT_A_TIME
    mapping = await map_host(env, base)
    for _ in range(_EVERY_TAG):
        env.to_host.delay = lambda: source.choice(_DELAYS)
        sent = env.board.counts["to_host_reads"]
        failing = cocotb.start_soon(_fails(env, mapping.address, size, Cause.TIMEOUT))
        await env.until(lambda sent=sent: env.board.counts["to_host_reads"] == sent + _AT_A_TIME, "reads have left")
        await reset(env, "flr")
        await failing
        env.to_host.delay = lambda: 0
        word = source.randbytes(4)
        memory.poke(base, word)
        assert await env.cpu.read(mapping.address, 4) == word, "a completion from before the reset is believed"
    before = Counter(env.board.to_host.tags)
    for first in range(0, _TAGS, _AT_A_TIME):
        image = source.randbytes(size)
        memory.poke(base, image)
        assert await env.cpu.read(mapping.address, size) == image, f"reads with tags from {first} on"
    used = env.board.to_host.tags - before
    assert used == dict.fromkeys(range(_TAGS), 1), f"{_TAGS} reads have used the tags {used}"
    await env.software.epc.mem_unmap(mapping)


async def _while_reading(env, kind):
    memory, source = env.to_host.memory, env.random
    size = 4 * _WORDS
    base = memory.allocate(0x1000, 0x1000)
    memory.poke(base, source.randbytes(size))
    mapping = await map_host(env, base)
    delays = iter(_DELAYS)
    env.to_host.delay = lambda: next(delays, 0)
    image = source.randbytes(0x200)
    await env.device.write(4, 0, image)
    sent = env.board.counts["to_host_reads"]
    failing = cocotb.start_soon(_fails(env, mapping.address, size, Cause.TIMEOUT if kind == "flr" else Cause.NONE))
    await env.until(lambda: env.board.counts["to_host_reads"] == sent + _WORDS, "the CPU's reads have left")
    async with stalled(env, env.block.cc_sink, env.block.rq_sink, after_ns=_BEGUN_NS):
        if kind == "flr":  # what the CPU had not been told of when the link was lost, nobody can tell
            await env.cpu.write(mapping.address + 0x80, source.randbytes(size))
        asked = host_reads(env, 4, len(image))
        await env.clocks(100)
    await reset(env, kind)
    await failing
    for offset, read in asked:
        data = await read
        assert data in (image[offset : offset + len(data)], b"\xff" * len(data)), "a read of the host got other data"
    assert memory.peek(base + 0x80, size) == bytes(size), "a write from before the reset"
    image = source.randbytes(size)
    memory.poke(base, image)
    if kind == "hot":
        await env.software.epc.mem_unmap(mapping)
        mapping = await map_host(env, base)
    for _ in range(_READS_AFTER):
        assert await env.cpu.read(mapping.address, size) == image, "a completion from before the reset is believed"
        await env.clocks(50)
    await env.software.epc.mem_unmap(mapping)
    assert await env.device.read(4, 0x200, 16) != b"\xff" * 16
    for test in (env.host.copy_test, env.host.write_test):
        assert await test(100) == 0, env.software.log
    assert await env.host.doorbell_test() == 0, env.software.log


@cocotb.test(timeout_time=3000, timeout_unit="us")
@scenario()
async def link_lost_while_busy(env):
    """Lose the link unasked, with a ring pending and reads under way both ways: the host finds a new function."""
    bell, link, memory = Bell(env), HotReset(env), env.to_host.memory
    assert await env.host.doorbell_test() == 0, env.software.log
    mapping = await map_host(env, memory.allocate(0x1000, 0x1000))
    image = env.random.randbytes(0x200)
    await env.device.write(4, 0, image)
    await bell.enable()
    env.to_host.delay = lambda: _DELAYS[-1]
    sent = env.board.counts["to_host_reads"]
    failing = cocotb.start_soon(_fails(env, mapping.address, 4, Cause.NONE))
    await env.until(lambda: env.board.counts["to_host_reads"] > sent, "the CPU's read has left")
    await bell.ring_unseen()
    async with stalled(env, env.block.cc_sink, env.block.rq_sink, after_ns=_BEGUN_NS):
        asked = host_reads(env, 4, len(image))
        await env.clocks(100)
        assert bell.line(), "the ring is still pending"
    # Nobody has written to Bridge Control: the hard block loses the link and resets its user.
    await link.follow(True)
    for offset, read in asked:
        data = await read
        assert data in (image[offset : offset + len(data)], b"\xff" * len(data)), "a read of the host got other data"
    assert env.device.refused_reads, "no read was under way when the link was lost"
    await env.host.remove()
    await env.clocks(_LINK_DOWN)
    await link.follow(False)
    await failing
    await env.platform.sleep(_LINK_UP / HASTE)
    assert env.software.epc.init_complete, "the endpoint's software must be back before the host goes on"
    await env.software.epc.mem_unmap(mapping)
    assert not bell.line(), "a ring from before the link was lost"
    env.to_host.delay = lambda: 0
    await function_is_fresh(env)
    await env.enumerate()
    await env.device.enable()
    await env.device.set_master()
    await env.start_host()
    await silent(env)
    # To the endpoint's Linux the doorbell is enabled still, and it enables none twice: the new host disables it first.
    await bell.disable()
    for test in (env.host.write_test, env.host.read_test):
        assert await test(100) == 0, env.software.log
    for _ in range(2):
        assert await env.host.doorbell_test() == 0, env.software.log


async def _fails(env, address, size, cause):
    """Read what is not answered before the reset; the endpoint says why, unless the reset took that away, too."""
    with pytest.raises(BusError):
        await env.cpu.read(address, size)
    assert await env.counters.read("OUTBOUND_CAUSE") == cause


@cocotb.test(timeout_time=3000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def flr_with_interrupts_due(env):
    """Reset the function with MSI, MSI-X and INTx waiting: none of them comes, new ones do."""
    await _with_interrupts_due(env, "flr")


@cocotb.test(timeout_time=3000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def hot_reset_with_interrupts_due(env):
    """Reset the link with MSI, MSI-X and INTx waiting: none of them comes, new ones do."""
    await _with_interrupts_due(env, "hot")


async def _with_interrupts_due(env, kind):
    host, device, counters = env.host, env.device, env.counters
    # MSI: two wait for bus mastering.
    assert await host.set_irqtype(MSI) == 0
    fired = list(device.fired)
    await device.disable()
    for vector in (3, 5):
        await counters.write("MSI_RAISE", vector)
    await silent(env)
    await reset(env, kind)
    await device.set_master()
    await silent(env)
    await counters.write("MSI_RAISE", 4)
    await until_fired(env, fired, (4,))
    assert await host.doorbell_test() == 0, env.software.log
    # MSI-X: one vector is masked, another one waits for bus mastering.
    assert await host.set_irqtype(MSIX) == 0
    fired = list(device.fired)
    await mask_vector(env, 2, True)
    await device.disable()
    for vector in (2, 6):
        await counters.write("MSIX_RAISE", vector)
    await silent(env)
    assert await pending_vectors(env, _VECTORS) == 1 << 2 | 1 << 6
    await reset(env, kind)
    await device.set_master()
    await mask_vector(env, 2, False)
    await silent(env)
    assert device.fired == fired
    assert await pending_vectors(env, _VECTORS) == 0
    await counters.write("MSIX_RAISE", 6)
    await until_fired(env, fired, (6,))
    assert await host.doorbell_test() == 0, env.software.log
    # INTx: asserted.
    assert await host.set_irqtype(INTX) == 0
    await device.free_irq(0)
    line = env.to_host.intx
    await counters.write("INTX", 1)
    await env.until(line.level, "INTA is asserted")
    await reset(env, kind)
    await silent(env)
    assert not line.level(), "INTA from before the reset"
    assert await counters.read("INTX") & 1 == 0
    await counters.write("INTX", 1)
    await env.until(line.level, "INTA is asserted again")
    await counters.write("INTX", 0)
    await env.until(lambda: not line.level(), "INTA is deasserted")


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario()
async def resets_of_other_functions(env):
    """Reset functions that the endpoint does not have: the hard block is told that each is done, and nothing else."""
    pins, done = env.dut.cfg_flr_in_process, env.dut.cfg_flr_done
    for functions in (0b0010, 0b0100, 0b1000, 0b1010, 0b1110):
        pins.value = functions
        await env.clocks(_TOLD)
        assert int(done.value) == functions
        pins.value = 0
        await env.clocks(_TOLD)
        assert int(done.value) == 0
    assert await env.host.msi_test(1) == 0, env.software.log
