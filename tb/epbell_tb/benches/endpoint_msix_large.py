"""Scenarios of large MSI-X tables: vectors that are pending all over them, entries written while a message waits."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.host_vectors import MSIX_CAPABILITY, SILENT, change
from epbell_tb.endpoint.msix_table import ENTRY, MOST, MsixTable, control_of, raise_vectors, somewhere
from epbell_tb.endpoint.windows import Window

_BAR = 2
_ENABLE, _FUNCTION_MASK = 1 << 31, 1 << 30
_CONTROL, _PAGE = 12, 4096
_TURNS, _THOROUGH = 4, 8
_AGAIN, _RUN = 4, 3
_TABLES = 24
_DWORDS, _HEADER = 24, 4
_ROOM, _BUSY, _PENDING, _QUEUE = 8, 16, 18, 16
_SETTLED = 60
"""Clocks within which a raised vector, or a write to its entry, has come to rest."""

_LONG = 1000


@cocotb.test(timeout_time=8000, timeout_unit="us")
@scenario(linux=False, msix=8)
async def msix_pending_anywhere(env):
    """Raise vectors all over a large table while nothing may be sent: each is pending in its bit, and is sent once."""
    source, board = env.random, env.board
    capability = await env.device.find_capability(MSIX_CAPABILITY)
    await change(env, capability, set_=_ENABLE)
    merged = 0
    for turn in range(_TURNS * (_THOROUGH if env.thorough else 1)):
        await env.counters.write("MSIX_SIZE", 0)
        table = MsixTable(env, MOST - 1 - turn % 2 * source.randrange(MOST // 2))
        # Such as differ in one bit, neighbours, both ends.
        middle = source.randrange(table.last + 1)
        some = {middle, 0, table.last, *(middle ^ 1 << bit for bit in range(11)), *range(middle, middle + _RUN)}
        vectors = sorted(vector for vector in some if vector <= table.last)
        for vector in vectors:
            await table.message(vector)
        for offset in range(0, MOST // 8, 4):
            await env.cpu.write32(table.pending_base + offset, source.getrandbits(32))
        await change(env, capability, set_=_FUNCTION_MASK)
        await table.on()
        await env.clocks(SILENT)
        assert await table.pending() == [], "bits are set in the pending bit array of a new table"
        again = source.sample(vectors, _AGAIN)
        await raise_vectors(env, [*source.sample(vectors, len(vectors)), *again])
        merged += len(again)
        await env.clocks(SILENT)
        assert await table.pending() == vectors
        assert await _status(env) == (0, 1), "vectors are pending, and nothing may be sent"
        assert await env.counters.read("MSIX_MERGED") == merged
        await change(env, capability, clear=_FUNCTION_MASK)
        await env.until(lambda: board.to_host.vectors_due == _AGAIN, "the vectors are sent", 4 * _LONG)
        await env.clocks(SILENT)
        assert board.to_host.vectors_due == _AGAIN
        assert await table.pending() == []
        assert await _status(env) == (0, 0), "nothing is pending any more"
    board.counts["msix_merged"] = merged


@cocotb.test(timeout_time=8000, timeout_unit="us")
@scenario(linux=False, msix=8)
async def msix_entry_written_while_offered(env):
    """Write an entry while its message waits to leave: masked, it does not; else it leaves as the entry is then."""
    source, board = env.random, env.board
    await change(env, await env.device.find_capability(MSIX_CAPABILITY), set_=_ENABLE)
    ahead = 0
    for turn in range(_TABLES * (_THOROUGH if env.thorough else 1)):
        await env.counters.write("MSIX_SIZE", 0)
        table = MsixTable(env)
        await table.message(0)
        await table.on()
        await env.clocks(SILENT)
        ahead = ahead if turn else await _ahead(env)
        for masks in (True, False, False):
            vector = source.choice((table.last, source.randrange(1, table.last + 1)))
            await table.message(vector)
            _hold(env, True)
            await raise_vectors(env, [0] * ahead + [vector])
            await env.clocks(_SETTLED)
            assert await _status(env) == (1, 0), "a message is on its way"
            await (_masked_meanwhile if masks else _rewrite)(env, table, vector)
            _hold(env, False)
            await env.until(lambda: not board.to_host.vectors_due, "the messages leave", 2 * _LONG)


async def _masked_meanwhile(env, table, vector):
    """Mask a vector whose message waits: it is pending instead, and waits again when it is unmasked."""
    control = table.base + ENTRY * vector + _CONTROL
    await _write(env, control, control_of(env.random, masked=True))
    if env.board.to_host.msix == "port":
        # The port takes a message at once: this one is next when the one before it has been answered.
        _hold(env, False)
        await env.until(lambda: env.board.to_host.vectors_due == 1, "the message before it leaves", 2 * _LONG)
    await env.clocks(_SETTLED)
    assert await table.pending() == [vector], f"vector {vector} is masked, and its message waits to leave"
    await _write(env, control, control_of(env.random, masked=False))
    await env.clocks(_SETTLED)
    assert await table.pending() == [], f"vector {vector} is pending, and nothing masks it"


async def _rewrite(env, table, vector):
    """Write some dwords of a message: the scoreboard sees which ones it leaves with."""
    number = env.random.randrange(3)
    fresh = (env.random.getrandbits(32) << 64 | somewhere(env)).to_bytes(_CONTROL, "little")[4 * number :]
    begin = table.base + ENTRY * vector + 4 * number
    within = _PAGE - begin % _PAGE
    await _write(env, begin, fresh[: min(within, 4 * env.random.randrange(1, 4))])


def _hold(env, held):
    """Let the hard block take no messages for long, or all of them at once."""
    if env.board.to_host.msix == "rq":
        env.block.rq_sink.clear_pause_generator()
        env.block.rq_sink.pause = held
    env.block.answer_after = lambda: _LONG if held else 0


async def _status(env):
    """Return BUSY and PENDING of MSI-X."""
    status = await env.counters.read("MSIX_STATUS")
    return status >> _BUSY & 1, status >> _PENDING & 1


async def _ahead(env):
    """Return how many messages go ahead of one that waits to leave: raise vector 0 until the queue only fills up."""
    _hold(env, True)
    rooms = [_QUEUE]
    while len(rooms) < 3 or not rooms[-3] > rooms[-2] > rooms[-1]:
        await raise_vectors(env, [0])
        await env.clocks(_SETTLED)
        rooms.append(await env.counters.read("MSIX_STATUS") >> _ROOM & 0x3F)
    left = len(rooms) - 1 - (_QUEUE - rooms[-1])
    _hold(env, False)
    await env.until(lambda: not env.board.to_host.vectors_due, "the messages leave", 2 * _LONG)
    # On the way to RQ the last of them is offered; nothing is while the port has not answered.
    return left - (env.board.to_host.msix == "rq")


async def _write(env, at, data):
    """Let the host write to RAM, within a page of 4 KiB, with what is before and behind it in one write as it is."""
    source, page, size = env.random, at & -_PAGE, env.bar_sizes[_BAR]
    # Often at the end of the first beat, where a beat reaches into most entries.
    in_beat = max(0, env.width // 32 - _HEADER - len(data) // 4)
    start = max(page, at - 4 * source.choice((source.randrange(_DWORDS), in_beat)))
    end = min(page + _PAGE, at + len(data) + source.choice((0, 0, 4 * source.randrange(_DWORDS))))
    await Window(env, 0).bar(_BAR, start & -size)
    address = env.address(_BAR, start % size)
    image = bytearray(await env.memory.read(address, end - start))
    image[at - start : at - start + len(data)] = data
    await env.memory.write(address, bytes(image))
    await env.memory.complete(memory_request(address, None, 4))
