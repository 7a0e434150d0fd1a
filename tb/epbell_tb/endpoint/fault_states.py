"""The states in which faults are tried: each is entered, held while the fault comes, and left with all that was begun.

What is under way is compared when it ends, by whoever began it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import cocotb

from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.doorbells import VECTORS
from epbell_tb.endpoint.fault_rig import KICK, SIZE, Rig

__all__ = [
    "ENTER",
]

_HELD = 150
"""Clocks that a state is held for with the fault in it."""

_HOST = 0x100
_PIECE = 64


@asynccontextmanager
async def _idle(rig: Rig) -> AsyncIterator[None]:
    yield
    rig.released = cycle()


@asynccontextmanager
async def _rings(rig: Rig) -> AsyncIterator[None]:
    for _ in range(12):
        await rig.ring(rig.env.random.randrange(VECTORS + 1))
    yield
    for _ in range(12):
        await rig.ring(rig.env.random.randrange(VECTORS + 1))
    rig.released = cycle()


def _host_reads(rig: Rig, count: int, shortest: int = 1) -> list[Any]:
    source = rig.env.random
    starts = [source.randrange(SIZE - _PIECE) for _ in range(count)]
    return [cocotb.start_soon(rig.look(start, source.randrange(shortest, _PIECE))) for start in starts]


async def _map(rig: Rig) -> tuple[Any, int, bytes]:
    """Put a window before host memory; return it, where that is, and what is in its first half."""
    memory, data = rig.env.to_host.memory, rig.env.random.randbytes(_HOST // 2)
    base = memory.allocate(_HOST, 8)
    memory.poke(base, data)
    mapping = await rig.env.software.epc.mem_map(base, _HOST)
    assert not isinstance(mapping, int), f"no mapping: {mapping}"
    return mapping, base, data


@asynccontextmanager
async def _reads(rig: Rig) -> AsyncIterator[None]:
    env = rig.env
    mapping, _, data = await _map(rig)
    env.to_host.delay = lambda: 400

    async def goes_out(start: int) -> None:
        assert await env.cpu.read(mapping.address + start, 8) == data[start : start + 8], "another read's data"

    tasks = [*_host_reads(rig, 6), *(cocotb.start_soon(goes_out(8 * number)) for number in range(4))]
    await env.clocks(4)
    yield
    tasks += _host_reads(rig, 4)
    rig.released = cycle()
    for task in tasks:
        await task
    env.to_host.delay = lambda: 0
    await env.software.epc.mem_unmap(mapping)


@asynccontextmanager
async def _full(rig: Rig) -> AsyncIterator[None]:
    env = rig.env
    mapping, base, _ = await _map(rig)
    streams = env.block.cc_sink, env.block.rq_sink
    for stream in streams:
        stream.set_pause_generator(None)
        stream.pause = True
    msis = env.board.counts["msis"]

    async def goes_out() -> None:
        for number in range(16):
            await env.cpu.write(mapping.address + _HOST // 2 + number, bytes([number]))
            if number % 8 == 7:
                await env.counters.write("MSI_RAISE", 3 + number // 8)

    tasks = [*_host_reads(rig, 28, _PIECE - 4), cocotb.start_soon(goes_out())]
    await env.clocks(_HELD)
    assert env.block.waiting, "reads of the host must have run out of credits"
    yield
    await env.clocks(_HELD)
    for stream in streams:
        stream.pause = False
        if env.stalls:
            stream.set_pause_generator(env.pauses())
    tasks += _host_reads(rig, 2)
    rig.released = cycle()
    for task in tasks:
        await task
    await env.until(lambda: env.board.counts["msis"] == msis + 2, "the MSIs arrive")
    assert env.to_host.memory.peek(base + _HOST // 2, 16) == bytes(range(16)), "a write to the host is lost"
    await env.software.epc.mem_unmap(mapping)


async def _ring_all(rig: Rig) -> None:
    for number in range(VECTORS + 1):
        await rig.ring(number)
    await rig.env.block.settle()
    await rig.env.clocks(60)


@asynccontextmanager
async def _pending(rig: Rig) -> AsyncIterator[None]:
    env = rig.env
    env.cpu.hold()
    await env.clocks(60)
    before = rig.handlers()
    await _ring_all(rig)
    assert env.irq_mu.level(), "irq_mu must be high"
    assert env.irq_edma[0].level(), "irq_edma must be high"
    yield
    await env.clocks(_HELD)
    assert env.irq_mu.level(), "irq_mu must stay high"
    assert env.irq_edma[0].level(), "irq_edma must stay high"
    assert rig.handlers() == before, "the CPU stands still"
    env.cpu.release()
    rig.released = cycle()


@asynccontextmanager
async def _masked(rig: Rig) -> AsyncIterator[None]:
    env, registers = rig.env, rig.env.board.registers
    where = env.board.map["mu_a"].base + registers.home("RIE")
    enables = await env.cpu.read32(where)
    assert registers.channels("RIE", enables) == (1 << VECTORS) - 1, "every vector must be enabled"
    await env.cpu.write32(where, enables & ~registers.mask("RIE"))
    before = rig.handlers()[:KICK]
    await _ring_all(rig)
    assert not env.irq_mu.level(), "a masked ring must not raise irq_mu"
    yield
    await env.clocks(_HELD)
    assert not env.irq_mu.level(), "a masked ring must not raise irq_mu"
    assert rig.handlers()[:KICK] == before, "no vector that is masked is handled"
    assert await env.pending() == (1 << VECTORS) - 1, "every vector must wait"
    await env.cpu.write32(where, enables)
    rig.released = cycle()


ENTER: dict[str, Callable[[Rig], AbstractAsyncContextManager[None]]] = {
    "idle": _idle,
    "rings": _rings,
    "reads": _reads,
    "full": _full,
    "pending": _pending,
    "masked": _masked,
}
"""Name of a state -> what enters and leaves it."""
