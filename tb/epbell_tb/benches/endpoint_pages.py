"""Scenarios of the register pages: each register, each byte of it, what is beside it, and what a reset leaves of it."""

from itertools import pairwise

import cocotb

import epbell_regs
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.raw_requests import Raw, send_raw
from epbell_tb.endpoint.windows import Window

_ALL = 0xFFFF_FFFF
_BAR = 2
_STRIDE, _INBOUND = 0x200, 0x100
_TURNS, _SOME, _MANY, _THOROUGH, _RARELY = 16, 6, 12, 8, 0.2
_ROWS, _ROW = 4, 30
_DWORDS = 32
_TOO_MANY, _NOTHING = 12, 0x8000
_QUIET = 70
"""Clocks after which the scoreboard takes it that the CPU is not at the Messaging Unit."""

_PATTERNS = (0x5A5A_A5A5, 0xA5A5_5A5A)
_BAR0 = 0x10
_ROUND = 600
"""Clocks after which the controller page has the BARs as they are."""

_LINES = range(2, 16)
"""Bits of an address within a page that choose a register."""

_ACTS = ("MSI_RAISE", "COUNTERS", "INTX", "MSIX_RAISE", "MSIX_SIZE", "OUTBOUND_CAUSE", "FUNCTION")
"""Registers of the controller page that do something when they are written; other scenarios are about that."""

_CLOCKED = ("IRQ_LATENCY_LAST", "IRQ_LATENCY_MAX", "EDMA_LATENCY_LAST", "EDMA_LATENCY_MAX")
"""What the model, which has no clock, cannot know."""


def _registers(env):
    """Return the addresses of every register of every page but the Messaging Unit's: all, and those to write."""
    node, base = env.tree.endpoint, {name: env.board.map[name].base for name in ("controller", "iatu", "edma")}
    edma, channels = node.edma, {"write_channels": node.edma.write_channels, "read_channels": node.edma.read_channels}
    if edma.personality == "hdma":
        maps = {"hdma": epbell_regs.offsets("hdma", **channels)}
    else:
        maps = {"edma": epbell_regs.offsets("edma", legacy=int(edma.personality == "legacy"), **channels)}
    start = base["edma"] + env.board.reference.edma.base
    found = [start + offset for offset in next(iter(maps.values())).values()]
    # The maps of both directions have the offsets of their places in the one page.
    found += [base["iatu"] + at for at in epbell_regs.offsets("iatu", windows=node.inbound_windows).values()]
    found += [base["iatu"] + at for at in epbell_regs.offsets("iatu_outbound", windows=node.outbound_windows).values()]
    page = epbell_regs.offsets("controller")
    writable = [*found, *(base["controller"] + at for name, at in page.items() if name not in _ACTS)]
    found += [base["controller"] + at for name, at in page.items() if name not in _CLOCKED]
    return found, writable


def _runs(addresses):
    """Cut addresses into runs without a gap: an access of each is many words long, which is quick."""
    ordered = sorted(set(addresses))
    starts = [ordered[0], *(b for a, b in pairwise(ordered) if b != a + 4)]
    ends = [*(a + 4 for a, b in pairwise(ordered) if b != a + 4), ordered[-1] + 4]
    return list(zip(starts, ends, strict=True))


