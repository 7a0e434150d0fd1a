"""Scenarios of MSI-X tables anywhere in RAM, with messages to anywhere: masks, pending bits, many vectors or one."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.host_vectors import MSIX_CAPABILITY, SILENT, change
from epbell_tb.endpoint.msix_table import ENTRY, MOST, MsixTable, raise_vectors, somewhere
from epbell_tb.endpoint.windows import Window

_BAR = 2
_CONTROL = 12
_ON, _ENABLE = 1 << 31, 1 << 31
_TURNS, _RAISED, _THOROUGH = 10, 5, 8
_FEW, _LONGEST = 12, 5
_PENDING = 0x1000


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario(linux=False, msix=8)
async def msix_anywhere(env):
    """Move the table and the pending bits; raise vectors, masked and not: each message is its entry's."""
    source, board = env.random, env.board
    await change(env, await env.device.find_capability(MSIX_CAPABILITY), set_=_ENABLE)
    sent, refused = board.counts["msix"], 0
    for _ in range(_TURNS * (_THOROUGH if env.thorough else 1)):
        await env.counters.write("MSIX_SIZE", 0)
        table = MsixTable(env)
        vectors = sorted({0, table.last, *(source.randrange(table.last + 1) for _ in range(_RAISED))})
        for vector in vectors:
            await table.message(vector)
        await table.on()
        await raise_vectors(env, vectors)
        await env.until(lambda: not board.to_host.vectors_due, "the vectors are sent")
        # Masked by the host, raised, unmasked: then it is sent.
        vector = source.choice(vectors)
        await table.mask(vector, True)
        await raise_vectors(env, [vector])
        await env.clocks(SILENT)
        assert await table.pending() == [vector]
        await table.mask(vector, False)
        await env.until(lambda: not board.to_host.vectors_due, "the vector that was masked is sent")
        if table.last < MOST - 1:
            await raise_vectors(env, [table.last + 1])
            refused += 1
        assert await env.counters.read("MSIX_REFUSED") == refused
    assert board.counts["msix"] >= sent + 2 * _TURNS


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario(linux=False, msix=_FEW)
async def vector_controls_by_any_write(env):
    """Write the masks with any byte enables, and those of several vectors at once: byte 0 of each says what it says."""
    source, ram = env.random, env.board.map["ram"]
    await change(env, await env.device.find_capability(MSIX_CAPABILITY), set_=_ENABLE)
    await Window(env, 0).bar(_BAR, ram.base)
    table = env.address(_BAR)
    for vector in range(_FEW):
        entry = (vector << 64 | somewhere(env)).to_bytes(_CONTROL, "little") + bytes(4)
        await env.memory.write(table + ENTRY * vector, entry)
    for name, value in (("TABLE", ram.base), ("PBA", ram.base + _PENDING), ("SIZE", _ON | _FEW - 1)):
        await env.counters.write(f"MSIX_{name}", value)
    masked = [False] * _FEW
    for turn in range(2 * 16):
        vector, enables = source.randrange(_FEW), turn % 16
        word = source.getrandbits(32) & ~1 | (not masked[vector])
        place = table + ENTRY * vector + _CONTROL
        await env.memory.post(memory_request(place, word.to_bytes(4, "little"), first_be=enables))
        await env.memory.complete(memory_request(place, None, 4))
        masked[vector] ^= enables & 1
        await _come_or_wait(env, [vector], masked)
    for _ in range(_TURNS):
        first = source.randrange(_FEW - 1)
        vectors = range(first, min(_FEW, first + source.randrange(2, _LONGEST)))
        # From any dword of the first entry on.
        before = 4 * source.randrange(ENTRY // 4)
        start = ENTRY * first + _CONTROL - before
        image = bytearray(await env.memory.read(table + start, before + ENTRY * (len(vectors) - 1) + 4))
        for number, vector in enumerate(vectors):
            masked[vector] = source.random() < 0.5
            image[before + ENTRY * number] = source.getrandbits(8) & ~1 | masked[vector]
        await env.memory.write(table + start, bytes(image))
        await env.memory.complete(memory_request(table + start, None, 4))
        await _come_or_wait(env, list(vectors), masked)
    # What waits comes when one write unmasks them all.
    size = ENTRY * (_FEW - 1) + 4
    image = bytearray(await env.memory.read(table + _CONTROL, size))
    image[::ENTRY] = bytes(_FEW)
    await env.memory.write(table + _CONTROL, bytes(image))
    await env.clocks(SILENT)
    assert await env.cpu.read32(ram.base + _PENDING) == 0, "a vector is pending that nothing masks"
    env.board.counts["msix_merged"] = await env.counters.read("MSIX_MERGED")


async def _come_or_wait(env, vectors, masked):
    """See that none is pending that is not masked; raise vectors: those that are not masked come, the others wait."""
    counts = env.board.counts
    await _pending(env, masked)
    before = counts["msix"]
    await raise_vectors(env, vectors)
    bits = await _pending(env, masked)
    for vector in vectors:
        assert bits >> vector & 1 == masked[vector], f"vector {vector}, masked {masked[vector]}: pending {bits:#x}"
    came, due = counts["msix"] - before, sum(not masked[vector] for vector in vectors)
    assert came == due, f"{came} of the vectors {vectors} came, not {due}"


async def _pending(env, masked):
    """Return the pending bits, when all has been sent that may be."""
    await env.clocks(SILENT)
    bits = await env.cpu.read32(env.board.map["ram"].base + _PENDING)
    wrong = [vector for vector in range(_FEW) if bits >> vector & 1 and not masked[vector]]
    assert not wrong, f"vectors {wrong} are pending, and nothing masks them"
    return bits
