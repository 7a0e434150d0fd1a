"""Scenarios of a doorbell that is none: a word in the register BAR, which the endpoint looks at now and then."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.commands import DISABLE, DISABLE_SUCCESS, ENABLE, ENABLE_SUCCESS, IRQ_RAISED, STATUS, command

_ROUNDS = 10
_DB_BAR, _DB_OFFSET, _DB_DATA = 0x34, 0x38, 0x3C
_DOORBELL_SUCCESS = 1 << 9
_POLLS = 4000
"""Clocks within which the endpoint has looked several times."""


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def polled_doorbell_test_ten_times(env):
    """Run Linux's DOORBELL test again and again: BAR addresses and RAM are as before, and no doorbell rings."""
    pattern = env.random.randbytes(256)
    await env.device.write(0, 0x80, pattern)
    addresses = [await env.device.bar_register(number) for number in range(6)]
    for _ in range(_ROUNDS):
        assert await env.host.doorbell_test() == 0, env.software.log
    assert env.software.function.backend == "polling"
    assert await env.device.read(0, 0x80, len(pattern)) == pattern, "the RAM beside the word has changed"
    assert [await env.device.bar_register(number) for number in range(6)] == addresses
    assert env.device.fired[0] == 3 * _ROUNDS, "one interrupt for each of enable, ring and disable"
    assert (env.board.counts["rings"], env.board.counts["kicks"], env.board.counts["edma_irqs"]) == (0, 0, 0)


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def polled_word_around_enable(env):
    """Store to the word before it is a doorbell, while it is, and when it no longer is."""
    assert await env.host.doorbell_test() == 0, env.software.log  # Also tells which interrupt is to be raised.
    assert await command(env, ENABLE) == IRQ_RAISED | ENABLE_SUCCESS
    bar, offset, data = [await env.device.read32(0, register) for register in (_DB_BAR, _DB_OFFSET, _DB_DATA)]
    assert (bar, data) == (0, 1)
    assert await command(env, DISABLE) == IRQ_RAISED | DISABLE_SUCCESS
    await stays_silent(env, offset, data, "a store after the disable")
    # Enabling takes away what lies there.
    assert await command(env, ENABLE) == IRQ_RAISED | ENABLE_SUCCESS
    await stays_silent(env, offset, None, "what was stored before the enable")
    assert await env.device.read32(0, offset) == 0
    for word in (data, 0xFFFF_FFFF, 0x100):
        fired = env.device.fired[0]
        await env.device.write32(0, offset, word)
        await env.until(lambda fired=fired: env.device.fired[0] > fired, "the interrupt for the ring", _POLLS)
        assert await env.device.read32(0, STATUS) & (IRQ_RAISED | _DOORBELL_SUCCESS) == IRQ_RAISED | _DOORBELL_SUCCESS
        await stays_silent(env, offset, None, "a ring that was handled")
        assert await env.device.read32(0, offset) == 0, "the endpoint has to zero what it has seen"
    assert await command(env, DISABLE) == IRQ_RAISED | DISABLE_SUCCESS


async def stays_silent(env, offset, word, what):
    """Store a word, if there is one; over several polls the host gets no interrupt."""
    fired = env.device.fired[0]
    if word is not None:
        await env.device.write32(0, offset, word)
    await env.clocks(_POLLS)
    assert env.device.fired[0] == fired, f"{what} must stay silent"
    assert word is None or await env.device.read32(0, offset) == word, "the store has to land in the RAM"
