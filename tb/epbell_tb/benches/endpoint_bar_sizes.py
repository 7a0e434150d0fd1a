"""Scenarios for BARs of any size: memory behind them, and doorbells by Linux's own means wherever they are."""

import errno
from itertools import pairwise

import cocotb
import pytest

from epbell_models.linux.doorbell_client import DoorbellClient
from epbell_models.platform import BusError
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.doorbells import VECTORS, Doorbells
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.edma import WORDS, BareEdma
from epbell_tb.endpoint.windows import Window

_REGISTERS = 0x80
"""What of BAR 0 belongs to Linux's test function."""

_GRANULE = 0x1000


def present(env):
    """Return the numbers of the BARs."""
    return [number for number, bar in enumerate(env.bars) if bar is not None]


def marks(env, bar):
    """Return offsets of dwords in a BAR that differ in one bit at least: both ends, the middle, every power of two."""
    size = env.bar_sizes[bar]
    some = {0, size // 2 - 4, size // 2, size - 4, *(1 << bit for bit in range(2, size.bit_length() - 1))}
    more = env.random.sample(range(0, size, 4), min(size // 4, 64)) if env.thorough else ()
    return sorted(offset for offset in {*some, *more} if bar or offset >= _REGISTERS)


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario()
async def bar_sizes_with_memory(env):
    """Write dwords all over every BAR that has memory, then read all of them; without memory it is refused."""
    backed = [bar for bar in present(env) if env.software.function.epf.bars[bar] is not None]
    places = [(bar, offset) for bar in backed for offset in marks(env, bar)]
    words = {place: env.random.getrandbits(32) for place in places}
    env.random.shuffle(places)
    for place in places:
        await env.device.write32(*place, words[place])
    for place in places:
        assert await env.device.read32(*place) == words[place], f"BAR {place[0]} at {place[1]:#x}"
    spans = sorted((bar.phys_addr, bar.phys_addr + bar.size) for bar in env.software.function.epf.bars if bar)
    assert all(left[1] <= right[0] for left, right in pairwise(spans)), "two BARs have the same memory"
    for bar in sorted({*present(env)} - {*backed}):
        with pytest.raises(BusError, match="UR"):
            await env.memory.read32(env.address(bar))
    assert len(places) > 3 * len(backed)


def can_ring(env, bar):
    """Return whether Linux can put the doorbells behind a BAR: a window begins there, and memory comes back after."""
    first = env.board.map["mu_b"].base + env.board.registers.offset["TR0"]
    begins = first & ~(env.bar_sizes[bar] - 1) & _GRANULE - 1 == 0
    return begins and env.software.function.epf.bars[bar] is not None


async def rings_behind(env, bar):
    """Let Linux put the doorbells behind a BAR; return whether it could, after every one has been rung."""
    epf, size = env.software.function.epf, env.bar_sizes[bar]
    client = DoorbellClient(env.software.core, epf, bar)
    first = env.board.map["mu_b"].base + env.board.registers.offset["TR0"]
    error = await client.open(VECTORS)
    assert error == (0 if can_ring(env, bar) else -errno.EINVAL), env.software.log
    if error:
        return False
    doorbells = Doorbells(env, client, bar)
    for vector in range(VECTORS):
        assert client.published[vector].offset == (first + 4 * vector) % size
        await doorbells.good_ring(vector)
    assert await client.close() == 0
    return True


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario()
async def bar_sizes_with_doorbells(env):
    """Put the doorbells behind one BAR after the other: each rings, or is refused because no window begins there."""
    rang = []
    for bar in present(env)[1:]:
        marked = env.board.registers.offset["TR0"] % env.bar_sizes[bar]
        backed = env.software.function.epf.bars[bar] is not None
        word = env.random.getrandbits(32)
        if backed:
            await env.device.write32(bar, marked, word)
        rang.append(await rings_behind(env, bar))
        if backed:
            assert await env.device.read32(bar, marked) == word, "not the memory that was there before"
    assert any(rang)
    # Linux's test function takes the BAR behind that of its registers, and tells the host when it could not.
    bar = env.software.epc.features.next_free_bar(1)
    for _ in range(2):
        assert await env.host.doorbell_test() == (0 if can_ring(env, bar) else -errno.EINVAL), env.software.log


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario(linux=False)
async def bar_sizes_by_hand(env):
    """Aim every BAR at the doorbells, register by register: their offsets are addresses modulo the size."""
    window, board = Window(env, env.tree.endpoint.inbound_windows - 1, noisy=True), env.board
    tr0 = board.registers.offset["TR0"]
    for bar in present(env):
        size = env.bar_sizes[bar]
        bells = board.map["mu_b"].base + tr0
        await window.bar(bar, bells & ~(size - 1))
        reached = bells & ~(size - 1) & _GRANULE - 1 == 0
        before = [len(bell.rings) for bell in board.bells]
        for vector in range(VECTORS):
            await env.memory.write32(env.address(bar, (bells + 4 * vector) % size), env.random.getrandbits(32))
        await env.memory.complete(memory_request(env.address(bar, bells % size), None, 4))
        rung = [len(bell.rings) - then for bell, then in zip(board.bells, before, strict=True)]
        assert rung == [int(reached)] * VECTORS, f"BAR {bar} of {size} bytes"
        await _kick(env, window, bar)


async def _kick(env, window, bar):
    """Aim a BAR at the eDMA's page; both words of it ring that are within the BAR."""
    board, size = env.board, env.bar_sizes[bar]
    page = board.map["edma"].base
    await window.bar(bar, page & ~(size - 1))
    bare, kicks = BareEdma(env, bar), len(board.latch.kicks)
    inside = [word for word in WORDS if size >= _GRANULE or word < size]
    for word in inside:
        await bare.kick(word)
    await bare.settle()
    assert len(board.latch.kicks) == kicks + len(inside)
    assert inside, "every BAR has the first of them"
