"""Scenarios of windows anywhere in 64 bits: addresses that agree with an edge down to some bit, and not in that one."""

import cocotb
import pytest
from cocotbext.pcie.core.tlp import CplStatus

from epbell_models.platform import BusError
from epbell_models.reference.iatu import Refusal
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.raw_requests import Raw, ask_raw, send_raw
from epbell_tb.endpoint.windows import LOW, Window

_BAR = 2
_PAGE_BITS, _ADDRESS_BITS = 12, 64
_PAGE = 1 << _PAGE_BITS
_ALL = (1 << _ADDRESS_BITS) - 1
_STRIDE, _INBOUND = 0x200, 0x100
_CTRL1, _CTRL2, _LOWER_BASE, _UPPER_BASE, _LIMIT, _LOWER_TARGET, _UPPER_TARGET, _UPPER_LIMIT = (
    0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x20,
)  # fmt: skip
_ENABLE, _GROWS, _FUNCTION_MATCH, _BAR_MATCH = 1 << 31, 1 << 13, 1 << 19, 1 << 30
_ROUNDS, _PROBES, _THOROUGH = 12, 5, 8
_RARELY, _OFF = 0.1, 0.3


async def _write(env, region, values, control):
    """Write a window's registers but CTRL2 in any order, then that."""
    cpu, order = env.cpu, env.random.sample(sorted(values), len(values))
    for register in order:
        await cpu.write32(region + register, values[register])
    await cpu.write32(region + _CTRL2, control)


def _beside(source, edge, width):
    """Return a page that agrees with one, but for a bit and what is below it; or is that, or the next to it."""
    # Low bits more often: what is wrong with one is seen only if all above it agree.
    bit = _PAGE_BITS - 1 + int((width - _PAGE_BITS + 1) * source.random() ** 2)
    if bit < _PAGE_BITS:
        return (edge + source.choice((-_PAGE, 0, _PAGE))) & (1 << width) - _PAGE
    return (edge ^ 1 << bit) & -1 << bit | source.getrandbits(bit) & -_PAGE


def _edges(source, width):
    """Return base and limit of a window: above some bit they are alike; now and then the limit is below the base."""
    base = source.getrandbits(width) & -_PAGE
    limit = _beside(source, base, width)
    first, last = min(base, limit), max(base, limit)
    return (first, last) if source.random() > _RARELY else (last, first)


def _claim(source, base, limit, target, control1, control2):
    """Return a window's registers: those but CTRL2, and that."""
    grows = _GROWS if limit >> 32 != base >> 32 or source.random() < _RARELY else 0
    return {
        _CTRL1: control1 | grows, _LOWER_BASE: base & LOW, _UPPER_BASE: base >> 32, _LIMIT: limit & LOW,
        _UPPER_LIMIT: limit >> 32, _LOWER_TARGET: target & LOW, _UPPER_TARGET: target >> 32,
    }, control2 | _ENABLE  # fmt: skip


