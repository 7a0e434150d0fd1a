"""Scenarios of the test function's register block: what Linux's probe reads of it, and that it is memory."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.packets import MEM_READ

_COMMAND, _STATUS, _CAPS, _END = 0x04, 0x08, 0x30, 0x40
_UNALIGNED, _MSI, _MSIX, _INTX, _SUBRANGES, _DYNAMIC = (1 << bit for bit in range(6))
_RESERVED = 6
_TWO_BITS = 0x48

_POLL = 250
"""Clocks between two looks of the endpoint's Linux at COMMAND: its millisecond."""

_SLACK = 150
"""Clocks that the look itself may take."""


def _watched(env):
    """Return a list that gets every request of the host from now on."""
    seen, judge = [], env.board.request

    def both(request):
        seen.append(request)
        judge(request)

    env.board.request = both
    return seen


@cocotb.test(timeout_time=400, timeout_unit="us")
@scenario(linux=False, msix=8)
async def capabilities_by_probe(env):
    """Probe the host's driver: a read of CAPS is all that it does to the BARs, and CAPS says what there is."""
    await env.start_linux()
    seen = _watched(env)
    assert await env.host.probe() == 0
    await env.clocks(2 * _POLL)
    assert [(one.kind, one.bar, one.address, one.length, one.enables) for one in seen] == [
        (MEM_READ, 0, env.address(0, _CAPS), 1, 0xF)
    ]
    fixed = env.tree.endpoint.fixed_bar
    reserved = 0 if fixed is None else 1 << _RESERVED + fixed
    assert env.host.caps == _UNALIGNED | _MSI | _MSIX | _INTX | _SUBRANGES | _DYNAMIC | reserved
    assert await env.host.set_irqtype(1) == 0
    assert len(seen) == 1, "vectors are a matter of configuration space"
    assert await env.host.doorbell_test() == 0, env.software.log


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario()
async def register_block_is_memory(env):
    """Walk the idle function's registers: each keeps what is written, but COMMAND, which a poll picks up."""
    refused = dict.fromkeys(("refused_reads", "refused_writes", "unsupported"), 0)
    offsets = [offset for offset in range(0, _END, 4) if offset != _COMMAND]
    before = {offset: await env.device.read32(0, offset) for offset in offsets}
    words = {}
    for offset in env.random.sample(offsets, len(offsets)):
        words[offset] = env.random.getrandbits(32)
        await env.device.write32(0, offset, words[offset])
        assert await env.device.read32(0, offset) == words[offset], f"the register at {offset:#x}"
    await env.clocks(4 * _POLL)
    for offset, word in words.items():
        assert await env.device.read32(0, offset) == word, f"the register at {offset:#x} has changed by itself"
        await env.device.write32(0, offset, before[offset])
    assert before[_CAPS] == env.host.caps
    # Two bits are no command: it is taken, and nobody is told.
    fired = list(env.device.fired)
    for word in (_TWO_BITS, 1 << 31):
        await env.device.write32(0, _STATUS, word)
        await env.device.write32(0, _COMMAND, word)
        await env.block.settle()
        await env.clocks(_POLL + _SLACK)
        assert await env.device.read32(0, _COMMAND) == 0, "COMMAND is still there after a poll"
        assert await env.device.read32(0, _STATUS) == 0
    assert env.device.fired == fired
    assert [line for line in env.software.log if "Invalid command" in line] == [
        f"pci_epf_test: Invalid command {word:#x}" for word in (_TWO_BITS, 1 << 31)
    ]
    assert not env.device.refused_reads
    assert not env.block.dropped
    assert refused == {name: env.board.counts[name] for name in refused}
    assert await env.host.write_test(4) == 0, env.software.log
