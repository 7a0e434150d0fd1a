"""Scenarios of the bridge's doorbells, both ways: which slot, which interrupt, slots that the peer does not have."""

import errno

import cocotb

from epbell_tb.endpoint.bring_up import after
from epbell_tb.endpoint.vntb_env import VntbBringUp
from epbell_tb.endpoint.vntb_slots import ENTRY, backend_of, store_of

_BITS = 2
_MOST = 14
_FLAGS = 0b111
_UNUSED = "ntb_hw_epf: Unexpected reserved doorbell slot IRQ received"


async def _heard(env, what, *, polled=True):
    """Return what the endpoint's client hears, within a run of the work if doorbells are polled."""
    await (env.tick() if polled and env.vntb.backend == "polling" else env.settle())
    heard = env.near.take()
    bits = sum(1 << bit for bit in heard)
    assert env.ntb.db_read() == bits, f"{what}: the bits are {env.ntb.db_read():#x}"
    assert env.ntb.db_clear(bits) == 0
    return heard


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_rings_of_the_host(env):
    """Ring each bit from the host, alone and with others: slot k + 2 is stored to once, and slots 0 and 1 never."""
    backend = backend_of(env)
    wanted = []
    for bits in (0b01, 0b10, 0b11, 0b10, 0b01):
        lowest = (bits & -bits).bit_length() - 1
        before = env.board.counts["requests"]
        assert await env.driver.peer_db_set(bits) == 0
        heard = await _heard(env, f"bits {bits:#b}")
        wanted.append(store_of(env, lowest + 2, backend))
        assert env.stores == wanted
        assert env.board.counts["requests"] == before + 4, "three reads and one store"
        assert heard == (list(range(_BITS)) if backend == "edma" else [lowest])
    rung = [len(bell.rings) for bell in env.board.bells]
    assert rung == ([0, 0, 3, 2] if backend == "mu" else [0] * 4)
    assert env.board.counts["kicks"] == (5 if backend == "edma" else 0)
    assert sum(env.device.fired) == 0


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_slots_that_never_ring(env):
    """Store to slots 0 and 1 what the control block says of them, and ring no bit: nobody hears of it."""
    backend = backend_of(env)
    for slot in range(2):
        offset, word = store_of(env, slot, backend)
        await env.device.write32(env.map.db, offset, word)
        # One word of the eDMA is that of all slots, and nobody can tell which of them was meant.
        assert await _heard(env, f"slot {slot}") == ([0, 1] if backend == "edma" else [])
    assert await env.driver.peer_db_set(0) == 0
    assert env.stores[-1] == store_of(env, 1, backend), "no bit is the slot that nobody listens to"
    assert await _heard(env, "no bit") == ([0, 1] if backend == "edma" else [])
    assert await env.driver.peer_db_set(1) == 0
    assert await _heard(env, "bit 0") == ([0, 1] if backend == "edma" else [0])


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_rings_of_the_endpoint(env):
    """Ring each bit from the endpoint: bit k is MSI k + 3, counted from 1, once; the first two never come."""
    fired = [0] * len(env.device.fired)
    for bit in env.random.sample(range(_BITS), _BITS):
        assert await env.ntb.peer_db_set(1 << bit) == 0
        await env.settle()
        fired[bit + 2] += 1
        assert env.device.fired == fired
        assert env.far.take() == [bit]
        assert env.driver.db_read() == 1 << bit
        env.driver.db_clear(1 << bit)
    assert await env.ntb.peer_db_set(0xFFFF) == 0
    await env.settle()
    assert sorted(env.far.take()) == list(range(_BITS)), "bits that there are not are nobody's"
    assert env.board.counts["msis"] == env.vntb.irqs_raised == 2 * _BITS
    assert _UNUSED not in env.driver.log


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp(db_count=16))
async def vntb_every_bit_both_ways(env):
    """Ring all 14 bits of 16 slots from both ends at once, in any order: each is heard as itself."""
    assert env.ntb.db_valid_mask() == env.driver.db_valid_mask() == (1 << _MOST) - 1
    order = env.random.sample(range(_MOST), _MOST)
    for bit in order:
        assert await env.driver.peer_db_set(1 << bit) == 0
        assert await env.ntb.peer_db_set(1 << _MOST - 1 - bit) == 0
    await env.tick()
    await env.tick()  # the first may have met some of them
    assert env.stores == [store_of(env, bit + 2, "polling") for bit in order]
    assert sorted(env.near.take()) == sorted(env.far.take()) == list(range(_MOST))
    assert env.device.fired == [0, 0] + [1] * _MOST
    assert await env.device.read(env.map.db, 0, 64) == bytes(64), "the words are cleared"
    assert _UNUSED not in env.driver.log


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_slots_that_the_peer_lacks(env):
    """Ring a slot that the endpoint does not have: 0 is stored where the BAR begins; no doorbell, no damage.

    ``strays`` is the count of the driver's model, which has read from the control block that nothing is there. What is
    stored, and where, the endpoint's pins show.
    """
    backend = backend_of(env)
    if backend == "mu":  # else all of side B is 0, and nothing would show where a 0 is stored
        await env.device.write32(env.map.db, _side_b(env) + env.board.registers.offset["FCR"], _FLAGS)
        await env.settle()
        assert len(env.stores) == 1
        env.stores.clear()
    before, counts = await _places(env), dict(env.board.counts)
    for bit in (2, 7, _MOST - 1):
        assert await env.driver.peer_db_set(1 << bit) == 0
        assert await _heard(env, f"bit {bit}") == []
        assert env.stores.pop() == ((bit + 2) * ENTRY[backend], 0)
    assert env.driver.strays == 3, "the driver counts them"
    refused = env.board.counts["refused_writes"] - counts["refused_writes"]
    assert refused == (3 if backend == "edma" else 0), "the guard of the eDMA's page counts them, too"
    assert await _places(env) == before
    for bit in range(_BITS):
        assert await env.driver.peer_db_set(1 << bit) == 0
        assert await _heard(env, f"bit {bit}") == ([0, 1] if backend == "edma" else [bit])
    assert await env.driver.peer_db_set(1 << _MOST) == -errno.EINVAL, "one that the host itself does not have"
    assert len(env.stores) == _BITS


