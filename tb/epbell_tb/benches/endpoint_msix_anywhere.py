"""Scenario of MSI-X tables anywhere in RAM, with messages to anywhere: masks, pending bits, many vectors or one."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.host_vectors import MSIX_CAPABILITY, SILENT, change
from epbell_tb.endpoint.windows import Window

_BAR = 2
_ENTRY, _CONTROL, _WORD = 16, 12, 8
_ON, _ENABLE = 1 << 31, 1 << 31
_MOST = 2048
_TURNS, _RAISED, _THOROUGH = 10, 5, 8
_SMALL = 1 << 16


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario(linux=False, msix=8)
async def msix_anywhere(env):
    """Move the table and the pending bits; raise vectors, masked and not: each message is its entry's."""
    source, ram = env.random, env.board.map["ram"]
    window, board = Window(env, 0), env.board
    await change(env, await env.device.find_capability(MSIX_CAPABILITY), set_=_ENABLE)
    sent, refused = board.counts["msix"], 0
    for _ in range(_TURNS * (_THOROUGH if env.thorough else 1)):
        await env.counters.write("MSIX_SIZE", 0)
        last = min(_MOST - 1, int(2 ** source.uniform(0, 11)))
        table = ram.base + source.randrange(0, ram.size // 2 - _ENTRY * _MOST, _WORD)
        pending = ram.base + ram.size // 2 + source.randrange(0, ram.size // 2 - _MOST, _WORD)
        if source.random() < 0.5:
            table, pending = pending & -_SMALL, table
        vectors = sorted({0, last, *(source.randrange(last + 1) for _ in range(_RAISED))})
        for vector in vectors:
            address, word = _somewhere(env, source), source.getrandbits(32)
            entry = (word << 64 | address).to_bytes(_CONTROL, "little") + _control(source, masked=False)
            for start in range(0, _ENTRY, _WORD):  # one of 16 bytes may cross 4 KiB
                await _put(env, window, table + _ENTRY * vector + start, entry[start : start + _WORD])
        await env.counters.write("MSIX_TABLE", table)
        await env.counters.write("MSIX_PBA", pending)
        await env.counters.write("MSIX_SIZE", _ON | last)
        await _raise(env, vectors)
        await env.until(lambda: not board.to_host.vectors_due, "the vectors are sent")
        # Masked by the host, raised, unmasked: then it is sent.
        vector = source.choice(vectors)
        control = table + _ENTRY * vector + _CONTROL
        await _put(env, window, control, _control(source, masked=True))
        await _raise(env, [vector])
        await env.clocks(SILENT)
        assert await env.cpu.read32(pending + vector // 64 * 8 + vector % 64 // 32 * 4) == 1 << vector % 32
        await _put(env, window, control, _control(source, masked=False))
        await env.until(lambda: not board.to_host.vectors_due, "the vector that was masked is sent")
        if last < _MOST - 1:
            await _raise(env, [last + 1])
            refused += 1
        assert await env.counters.read("MSIX_REFUSED") == refused
    assert board.counts["msix"] >= sent + 2 * _TURNS


async def _put(env, window, local, data):
    """Let the host write to RAM, and wait until that is done."""
    size = env.bar_sizes[_BAR]
    await window.bar(_BAR, local & -size)
    place = env.address(_BAR, local % size)
    await env.memory.write(place, data)
    await env.memory.complete(memory_request(place, None, 4))


def _control(source, *, masked):
    """Return the bytes of a Vector Control: all its bits but the mask say nothing to the endpoint."""
    return (source.getrandbits(32) & ~1 | masked).to_bytes(4, "little")


async def _raise(env, vectors):
    for vector in vectors:
        await env.counters.write("MSIX_RAISE", vector)


def _somewhere(env, source):
    """Return the address of a dword anywhere in 64 bits but where the endpoint itself is."""
    windows = (env.port.mem_base, env.port.mem_limit), (env.port.prefetchable_mem_base, env.port.prefetchable_mem_limit)
    while True:
        address = source.getrandbits(source.choice((32, 64))) & ~3
        if not any(first <= address <= last for first, last in windows):
            return address
