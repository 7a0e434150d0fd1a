"""Scenarios of what must be refused: rings outside the enabled interval, broken and unsupported requests, a reset."""

from itertools import product

import cocotb
import pytest
from cocotbext.pcie.core.tlp import CplStatus, TlpType

from epbell_models.linux.pci_epc import EpfBar
from epbell_models.platform import BusError
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.doorbells import SILENT, VECTORS, open_doorbells
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.raw_requests import MESSAGE, Raw, ask_raw

_BAR = 2
_ATOMICS = (
    *((TlpType.FETCH_ADD, 4), (TlpType.FETCH_ADD, 8), (TlpType.SWAP, 4), (TlpType.SWAP, 8)),
    *((TlpType.CAS, 8), (TlpType.CAS, 16), (TlpType.MEM_READ_LOCKED, 4), (TlpType.IO_READ, 4), (TlpType.IO_WRITE, 4)),
)
_FETCH_ADD, _WITHOUT_DATA, _LENGTHS = 4, (7, 8, 9), (4, 32)
"""Kinds by PG213's numbers: the first one that is unsupported wherever it goes, those without a payload; bytes."""


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def ring_before_enable(env):
    """Ring before the endpoint boots, which is refused, and before a doorbell is enabled, which lands in RAM."""
    offset = env.board.registers.offset["TR0"]
    refused = env.board.counts["refused_writes"]
    await env.device.write32(_BAR, offset, 0x5A)
    await env.block.settle()
    await env.clocks(SILENT)
    assert env.board.counts["refused_writes"] == refused + 1
    with pytest.raises(BusError, match="UR"):
        await env.memory.read32(env.address(_BAR, offset))
    await env.start_linux()
    await env.start_host()
    await env.device.write32(_BAR, offset, 0x5B)
    assert await env.device.read32(_BAR, offset) == 0x5B
    assert not env.irq_mu.level()
    assert env.board.counts["irqs"] == 0
    doorbells = await open_doorbells(env, _BAR)
    await doorbells.silent("what was stored before")
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def ring_after_disable(env):
    """Ring what is no doorbell any more, and enable it again."""
    doorbells = await open_doorbells(env, _BAR)
    await doorbells.good_ring(1)
    addresses = [doorbells.address(vector) for vector in range(VECTORS)]
    assert await doorbells.client.close() == 0
    for vector, address in enumerate(addresses):
        await env.memory.write32(address, 0x600 + vector)
    await doorbells.silent("a store to what was a doorbell")
    for vector, address in enumerate(addresses):
        assert await env.memory.read32(address) == 0x600 + vector, "the store has to land in the RAM"
    again = await open_doorbells(env, _BAR)
    assert [again.address(vector) for vector in range(VECTORS)] == addresses
    await again.silent("what was stored while disabled")
    for vector in range(VECTORS):
        await again.good_ring(vector)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def reset_while_pending(env):
    """Reset while rings are pending, with the line low and high: rings, enables, windows and counters are gone."""
    mu_a, mu_b = env.board.map["mu_a"].base, env.board.map["mu_b"].base
    registers = env.board.registers
    enables = mu_a + registers.home("RIE")
    size = env.bar_sizes[_BAR]
    for unmasked in (0, 0b0101):
        controller = env.software.controller
        await controller.probe()
        assert await controller.set_bar(EpfBar(_BAR, mu_b, size)) == 0
        await env.cpu.write32(enables, registers.mask("RIE", unmasked) if unmasked else 0)
        for vector in range(VECTORS):
            await env.device.write32(_BAR, registers.offset[f"TR{vector}"], 0x77 + vector)
        await env.block.settle()
        await env.clocks(SILENT)
        assert await env.pending() == 0b1111
        assert env.irq_mu.level() == bool(unmasked)
        await env.reset()
        assert not env.irq_mu.level()
        assert await env.pending() == 0
        assert await env.cpu.read32(enables) == 0
        await env.device.write32(_BAR, registers.offset["TR0"], 0x99)
        await env.block.settle()
        await env.clocks(SILENT)
        assert await env.pending() == 0, "no window may be open after a reset"
        assert env.board.counts["refused_writes"] == 1
        env.software = env.new_software()
    await env.start_linux()
    await env.start_host()
    doorbells = await open_doorbells(env, _BAR)
    await doorbells.silent("what was rung before the reset")
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def poisoned_ring(env):
    """Poison stores to the doorbells, single ones and bursts: none rings, each is counted."""
    doorbells = await open_doorbells(env, _BAR)
    sent = 0
    for vector in range(VECTORS):
        for count in range(1, VECTORS - vector + 1):
            request = memory_request(doorbells.address(vector), env.random.randbytes(4 * count))
            request.ep = True
            await env.memory.post(request)
            sent += 1
    await doorbells.silent("a poisoned store")
    assert env.board.counts["discontinued"] == sent
    request = memory_request(env.address(4, 0x400), bytes(64))
    request.ep = True
    await env.memory.post(request)
    data = env.random.randbytes(256)
    await env.device.write(4, 0x380, data)
    assert await env.device.read(4, 0x380, 256) == data
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def atomics_and_io_refused(env):
    """Send unsupported requests to the doorbells and to RAM: each gets UR and changes nothing."""
    doorbells = await open_doorbells(env, _BAR)
    await doorbells.good_ring(2)
    image = env.random.randbytes(64)
    await env.device.write(4, 0x1000, image)
    for bar, address in ((_BAR, doorbells.address(2)), (4, env.address(4, 0x1000))):
        for kind, length in _ATOMICS:
            data = None if kind in (TlpType.MEM_READ_LOCKED, TlpType.IO_READ) else env.random.randbytes(length)
            request = memory_request(address, data, length, kind=kind)
            assert await env.ask(request, bar) == CplStatus.UR, f"{kind.name} of {length} bytes"
        # Those that no hard block gives away, too; a payload may be longer than a beat.
        for kind, length in product(range(_FETCH_ADD, MESSAGE), _LENGTHS):
            request = memory_request(address, None if kind in _WITHOUT_DATA else env.random.randbytes(length), length)
            assert await ask_raw(env, request, Raw(bar, kind=kind)) == CplStatus.UR, f"kind {kind} of {length} bytes"
    await doorbells.silent("an unsupported request")
    assert env.board.counts["unsupported"] == 2 * (len(_ATOMICS) + len(_LENGTHS) * (MESSAGE - _FETCH_ADD))
    assert await env.memory.read32(doorbells.address(2)) == env.board.bells[2].words[-1]
    assert await env.device.read(4, 0x1000, 64) == image
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)
