"""Scenarios of accesses that miss the eDMA's doorbell: the rest of its page, other pages, too long, poisoned."""

import cocotb
import pytest

from epbell_models.platform import BusError
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.edma import READ_STATUS, WORDS, aim, open_edma, stays_silent

_OTHER = 4
_NEIGHBOURS = (-8, -4, 4, 8)
_CLEARS = (0x058, 0x0AC)


async def refused(env, action, what):
    """Do something that has to be refused as one write; nothing happens but that it is counted."""
    before = env.board.counts["refused_writes"]
    await action
    await env.block.settle()
    await env.clocks(40)
    assert env.board.counts["refused_writes"] == before + 1, f"{what} has to be refused"


async def store(env, address, data, **enables):
    """Post one write request."""
    await env.memory.post(memory_request(address, data, **enables))


async def registers(bare):
    """Read, as the CPU, registers that a stray store could have changed."""
    names = ("ENGINE_EN", "INT_STATUS", "INT_MASK", "CH0_CONTROL1", "CH1_CONTROL1")
    return [await bare.read(f"{way}_{name}") for way in ("WRITE", "READ") for name in names]


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_rest_of_the_page(env):
    """Store to and read from the neighbours, INT_CLEAR and a walk of the page: refused, and nothing is changed."""
    doorbells = await open_edma(env)
    bare = doorbells.bare
    before = await registers(bare)
    end = bare.end - bare.start
    near = [word + step for word in WORDS for step in _NEIGHBOURS]
    walk = [0x000, 0x00C, 0x02C, 0x054, 0x0A8, 0x200, 0x300, end - 4, *env.random.sample(range(0x400, end, 4), 8)]
    rung = len(env.board.latch.kicks)
    for offset in [*near, *_CLEARS, *walk]:
        await refused(env, store(env, bare.address(offset), b"\xff" * 4), f"a store to {offset:#x}")
        if offset in (*near, *_CLEARS):
            with pytest.raises(BusError, match="UR"):
                await env.memory.read32(bare.address(offset))
    assert len(env.board.latch.kicks) == rung
    assert await registers(bare) == before
    await doorbells.silent("the rest of the page")
    await doorbells.good_ring()


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_clear_by_the_host(env):
    """Store to INT_CLEAR while the line is high: the host cannot take a doorbell back."""
    doorbells = await open_edma(env)
    bare, latch = doorbells.bare, env.board.latch
    await env.software.gic.stop()
    await doorbells.ring()
    await env.until(lambda: latch.level, "the line rises")
    for offset in _CLEARS:
        for data in (0, 0xFFFF_FFFF):
            await refused(env, store(env, bare.address(offset), data.to_bytes(4, "little")), "INT_CLEAR by the host")
            assert latch.level
    env.software.gic.start()
    await doorbells.handled(1, "the ring that the host could not take back")


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_longer_than_a_word(env):
    """Store and read 8, 16 and more bytes across the words: refused as a whole, none rings."""
    doorbells = await open_edma(env)
    bare = doorbells.bare
    for word in WORDS:
        for start, length in ((0, 8), (-4, 8), (-8, 16), (0, 16), (-4, 12), (-0x40, 0x80), (0, 20)):
            data = env.random.randbytes(length)
            await refused(env, store(env, bare.address(word + start), data), f"{length} bytes at {word + start:#x}")
        # Only the doorbell's own bytes are enabled: still two words.
        await refused(env, store(env, bare.address(word), bytes(8), last_be=0b0001), "a word and a byte")
        for start, length in ((0, 8), (-4, 8), (-4, 16)):
            with pytest.raises(BusError, match="UR"):
                await env.memory.read(bare.address(word + start), length)
    assert not env.board.latch.kicks
    await doorbells.silent("a store of more than a word")
    await doorbells.good_ring()


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_other_pages(env):
    """Aim another BAR at the windows' registers and at the controller's page: all of both is refused."""
    doorbells = await open_edma(env)
    for name in ("iatu", "controller"):
        base = env.board.map[name].base
        start = await aim(env, _OTHER, base)
        before = [await env.cpu.read32(base + offset) for offset in (0x100, 0x104, 0x114)]
        for offset in (0x000, 0x010, 0x100, 0x104, 0x114, 0x300, READ_STATUS):
            address = env.address(_OTHER, start + offset)
            await refused(env, store(env, address, b"\xff" * 4), f"{offset:#x} of the {name} page")
            with pytest.raises(BusError, match="UR"):
                await env.memory.read32(address)
        assert [await env.cpu.read32(base + offset) for offset in (0x100, 0x104, 0x114)] == before
        await doorbells.good_ring()
    assert env.board.counts["msis"] == env.device.fired[0]


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_poisoned_ring(env):
    """Poison stores to both words: none rings, each is counted, and the next good one works."""
    doorbells = await open_edma(env)
    for number, word in enumerate(WORDS * 3, 1):
        request = memory_request(doorbells.bare.address(word), env.random.randbytes(4))
        request.ep = True
        await env.memory.post(request)
        await env.block.settle()
        await env.clocks(40)
        assert env.board.counts["discontinued"] == number
        assert not env.board.latch.kicks
    await doorbells.silent("a poisoned store")
    await doorbells.good_ring()


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_wrong_bar(env):
    """Store at the doorbell's offset in the other BARs: it lands in their memory and rings nothing."""
    doorbells = await open_edma(env)
    others = [number for number, bar in enumerate(env.bars) if bar and number not in (0, doorbells.bare.bar)]
    for bar in others:
        for word in WORDS:
            data = env.random.randbytes(4)
            await env.device.write(bar, word, data)
            assert await env.device.read(bar, word, 4) == data, "the other BAR is not its own memory"
    await stays_silent(env, "a store to another BAR", doorbells.client)
    assert not env.board.latch.kicks
    await doorbells.good_ring()
