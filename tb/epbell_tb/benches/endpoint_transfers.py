"""Scenarios of transfers: completions of every size and place, everything at once, and nobody who takes anything."""

import cocotb
from cocotb.triggers import Timer
from cocotbext.pcie.core.dllp import FcType
from cocotbext.pcie.core.tlp import CplStatus

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.doorbells import SILENT, VECTORS, open_doorbells
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.link_credits import LinkCredits
from epbell_tb.endpoint.peers import Peer

_BAR, _BELLS = 4, 2
_SPAN = 64
"""Bytes in 16 dwords."""

_AT_ONCE = 16
_BOUNDARIES = (64, 128, 256)
_FIRST = (0b1111, 0b1110, 0b1100, 0b1000)
_LAST = (0b1111, 0b0111, 0b0011, 0b0001)
_PLACES = 8
"""Non-posted requests that the endpoint takes at a time."""

_LONG = 1500
"""Clocks: less than the hard block's completion timeout."""


async def _ask(env, image, requests):
    """Send reads, many at a time; each must bring the image's bytes, whatever was enabled."""
    requests = list(requests)
    env.random.shuffle(requests)
    base = env.address(_BAR)
    for first in range(0, len(requests), _AT_ONCE):
        some = [(one, cocotb.start_soon(env.memory.complete(one))) for one in requests[first : first + _AT_ONCE]]
        for request, task in some:
            answer = await task
            assert answer.status == CplStatus.SC
            start = request.address - base + request.get_first_be_offset()
            assert answer.data == image[start : start + len(answer.data)], f"{request!r}"
            assert len(answer.data) == request.get_be_byte_count()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@scenario()
async def completions_of_every_size_and_offset(env):
    """Read 1 to 64 bytes at every offset of 16 dwords, before a boundary of 128 bytes: all of them if thorough."""
    image = env.random.randbytes(0x400)
    await env.memory.write(env.address(_BAR), image)
    base = env.address(_BAR, 0x40)
    pairs = [(start, length) for start in range(_SPAN) for length in range(1, _SPAN + 1)]
    if not env.thorough:
        ends = {(start, _SPAN - start) for start in range(_SPAN)} | {(start, start + 1) for start in range(_SPAN)}
        pairs = sorted(ends) + env.random.sample(pairs, _SPAN)
    await _ask(env, image, [memory_request(base + start, None, length) for start, length in pairs])
    assert env.board.counts["completions"] > env.board.counts["requests"] // 2


