"""Scenarios of words that may have any value: requester, tag and address of a request, BARs, entries of MSI-X."""

import cocotb
from cocotbext.pcie.core.tlp import CplStatus
from cocotbext.pcie.core.utils import PcieId

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.host_vectors import MSIX, TABLE, mask_vector
from epbell_tb.endpoint.peers import Peer
from epbell_tb.endpoint.raw_requests import Raw
from epbell_tb.endpoint.windows import Window

_BAR = 2
_BAR0 = 0x10
_ROUND = 600
"""Clocks after which the controller page has the BARs as they are."""

_TURNS, _THOROUGH = 24, 8
_VECTORS = 70
_ENTRY = 16
_ADDRESS_BITS, _PAGE = 64, 4096


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario(linux=False)
async def requesters_anywhere(env):
    """Let requesters with any ID and tag read what is there and what no window claims: each gets its own answer."""
    source, ram = env.random, env.board.map["ram"]
    await Window(env, 0).bar(_BAR, ram.base)
    image = source.randbytes(_PAGE)
    await env.memory.write(env.address(_BAR), image)
    for _ in range(_TURNS * (_THOROUGH if env.thorough else 1)):
        # Not on the buses of the root complex and of the endpoint.
        peer = Peer(env, PcieId.from_int(source.randrange(0x200, 0x10000)))
        start = source.randrange(_PAGE)
        length = source.randrange(1, min(256, _PAGE - start) + 1)
        data = await peer.read(env.address(_BAR, start), length, source.getrandbits(8))
        assert data == image[start : start + length], f"{length} bytes at {start:#x}"
        # A window claims what is for BAR 2, and nothing else.
        raw = Raw(source.choice((0, 1, 3, 4, 5, 6, 7)), function=source.getrandbits(3))
        page = source.getrandbits(_ADDRESS_BITS) & -_PAGE
        start = source.randrange(_PAGE)
        request = memory_request(page + start, None, source.randrange(1, _PAGE - start + 1))
        assert await peer.ask(request, source.getrandbits(8), raw) == CplStatus.UR


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario(linux=False)
async def bars_anywhere(env):
    """Wherever in 32 bits the host puts the BARs: the controller page shows it."""
    before = [await env.function.config_read32(_BAR0 + 4 * number) for number in range(6)]
    patterns = [env.random.getrandbits(32) for _ in range(_TURNS // 4)]
    for pattern in (word for some in patterns for word in (some, ~some)):
        for number in range(6):
            await env.function.config_write32(_BAR0 + 4 * number, (pattern ^ 0x1111_1111 * number) & 0xFFFF_FFFF)
        await env.clocks(_ROUND)
        for number in range(6):
            word, want = await env.counters.read(f"BAR{number}"), await env.function.config_read32(_BAR0 + 4 * number)
            assert word == want, f"BAR {number} is {want:#010x}, and the page shows {word:#010x}"
    for number, word in enumerate(before):
        await env.function.config_write32(_BAR0 + 4 * number, word)
    await env.clocks(_ROUND)
    await Window(env, 0).bar(_BAR, env.board.map["ram"].base)
    assert await env.memory.read(env.address(_BAR), 4) is not None


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def msix_entries_anywhere(env):
    """Whatever address in 64 bits and whatever word an entry has: the message of its vector is that."""
    source, doorbells = env.random, env.to_host.memory.doorbells
    assert await env.host.set_irqtype(MSIX) == 0
    for _ in range(_TURNS * (_THOROUGH if env.thorough else 1)):
        vector, word = source.randrange(_VECTORS), source.getrandbits(32)
        address = source.getrandbits(_ADDRESS_BITS) & ~3
        if address in doorbells or not address >> 32:
            continue
        entry = TABLE + _ENTRY * vector
        await mask_vector(env, vector, True)
        saved = [await env.device.read32(0, entry + 4 * number) for number in range(3)]
        for number, value in enumerate((address & 0xFFFF_FFFF, address >> 32, word)):
            await env.device.write32(0, entry + 4 * number, value)
        came = []
        doorbells[address] = came.append
        await mask_vector(env, vector, False)
        await env.counters.write("MSIX_RAISE", vector)
        await env.until(lambda came=came: came, f"vector {vector} comes at {address:#x}")
        assert came == [word], f"vector {vector} came with {came}, not {word:#x}"
        del doorbells[address]
        for number, value in enumerate(saved):
            await env.device.write32(0, entry + 4 * number, value)
