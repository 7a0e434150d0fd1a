"""Scenarios of MSI: as many vectors as the host grants, at 32 and 64-bit addresses; mask and pending bits of each."""

import errno
from itertools import cycle

import cocotb

from epbell_models.host.pci import VectorKind
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.host_vectors import (
    COMMAND,
    MASTER,
    MSI,
    MSI_CAPABILITY,
    change,
    silent,
    until_fired,
)

_VECTORS = 32
_ALL = 0xFFFF_FFFF
_HIGH = 0x12_A000_0000
_MASK = {False: 0x0C, True: 0x10}
_ENABLE = 1 << 16
_ROOM = 16
_PART = 8
_ANSWERED = 40
"""Clocks after which a message that has arrived has been answered, too."""


def _offer(env, count, wide):
    """Let the function be one with so many MSIs, at 32 or 64-bit addresses, and the host one that uses these."""
    capability = env.block.functions[0].msi_cap
    capability.msi_multiple_message_capable = count.bit_length() - 1
    capability.msi_64bit_address_capable = int(wide)
    capability.msi_message_address = 0
    low, doorbells = min(env.to_host.memory.doorbells), env.to_host.memory.doorbells
    env.msis.address = _HIGH if wide else low
    doorbells[env.msis.address] = doorbells[low]


def _first_word(env):
    return env.block.functions[0].msi_cap.msi_message_data


async def _raise_each(env, granted):
    """Raise every vector there is, in any order: those beyond the granted ones arrive as those with their low bits."""
    before = list(env.device.fired)
    arrived = []
    order = env.random.sample(range(_VECTORS), _VECTORS)
    for start in range(0, _VECTORS, _PART):
        for vector in order[start : start + _PART]:
            await env.counters.write("MSI_RAISE", vector)
            arrived.append(vector % granted)
        await until_fired(env, before, arrived)
    assert env.device.fired == [old + _VECTORS // granted for old in before]
    await env.clocks(_ANSWERED)


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def msi_grants(env):
    """Let the host grant 1 to 32 MSIs of those that it is offered: each arrives as itself, the words are aligned."""
    assert await env.host.clear_irq() == 0
    others = [env.msis.allocate(1, lambda _: None)]
    cases = [(32, granted, bool(granted & 0b10101)) for granted in (1, 2, 4, 8, 16, 32)]
    cases += [(offered, offered, not offered & 0b10101) for offered in (1, 2, 8)]
    if env.thorough:
        cases = [(1 << a, 1 << b, wide) for a in range(6) for b in range(a + 1) for wide in (False, True)]
    for offered, granted, wide in cases:
        _offer(env, offered, wide)
        assert await env.device.alloc_irq_vectors(1, granted, VectorKind.MSI) == granted
        assert _first_word(env) % granted == 0
        assert _first_word(env) > 0
        await _raise_each(env, granted)
        # Each is refused once by the hard block: it is sent as the same vector then, whatever is granted.
        env.block.refuses = cycle((True, False)).__next__
        await _raise_each(env, granted)
        env.block.refuses = lambda: False
        await env.device.free_irq_vectors()
    # The host has no 8 in a row: it grants 1.
    _offer(env, 8, False)
    while (block := env.msis.allocate(8, lambda _: None)) is not None:
        others.append(block)
    assert await env.device.alloc_irq_vectors(1, 8, VectorKind.MSI) == 1
    await _raise_each(env, 1)
    await env.device.free_irq_vectors()
    for block in others:
        env.msis.release(block)


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def msi_test_of_each_count(env):
    """Run Linux's MSI test on functions with 1 to 32 vectors: 1 and N arrive as themselves, N + 1 is -EINVAL."""
    for log2 in range(6):
        assert await env.host.clear_irq() == 0
        _offer(env, 1 << log2, wide=bool(log2 & 1))
        assert await env.host.set_irqtype(MSI) == 0
        count = len(env.device.fired)
        assert count == 1 << log2
        numbers = range(1, count + 1) if env.thorough else sorted({1, (count + 1) // 2, count})
        for number in numbers:
            assert await env.host.msi_test(number) == 0, env.software.log
            assert env.device.fired[number - 1] == 1
        assert sum(env.device.fired) == len(numbers)
        assert await env.host.msi_test(count + 1) == -errno.EINVAL


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def msi_masked_one_by_one(env):
    """Raise every MSI twice while masked; unmask one after the other: each is sent then, once, and no other one."""
    assert await env.host.clear_irq() == 0
    order = env.random.sample(range(_VECTORS), _VECTORS)
    # One way and back: each vector is sent while each other one waits.
    for granted, wide, unmasked in ((32, True, order), (4, False, order), (32, False, order[::-1])):
        _offer(env, 32, wide)
        assert await env.device.alloc_irq_vectors(1, granted, VectorKind.MSI) == granted
        mask_at = await env.device.find_capability(MSI_CAPABILITY) + _MASK[wide]
        mask = _ALL
        await env.function.config_write32(mask_at, mask)
        await env.clocks(20)
        for vector in env.random.sample([*range(_VECTORS), *range(_VECTORS)], 2 * _VECTORS):
            await env.counters.write("MSI_RAISE", vector)
        await silent(env)
        pending = (1 << granted) - 1
        assert await env.function.config_read32(mask_at + 4) == pending
        before = list(env.device.fired)
        arrived = [vector for vector in unmasked if vector < granted]
        for number, vector in enumerate(arrived, 1):
            mask &= ~(1 << vector)
            await env.function.config_write32(mask_at, mask)
            await until_fired(env, before, arrived[:number])
            pending &= mask
            await env.clocks(_ANSWERED)
            assert await env.function.config_read32(mask_at + 4) == pending
        await silent(env)
        await env.device.free_irq_vectors()


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario()
async def msi_raised_while_disabled(env):
    """Raise more MSIs than the queue has room for while they may not be sent: each vector is sent once afterwards."""
    at = await env.device.find_capability(MSI_CAPABILITY)
    held = merged = 0
    for where, bit in ((at, _ENABLE), (COMMAND, MASTER)):
        before = list(env.device.fired)
        await change(env, where, clear=bit)
        order = [env.random.randrange(_VECTORS) for _ in range(3 * _ROOM)]
        for vector in order:
            await env.counters.write("MSI_RAISE", vector)
        await silent(env)
        arrives = set(order)
        assert await env.counters.read("MSI_PENDING") == sum(1 << vector for vector in arrives)
        await change(env, where, set_=bit)
        await until_fired(env, before, sorted(arrives))
        await silent(env)
        held, merged = held + len(arrives), merged + len(order) - len(arrives)
        for name, count in (("REFUSED", 0), ("HELD", held), ("MERGED", merged), ("PENDING", 0)):
            assert await env.counters.read(f"MSI_{name}") == count, name
