"""Scenarios of accesses that miss the doorbell: wrong place, wrong size, wrong direction. The next good one works."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.doorbells import VECTORS, open_doorbells
from epbell_tb.endpoint.drivers import memory_request


async def store(env, address, data, **enables):
    """Post one write request."""
    await env.memory.post(memory_request(address, data, **enables))


def words(env, count):
    """Return that many random dwords."""
    return [env.random.getrandbits(32) for _ in range(count)]


def packed(values):
    """Return dwords as bytes."""
    return b"".join(value.to_bytes(4, "little") for value in values)


def free_offsets(env):
    """Return offsets in the doorbell page where no register is, those beside the doorbells first."""
    offsets = env.board.registers.offset
    used = set(offsets.values())
    doorbells = [offsets[f"TR{n}"] for n in range(VECTORS)]
    page = range(0, min(env.bar_sizes[2], 0x1_0000), 4)
    return sorted(set(page) - used, key=lambda offset: min(abs(offset - doorbell) for doorbell in doorbells))


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def wrong_offset(env):
    """Store beside the doorbells."""
    doorbells = await open_doorbells(env)
    page = doorbells.address(0) - env.board.registers.offset["TR0"]
    free = free_offsets(env)
    for offset in [*free[:12], free[-1], *env.random.sample(free, 12)]:
        await store(env, page + offset, packed(words(env, 1)))
    # The registers beside the doorbells that the host may read but not write.
    for number in range(VECTORS):
        await store(env, page + env.board.registers.offset[f"RR{number}"], packed(words(env, 1)))
    await doorbells.silent("a store beside the doorbells")
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def wrong_bar(env):
    """Store at the doorbells' offsets in the other BARs."""
    doorbells = await open_doorbells(env)
    others = [number for number, bar in enumerate(env.bars) if bar and number not in (0, doorbells.bar)]
    for vector in range(VECTORS):
        offset = doorbells.client.published[vector].offset
        for bar in others:
            data = packed(words(env, 1))
            await env.device.write(bar, offset, data)
            assert await env.device.read(bar, offset, 4) == data, "the other BAR is not its own memory"
    await doorbells.silent("a store at the doorbell's offset in another BAR")
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)


async def partial_stores(env, masks, what):
    """Store to every doorbell with these byte enables: never a ring, and the word in the doorbell stays."""
    doorbells = await open_doorbells(env)
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)
        for mask in masks:
            await store(env, doorbells.address(vector), packed(words(env, 1)), first_be=mask)
        await doorbells.silent(what)
        assert await env.memory.read32(doorbells.address(vector)) == env.board.bells[vector].words[-1]
        await doorbells.good_ring(vector)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def byte_write(env):
    """Store bytes, and nothing."""
    await partial_stores(env, (0b0001, 0b0010, 0b0100, 0b1000, 0b0000), "a byte")


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def half_word_write(env):
    """Store two bytes, adjacent or not, and three."""
    await partial_stores(env, (0b0011, 0b1100, 0b0110, 0b1001, 0b0111, 0b1110, 0b1011, 0b1101), "less than a word")


async def burst(env, doorbells, vector, count, expected, **enables):
    """Write ``count`` dwords from a vector's doorbell on, in one request; exactly the expected vectors ring."""
    data = words(env, count)
    counts = [before + (n in expected) for n, before in enumerate(doorbells.client.handled)]
    await store(env, doorbells.address(vector), packed(data), **enables)
    await doorbells.handled(counts, f"{count} dwords at vector {vector}")
    for ringing in expected:
        assert env.board.bells[ringing].words[-1] == data[ringing - vector]
    if not expected:
        await doorbells.silent(f"{count} dwords at vector {vector}")


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def eight_byte_write(env):
    """Store two dwords in one request, whole and in part: each whole one rings."""
    doorbells = await open_doorbells(env)
    for vector in range(VECTORS - 1):
        await burst(env, doorbells, vector, 2, (vector, vector + 1))
    for vector in range(VECTORS - 1):
        await burst(env, doorbells, vector, 2, (vector + 1,), first_be=0b1100)
        await burst(env, doorbells, vector, 2, (vector,), last_be=0b0011)
    await burst(env, doorbells, 1, 2, (), first_be=0b1110, last_be=0b0111)
    await burst(env, doorbells, VECTORS - 1, 2, (VECTORS - 1,))
    await doorbells.good_ring(0)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def burst_write(env):
    """Store up to four dwords in one request, each of which rings, and more, which are refused as a whole."""
    doorbells = await open_doorbells(env)
    await burst(env, doorbells, 0, 4, (0, 1, 2, 3))
    await burst(env, doorbells, 1, 3, (1, 2, 3))
    await burst(env, doorbells, 0, 4, (1, 2), first_be=0b0111, last_be=0b1000)
    refused = env.board.counts["refused_writes"]
    lengths = (5, 6, 8, 16, 32)
    for length in lengths:
        await burst(env, doorbells, env.random.randrange(VECTORS), length, ())
    assert env.board.counts["refused_writes"] == refused + len(lengths)
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def read_of_doorbell(env):
    """Read the doorbells, whole and in part: the last words stored there, and no ring."""
    doorbells = await open_doorbells(env)
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)
    last = [bell.words[-1] for bell in env.board.bells]
    for vector in range(VECTORS):
        assert await env.memory.read32(doorbells.address(vector)) == last[vector]
        assert await env.memory.read(doorbells.address(vector) + 1, 2) == packed(last)[4 * vector + 1 : 4 * vector + 3]
    assert await env.memory.read(doorbells.address(0), 4 * VECTORS) == packed(last)
    await doorbells.silent("a read")
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)
