"""Scenarios of how soon the bridge's doorbells are heard: polled words, and interrupts beside them."""

from collections import Counter

import cocotb

from epbell_tb.endpoint.bring_up import after
from epbell_tb.endpoint.clock import PERIOD_NS
from epbell_tb.endpoint.env import TIME_SCALE
from epbell_tb.endpoint.latencies import HOST_READ, MSI, PAGE_READ, PAGE_WRITE, RAM_READ, RING
from epbell_tb.endpoint.vntb_env import VntbBringUp
from epbell_tb.endpoint.vntb_slots import backend_of, store_of

_ROUNDS = 20
_PINGS, _PARTS = 100, 5
_TICK = 5e-3
_LEAST_MEAN = 0.4 * _TICK
"""A hundred times at random phase have a mean beyond this, but once in two thousand."""

_LATE, _LOOK = 32e-3, 0.1e-3
_ARRIVED = 80
"""Clocks within which a ring has arrived, whatever pauses."""

_CLOCK = PERIOD_NS * 1e-9 * TIME_SCALE
"""Seconds of Linux time for which a clock counts."""

_SLACK = _CLOCK * (3 * HOST_READ + RING + 5 * RAM_READ + PAGE_READ + PAGE_WRITE + MSI)
"""Seconds of Linux time that a ping takes beside the period: three reads and the ring by the host, the work's looks at
the words and at the command, and the interrupt of the host."""

_SOON = 1e-3
"""Seconds of Linux time in which a ping by interrupts is over, though each clock counts a thousandfold."""


async def _hears(env, listener):
    """Wait until a client has heard something; the streams need not pause once the ring has arrived."""
    await env.clocks(_ARRIVED)
    end = env.platform.now() + _LATE
    with env.flowing():
        while not listener.heard:
            assert env.platform.now() < end, f"nothing was heard within {_LATE} s"
            await env.platform.sleep(_LOOK)


@cocotb.test(timeout_time=4000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_polled_rings(env):
    """Ring polled words at any time: seen and cleared within a tick, two rings are one; also with jiffies of 4 ms."""
    # The longest wait: with jiffies of 4 ms one that no work could take that ignores them.
    for hz, tick, long in ((None, _TICK, 0.6 * _TICK), (250, 8e-3, _TICK + _SLACK)):
        if hz is not None:
            await env.reboot(env.config(hz=hz))
        assert env.vntb.backend == "polling"
        waits = []
        for number in range(_ROUNDS):
            with env.flowing():  # from right after a look on to right after the next one
                await env.platform.sleep((number + env.random.random()) / _ROUNDS * tick)
            offset, word = store_of(env, 2, "polling")
            assert await env.driver.peer_db_set(1) == 0
            rung = env.platform.now()
            await _hears(env, env.near)
            waits.append(env.near.heard[0][0] - rung)
            await env.clocks(100)
            assert env.near.take() == [0]
            assert env.stores.pop() == (offset, word)
            assert await env.device.read32(env.map.db, offset) == 0, "what was seen is cleared"
        assert max(waits) < tick + _SLACK, waits
        assert max(waits) > long, f"the period is that long: {waits}"
        assert min(waits) < 0.4 * tick, waits
        await env.tick()
        for _ in range(2):
            assert await env.driver.peer_db_set(0b10) == 0
        await env.tick()
        assert env.near.take() == [1], "two rings before a look are one"
        env.stores.clear()


class _Echo:
    """A client that rings the bit back that it hears."""

    def __init__(self, env):
        self.heard = []
        self._env = env

    def link_event(self):
        """Do nothing."""

    def db_event(self, vector):
        """Answer, outside of the interrupt."""
        self.heard.append(self._env.platform.now())
        bits = self._env.ntb.db_read()
        self._env.ntb.db_clear(bits)
        if bits & 1:
            self._env.platform.spawn(self._answer(), "echo")

    async def _answer(self):
        assert await self._env.ntb.peer_db_set(1) == 0


async def _ping(env, echo, gap):
    """Ring after a while of up to ``gap`` and wait for the answer; return how long the ring and the ping took."""
    with env.flowing():
        await env.platform.sleep(env.random.uniform(0, gap))
    env.far.take()
    echo.heard.clear()
    start = env.platform.now()
    assert await env.driver.peer_db_set(1) == 0
    rung = env.platform.now()
    await _hears(env, env.far)
    ended = env.far.heard[0][0]
    assert env.far.take() == [0]
    return echo.heard[0] - rung, ended - start


@cocotb.test(timeout_time=8000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_pings(env):
    """Ping a hundred times at random phase: polled ones take any time up to a tick, by interrupts less than 1 ms."""
    polled = backend_of(env) == "polling"
    env.ntb.clear_ctx()
    echo = _Echo(env)
    assert env.ntb.set_ctx(echo) == 0
    # One that is polled is answered when the work has run, so a gap of up to a tick is every phase.
    times = [await _ping(env, echo, _TICK if polled else _TICK / 5) for _ in range(_PINGS)]
    rings, pings = (list(seconds) for seconds in zip(*times, strict=True))
    for seconds in (rings, pings) if polled else ():
        parts = Counter(min(_PARTS - 1, int(_PARTS * one / _TICK)) for one in seconds)
        assert all(parts[part] > _PINGS / _PARTS / 4 for part in range(_PARTS)), f"not every phase: {parts}"
        assert max(seconds) < _TICK + _SLACK
    mean = sum(pings) / _PINGS
    if polled:
        assert _LEAST_MEAN < mean < _TICK - _LEAST_MEAN + _SLACK
    else:
        assert max(rings) < _TICK / 2 / 5, "polled it would take half a tick, on average"
        assert max(pings) < _SOON
    env.outcome["ms of Linux per ping"] = round(1e3 * mean, 3)
