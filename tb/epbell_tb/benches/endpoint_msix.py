"""Scenarios of MSI-X with more vectors than a word has bits: each in its own entry and its own pending bit."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.host_vectors import (
    MSIX,
    MSIX_CAPABILITY,
    change,
    mask_vector,
    pending_bits,
    silent,
    until_fired,
)

_VECTORS = 70
_ENDS = (0, 31, 32, 63, 64, _VECTORS - 1)
_LIMIT = 100 * _VECTORS
"""Clocks for all vectors: the hard block's port may take 48 for each, and stalls come on top."""
_FUNCTION_MASK = 1 << 30
_HIGH = 0x12_A000_0000


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def msix_pending_words(env):
    """Raise every vector, masked by function, and those at both ends of each word of pending bits, masked by vector."""
    doorbells = env.to_host.memory.doorbells
    doorbells[_HIGH] = doorbells[env.msis.address]
    env.msis.address = _HIGH
    assert await env.host.set_irqtype(MSIX) == 0
    assert len(env.device.fired) == _VECTORS
    capability = await env.device.find_capability(MSIX_CAPABILITY)
    every = list(range(_VECTORS))
    # Each other one, too: a bit that changes with each vector that is sent would be as it was after an even number.
    for by_function, ends in ((True, every), (True, every[1::2]), (True, every[::2]), (False, _ENDS)):
        ends = every if env.thorough and not by_function else ends
        before = list(env.device.fired)
        if by_function:
            await change(env, capability, set_=_FUNCTION_MASK)
        else:
            for vector in ends:
                await mask_vector(env, vector, True)
        for _ in range(2):
            for vector in env.random.sample(ends, len(ends)):
                await env.counters.write("MSIX_RAISE", vector)
        await silent(env)
        env.board.counts["msix_merged"] += len(ends)
        assert await env.counters.read("MSIX_MERGED") == env.board.counts["msix_merged"]
        assert await pending_bits(env) == sum(1 << vector for vector in ends)
        if by_function:
            await change(env, capability, clear=_FUNCTION_MASK)
            await until_fired(env, before, ends, _LIMIT)
        else:
            left = set(ends)
            for vector in env.random.sample(ends, len(ends)):
                left.discard(vector)
                await mask_vector(env, vector, False)
                await until_fired(env, before, [end for end in ends if end not in left])
                assert await pending_bits(env) == sum(1 << end for end in left)
        await silent(env)
        assert await pending_bits(env) == 0
