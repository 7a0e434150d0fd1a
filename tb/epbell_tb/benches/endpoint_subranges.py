"""Scenarios of BARs that show two places: by Linux's own test, on every BAR, and without windows for it."""

import errno

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.commands import (
    DISABLE,
    DISABLE_SUCCESS,
    ENABLE,
    ENABLE_SUCCESS,
    IRQ_RAISED,
    STATUS,
    command,
)
from epbell_tb.endpoint.doorbells import SILENT

_SIZE, _IRQ_TYPE, _DB_BAR, _DB_OFFSET, _DB_DATA = 0x1C, 0x24, 0x34, 0x38, 0x3C
_MSI = 1
_FILLED = 400_000
"""Clocks within which the endpoint's CPU has filled a BAR."""

_SETUP, _CLEAR = 1 << 8, 1 << 9
_DOORBELL_SUCCESS, _NO_RESOURCE = 1 << 9, 1 << 18
_SETUP_SUCCESS, _SETUP_FAIL, _CLEAR_SUCCESS, _CLEAR_FAIL = (1 << bit for bit in range(14, 18))

_ANOTHER = -1
_MOST = 128 << 10


def _bars(env):
    """Return the BARs to split: not the one with the test's registers, none that takes the CPU long to fill.

    The host waits one second of Linux, a millisecond here, in which the CPU stores some 100 KiB.
    """
    return [number for number, size in enumerate(env.bar_sizes) if 0 < size <= _MOST and number]


def take_the_rest(env):
    """Let somebody else have the windows that the BARs leave."""
    controller = env.software.controller
    every, used = set(range(env.tree.endpoint.inbound_windows)), set(controller.bar_to_window.values())
    controller.bar_to_windows[_ANOTHER] = sorted(every - used)


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario()
async def subrange_on_every_bar(env):
    """Run Linux's BAR_SUBRANGE test on every BAR but the registers', with a window of another BAR's to spare.

    On one of them, by the seed, unless it may take long: the endpoint's CPU fills the halves dword by dword.
    """
    await env.use_max_payload(512)
    bars, controller = env.software.function.epf.bars, env.software.controller
    first, *others, last = _bars(env)
    early = (first, *others) if env.thorough else (env.random.choice((first, *others)),)
    short = env.tree.endpoint.inbound_windows <= sum(bar is not None for bar in bars)
    for spare, tested in ((last, early), (first, (last,) if env.thorough else ())):
        if short:
            await controller.clear_bar(bars[spare])
        for number in tested:
            assert await env.host.bar_subrange_test(number) == 0, f"BAR {number}: {env.software.log}"
            assert await env.host.bar_test(number) == 0, f"BAR {number} is not as before"
        if short:
            assert await controller.set_bar(bars[spare]) == 0
    assert await env.host.bar_subrange_test(0) == -errno.EBUSY
    assert await env.host.bars_test() == 0
    assert await env.host.doorbell_test() == 0, env.software.log


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def inbound_windows_exhausted(env):
    """With every window in use no BAR can be split: -ENOSPC, and the BAR is whole."""
    await env.use_max_payload(512)
    take_the_rest(env)
    first, *_, last = _bars(env)
    for number in (first, last):
        assert await env.host.bar_subrange_test(number) == -errno.ENOSPC
        assert await env.host.bar_test(number) == 0
    assert await env.host.doorbell_test() == 0, env.software.log


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def subrange_on_the_doorbells_bar(env):
    """Split a BAR while the doorbell is behind it: refused or restored, the doorbell's window is never stuck."""
    await env.use_max_payload(512)
    bars, controller = env.software.function.epf.bars, env.software.controller
    bar = env.software.epc.features.next_free_bar(1)
    await controller.clear_bar(bars[_bars(env)[-1]])
    for _ in range(2 if env.thorough else 1):
        assert await env.host.doorbell_test() == 0, env.software.log
        assert await env.host.bar_subrange_test(bar) == 0, env.software.log
    assert await env.host.bar_test(bar) == 0
    assert await env.host.doorbell_test() == 0, env.software.log


