"""Scenarios of the way to the host: transfers as Linux does them, reads side by side, and everything that may fail."""

from collections import Counter

import cocotb
from cocotb.triggers import Timer
from cocotbext.pcie.core.tlp import TlpType

from epbell_models.reference.outbound import Cause
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.hesitation import hesitating
from epbell_tb.endpoint.host_reads import fails
from epbell_tb.endpoint.to_host import CAUSES

_SIZES = (1, 2, 3, 4, 5, 127, 1024, 1025)
_PLACES = (0x2000_0000, 0x1_0000_0000, 0xFFFF_FE00)
"""Where the host's buffers begin: below 4 GiB, above, and so that a long one lies on both sides."""

_HEADERS = ((TlpType.MEM_READ, TlpType.MEM_READ_64), (TlpType.MEM_WRITE, TlpType.MEM_WRITE_64))
_EACH = 256
"""Requests with each size of header, at least."""

_PIECES = 6
_AHEAD = 24
_ROUNDS = 4
_TURNS, _TAGS = 3, 32
_FREE = 0x10_0000
"""Where nothing of the software is in RAM."""


async def _map(env, address, size):
    """Put an outbound window before the host's memory, as Linux does; return the mapping."""
    mapping = await env.software.epc.mem_map(address, size)
    assert not isinstance(mapping, int), f"no mapping: {mapping}"
    assert mapping.pci_size >= size
    return mapping


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario()
async def transfers_of_every_size(env):
    """Run Linux's READ, WRITE and COPY tests from a byte to a kilobyte and a byte, below 4 GiB and above."""
    memory, counts, kinds = env.to_host.memory, env.board.counts, env.link.kinds
    for turn, size in enumerate(_SIZES):
        for number, test in enumerate((env.host.read_test, env.host.write_test, env.host.copy_test)):
            for place in _PLACES if env.thorough else (_PLACES[(turn + number) % len(_PLACES)],):
                memory.free = place
                assert await test(size) == 0, f"{test.__name__}({size}) at {place:#x}: {env.software.log}"
    # Which header a request has is the hard block's choice; that it suits the address is seen on the link.
    reads, writes = ((kinds[short], kinds[long]) for short, long in _HEADERS)
    assert min(*reads, *writes) >= _EACH, f"few requests with 3 or with 4 dwords of header: {kinds}"
    assert sum(reads) == counts["to_host_reads"]
    assert sum(writes) == counts["to_host_writes"] + counts["msis"]
    assert counts["to_host_reads"] >= 2 * sum(_SIZES) // 4
    assert counts["to_host_writes"] >= 2 * sum(_SIZES) // 4
    assert not env.to_host.memory.dropped, "a write reached nothing"
    assert not env.software.controller.outbound, "a window was left behind"


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario()
async def reads_of_a_cpu_that_hesitates(env):
    """Read many dwords of the host and of RAM ahead, with a CPU that takes answers now and then: none is lost."""
    memory, source, ram = env.to_host.memory, env.random, env.board.map["ram"].base
    size = 4 * _AHEAD * _PIECES
    image = source.randbytes(size)
    here = memory.allocate(size, 8)
    memory.poke(here, image)
    reads = await _map(env, here, size)
    await env.cpu.write(ram + _FREE, image)

    async def read_some(number):
        start = 4 * _AHEAD * number
        for turn in range(_ROUNDS):
            base = reads.address if (number + turn) % 2 else ram + _FREE
            data = await env.cpu.read(base + start, 4 * _AHEAD)
            assert data == image[start : start + 4 * _AHEAD], f"piece {number} is another one's"

    async with hesitating(env):
        for task in [cocotb.start_soon(read_some(number)) for number in range(_PIECES)]:
            await task


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario()
async def reads_answered_in_any_order(env):
    """Read many dwords ahead, answered late and in any order, while the CPU writes elsewhere."""
    memory, source = env.to_host.memory, env.random
    env.to_host.delay = lambda: source.choice((0, 0, 40, 400, source.randrange(2000)))
    size = 4 * _AHEAD * _PIECES
    image = source.randbytes(size)
    here, there = memory.allocate(size, 8), memory.allocate(size, 8)
    memory.poke(here, image)
    reads, writes = await _map(env, here, size), await _map(env, there, size)

    async def read_some(number):
        start = 4 * _AHEAD * number
        for _ in range(_ROUNDS):
            data = await env.cpu.read(reads.address + start, 4 * _AHEAD)
            assert data == image[start : start + 4 * _AHEAD], f"piece {number} is another one's"

    tasks = [cocotb.start_soon(read_some(number)) for number in range(_PIECES)]
    copy = bytearray(size)
    for _ in range(8):
        start = source.randrange(size - 64)
        piece = source.randbytes(source.randrange(1, 64))
        await env.cpu.write(writes.address + start, piece)
        copy[start : start + len(piece)] = piece
    for task in tasks:
        await task
    assert await env.cpu.read(writes.address, size) == copy, "a read has overtaken a write"
    assert memory.peek(there, size) == copy


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario()
async def reads_with_every_tag(env):
    """Read again and again, with pauses: the tags come in turn, and each does."""
    mapping = await _map(env, env.to_host.memory.allocate(0x100, 0x1000), 0x100)
    before = Counter(env.board.to_host.tags)
    for turn in range(_TURNS * _TAGS):
        await env.cpu.read32(mapping.address)
        await env.clocks(turn // _TAGS)
    found = env.board.to_host.tags - before
    assert found == dict.fromkeys(range(_TAGS), _TURNS), f"not all tags {_TURNS} times: {found}"


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario()
async def failing_completions(env):
    """Let reads end in UR, CA, poisoned and never; the reads around them are answered right."""
    memory = env.to_host.memory
    base = memory.allocate(0x100, 0x1000)
    image = env.random.randbytes(0x100)
    memory.poke(base, image)
    mapping = await _map(env, base, 0x2000)
    for number, cause in enumerate((Cause.UNSUPPORTED, Cause.ABORTED, Cause.POISONED, Cause.TIMEOUT)):
        at = 0x10 + 0x20 * number
        memory.fail(base + at, cause)
        before = cocotb.start_soon(env.cpu.read(mapping.address + at - 8, 8))
        failing = cocotb.start_soon(fails(env, env.cpu.read(mapping.address + at, 4), cause, mapping.address + at))
        await Timer(40, unit="ns")
        after = cocotb.start_soon(env.cpu.read(mapping.address + at + 4, 12))
        assert await before == image[at - 8 : at]
        await failing
        assert await after == image[at + 4 : at + 16]
    memory.heal()
    assert await env.cpu.read(mapping.address, 0x100) == image
    await fails(env, env.cpu.read32(mapping.address + 0x1000), Cause.UNSUPPORTED, mapping.address + 0x1000)
    # A write is posted: nobody is told that the host has nothing there.
    await env.cpu.write32(mapping.address + 0x1000, 1)
    assert await env.cpu.read(mapping.address, 4) == image[:4]
    assert memory.dropped == [base + 0x1000]
    for cause in (Cause.UNSUPPORTED, Cause.ABORTED, Cause.POISONED, Cause.TIMEOUT):
        assert cause in env.board.to_host.causes, f"no completion with {CAUSES[cause]}"


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario()
async def no_window_and_no_bus_master(env):
    """See accesses outside every window, and all of them while bus mastering is off, fail without a request."""
    memory, device = env.to_host.memory, env.device
    base = memory.allocate(0x1000, 0x1000)
    mapping = await _map(env, base, 0x1000)
    last = env.board.map.outbound
    outside = last.base + last.size - 4
    await fails(env, env.cpu.read32(outside), Cause.NO_WINDOW, outside)
    await fails(env, env.cpu.write32(outside, 1), Cause.NO_WINDOW, outside)
    word = env.random.getrandbits(32)
    await env.cpu.write32(mapping.address, word)
    sent = await _sent(env)
    await device.disable()
    await fails(env, env.cpu.read32(mapping.address), Cause.NOT_MASTER, mapping.address)
    await fails(env, env.cpu.write32(mapping.address + 8, 1), Cause.NOT_MASTER, mapping.address + 8)
    assert await _sent(env) == sent, "a request left although the endpoint is no bus master"
    await device.set_master()
    assert await env.cpu.read32(mapping.address) == word
    assert memory.peek(base + 8, 4) == bytes(4)
    await env.software.epc.mem_unmap(mapping)
    await fails(env, env.cpu.read32(mapping.address), Cause.NO_WINDOW, mapping.address)
    assert not env.block.not_master


async def _sent(env):
    await env.clocks(100)
    return env.board.counts["to_host_reads"] + env.board.counts["to_host_writes"]


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def payload_before_its_msi(env):
    """Write to the host and raise an MSI: when it arrives, what it announces is there."""
    memory = env.to_host.memory
    size = 96
    base = memory.allocate(size, 8)
    mapping = await _map(env, base, size)
    seen = []
    wanted = []

    async def look(_index):
        assert memory.peek(base, size) == wanted[-1], "the MSI has overtaken what it announces"
        seen.append(len(wanted))

    await env.device.free_irq(3)
    await env.device.request_irq(3, look)
    for number in range(1, 20):
        wanted.append(env.random.randbytes(size))
        await env.cpu.write(mapping.address, wanted[-1])
        await env.counters.write("MSI_RAISE", 3)
        await env.until(lambda number=number: len(seen) == number, "the MSI arrives")
    assert env.board.counts["msis"] == 19


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def outbound_windows_exhausted(env):
    """Use every outbound window: one more is refused, each reaches its own page, and they can be used again."""
    memory, epc = env.to_host.memory, env.software.epc
    count = env.tree.endpoint.outbound_windows
    base = memory.allocate(0x1000 * count, 0x1000)
    for _ in range(2):
        maps = [await _map(env, base + 0x1000 * number, 0x1000) for number in range(count)]
        assert isinstance(await epc.mem_map(base, 0x1000), int), "there is one window too many"
        words = [env.random.getrandbits(32) for _ in maps]
        for mapping, word in zip(maps, words, strict=True):
            await env.cpu.write32(mapping.address + 0xFFC, word)
        for number in env.random.sample(range(count), count):
            assert await env.cpu.read32(maps[number].address + 0xFFC) == words[number]
            assert memory.peek(base + 0x1000 * number + 0xFFC, 4) == words[number].to_bytes(4, "little")
        for mapping in maps:
            await epc.mem_unmap(mapping)