def _side_b(env):
    """Return where in the doorbells' BAR side B of the Messaging Unit is."""
    return env.board.map["mu_b"].base & env.bar_sizes[env.map.db] - 1


async def _places(env):
    """Return what a stray store to the doorbells could change: memory, a page, or the registers of both sides."""
    if env.vntb.backend == "polling":
        return await env.cpu.read(env.vntb.epf.bars[env.map.db].phys_addr, 64)
    if env.vntb.backend == "edma":
        return await env.cpu.read(env.tree.endpoint.edma.region.address + env.tree.endpoint.edma.offset, 16)
    # Side B, where it is stored, by the host; side A by the CPU. Reading a receive register would take what is in it.
    registers = {name: offset for name, offset in env.board.registers.offset.items() if not name.startswith("RR")}
    unit, far = env.board.map["mu_a"].base, _side_b(env)
    near = {("a", name): await env.cpu.read32(unit + offset) for name, offset in registers.items()}
    return near | {("b", name): await env.device.read32(env.map.db, far + offset) for name, offset in registers.items()}


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp(vectors=4))
async def vntb_four_vectors(env):
    """On a host with 4 vectors: two bits, and a third is -EINVAL, with nothing on the bus."""
    assert env.driver.db_valid_mask() == 0b11
    requests = env.board.counts["requests"]
    assert await env.driver.peer_db_set(0b100) == -errno.EINVAL
    assert env.board.counts["requests"] == requests
    assert not env.stores
    for bit in range(_BITS):
        assert await env.driver.peer_db_set(1 << bit) == 0
        assert await _heard(env, f"bit {bit}") == ([0, 1] if backend_of(env) == "edma" else [bit])
        assert await env.ntb.peer_db_set(1 << bit) == 0
        await env.settle()
        assert env.far.take() == [bit]


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp(db_count=5))
async def vntb_more_slots_than_channels(env):
    """Ask a Messaging Unit of four channels for five: all are polled, and all three bits ring."""
    assert env.vntb.backend == "polling"
    assert env.vntb.reason == "Failed to allocate MSI (-ENOSPC)"
    assert await env.device.read32(env.map.config, 0x30) == 4
    assert not env.vntb.epf.doorbells
    for bit in range(3):
        assert await env.driver.peer_db_set(1 << bit) == 0
    await env.tick()
    await env.tick()
    assert env.stores == [store_of(env, slot, "polling") for slot in (2, 3, 4)]
    assert env.near.take() == [0, 1, 2]
    assert not env.board.counts["rings"], "no channel is rung"


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp(release="v7.1"))
async def vntb_rings_of_v71(env):
    """Ring an endpoint of v7.1 from both ends: its bits are one too high, slot 1 rings, its own rings are inline."""
    backend = backend_of(env)
    assert env.ntb.db_valid_mask() == 0b1111
    for bit in range(_BITS):
        assert await env.driver.peer_db_set(1 << bit) == 0
        await (env.tick() if backend == "polling" else env.settle())
        assert env.stores[-1] == store_of(env, bit + 2, backend), "the host is the same"
        assert env.near.take() == [bit + 2], "slots are vectors"
        assert env.ntb.db_read() == 1 << bit + 1
        env.ntb.db_clear(1 << bit + 1)
    assert await env.driver.peer_db_set(0) == 0
    await (env.tick() if backend == "polling" else env.settle())
    assert env.ntb.db_read() == 1, "slot 1"
    for bits, vector in ((0b01, 2), (0b110, 3), (0, 1)):
        before = list(env.device.fired)
        assert await env.ntb.peer_db_set(bits) == 0
        await env.settle()
        before[vector] += 1
        assert env.device.fired == before, "the lowest bit only, and no bit is the second vector"
    assert env.driver.log.count(_UNUSED) == 1