async def subrange(env, word, bar):
    """Give SETUP or CLEAR for a BAR; return the STATUS."""
    await env.device.write32(0, _SIZE, bar)
    return await command(env, word, limit=_FILLED)


async def rings(env, place, word):
    """Store the word to the doorbell's place; return whether the host was told of a ring."""
    await env.device.write32(0, STATUS, 0)
    fired = env.device.fired[0]
    await env.device.write32(*place, word)
    await env.block.settle()
    await env.clocks(4 * SILENT)
    rung = await env.device.read32(0, STATUS) == _DOORBELL_SUCCESS | IRQ_RAISED
    assert env.device.fired[0] - fired == rung, "one interrupt for one ring"
    return rung


async def disable(env, tiled):
    """Take the doorbell away."""
    assert await command(env, DISABLE) == DISABLE_SUCCESS | IRQ_RAISED, env.software.log


async def clear(env, tiled):
    """Take the pieces away."""
    assert await subrange(env, _CLEAR, tiled) == _CLEAR_SUCCESS | IRQ_RAISED, env.software.log


@cocotb.test(timeout_time=20, timeout_unit="ms")
@scenario()
async def subrange_while_the_doorbell_is_enabled(env):
    """Split the doorbell's BAR, or another one, while the doorbell is enabled; undo both in either order."""
    await env.use_max_payload(512)
    bars, controller = env.software.function.epf.bars, env.software.controller
    bar, *others = _bars(env)
    other, spare = others[0], others[-1]
    assert bar == env.software.epc.features.next_free_bar(1)
    if other != spare:
        await controller.clear_bar(bars[spare])
    await env.device.write32(0, _IRQ_TYPE, _MSI)
    cases = [(bar, (clear, disable)), (other, (disable, clear))]
    if env.thorough:
        cases += [(bar, (disable, clear)), (other, (clear, disable))]
    for tiled, steps in cases:
        assert await command(env, ENABLE) == ENABLE_SUCCESS | IRQ_RAISED
        place = [await env.device.read32(0, register) for register in (_DB_BAR, _DB_OFFSET)]
        word = await env.device.read32(0, _DB_DATA)
        assert place[0] == bar
        assert await rings(env, place, word)
        assert await subrange(env, _SETUP, tiled) == _SETUP_SUCCESS | IRQ_RAISED, env.software.log
        # Whoever set a BAR up last has it: the pieces hide the doorbell, another BAR's do not.
        halves = [await env.device.read32(tiled, at) for at in (4, env.bar_sizes[tiled] // 2)]
        assert halves == [0x0101_0101 * (0x50 + 8 * tiled + half) for half in range(2)], "the pieces' signatures"
        assert await rings(env, place, word) == (tiled != bar)
        for step in steps:
            await step(env, tiled)
        assert not await rings(env, place, word), "a window is stuck at the doorbell"
        assert await env.host.bar_test(tiled) == 0
    assert await env.host.bar_test(bar) == 0
    assert await env.host.doorbell_test() == 0, env.software.log


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def subrange_on_the_doorbell_without_windows(env):
    """Split the doorbell's BAR while it is enabled and windows are short: -ENOSPC, and then the BAR is memory."""
    await env.use_max_payload(512)
    take_the_rest(env)
    await env.device.write32(0, _IRQ_TYPE, _MSI)
    bar = env.software.epc.features.next_free_bar(1)
    for _ in range(2):
        assert await command(env, ENABLE) == ENABLE_SUCCESS | IRQ_RAISED
        place = [await env.device.read32(0, register) for register in (_DB_BAR, _DB_OFFSET)]
        word = await env.device.read32(0, _DB_DATA)
        assert await rings(env, place, word)
        assert await subrange(env, _SETUP, bar) == _SETUP_FAIL | _NO_RESOURCE | IRQ_RAISED, env.software.log
        # The function rolls back to its memory, which is all that it knows of.
        assert not await rings(env, place, word)
        assert await subrange(env, _CLEAR, bar) == _CLEAR_FAIL | IRQ_RAISED, "there is nothing to clear"
        assert await command(env, DISABLE) == DISABLE_SUCCESS | IRQ_RAISED
        assert await env.host.bar_test(bar) == 0
    assert await env.host.doorbell_test() == 0, env.software.log
