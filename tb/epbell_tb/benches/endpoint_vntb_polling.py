"""Scenarios of how soon the bridge's doorbells are heard: polled words, and interrupts beside them."""

import errno
from collections import Counter

import cocotb

from epbell_tb.endpoint.bring_up import after
from epbell_tb.endpoint.vntb_env import VntbBringUp
from epbell_tb.endpoint.vntb_slots import store_of

_ROUNDS = 20
_PINGS, _PARTS = 100, 5
_TICK = 5e-3
_SLACK = 0.5e-3
"""Seconds of Linux time, 125 clocks, that a run of the work and the way to it may take beside its period."""


@cocotb.test(timeout_time=4000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_polled_rings(env):
    """Ring polled words at any time: seen and cleared within a tick, two rings are one; also with jiffies of 4 ms."""
    for hz, tick in ((None, _TICK), (250, 8e-3)):
        if hz is not None:
            await env.reboot(env.config(hz=hz))
        assert env.vntb.backend == "polling"
        waits = []
        for _ in range(_ROUNDS):
            await env.platform.sleep(env.random.uniform(0, 2 * tick))
            offset, word = store_of(env, 2, "polling")
            assert await env.driver.peer_db_set(1) == 0
            rung = env.platform.now()
            await env.until(lambda: bool(env.near.heard), "the ring is heard", 8000)
            waits.append(env.near.heard[0][0] - rung)
            await env.clocks(100)
            assert env.near.take() == [0]
            assert env.stores.pop() == (offset, word)
            assert await env.device.read32(env.map.db, offset) == 0, "what was seen is cleared"
        assert max(waits) < tick + _SLACK, waits
        assert max(waits) > 0.6 * tick, "the period is that long"
        assert min(waits) < 0.4 * tick, waits
        await env.tick()
        for _ in range(2):
            assert await env.driver.peer_db_set(0b10) == 0
        await env.tick()
        assert env.near.take() == [1], "two rings before a look are one"
        env.stores.clear()


def _poll(software):
    """Let there be no message for a doorbell, and no mapping for one of the eDMA: words are polled then."""
    software.faults.platform_msi = -errno.ENOMEM
    software.faults.dma_map_resource = True


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


async def _pings(env):
    """Ring at random times and wait for the answer; return how long each way there and round trip took."""
    env.ntb.clear_ctx()
    echo = _Echo(env)
    assert env.ntb.set_ctx(echo) == 0
    there, back = [], []
    for _ in range(_PINGS):
        await env.platform.sleep(env.random.uniform(0, _TICK))
        env.far.take()
        echo.heard.clear()
        start = env.platform.now()
        assert await env.driver.peer_db_set(1) == 0
        rung = env.platform.now()
        await env.until(lambda: bool(env.far.heard), "the answer", 8000)
        there.append(echo.heard[0] - rung)
        back.append(env.far.heard[0][0] - start)
        assert env.far.take() == [0]
    return there, back


@cocotb.test(timeout_time=8000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_pings(env):
    """Ping a hundred times at random phase, by interrupts and polled: a polled one takes any time up to a tick."""
    soon, answered = await _pings(env)
    await env.reboot(env.config(), before=_poll)
    assert env.vntb.backend == "polling"
    late, answered_late = await _pings(env)
    for times in (late, answered_late):
        parts = Counter(min(_PARTS - 1, int(_PARTS * seconds / _TICK)) for seconds in times)
        assert all(parts[part] > _PINGS / _PARTS / 4 for part in range(_PARTS)), f"not every phase: {parts}"
        assert max(times) < _TICK + _SLACK
    assert max(soon) < sum(late) / _PINGS / 5
    assert max(answered) < sum(answered_late) / _PINGS / 5
