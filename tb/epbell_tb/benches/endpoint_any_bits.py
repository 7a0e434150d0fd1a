"""Scenarios of words that may have any value: requester, tag, address of a request or failure, BARs, MSI-X entries."""

import cocotb
from cocotbext.pcie.core.tlp import CplStatus
from cocotbext.pcie.core.utils import PcieId

from epbell_models.reference.outbound import Cause
from epbell_tb.endpoint.bad_completions import without_data
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.hesitation import hesitating
from epbell_tb.endpoint.host_reads import fails
from epbell_tb.endpoint.host_vectors import MSI, MSI_CAPABILITY, MSIX, TABLE, mask_vector
from epbell_tb.endpoint.peers import Peer
from epbell_tb.endpoint.raw_requests import Raw
from epbell_tb.endpoint.windows import Window

_BAR = 2
_BAR0 = 0x10
_ROUND = 600
"""Clocks after which the controller page has the BARs as they are."""

_TURNS, _THOROUGH = 24, 8
_AT_ONCE = 4
_WIDE, _MASK, _WIDE_MASK = 1 << 23, 0x0C, 0x10
"""Of the MSI capability: 64-bit addresses, and where its masks are without and with them."""

_SHOWN = 8
"""Clocks after which the endpoint shows what is in configuration space."""
_VECTORS = 70
_ENTRY = 16
_ONLY_REPEATED, _AT = 1 << 79 | 0x3F << 115 | 1 << 126 | 1 << 127, (0, 1, 2)
"""Bits of a descriptor that a refusal repeats, and nothing else looks at: aperture, IDO, the reserved ones; and AT."""

_ADDRESS_BITS, _PAGE = 64, 4096
_ABOVE = 1 << 62
"""Part of the host's address space where nothing else is."""


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
        # A window claims what is for BAR 2, and nothing else. Some wait for others.
        refused = [cocotb.start_soon(_refused(env, number)) for number in range(_AT_ONCE)]
        for task in refused:
            assert await task == CplStatus.UR


async def _refused(env, number):
    """Let a requester of its own, on a bus by that number, read where nothing is; return the status of its answer."""
    source = env.random
    peer = Peer(env, PcieId.from_int((2 + number) << 8 | source.randrange(0x100)))
    bar, function = source.choice((0, 1, 3, 4, 5, 6, 7)), source.getrandbits(3)
    raw = Raw(bar, function=function, flips=source.getrandbits(128) & _ONLY_REPEATED | source.choice(_AT))
    page = source.getrandbits(_ADDRESS_BITS) & -_PAGE
    start = source.randrange(_PAGE)
    request = memory_request(page + start, None, source.randrange(1, _PAGE - start + 1))
    return await peer.ask(request, source.getrandbits(8), raw)


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario(linux=False)
async def bars_anywhere(env):
    """Wherever in 32 bits the host puts the BARs: the controller page shows it, also to a CPU that hesitates."""
    before = [await env.function.config_read32(_BAR0 + 4 * number) for number in range(6)]
    patterns = [env.random.getrandbits(32) for _ in range(_TURNS // 4)]
    for pattern in (word for some in patterns for word in (some, ~some)):
        for number in range(6):
            await env.function.config_write32(_BAR0 + 4 * number, (pattern ^ 0x1111_1111 * number) & 0xFFFF_FFFF)
        await env.clocks(_ROUND)
        async with hesitating(env):
            shown = [await env.counters.read(f"BAR{number}") for number in range(6)]
            await env.counters.write("OUTBOUND_CAUSE", 0)
        for number, word in enumerate(shown):
            want = await env.function.config_read32(_BAR0 + 4 * number)
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


@cocotb.test(timeout_time=400, timeout_unit="us")
@scenario()
async def masks_anywhere(env):
    """Whatever MSIs the host masks: the controller page shows it."""
    assert await env.host.set_irqtype(MSI) == 0
    at = await env.device.find_capability(MSI_CAPABILITY)
    control = await env.function.config_read32(at)
    mask = at + (_WIDE_MASK if control & _WIDE else _MASK)
    for _ in range(_TURNS // 2):
        word = env.random.getrandbits(32)
        for shown in (word, ~word & 0xFFFF_FFFF):
            await env.function.config_write32(mask, shown)
            await env.clocks(_SHOWN)
            found = await env.counters.read("MSI_MASK")
            assert found == shown, f"the page shows {found:#010x}, not {shown:#010x}"
    await env.function.config_write32(mask, 0)
    await env.clocks(_SHOWN)


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario(linux=False)
async def failures_anywhere(env):
    """Let accesses anywhere in the aperture fail, for want of a window or by their completion: cause and address."""
    source, aperture, memory = env.random, env.board.map.outbound, env.to_host.memory
    window = Window(env, 0, outbound=True)
    for _ in range(_TURNS // 2 * (_THOROUGH if env.thorough else 1)):
        offset = source.randrange(0, aperture.size, 4)
        # Each bit of an address is 0 in one and 1 in the other.
        for some in (offset, ~offset & aperture.size - 4):
            address, there = aperture.base + some, _ABOVE + some
            await window.off()
            access = env.cpu.write32(address, 0) if source.random() < 0.5 else env.cpu.read32(address)
            await fails(env, access, Cause.NO_WINDOW, address)
            await window.addresses(aperture.base, aperture.base + aperture.size - 1, _ABOVE)
            memory.poke(there, bytes(4))
            memory.grant(there, 4)
            env.to_host.spoil = lambda completion: [without_data(CplStatus.UR)(completion)]
            await fails(env, env.cpu.read32(address), Cause.UNSUPPORTED, address)
            env.to_host.spoil = None
            assert await env.cpu.read32(address) == 0
            memory.revoke(there)
    await env.memory.complete(memory_request(env.address(_BAR), None, 4))