@cocotb.test(timeout_time=8000, timeout_unit="us")
@scenario(linux=False)
async def inbound_windows_anywhere(env):
    """Let windows claim addresses anywhere; ask for such as are just inside and just outside, down to any bit."""
    source, ram, windows = env.random, env.board.map["ram"], env.tree.endpoint.inbound_windows
    fixed = env.tree.endpoint.fixed_bar
    bars = [number for number, size in enumerate(env.bar_sizes) if size >= _PAGE and number != fixed]
    reached = refused = 0
    for turn in range(_ROUNDS * windows * (_THOROUGH if env.thorough else 1)):
        number = turn % windows
        region = env.board.map["iatu"].base + number * _STRIDE + _INBOUND
        base, limit = _edges(source, _ADDRESS_BITS)
        function = source.choice((0, 0, 1 << source.randrange(5)))
        control = source.choice((0, 0, 0, _BAR_MATCH)) | source.choice((0, 0, _FUNCTION_MATCH))
        for _ in range(_PROBES):
            bar = source.choice(bars)
            address = _beside(source, source.choice((base, limit)), _ADDRESS_BITS) + source.randrange(0, _PAGE, 4)
            # Wherever it is: if the window claimed it, it would be in RAM.
            page = ram.base + source.randrange(0, ram.size, _PAGE)
            target = page if control & _BAR_MATCH else page - (address & -_PAGE) + base & _ALL
            wanted = bar if source.random() > _RARELY else source.getrandbits(3)
            await _write(env, region, *_claim(source, base, limit, target, function << 20, control | wanted << 8))
            send_raw(env, memory_request(address, source.randbytes(4)), Raw(bar))
            status = await ask_raw(env, memory_request(address, None, 4), Raw(bar))
            local = env.board.reference.translate(bar, 0, address % env.bar_sizes[bar], address, 4)
            claimed = isinstance(local, int) and local in ram
            assert (status == CplStatus.SC) == claimed, f"{address:#x} in BAR {bar}: {status}, and {local}"
            reached += claimed
            refused += not claimed
            if claimed:
                # By another way than the windows': the scoreboard knows what is there.
                await env.cpu.read32(local)
        await env.cpu.write32(region + _CTRL2, source.choice((0, control | _ENABLE)))
    cocotb.log.info("%d reached, %d refused", reached, refused)
    assert reached, "no window has claimed anything"
    assert refused, "the windows have claimed everything"


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario(linux=False)
async def targets_beside_the_ram(env):
    """Aim each window at RAM but for one bit of the target, any of them: what is not RAM is not reached."""
    ram, windows = env.board.map["ram"], env.tree.endpoint.inbound_windows
    bits = range(_PAGE_BITS, _ADDRESS_BITS)
    # By turns; with --thorough every bit of every window.
    turns = [(bit, bit % windows) for bit in bits]
    for bit, number in [(bit, number) for bit in bits for number in range(windows)] if env.thorough else turns:
        window, target = Window(env, number), ram.base ^ 1 << bit
        if any(target in place for place in env.board.map.places if place.name != "ram"):
            continue
        address = env.address(_BAR)
        await window.bar(_BAR, target)
        by_bar = await ask_raw(env, memory_request(address, None, 4), Raw(_BAR))
        await window.addresses(address, address + env.bar_sizes[_BAR] - 1, target)
        by_address = await ask_raw(env, memory_request(address, None, 4), Raw(_BAR))
        want = CplStatus.SC if target in ram else CplStatus.UR
        assert by_bar == by_address == want, f"window {number} to {target:#x}: {by_bar}, {by_address}"
        await window.off()
    await env.cpu.read32(ram.base)


@cocotb.test(timeout_time=8000, timeout_unit="us")
@scenario(linux=False)
async def outbound_windows_anywhere(env):
    """Let windows lead anywhere, with marks; reach just inside and just outside of them, down to any bit."""
    source, aperture, windows = env.random, env.board.map.outbound, env.tree.endpoint.outbound_windows
    memory, width = env.to_host.memory, aperture.size.bit_length() - 1
    reached = refused = 0
    for turn in range(_ROUNDS * windows * (_THOROUGH if env.thorough else 1)):
        number = turn % windows
        region = env.board.map["iatu"].base + number * _STRIDE
        base, limit = _edges(source, width)
        target = source.getrandbits(_ADDRESS_BITS - source.choice((0, 32))) & -_PAGE
        marks = source.getrandbits(3) << 5 | source.getrandbits(2) << 9
        function = source.choice((0,) * 8 + (1 << source.randrange(5),)) << 20
        upper = source.choice((0,) * 8 + (1 << source.randrange(32),)) << 32
        # Other ends than the aperture's: its upper bits take part in the comparison.
        base, limit = (upper | _outside(source, aperture) | edge for edge in (base, limit))
        await _write(env, region, *_claim(source, base, limit, target, marks | function, 0))
        for _ in range(_PROBES):
            edge = source.choice((base, limit)) & aperture.size - 1
            address = aperture.base + _beside(source, edge, width) + source.randrange(0, _PAGE, 4)
            found = env.board.reference.outbound.translate(address)
            if isinstance(found, int) and _leads_back(env.port, found):
                continue
            if isinstance(found, Refusal):
                refused += 1
                for access in (env.cpu.write32(address, 0), env.cpu.read32(address)):
                    with pytest.raises(BusError):
                        await access
                continue
            reached += 1
            memory.poke(found, source.randbytes(4))
            memory.grant(found, 4)
            await env.cpu.write32(address, source.getrandbits(32))
            await env.cpu.read32(address)
            memory.revoke(found)
        if source.random() < _OFF:
            await env.cpu.write32(region + _CTRL2, 0)
    cocotb.log.info("%d reached, %d refused", reached, refused)
    assert reached, "no window has claimed anything"
    assert refused, "the windows have claimed everything"
    await env.memory.complete(memory_request(env.address(_BAR), None, 4))


def _leads_back(port, address):
    """Return whether a bus address is below the root port, where the endpoint itself is."""
    windows = (port.mem_base, port.mem_limit), (port.prefetchable_mem_base, port.prefetchable_mem_limit)
    return any(first <= address <= last for first, last in windows)


def _outside(source, aperture):
    """Return the aperture's base, or one that differs in a bit."""
    return aperture.base if source.random() > _RARELY else aperture.base ^ 1 << source.randrange(28, 32)
