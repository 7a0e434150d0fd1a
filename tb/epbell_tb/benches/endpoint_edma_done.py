"""Scenarios of the eDMA's own work beside the doorbell: channels end and abort, Linux handles each, and each ring."""

import cocotb

from epbell_models.linux.dw_edma_core import EdmaWay
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.doorbells import SILENT
from epbell_tb.endpoint.edma import nobody_cared, open_edma, payload_bar
from epbell_tb.endpoint.latencies import ANSWERED, RING

_ENDS = 60
_RINGS = 40
_BEFORE, _NEAR = -20, 30
"""Cycles from the end of a channel at which a sweep begins, and before its clear at which two stores in a row do."""

_MORE = 20
"""Cycles more than the end of a channel takes to its clear, for streams that pause."""

_MOST_SWEEPS = 4
_AROUND_THE_CLEAR = set(range(-4, 8))
"""Cycles from the clear of a channel to a ring, each of which has to be met."""

_INPUTS = {EdmaWay.WRITE: ("wr_done", "wr_abort"), EdmaWay.READ: ("rd_done", "rd_abort")}


class Engine:
    """What the DMA does in place of transfers: it ends them, or aborts them.

    Attributes
    ----------
    done, aborted
        How often each channel was; write channels first, as in Linux's driver.
    """

    def __init__(self, env):
        self._env = env
        self.driver = env.software.edma
        self.done = [0] * sum(self.driver.channels)
        self.aborted = [0] * sum(self.driver.channels)

    async def start(self):
        """Have Linux start every channel."""
        for way in EdmaWay:
            for channel in range(self.driver.channels[way.value]):
                await self.driver.start_channel(way, channel)

    def idle(self):
        """Return the channels whose last end has been handled."""
        ended = [sum(pair) for pair in zip(self.done, self.aborted, strict=True)]
        handled = [sum(pair) for pair in zip(self.driver.done, self.driver.aborted, strict=True)]
        return [number for number, pair in enumerate(zip(ended, handled, strict=True)) if pair[0] == pair[1]]

    async def end(self, ended, aborted=()):
        """End and abort channels in one clock; return which."""
        bits: dict[str, int] = {}
        for numbers, counts, kind in ((ended, self.done, 0), (aborted, self.aborted, 1)):
            for number in numbers:
                counts[number] += 1
                writes = self.driver.channels[0]
                way, channel = (EdmaWay.WRITE, number) if number < writes else (EdmaWay.READ, number - writes)
                name = _INPUTS[way][kind]
                bits[name] = bits.get(name, 0) | 1 << channel
        return await self._env.pulse(**bits)

    def handled(self):
        """Return whether Linux has handled each end once."""
        return (self.driver.done, self.driver.aborted) == (self.done, self.aborted)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_dma_traffic(env):
    """Let channels end and abort at random, several in a clock, while the host rings: each of both is handled."""
    bar = payload_bar(env)
    place, seen = env.software.function.epf.bars[bar].phys_addr, []

    async def look(_):
        seen.append(await env.cpu.read32(place))

    doorbells = await open_edma(env, notify=look)
    engine = Engine(env)
    await engine.start()
    await doorbells.good_ring()
    seen.clear()

    async def work():
        while sum(engine.done) + sum(engine.aborted) < _ENDS:
            idle = engine.idle()
            chosen = env.random.sample(idle, env.random.randrange(min(3, len(idle)) + 1))
            split = env.random.randrange(len(chosen) + 1)
            if chosen:
                await engine.end(chosen[:split], chosen[split:])
            await env.clocks(env.random.randrange(1, 40))

    working = cocotb.start_soon(work())
    for number in range(1, _RINGS + 1):
        await env.device.write32(bar, 0, number)
        await doorbells.ring()
        await env.clocks(env.random.randrange(1, 60))
    await working
    await env.until(lambda: engine.handled() and seen[-1] == _RINGS, "every end and the last ring are handled")
    await env.clocks(SILENT)
    assert engine.handled(), f"{engine.driver.done} {engine.driver.aborted}, not {engine.done} {engine.aborted}"
    assert seen == sorted(seen)
    assert seen[-1] == _RINGS
    assert not env.board.latch.level
    assert not nobody_cared(env)


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def edma_done_with_every_ring(env):
    """Ring in every cycle before and after the end of a channel, whose clear takes the latch along: handled, always."""
    bar = payload_bar(env)
    place, seen = env.software.function.epf.bars[bar].phys_addr, 0

    async def look(_):
        nonlocal seen
        seen = await env.cpu.read32(place)

    doorbells = await open_edma(env, notify=look)
    engine = Engine(env)
    await engine.start()
    channels = sum(engine.driver.channels)
    latch, met = env.board.latch, set()
    ended = await engine.end([0])
    await env.until(engine.handled, "the end of a channel is handled")
    await env.clocks(SILENT)
    reach = max(ack.ended for ack in latch.acks if ack.data) - ended
    sweep = [*((n, 0) for n in range(_BEFORE, reach)), *((n, 1) for n in range(max(0, reach - _NEAR), reach))]

    async def ring(clocks, between, number):
        await env.clocks(clocks + 1)
        await env.device.write32(bar, 0, number)
        if between:
            await env.clocks(between)
        await doorbells.ring()

    wanted = set() if env.stalls else _AROUND_THE_CLEAR
    for number, (distance, between) in enumerate(sweep * _MOST_SWEEPS, 1):
        if number > len(sweep) and wanted <= met:
            break
        acks = len(latch.acks)
        ringing = cocotb.start_soon(ring(max(0, distance), between, number))
        await env.clocks(max(0, -distance) + 1)
        ended, aborted = [number % channels], [(number // 2 + 1) % channels] if number % 3 == 0 else []
        await engine.end(ended, aborted)
        await ringing
        await env.until(lambda n=number: seen == n and engine.handled(), f"ring and end {distance} clocks apart")
        await env.clocks(reach + _MORE)
        assert not latch.level
        met |= {latch.kicks[-1].last + RING - (ack.ended - ANSWERED) for ack in latch.acks[acks:] if ack.data}
    assert engine.handled()
    missed = wanted - met
    assert not missed, f"no ring was made {sorted(missed)} cycles after the clear of a channel"