@cocotb.test(timeout_time=20, timeout_unit="ms")
@scenario()
async def completions_around_boundaries(env):
    """Read across 64, 128 and 256 bytes with all byte enables and maximum payloads: boundaries are kept."""
    image = env.random.randbytes(0x800)
    await env.memory.write(env.address(_BAR), image)
    middle = 0x200
    counts = (2, 3, 4, 33, 64, 65) if env.thorough else (2, 3, 33)
    for payload in (128, 256, 512, 1024) if env.thorough else (128, 256):
        await env.use_max_payload(payload)
        requests = [
            memory_request(
                env.address(_BAR, middle + boundary + 4 * start), None, 4 * count, first_be=first, last_be=last
            )
            for boundary in _BOUNDARIES
            for count in counts
            for start in {-1, 1 - count, 0}
            for first in _FIRST
            for last in _LAST
        ]
        await _ask(env, image, requests if env.thorough else env.random.sample(requests, len(requests) // 3))
    # One or two dwords may have gaps in their byte enables, and a read of nothing is answered, too.
    every = [(1, first, 0) for first in range(16)] + [
        (2, first, last) for first in range(1, 16) for last in range(1, 16)
    ]
    for count, first, last in every if env.thorough else every[:16] + env.random.sample(every[16:], 32):
        request = memory_request(env.address(_BAR, 0x78), None, 4 * count, first_be=first, last_be=last)
        answer = await env.memory.complete(request)
        assert (answer.status, answer.completions) == (CplStatus.SC, 1)


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario()
async def requesters_interleaved(env):
    """Let two requesters with the same tags read RAM and registers, while the host writes and the CPU goes out."""
    doorbells = await open_doorbells(env, _BELLS)
    image = env.random.randbytes(0x800)
    await env.memory.write(env.address(_BAR), image)
    words = [await _ring_and_read(env, doorbells, vector) for vector in range(VECTORS)]
    host = env.random.randbytes(0x100)
    memory = env.to_host.memory
    base = memory.allocate(len(host), 8)
    memory.poke(base, host)
    env.to_host.delay = lambda: env.random.choice((0, 40, 400))
    mapping = await env.software.epc.mem_map(base, len(host))
    assert not isinstance(mapping, int)
    rounds = 60 if env.thorough else 12

    async def reads(peer, tag):
        for _ in range(rounds):
            if env.random.randrange(3):
                start = env.random.randrange(0x700)
                length = env.random.randrange(1, 0x100)
                data = await peer.read(env.address(_BAR, start), length, tag)
                assert data == image[start : start + length], f"{length} bytes at {start:#x} with tag {tag}"
            else:
                vector = 1 + env.random.randrange(VECTORS - 1)
                word = int.from_bytes(await peer.read(doorbells.address(vector), 4, tag), "little")
                assert word == words[vector], f"the word of vector {vector} is {word:#x}"

    async def goes_out():
        for _ in range(rounds):
            start = 4 * env.random.randrange(0x30)
            assert await env.cpu.read(mapping.address + start, 0x20) == host[start : start + 0x20]

    peers = [Peer(env, device) for device in (2, 3)]
    tasks = [cocotb.start_soon(reads(peer, tag)) for peer in peers for tag in (0, 7, 31)]
    tasks.append(cocotb.start_soon(goes_out()))
    for _ in range(rounds):
        await doorbells.good_ring(0)
        data = env.random.randbytes(env.random.randrange(1, 0x80))
        start = 0x800 + env.random.randrange(0x700)
        await env.memory.write(env.address(_BAR, start), data)
        assert await env.memory.read(env.address(_BAR, start), len(data)) == data
    for task in tasks:
        await task
    assert all(peer.completions >= 3 * rounds for peer in peers)


async def _ring_and_read(env, doorbells, vector):
    """Ring, and return the word that reads of the doorbell return from now on."""
    await doorbells.good_ring(vector)
    return env.board.bells[vector].words[-1]


def _traffic(env, mapping, image, host):
    """Start what goes on while nothing is taken: reads of both ends, posted writes, interrupts; return the tasks."""

    async def reads(number):
        start = 0x40 * number + 1
        assert await env.memory.read(env.address(_BAR, start), 0x3E) == image[start : start + 0x3E]

    async def goes_out():
        assert await env.cpu.read(mapping.address, len(host)) == host
        for number in range(16):
            await env.cpu.write(mapping.address + 0x80 + number, bytes([number]))
            if number % 8 == 7:
                await env.counters.write("MSI_RAISE", 3 + number // 8)

    return [*(cocotb.start_soon(reads(number)) for number in range(24)), cocotb.start_soon(goes_out())]


async def _prepare(env):
    """Bring up doorbells, an image behind a BAR, and a mapping of host memory."""
    doorbells = await open_doorbells(env, _BELLS)
    image, host = env.random.randbytes(0x800), env.random.randbytes(0x80)
    await env.memory.write(env.address(_BAR), image)
    base = env.to_host.memory.allocate(0x100, 8)
    env.to_host.memory.poke(base, host)
    mapping = await env.software.epc.mem_map(base, 0x100)
    assert not isinstance(mapping, int)
    return doorbells, image, host, base, mapping


async def _over(env, tasks, base, msis):
    """See everything arrive, and every credit given back."""
    for task in tasks:
        await task
    await env.until(lambda: env.board.counts["msis"] == msis, "the MSIs arrive")
    assert env.to_host.memory.peek(base + 0x80, 16) == bytes(range(16))
    await env.clocks(SILENT)
    assert env.block.cq_np_req_count == _PLACES, "a credit for a read is lost, or doubled"
    assert not env.block.waiting


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario()
async def streams_stand_still(env):
    """Take nothing from CC, then from RQ, for long: credits run out, rings get through, nothing is lost or doubled."""
    doorbells, image, host, base, mapping = await _prepare(env)
    for round_, stream in enumerate((env.block.cc_sink, env.block.rq_sink)):
        stream.set_pause_generator(None)
        stream.pause = True
        before = env.board.counts["completions"], env.board.counts["to_host_reads"]
        tasks = _traffic(env, mapping, image, host)
        await env.clocks(_LONG // 3)
        if stream is env.block.cc_sink:
            assert env.block.waiting, "the endpoint has given credits for reads that it cannot answer"
            assert env.board.counts["completions"] - before[0] <= 1
            # Posted requests pass what waits.
            for vector in range(VECTORS):
                await doorbells.good_ring(vector)
        else:
            await env.clocks(_LONG)
            assert env.board.counts["to_host_reads"] - before[1] <= 1
        stream.pause = False
        if env.stalls:
            stream.set_pause_generator(env.pauses())
        await _over(env, tasks, base, 2 * (round_ + 1))
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)


@cocotb.test(timeout_time=8000, timeout_unit="us")
@scenario()
async def link_credits_exhausted(env):
    """Let the link's credits of each kind run out, and come back one by one: nothing is lost, doubled or reordered."""
    doorbells, image, host, base, mapping = await _prepare(env)
    credits = LinkCredits(env.block.upstream_port)
    msis = 0
    for kind in (FcType.CPL, FcType.P, FcType.NP):
        msis += 2
        credits.limit(kind, 0)
        passed = credits.sent[kind]
        tasks = _traffic(env, mapping, image, host)
        await env.clocks(_LONG // 3)
        assert credits.held(kind), f"no packet of kind {kind} waits for a credit"
        assert credits.sent[kind] == passed, f"packets of kind {kind} were sent without credits"
        if kind is FcType.CPL:  # else the CPU waits, too
            await doorbells.good_ring(0)
        while not all(task.done() for task in tasks):
            credits.give(kind, 1)
            await Timer(4 * env.random.randrange(1, 16), unit="ns")
        credits.lift()
        await _over(env, tasks, base, msis)
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)
