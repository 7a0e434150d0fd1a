"""Scenarios of kicks at the wrong time: before boot, while the driver probes, with no handler, after disable, reset."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.doorbells import SILENT
from epbell_tb.endpoint.edma import READ_STATUS, WORDS, nobody_cared, open_bare, open_edma, stays_silent, taken

_KICKS = 20


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_nobody_listens(env):
    """Kick while no doorbell is requested: each is acknowledged, once, and the line does not storm."""
    bare = await open_bare(env)
    latch = env.board.latch
    before = len(latch.acks)
    for number in range(1, _KICKS + 1):
        await bare.kick(WORDS[number % 2], number)
        await env.until(lambda wanted=number: len(latch.acks) >= before + 2 * wanted, "the kick is acknowledged")
        await env.clocks(env.random.randrange(1, 60))
    await bare.settle()
    assert not latch.level
    assert taken(env) == _KICKS
    for number in range(_KICKS):
        await bare.kick(data=number)
    await bare.settle()
    await stays_silent(env, "what nobody listens to")
    assert not latch.level
    assert _KICKS < taken(env) <= 2 * _KICKS
    assert not nobody_cared(env)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def edma_kick_before_boot(env):
    """Kick before Linux boots: the driver's probe takes the latch away before it asks for interrupts."""
    bare = await open_bare(env)
    await bare.kick()
    await bare.settle()
    assert env.board.latch.level
    await env.start_linux()
    await env.start_host()
    assert not env.board.latch.level
    assert taken(env) == 0
    doorbells = await open_edma(env)
    await doorbells.silent("what was rung before the boot")
    await doorbells.good_ring()


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def edma_kick_before_the_virtual_irq(env):
    """Kick after Linux asked for the interrupt and before it has the doorbell's: a storm, which ends with the probe."""
    bare = await open_bare(env)
    storm = []

    async def kick():
        await bare.kick()
        await bare.settle()
        assert env.board.latch.level
        await env.clocks(SILENT)
        storm.append(taken(env))
        assert env.board.latch.level, "nobody can have cared"

    await env.start_linux(before_doorbell_irq=kick)
    await env.start_host()
    await env.until(lambda: not env.board.latch.level, "the probe's end takes the kick away")
    assert storm[0] > 1, "the level has to be taken again and again"
    assert taken(env) <= storm[0] + 2
    assert not nobody_cared(env)
    doorbells = await open_edma(env)
    await doorbells.silent("the kick before the virtual interrupt")
    await doorbells.good_ring()


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_ring_after_disable(env):
    """Ring what is no doorbell any more: the store lands in RAM; enabled again it rings."""
    doorbells = await open_edma(env)
    await doorbells.good_ring()
    address = doorbells.bare.address()
    assert await doorbells.client.close() == 0
    await env.memory.write32(address, 0x5A5A_0001)
    await doorbells.silent("a store to what was a doorbell")
    assert await env.memory.read32(address) == 0x5A5A_0001, "the store has to land in the RAM"
    again = await open_edma(env)
    assert again.bare.address() == address
    await again.silent("what was stored while disabled")
    await again.good_ring()


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def edma_reset_while_latched(env):
    """Reset while the latch and DONE hold the line: latch, DONE, masks, window and counters are gone."""
    for channel in (0, 1):
        bare = await open_bare(env)
        await bare.let_done_interrupt()
        await env.pulse(wr_done=1 << channel, rd_abort=1 << channel)
        await bare.kick()
        await bare.settle()
        assert env.board.latch.level
        await env.reset()
        assert not env.board.latch.level
        assert await bare.read("WRITE_INT_STATUS") == await bare.read("READ_INT_STATUS") == 0
        assert await bare.read("WRITE_CH0_CONTROL1") == 0
        assert await env.counters.read("EDMA_RUNG") == 0
        await bare.kick()
        await bare.settle()
        assert not env.board.latch.level, "no window may be open after a reset"
        assert env.board.counts["refused_writes"] == 1
        env.software = env.new_software()
    await env.start_linux()
    await env.start_host()
    doorbells = await open_edma(env)
    assert doorbells.client.published[0].offset == doorbells.bare.start + READ_STATUS
    await doorbells.silent("what was rung before the reset")
    await doorbells.good_ring()
