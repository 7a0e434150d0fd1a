"""Scenarios of MSI-X tables anywhere in RAM, with messages to anywhere: masks, pending bits, many vectors or one."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.host_vectors import MSIX_CAPABILITY, SILENT, change
from epbell_tb.endpoint.latencies import MSIX_SEARCHED, MSIX_SENT
from epbell_tb.endpoint.msix_table import ENTRY, MOST, MsixTable, raise_vectors, somewhere
from epbell_tb.endpoint.windows import Window

_BAR = 2
_CONTROL = 12
_ON, _ENABLE = 1 << 31, 1 << 31
_TURNS, _RAISED, _THOROUGH = 10, 5, 8
_FEW, _LONGEST, _TABLES = 12, 5, 3
_WORD = 32
"""Vectors in a dword of the pending bits."""

_SETTLED = 60
"""Clocks for what is on its way in, and for streams that pause."""


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
    await change(env, await env.device.find_capability(MSIX_CAPABILITY), set_=_ENABLE)
    for _ in range(_TABLES):
        await _controls(env, env.random.randrange(MOST - _FEW))


async def _controls(env, lowest):
    """Do so with the last vectors of a table, from one on."""
    source, ram, size = env.random, env.board.map["ram"], env.bar_sizes[_BAR]
    await env.counters.write("MSIX_SIZE", 0)
    # Where the window, which is a BAR large, shows all of them.
    local = ram.base + ram.size // 2 + source.randrange(0, size - ENTRY * _FEW, 8)
    await Window(env, 0).bar(_BAR, local & -size)
    table = env.address(_BAR, local % size)
    for vector in range(_FEW):
        entry = (vector << 64 | somewhere(env)).to_bytes(_CONTROL, "little") + bytes(4)
        await env.memory.write(table + ENTRY * vector, entry)
    for name, value in (("TABLE", local - ENTRY * lowest), ("PBA", ram.base), ("SIZE", _ON | lowest + _FEW - 1)):
        await env.counters.write(f"MSIX_{name}", value)
    masked = [False] * _FEW
    for turn in range(16):
        vector, enables = source.randrange(_FEW), turn % 16
        word = source.getrandbits(32) & ~1 | (not masked[vector])
        place = table + ENTRY * vector + _CONTROL
        await env.memory.post(memory_request(place, word.to_bytes(4, "little"), first_be=enables))
        await env.memory.complete(memory_request(place, None, 4))
        masked[vector] ^= enables & 1
        await _come_or_wait(env, lowest, [vector], masked)
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
        await _come_or_wait(env, lowest, list(vectors), masked)
    # What waits comes when one write unmasks them all.
    size = ENTRY * (_FEW - 1) + 4
    image = bytearray(await env.memory.read(table + _CONTROL, size))
    image[::ENTRY] = bytes(_FEW)
    await env.memory.write(table + _CONTROL, bytes(image))
    assert await _pending(env, lowest, [False] * _FEW) == 0
    env.board.counts["msix_merged"] = await env.counters.read("MSIX_MERGED")


async def _come_or_wait(env, lowest, vectors, masked):
    """See that none is pending that is not masked; raise vectors: those that are not masked come, the others wait."""
    counts = env.board.counts
    await _pending(env, lowest, masked)
    before = counts["msix"]
    await raise_vectors(env, [lowest + vector for vector in vectors])
    bits = await _pending(env, lowest, masked)
    for vector in vectors:
        assert bits >> vector & 1 == masked[vector], f"vector {vector}, masked {masked[vector]}: pending {bits:#x}"
    came, due = counts["msix"] - before, sum(not masked[vector] for vector in vectors)
    assert came == due, f"{came} of the vectors {vectors} came, not {due}"


async def _pending(env, lowest, masked):
    """Return the pending bits from one on, when all has been sent that may be."""
    searched = (lowest + _FEW + _WORD - 1) // _WORD
    await env.clocks(searched * MSIX_SEARCHED + _FEW * MSIX_SENT + _SETTLED)
    words = await env.cpu.read(env.board.map["ram"].base + lowest // 32 * 4, 8)
    bits = int.from_bytes(words, "little") >> lowest % 32 & (1 << _FEW) - 1
    wrong = [vector for vector in range(_FEW) if bits >> vector & 1 and not masked[vector]]
    assert not wrong, f"vectors {wrong} from {lowest} on are pending, and nothing masks them"
    return bits
