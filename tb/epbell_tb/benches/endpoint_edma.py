"""Scenarios of the eDMA's doorbell as Linux uses it: any data, any bytes, masked, in bursts, around the ack."""

import errno
from dataclasses import replace

import cocotb

from epbell_models.linux.pci_ep_msi import pci_epf_alloc_doorbell
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.commands import DISABLE, DISABLE_FAIL, ENABLE, ENABLE_FAIL, STATUS, command
from epbell_tb.endpoint.doorbells import SILENT
from epbell_tb.endpoint.edma import READ_STATUS, WORDS, open_edma, payload_bar
from epbell_tb.endpoint.latencies import ANSWERED, RING

_ROUNDS, _MANY_ROUNDS = 10, 100
_BURST = 60
_SHARERS = 8
_NEAR, _MOST_SWEEPS = 30, 4
_MORE = 20
"""Clocks more than a ring takes to its last ack, for streams that pause."""

_ALL = 0xFFFF_FFFF


async def rung(env, doorbells, **kick):
    """Ring with any word and bytes; the handler runs exactly once. Quicker than `good_ring`."""
    count = doorbells.client.handled[0] + 1
    await doorbells.bare.kick(**kick)
    await env.until(lambda: doorbells.client.handled[0] >= count, f"the handler runs for {kick}")
    assert doorbells.client.handled[0] == count


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_any_data_any_bytes(env):
    """Ring with every kind of word and every byte enable at both words of the page; without any byte nothing rings."""
    doorbells = await open_edma(env)
    kicks = env.board.latch.kicks
    for word in WORDS:
        for data in (0, 1, 2, _ALL, env.random.getrandbits(32)):
            await rung(env, doorbells, offset=word, data=data)
        for enables in range(1, 16):
            await rung(env, doorbells, offset=word, data=env.random.getrandbits(32), enables=enables)
            assert kicks[-1].strobes == enables
        await doorbells.bare.kick(word, _ALL, 0)
    await doorbells.silent("a store of nothing")
    assert doorbells.client.handled == [len(kicks)] == [2 * (5 + 15)]
    await doorbells.good_ring()


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_masked_and_disabled(env):
    """Mask every interrupt and disable both engines: a ring asserts all the same, and INT_STATUS does not show it."""
    doorbells = await open_edma(env)
    bare = doorbells.bare
    for mask, enable, control in ((_ALL, 0, 0), (_ALL, 1, 0), (0, 0, 0), (_ALL, 0, 1 << 3)):
        for way in ("WRITE", "READ"):
            await bare.write(f"{way}_INT_MASK", mask)
            await bare.write(f"{way}_ENGINE_EN", enable)
            await bare.write(f"{way}_CH0_CONTROL1", control)
        for word in WORDS:
            await rung(env, doorbells, offset=word)
        assert await bare.read("WRITE_INT_STATUS") == await bare.read("READ_INT_STATUS") == 0
    await doorbells.good_ring()


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_rings_back_to_back(env):
    """Send N numbered rings without a pause: 1 to N interrupts, and the last handler run sees the last number."""
    seen = []
    bar = payload_bar(env)
    place = env.software.function.epf.bars[bar].phys_addr

    async def look(_):
        seen.append((await env.cpu.read32(place), cycle()))

    doorbells = await open_edma(env, notify=look)
    board = env.board
    for count in (2, 3, _BURST):
        irqs = board.counts["edma_irqs"]
        seen.clear()
        for number in range(1, count + 1):
            await env.device.write32(bar, 0, count << 16 | number)
            await doorbells.ring()
        await env.block.settle()
        last = count << 16 | count
        await env.until(lambda last=last: bool(seen) and seen[-1][0] == last, "the last number is seen")
        await env.clocks(SILENT)
        assert seen[-1][0] == last
        assert seen[-1][1] > board.latch.kicks[-1].last, "no handler ran after the last ring"
        assert 1 <= board.counts["edma_irqs"] - irqs <= count
    assert board.counts["edma_irqs"] < 2 + 3 + _BURST, "nothing merged: the rings were not back to back"


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def edma_ring_in_every_cycle_around_ack(env):
    """Ring a second time in every cycle from the first ring to beyond its acks: the handler always runs after it."""
    seen = 0
    bar = payload_bar(env)
    place = env.software.function.epf.bars[bar].phys_addr

    async def look(_):
        nonlocal seen
        seen = await env.cpu.read32(place)

    doorbells = await open_edma(env, notify=look)
    latch, met = env.board.latch, (set(), set())
    await rung(env, doorbells)
    await env.clocks(SILENT)
    reach = latch.acks[-1].ended - latch.kicks[-1].last
    # Twice: where the two stores take several beats, one sweep may skip a cycle. So may Linux's look at other things.
    sweep = [*((n, 0) for n in range(1, reach)), *((n, 1) for n in range(max(1, reach - _NEAR), reach))]
    wanted = set() if env.stalls else set(range(-4, 8))
    for number, (distance, between) in enumerate(sweep * _MOST_SWEEPS, 1):
        if number > len(sweep) and all(wanted <= found for found in met):
            break
        acks, handled = len(latch.acks), doorbells.client.handled[0]
        await doorbells.ring()
        await env.clocks(distance)
        await env.device.write32(bar, 0, number)
        if between:
            await env.clocks(between)
        await doorbells.ring()
        await env.until(lambda wanted=number: seen == wanted, "the second ring is handled after it came")
        await env.clocks(reach + _MORE)
        assert 1 <= doorbells.client.handled[0] - handled <= 2
        assert not latch.level
        for found, ack in zip(met, latch.acks[acks:], strict=False):
            found.add(latch.kicks[-1].last + RING - (ack.ended - ANSWERED))
    for way, found in zip(("write", "read"), met, strict=True):
        missed = wanted - found
        assert not missed, f"no ring was made {sorted(missed)} cycles after the ack of the {way} direction"


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_payload_before_ring(env):
    """Write payloads and their rings in one go: what the handler reads is there already."""
    bar = payload_bar(env)
    place, wanted, looked = env.software.function.epf.bars[bar].phys_addr, b"", 0

    async def look(_):
        nonlocal looked
        assert await env.cpu.read(place, len(wanted)) == wanted, "the handler reads an old payload"
        looked += 1

    doorbells = await open_edma(env, notify=look)
    for number in range(1, _ROUNDS + 1):
        wanted = env.random.randbytes(4 * env.random.randrange(1, 17))
        await env.device.write(bar, 0, wanted)
        await doorbells.ring()
        await env.until(lambda number=number: looked == number, "the handler has looked")
    assert doorbells.client.handled == [_ROUNDS]


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario()
async def edma_doorbell_test_ten_times(env):
    """Run Linux's DOORBELL test ten times, a hundred when thorough: BARs and RAM stay, and no mapping is left."""
    rounds = _MANY_ROUNDS if env.thorough else _ROUNDS
    bar = env.software.epc.features.next_free_bar(1)
    pattern = env.random.randbytes(256)
    await env.device.write(bar, READ_STATUS & ~0x3F, pattern)
    addresses = [await env.device.bar_register(number) for number in range(6)]
    for _ in range(rounds):
        assert await env.host.doorbell_test() == 0, env.software.log
        assert await env.device.read(bar, READ_STATUS & ~0x3F, len(pattern)) == pattern, "the RAM is not restored"
    assert [await env.device.bar_register(number) for number in range(6)] == addresses
    assert env.board.counts["kicks"] == env.board.counts["edma_irqs"] == rounds
    assert env.device.fired[0] == 3 * rounds, "one interrupt for each of enable, ring and disable"
    assert not env.board.counts["rings"], "no ring reaches the Messaging Unit"


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_doorbells_share_one_kick(env):
    """Allocate eight doorbells: one address, one word, one interrupt; a kick runs every handler once."""
    doorbells = await open_edma(env, count=_SHARERS)
    assert len(doorbells.client.handled) == _SHARERS
    for _ in range(3):
        irqs = env.board.counts["edma_irqs"]
        await doorbells.good_ring()
        assert env.board.counts["edma_irqs"] == irqs + 1
    assert await pci_epf_alloc_doorbell(env.software.function.epf, 1, env.software.log) == -errno.EBUSY
    await doorbells.good_ring()
    assert await doorbells.client.close() == 0


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_read_of_doorbell(env):
    """Read the doorbell words, whole and in part: answered, and nothing rings."""
    doorbells = await open_edma(env)
    await doorbells.good_ring()
    for word in WORDS:
        assert await env.memory.read32(doorbells.bare.address(word)) == 0
        for at, length in ((0, 1), (1, 2), (3, 1)):
            assert await env.memory.read(doorbells.bare.address(word) + at, length) == bytes(length)
    await doorbells.silent("a read")
    await doorbells.good_ring()


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_unaligned_doorbell(env):
    """Let the controller offer a doorbell at an unaligned address: the enable fails, and leaves nothing behind."""
    controller = env.software.controller
    offered = controller.get_aux_resources

    async def unaligned(resources, room):
        error = await offered(resources, room)
        resources[:] = [replace(resource, phys_addr=resource.phys_addr + 2) for resource in resources]
        return error

    controller.get_aux_resources = unaligned
    assert await env.host.doorbell_test() == -errno.EINVAL
    assert await env.device.read32(0, STATUS) & ENABLE_FAIL
    assert env.device.fired[0] == 1, "a failed enable is one interrupt"
    assert env.software.function.backend is None
    assert "EINVAL" in env.software.function.reason
    controller.get_aux_resources = offered
    assert await env.host.doorbell_test() == 0, env.software.log
    assert env.board.counts["kicks"] == 1


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_enable_twice(env):
    """Disable without enable, and enable twice: each refused, counted by nobody; the first doorbell still rings."""
    assert await env.host.doorbell_test() == 0
    assert await command(env, DISABLE) & DISABLE_FAIL
    assert not await command(env, ENABLE) & ENABLE_FAIL
    where = [await env.device.read32(0, register) for register in (0x34, 0x38, 0x3C)]
    assert await command(env, ENABLE) & ENABLE_FAIL
    fired = env.device.fired[0]
    await env.device.write32(where[0], where[1], where[2])
    await env.until(lambda: env.device.fired[0] > fired, "the first doorbell still rings")
    assert not await command(env, DISABLE) & DISABLE_FAIL
    assert await env.host.doorbell_test() == 0
