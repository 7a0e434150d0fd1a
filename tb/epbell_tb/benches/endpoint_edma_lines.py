"""Scenarios of several interrupt lines and of a BAR that always shows the eDMA page; both doorbells side by side."""

import cocotb
import pytest
from cocotb.triggers import Timer

from epbell_models.linux.irqdesc import IrqFlag, IrqReturn
from epbell_models.platform import BusError
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.doorbells import SILENT, VECTORS, open_doorbells
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.edma import WORDS, WRITE_STATUS, nobody_cared, open_bare, open_edma, payload_bar, taken

_BURSTS = (1, 1, 2, 3, 5, 17)
_FIRST_CTRL2 = 0x104


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_every_line(env):
    """Ring in bursts: all lines rise together, whichever is taken first drops them, and the last ring is handled."""
    bar = payload_bar(env)
    place, seen = env.software.function.epf.bars[bar].phys_addr, 0

    async def look(_):
        nonlocal seen
        seen = await env.cpu.read32(place)

    doorbells = await open_edma(env, notify=look)
    assert len(env.tree.endpoint.edma.interrupts) == len(env.irq_edma) == 4
    for number, count in enumerate(_BURSTS, 1):
        before, handled = taken(env), doorbells.client.handled[0]
        for one in range(count):
            await env.device.write32(bar, 0, number << 8 | one)
            await doorbells.ring()
        wanted = number << 8 | count - 1
        await env.until(lambda wanted=wanted: seen == wanted, "the last ring of the burst is handled")
        await env.clocks(SILENT)
        assert not any(line.level() for line in env.irq_edma), "a line is stuck"
        assert 1 <= taken(env) - before <= count
        assert 1 <= doorbells.client.handled[0] - handled <= count
    assert not nobody_cared(env)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_fixed_bar_by_linux(env):
    """Enable, ring and disable the doorbell in the BAR that shows the page anyway: no window is touched."""
    fixed = env.tree.endpoint.fixed_bar
    programmed = env.board.counts["writes_iatu"]
    assert programmed, "Linux programmed the windows of the other BARs"
    image = env.random.randbytes(64)
    for number, bar in enumerate(env.bars):
        if bar and number not in (0, fixed):
            await env.device.write(number, 0x80, image)
    assert await env.host.doorbell_test() == 0, env.software.log
    doorbells = await open_edma(env, count=2)
    assert doorbells.bare.bar == fixed
    await doorbells.good_ring()
    assert await doorbells.client.close() == 0
    assert env.board.counts["writes_iatu"] == programmed, "the doorbell of a fixed BAR needs no window"
    # What nobody listens to any more is acknowledged all the same.
    kicks = len(env.board.latch.kicks)
    await doorbells.bare.kick()
    await doorbells.bare.settle()
    assert len(env.board.latch.kicks) == kicks + 1
    await env.clocks(SILENT)
    assert not env.board.latch.level
    for number, bar in enumerate(env.bars):
        if bar and number not in (0, fixed):
            assert await env.device.read(number, 0x80, len(image)) == image


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def edma_fixed_bar_without_windows(env):
    """Use the fixed BAR with every window off, and with one that claims it too: it shows the page, no more."""
    fixed = env.tree.endpoint.fixed_bar
    bare = await open_bare(env)
    page, atu, latch = env.board.map["edma"], env.board.map["iatu"].base, env.board.latch
    ram = env.board.map["ram"].base
    kicks = 0
    for claimed in (False, True):
        if claimed:
            for offset, value in ((0x114, ram), (0x118, 0), (0x100, 0), (_FIRST_CTRL2, 0xC008_0000 | fixed << 8)):
                await env.cpu.write32(atu + offset, value)
        for word in WORDS:
            await bare.kick(word)
            kicks += 1
            await bare.settle()
            assert len(latch.kicks) == kicks
            assert latch.level
            await bare.clear()
            assert not latch.level
            assert await env.memory.read32(bare.address(word)) == 0
        # The guard holds as it does behind a window, and there is nothing beyond the page.
        before = env.board.counts["refused_writes"]
        beyond = [offset for offset in (env.bar_sizes[fixed] - 4,) if offset >= page.size]
        offsets = [0x058, 0x0AC, 0x000, 0x050, WRITE_STATUS - 4, *beyond]
        for offset in offsets:
            await env.memory.post(memory_request(env.address(fixed, offset), bytes(4)))
            with pytest.raises(BusError, match="UR"):
                await env.memory.read32(env.address(fixed, offset))
        assert env.board.counts["refused_writes"] == before + len(offsets)
    for bar in (0, 2):
        with pytest.raises(BusError, match="UR"):
            await env.memory.read32(env.address(bar))
    assert not latch.level


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def edma_kick_while_linux_boots(env):
    """Kick all the time while Linux boots: whatever it is at, no harm is done."""
    bare = await open_bare(env)
    running = True

    async def kick():
        while running:
            await bare.kick(data=1)
            await Timer(4 * env.random.randrange(1, 9), unit="ns")

    kicking = cocotb.start_soon(kick())
    await env.start_linux()
    running = False
    await kicking
    await env.block.settle()
    await env.clocks(400)
    kicks = len(env.board.latch.kicks)
    assert kicks > 20
    assert not env.board.latch.level
    assert 0 < taken(env) <= kicks
    assert not nobody_cared(env)
    await env.start_host()
    doorbells = await open_edma(env)
    await env.clocks(SILENT)
    # What came when nobody listened Linux replays once for who asks first: a spurious doorbell, and a legal one.
    assert doorbells.client.handled[0] <= 1
    await doorbells.good_ring()


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_and_messaging_unit(env):
    """Ring both doorbells together, behind two BARs: both are dispatched, and each ack clears its own only."""
    doorbells = await open_doorbells(env)
    bare = await open_bare(env, 4)
    kicks = 0

    async def kicked(*_):
        nonlocal kicks
        kicks += 1
        return IrqReturn.HANDLED

    virq = env.software.edma.db_irq
    assert await env.software.core.request_irq(virq, kicked, IrqFlag.SHARED, "kicked", env) == 0
    for number in range(1, 9):
        vector = number % VECTORS
        before = doorbells.client.handled[vector]
        first, second = (doorbells.ring(vector), bare.kick()) if number & 4 else (bare.kick(), doorbells.ring(vector))
        await first
        await second
        await env.until(lambda n=number, v=vector, b=before: kicks >= n and doorbells.client.handled[v] > b, "both")
        await env.clocks(SILENT)
        assert (kicks, doorbells.client.handled[vector]) == (number, before + 1)
    await env.software.gic.stop()
    latch, registers = env.board.latch, env.board.registers
    word = env.board.map["mu_a"].base + registers.offset["RR1"]
    for edma_first in (True, False):
        await doorbells.ring(1)
        await bare.kick()
        await bare.settle()
        assert (env.irq_mu.level(), latch.level) == (True, True)
        await (bare.clear() if edma_first else env.cpu.read32(word))
        await env.clocks(8)
        assert (env.irq_mu.level(), latch.level) == (edma_first, not edma_first), "an ack clears its own only"
        await (env.cpu.read32(word) if edma_first else bare.clear())
        await env.clocks(8)
        assert (env.irq_mu.level(), latch.level) == (False, False)
