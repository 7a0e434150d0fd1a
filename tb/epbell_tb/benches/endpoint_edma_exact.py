"""Scenarios in which two things meet in one clock at the eDMA's latch: no Linux, the bench is the CPU."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.edma import READ_STATUS, WORDS, WRITE_STATUS, open_bare
from epbell_tb.endpoint.latencies import PAGE_WRITE, PROMISED

_AROUND = range(-3, 4)
"""Clocks from the ack to the ring, or to the pulse, that have to be covered: before, in, and after."""

_SWEEP = range(-9, 10)
"""Clocks that are aimed at: a few more on either side, for a beat that comes late."""

_CLEARS = ("WRITE_INT_CLEAR", "READ_INT_CLEAR")
_QUICK = range(-12, 13)
"""Clocks from an ack to the line of a ring in the express lane."""

_PULSE = 1
"""Clocks from the beginning of a pulse of the DMA to the one in which it counts."""

_CHANNELS = ("wr_done", "wr_abort", "rd_done", "rd_abort")


class Timing:
    """When a kick and an ack are made, measured on their own.

    Attributes
    ----------
    kick
        Clocks from the last beat of a kick to the one in which it is made: the line is up in it.
    ack
        Clocks from the one in which an ack is made, the last one in which the line is up, to its answer.
    lead
        Clocks by which a kick is made later than an ack, if both begin together; likewise of a pulse, by its beginning.
    """

    def __init__(self, env, bare):
        self._env = env
        self._bare = bare
        self.kick = self.ack = 0
        self.lead = {"kick": 0, "pulse": 0, "pulse before a kick": 0}

    async def measure(self):
        """Kick and acknowledge, with nothing else going on."""
        latch, begun = self._env.board.latch, cycle()
        await behind(self._bare)
        await self._bare.settle()
        assert latch.level, "a kick has to raise the line"
        assert await self._env.memory.read32(self._bare.address()) == 0, "the latch is not visible"
        self.kick = latch.changed - latch.kicks[-1].last
        way = latch.changed - begun
        begun = cycle()
        await self._bare.write("READ_INT_CLEAR", 0)
        await self._env.clocks(4)
        assert not latch.level, "an ack has to lower the line"
        made = latch.changed - 1
        self.ack = latch.acks[-1].ended - made
        self.lead = {"kick": way - made + begun, "pulse": _PULSE - made + begun, "pulse before a kick": _PULSE - way}

    def kicked(self):
        """Return the clock in which the latest kick was made."""
        return self._env.board.latch.kicks[-1].last + self.kick

    def cleared(self):
        """Return the clock in which the latest ack was made."""
        return self._env.board.latch.acks[-1].ended - self.ack


async def behind(bare, offset=READ_STATUS, data=0):
    """Kick right behind a store of nothing, which keeps the kick from the express lane."""
    await bare.kick(offset, data, 0)
    await bare.kick(offset, data)


async def apart(env, distance, one, other):
    """Begin one thing that many clocks after another, before it if negative; return what both return."""

    async def after(clocks, action):
        await env.clocks(clocks + 1)
        return await action

    task = cocotb.start_soon(after(max(0, distance), one))
    answer = await after(max(0, -distance), other)
    return await task, answer


async def counters(env):
    """Read what became of the kicks: rung, merged, delivered."""
    return [await env.counters.read(f"EDMA_{event}") for event in ("RUNG", "MERGED", "DELIVERED")]


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def edma_ring_in_the_cycle_of_the_ack(env):
    """Ring in each clock around an ack: before it merges, in it and after it stays, each counted as what it is.

    So does a ring whose line is up ahead of it: the ack comes before, or waits.
    """
    bare = await open_bare(env)
    timing, latch, covered, waited = Timing(env, bare), env.board.latch, set(), set()
    await timing.measure()
    ahead = timing.kick - PROMISED
    sweep = [*((wanted, False) for wanted in _SWEEP), *((wanted + ahead, True) for wanted in _QUICK)]
    for number, (wanted, quick) in enumerate(sweep):
        clear, word = _CLEARS[number % 2], WORDS[number // 2 % 2]
        await bare.kick(word)
        await bare.settle()
        before = await counters(env)
        ring = bare.kick(word, number) if quick else behind(bare, word, number)
        await apart(env, wanted - timing.lead["kick"], ring, bare.write(clear, number))
        await bare.settle()
        later = timing.kicked() - timing.cleared()
        if quick:
            waited.add(latch.acks[-1].ended - latch.acks[-1].started > PAGE_WRITE)
        else:
            covered.add(later)
        assert latch.level == (later >= 0), f"a ring {later} clocks after the ack leaves the line {latch.level}"
        rung, merged, delivered = [now - then for now, then in zip(await counters(env), before, strict=True)]
        assert (rung, merged, delivered) == (1, int(later < 0), 1), f"{later} clocks after the ack"
        await bare.clear()
        assert not latch.level
    if not env.stalls:
        assert covered >= set(_AROUND), f"not covered: {sorted(set(_AROUND) - covered)}"
        assert waited == {False, True}, f"acks that have waited for the express lane: {waited}"


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def edma_done_in_the_cycle_of_a_ring(env):
    """Let a channel end in each clock around a ring: the line rises once, and both have to be cleared."""
    bare = await open_bare(env)
    await bare.let_done_interrupt()
    timing, latch, covered = Timing(env, bare), env.board.latch, set()
    await timing.measure()
    for number, wanted in enumerate(_SWEEP):
        name = _CHANNELS[number % 4]
        way = "WRITE" if name.startswith("wr") else "READ"
        bit = 1 << (16 if name.endswith("abort") else 0)
        rises = latch.rises
        pulse, _ = await apart(env, wanted - timing.lead["pulse before a kick"], env.pulse(**{name: 1}), bare.kick())
        await bare.settle()
        covered.add(pulse - timing.kicked())
        assert latch.level
        assert latch.rises == rises + 1
        assert await bare.read(f"{way}_INT_STATUS") == bit
        # An ack of the doorbell leaves DONE and ABORT alone, and they hold the line.
        await bare.clear()
        assert latch.level
        assert await bare.read(f"{way}_INT_STATUS") == bit
        assert (await counters(env))[2] == len(latch.kicks), "the latch has been cleared"
        await bare.write(f"{way}_INT_CLEAR", bit)
        await env.clocks(4)
        assert not latch.level
    if not env.stalls:
        assert covered >= set(_AROUND), f"not covered: {sorted(set(_AROUND) - covered)}"


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def edma_done_in_the_cycle_of_the_ack(env):
    """Let a channel end in each clock around its own INT_CLEAR: in it and after it DONE stays, and the line with it."""
    bare = await open_bare(env)
    await bare.let_done_interrupt()
    timing, latch, covered = Timing(env, bare), env.board.latch, set()
    await timing.measure()
    for number, wanted in enumerate([*_SWEEP] * 4):
        name = _CHANNELS[number % 4]
        way = "WRITE" if name.startswith("wr") else "READ"
        bit = 1 << (16 if name.endswith("abort") else 0)
        await env.pulse(**{name: 1})
        clear = bare.write(f"{way}_INT_CLEAR", bit)
        pulse, _ = await apart(env, wanted - timing.lead["pulse"], env.pulse(**{name: 1}), clear)
        await env.clocks(4)
        later = pulse - timing.cleared()
        covered.add(later)
        assert latch.level == (later >= 0), f"{name} {later} clocks after its clear leaves the line {latch.level}"
        assert await bare.read(f"{way}_INT_STATUS") == (bit if later >= 0 else 0)
        await bare.write(f"{way}_INT_CLEAR", bit)
        await env.clocks(4)
        assert not latch.level
    assert covered >= set(_AROUND), f"not covered: {sorted(set(_AROUND) - covered)}"


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def edma_clear_drops_what_it_names(env):
    """Clear nothing, one channel, the other direction: DONE goes where its bit is 1, the doorbell's latch always."""
    bare = await open_bare(env)
    await bare.let_done_interrupt()
    latch = env.board.latch
    every = (1 << bare.writes) - 1, (1 << bare.reads) - 1
    for clear in _CLEARS:
        await env.pulse(wr_done=every[0], wr_abort=1, rd_done=every[1], rd_abort=2)
        await bare.kick(WRITE_STATUS)
        await bare.settle()
        delivered = (await counters(env))[2]
        await bare.write(clear, 0)
        assert await bare.read("WRITE_INT_STATUS") == every[0] | 1 << 16
        assert await env.memory.read32(bare.address()) == every[1] | 2 << 16
        assert latch.level
        assert (await counters(env))[2] == delivered + 1
        # A real completion's clear takes the latch along; Linux calls the doorbell's handler on every interrupt.
        await bare.kick(READ_STATUS)
        await bare.settle()
        await bare.write("WRITE_INT_CLEAR", 1)
        assert await bare.read("WRITE_INT_STATUS") == every[0] & ~1 | 1 << 16
        assert (await counters(env))[2] == delivered + 2
        await bare.write("WRITE_INT_CLEAR", every[0] | 1 << 16)
        assert latch.level
        await bare.write("READ_INT_CLEAR", every[1] | 2 << 16)
        await env.clocks(4)
        assert not latch.level
        assert await bare.read("WRITE_INT_STATUS") == await bare.read("READ_INT_STATUS") == 0