def _expected(env, address):
    """Return what the model says, with the one thing that it does not know: how wide the streams are."""
    identity = env.board.map["controller"].base + epbell_regs.offsets("controller")["FEATURES"]
    return env.board.reference.cpu_read32(address) | (env.width // 8 if address == identity else 0)


async def _tell(env):
    """Tell the model what the host has set, and wait until the endpoint has read its BARs."""
    page = env.board.reference.controller
    page.master = True
    page.bars = [await env.function.config_read32(_BAR0 + 4 * number) for number in range(6)]
    await env.clocks(_ROUND)


async def _compare(env, addresses, what):
    """Read registers, and what is between them if it is not much."""
    for start, end in _runs(addresses):
        data = await env.cpu.read(start, end - start)
        for at in range(start, end, 4):
            word, want = int.from_bytes(data[at - start : at - start + 4], "little"), _expected(env, at)
            assert word == want, f"{what}: {at:#x} reads {word:#010x}, not {want:#010x}"


@cocotb.test(timeout_time=3000, timeout_unit="us")
@scenario(linux=False)
async def every_register(env):
    """Write every register whole and byte by byte, and beside each one, and read all; then again after a reset."""
    registers, writable = _registers(env)
    source = env.random
    await Window(env, 0).bar(_BAR, env.board.map["ram"].base)
    assert await env.memory.read(env.address(_BAR), 4) is not None
    await _tell(env)
    await _compare(env, registers, "before anything is written")
    for pattern in _PATTERNS:
        for start, end in _runs(writable):
            words = [pattern ^ source.choice((0, _ALL)) ^ source.getrandbits(32) for _ in range(start, end, 4)]
            await env.cpu.write(start, b"".join(word.to_bytes(4, "little") for word in words))
        await _compare(env, registers, "words")
        for address in source.sample(writable, len(writable)):
            for lane in range(4) if env.thorough else (source.randrange(4),):
                await env.cpu.write(address + lane, source.randbytes(1))
        # Whatever would change to and fro: an odd number of clocks lies between the looks.
        for rest in (2, 3):
            await env.clocks(rest + (cycle() ^ rest) % 2)
            await _compare(env, registers, "bytes")
    known = set(registers) | {address for address in writable}
    pages = sorted({address & ~0xFFFF for address in writable})
    beside = [
        (address ^ 1 << line, line) for address in writable for line in _LINES if address ^ 1 << line not in known
    ]
    beside = [at for at, line in beside if env.thorough or source.random() < 1 / len(_LINES)]
    assert {at & ~0xFFFF for at in beside} == set(pages)
    for address in source.sample(beside, len(beside)):
        await env.cpu.write32(address, source.getrandbits(32))
    await _compare(env, registers, "where nothing is")
    for address in source.sample(beside, len(beside)) if env.thorough else source.sample(beside, len(beside) // 4):
        assert await env.cpu.read32(address) == 0, f"nothing is at {address:#x}"
    await env.counters.write("COUNTERS", 1)
    for name in _CLOCKED:
        assert await env.counters.read(name) == 0, f"{name} after COUNTERS.CLEAR"
    await env.reset()
    await env.enumerate()
    await env.device.enable()
    await env.device.set_master()
    await _tell(env)
    await _compare(env, registers, "after a reset")
    await Window(env, 0).bar(_BAR, env.board.map["ram"].base)
    assert await env.memory.read(env.address(_BAR), 4) is not None


@cocotb.test(timeout_time=3000, timeout_unit="us")
@scenario(linux=False)
async def messaging_unit_registers(env):
    """Let the host at side B and the CPU at side A write and read every register: each sees what the other one left."""
    page, bus = env.board.map["mu_a"].base, env.address(_BAR)
    registers, unit, source = env.board.registers, env.board.reference.mu, env.random
    await Window(env, 0).bar(_BAR, env.board.map["mu_b"].base)
    allowed = {side: _allowed(registers, side) for side in ("a", "b")}
    everything = sorted(set(registers.offset.values()))
    for _ in range(_TURNS * (_THOROUGH if env.thorough else 1)):
        for offset in source.sample(sorted(allowed["a"]), _SOME):
            await _write_some(env.cpu, page + offset, source, allowed["a"][offset])
        # The scoreboard compares what the host reads if the CPU has not touched the unit for a while.
        await env.clocks(_QUIET)
        for offset in source.sample(sorted(allowed["b"]), _SOME):
            await _write_some(env.memory, bus + offset, source, allowed["b"][offset])
        await _rows(env, bus, unit)
        for offset in source.sample(everything, _MANY):
            await env.memory.complete(memory_request(bus + offset, None, 4))
        await env.clocks(_QUIET)
        for offset in source.sample(everything, _MANY):
            word = await env.cpu.read32(page + offset)
            if offset not in registers.words("RR"):
                want = unit.read32("a", offset)
                assert word == want, f"side A has {word:#010x} at {offset:#x}, not {want:#010x}"
    for offset in registers.words("RR"):
        await env.cpu.read32(page + offset)
    await _without_effect(env, page, bus)
    await env.cpu.write32(page + registers.home("MUR"), registers.mask("MUR"))
    await env.clocks(_QUIET)
    for offset in everything:
        await env.memory.complete(memory_request(bus + offset, None, 4))
        if offset in registers.words("RR"):
            continue  # the scoreboard takes it for the word that was rung
        word, want = await env.cpu.read32(page + offset), unit.read32("a", offset)
        assert word == want, f"after MUR side A has {word:#010x} at {offset:#x}, not {want:#010x}"


async def _rows(env, bus, unit):
    """Ring with any words, and read them and what is around them at once: each is where it belongs in its beat.

    Meanwhile the CPU is at the same page, which has one port.
    """
    registers, source, far = env.board.registers, env.random, env.board.map["mu_b"].base
    words = registers.words("TR")
    send_raw(env, memory_request(bus + words[0], bytes(4)), Raw(_BAR, payload=[_ALL] * _TOO_MANY))
    word = await env.memory.read32(bus + words[0])
    assert word == unit.read32("b", words[0]), f"a write with too much payload leaves {word:#010x}"
    meanwhile = cocotb.start_soon(env.cpu.write(far + _NOTHING, bytes(4 * _ROW)))
    for _ in range(_ROWS):
        await env.memory.write(bus + words[0], source.randbytes(4 * len(words)))
    await meanwhile
    for _ in range(_ROWS):
        start = words[0] - 4 * source.randrange(_ROW)
        row = range(start, start + 4 * _ROW, 4)
        if start < 0 or not set(registers.words("RR")).isdisjoint(row):
            continue
        meanwhile = cocotb.start_soon(env.cpu.read(far + _NOTHING, 4 * _ROW))
        data = (await env.memory.complete(memory_request(bus + start, None, 4 * _ROW))).data
        assert await meanwhile == bytes(4 * _ROW), "there is something where nothing is"
        want = b"".join(unit.read32("b", offset).to_bytes(4, "little") for offset in row)
        assert data == want, f"side B has {data.hex()} from {start:#x} on, not {want.hex()}"


async def _without_effect(env, page, bus):
    """Write what the model has no effect of: enables that are 0 as before, words that the far side rings."""
    registers, far = env.board.registers, env.board.map["mu_b"].base
    for offset in (*registers.words("RR"), registers.home("GIE"), registers.home("TIE")):
        await env.cpu.write32(page + offset, 0)
    await env.memory.write32(bus + registers.home("MUR"), 0)
    # Side B at its own place, where the CPU reaches it, too.
    for offset in set(registers.offset.values()) - set(registers.words("RR")):
        word, want = await env.cpu.read32(far + offset), env.board.reference.mu.read32("b", offset)
        assert word == want, f"side B has {word:#010x} at {offset:#x}, not {want:#010x}"


@cocotb.test(timeout_time=3000, timeout_unit="us")
@scenario(linux=False)
async def page_requests_of_every_kind(env):
    """Let the host read nothing from a page, write too much, and any words; a reset takes away what it has set."""
    page, bus = env.board.map["mu_a"].base, env.address(_BAR)
    registers, source = env.board.registers, env.random
    await Window(env, 0).bar(_BAR, env.board.map["mu_b"].base)
    # Nothing is read: the word stays for who wants it.
    for send, receive in zip(registers.words("TR"), registers.words("RR"), strict=True):
        word = source.getrandbits(32)
        await env.cpu.write32(page + send, word)
        await env.clocks(_QUIET)
        await env.memory.complete(memory_request(bus + receive, None, 0))
        if receive == min(registers.words("RR")):
            # Nor is what comes behind the dwords that are asked for.
            for length in range(1, min(_DWORDS, receive // 4) + 1):
                await env.memory.complete(memory_request(bus + receive - 4 * length, None, 4 * length))
            flags = registers.home("TE")
            assert await env.cpu.read32(page + flags) == env.board.reference.mu.read32("a", flags), "a word is taken"
        assert await _read(env, bus + receive) == word, f"a read of nothing takes the word at {receive:#x}"
    await env.clocks(_QUIET)
    sent = [source.getrandbits(32) for _ in registers.words("TR")]
    for at, word in zip(registers.words("TR"), sent, strict=True):
        await env.memory.write32(bus + at, word)
    await env.memory.complete(memory_request(bus, None, 4))
    assert [await env.cpu.read32(page + at) for at in registers.words("RR")] == sent
    # Of what is too long nothing is written.
    refused = await env.counters.read("WRITES_REFUSED")
    for length in range(5, 33):
        await env.memory.write(bus, bytes(4 * length))
    await env.memory.complete(memory_request(bus, None, 4))
    assert await env.counters.read("WRITES_REFUSED") == refused + 32 - 4
    enables = [registers.home(group) for group in ("RIE", "TIE")]
    for at in enables:
        await env.memory.write32(bus + at, registers.mask("RIE") | registers.mask("TIE"))
    before = {at: await _read(env, bus + at) for at in enables}
    assert all(before.values())
    await env.reset()
    await env.enumerate()
    await env.device.enable()
    await Window(env, 0).bar(_BAR, env.board.map["mu_b"].base)
    for at in enables:
        assert await _read(env, env.address(_BAR) + at) == 0, f"the reset leaves something at {at:#x}"


async def _read(env, address):
    """Let the host read a register."""
    return await env.memory.read32(address)


def _allowed(registers, side):
    """Return which bits of each register a side may write.

    What interrupts the CPU without a ring is another test's business, and so is MUR until the end.
    """
    bits = dict.fromkeys(registers.offset.values(), _ALL)
    groups = ("GIE", "RIE", "TIE", "GIR", "MUR", "F", "GIP")
    for home in {registers.home(group) for group in groups}:
        bits[home] = 0
    for group in groups if side == "b" else ("RIE", "GIR", "F", "GIP"):
        bits[registers.home(group)] |= registers.mask(group) if group != "MUR" else 0
    return {offset: mask for offset, mask in bits.items() if mask and offset not in registers.words("RR")}


async def _write_some(bus, address, source, mask):
    """Write a whole word, or now and then a byte."""
    data = (source.getrandbits(32) & mask).to_bytes(4, "little")
    lane = source.randrange(4) if source.random() < _RARELY else None
    await (bus.write(address, data) if lane is None else bus.write(address + lane, data[lane : lane + 1]))
