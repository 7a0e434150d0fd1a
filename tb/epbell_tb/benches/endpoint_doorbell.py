"""Scenarios of the doorbell as Linux uses it: both ends' drivers, one ring at a time."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.doorbells import VECTORS, open_doorbells

_ROUNDS, _MANY_ROUNDS = 10, 100


@cocotb.test(timeout_time=400, timeout_unit="us")
@scenario()
async def ring_each_vector(env):
    """Ring the vectors one by one, each with its own word."""
    doorbells = await open_doorbells(env)
    client = doorbells.client
    for vector in env.random.sample(range(VECTORS), VECTORS):
        published = client.published[vector]
        assert published.data == vector
        before = [bell.acks for bell in env.board.bells]
        await doorbells.good_ring(vector)
        after = [bell.acks for bell in env.board.bells]
        assert after == [count + (n == vector) for n, count in enumerate(before)], "another vector was read"
    assert client.handled == [1] * VECTORS
    assert sum(env.software.gic.taken.values()) == VECTORS, "the CPU took the line more often than it was rung"
    assert await client.close() == 0


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario()
async def doorbell_test_ten_times(env):
    """Run Linux's DOORBELL test again and again, a hundred times when thorough, without enumerating in between."""
    rounds = _MANY_ROUNDS if env.thorough else _ROUNDS
    bar = env.software.epc.features.next_free_bar(1)
    pattern = env.random.randbytes(256)
    await env.device.write(bar, 0x200, pattern)
    addresses = [await env.device.bar_register(number) for number in range(6)]
    for _ in range(rounds):
        assert await env.host.doorbell_test() == 0, env.software.log
        assert await env.device.read(bar, 0x200, len(pattern)) == pattern, "the RAM behind the doorbell is not restored"
    assert [await env.device.bar_register(number) for number in range(6)] == addresses
    assert env.board.counts["rings"] == rounds
    assert env.device.fired[0] == 3 * rounds, "one interrupt for each of enable, ring and disable"
    assert not any(env.device.fired[1:])


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def payload_before_ring(env):
    """Write payloads and their rings in one go, for every vector: what each handler reads is there already."""
    source, slot = env.software.function.epf.bars[4], 0x100
    wanted: list[bytes] = [b""] * VECTORS
    seen = [0] * VECTORS

    async def look(vector):
        data = await env.cpu.read(source.phys_addr + vector * slot, len(wanted[vector]))
        assert data == wanted[vector], f"the handler of vector {vector} reads an old payload"
        seen[vector] += 1

    doorbells = await open_doorbells(env, notify=look)
    for number in range(1, _ROUNDS + 1):
        for vector in env.random.sample(range(VECTORS), VECTORS):
            wanted[vector] = env.random.randbytes(4 * env.random.randrange(1, 17))
            await env.memory.write(env.address(4, vector * slot), wanted[vector])
            await doorbells.ring(vector, number)
        await env.until(lambda number=number: seen == [number] * VECTORS, "every handler has looked", 8000)
    assert doorbells.client.handled == [_ROUNDS] * VECTORS


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def msi_after_status(env):
    """Interrupt the host, whose handler believes it only if it finds IRQ_RAISED in STATUS."""
    count = len(env.device.fired)
    assert count == 32
    fired = [0] * count
    for number in (1, count, *env.random.sample(range(2, count), 4)):
        assert await env.host.msi_test(number) == 0, env.software.log
        fired[number - 1] += 1
        assert env.device.fired == fired, "one interrupt per event, on its vector"
    for _ in range(2):
        assert await env.host.doorbell_test() == 0, env.software.log
        fired[0] += 3
        assert env.device.fired == fired, "one interrupt per event, on its vector"
    assert await env.host.msi_test(count + 1) < 0
    assert env.software.function.irqs_raised == sum(fired) == env.board.counts["msis"]
