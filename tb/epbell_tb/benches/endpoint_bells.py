"""Scenarios of many rings: masked, back to back, in every cycle around the ack."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.doorbells import SILENT, VECTORS, open_doorbells
from epbell_tb.endpoint.edma import payload_bar
from epbell_tb.endpoint.latencies import PROMISED, READ_ANSWERED, RING
from epbell_tb.endpoint.windows import Window, window_of

_BURST = 1000
_MOST_SWEEPS = 4
_BEYOND = 20
"""Clocks after the ack for which a second ring is swept on."""


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def ring_masked_then_unmask(env):
    """Ring while the interrupt is disabled: it is kept, and the other vectors go on."""
    doorbells = await open_doorbells(env)
    client = doorbells.client
    for vector in range(VECTORS):
        other = (vector + 1) % VECTORS
        await client.disable(vector)
        handled = list(client.handled)
        # Linux disables lazily: the first ring is taken and kept by software, and only then masked in the MU.
        for number in range(2):
            await doorbells.ring(vector, 0x1000 + number)
            await env.block.settle()
            await env.clocks(SILENT)
            assert client.handled == handled, "a disabled interrupt was handled"
        assert await env.pending() == 1 << vector
        assert not env.irq_mu.level(), "a masked vector holds the line"
        await doorbells.good_ring(other)
        handled[other] += 1
        await client.enable(vector)
        await env.until(lambda bell=env.board.bells[vector]: bell.words[-1] == 0x1001, "the kept ring is read")
        await env.clocks(SILENT)
        assert handled[vector] < client.handled[vector] <= handled[vector] + 2
        assert not await env.pending()
        await doorbells.good_ring(vector)
    assert env.board.counts["irqs"] >= 3 * VECTORS


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def thousand_rings_back_to_back(env):
    """Ring as fast as the link brings it: some rings merge, none is lost, the last one is handled."""
    doorbells = await open_doorbells(env)
    words = [0] * VECTORS
    for number in range(1, _BURST + 1):
        vector = env.random.randrange(VECTORS)
        words[vector] = number << 8 | vector
        await doorbells.ring(vector, words[vector])
    await env.block.settle()
    bells = env.board.bells
    last = [[word] for word in words]
    await env.until(lambda: [bell.words[-1:] for bell in bells] == last, "the last words are read")
    await env.clocks(SILENT)
    for bell, handled in zip(bells, doorbells.client.handled, strict=True):
        assert bell.reads[1] > bell.rings[-1].first, f"{bell.name}: nobody looked after the last ring"
        assert 1 <= handled <= len(bell.rings)
        assert len(set(bell.words)) == len(bell.words), f"{bell.name}: a word was delivered twice"
    assert sum(len(bell.rings) for bell in bells) == _BURST
    assert sum(doorbells.client.handled) < _BURST, "nothing merged: the rings were not back to back"


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def ring_in_every_cycle_around_ack(env):
    """Ring a second time in every cycle from the first ring to beyond its ack: the second word is always read."""
    doorbells = await open_doorbells(env)
    await doorbells.good_ring(0)
    first, met = env.board.bells[0], set()
    reach = first.answered[-1] - first.rings[-1].last
    # Again behind one store to memory, and two: where a ring takes several beats, one sweep may skip a cycle. So may
    # Linux's look at other things.
    sweep = [(n, stores) for stores in range(3) for n in range(1, reach + (0 if stores else _BEYOND))]
    wanted = set() if env.stalls else set(range(-4, 10))
    for number, (distance, stores) in enumerate(sweep * _MOST_SWEEPS, 1):
        if number > len(sweep) and wanted <= met:
            break
        vector = number % VECTORS
        bell = env.board.bells[vector]
        acks, handled = bell.acks, doorbells.client.handled[vector]
        await doorbells.ring(vector, 2 * number)
        await env.clocks(distance)
        for store in range(stores):
            await env.device.write32(payload_bar(env), 4 * store, number)
        await doorbells.ring(vector, 2 * number + 1)
        await env.until(lambda b=bell, word=2 * number + 1: b.words[-1:] == [word], "the second word is read")
        await env.clocks(SILENT)
        assert 1 <= bell.acks - acks <= 2
        assert doorbells.client.handled[vector] - handled == bell.acks - acks
        met.add(bell.rings[-1].last + RING - (bell.answered[acks] - READ_ANSWERED))
    missed = wanted - met
    assert not missed, f"no second ring was made {sorted(missed)} cycles after the first ack"


@cocotb.test(timeout_time=400, timeout_unit="us")
@scenario()
async def ring_through_the_express_lane(env):
    """Ring twice, aim the window, ring twice: each first ring takes the whole way, the next one is promised."""
    doorbells = await open_doorbells(env)
    board = env.board
    window, target = await window_of(env, doorbells.bar)
    for _ in range(3):
        for expected in (RING, PROMISED):
            vector = env.random.randrange(VECTORS)
            await doorbells.good_ring(vector)
            ring = board.bells[vector].rings[-1]
            clocks = board.latencies[-1] - (ring.last - ring.first)
            assert clocks == expected, f"{clocks} clocks from the last beat of {ring} to the line, not {expected}"
        await Window(env, window).bar(doorbells.bar, target)
