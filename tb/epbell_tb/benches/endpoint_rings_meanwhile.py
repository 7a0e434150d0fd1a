"""Scenario of transfers while doorbells ring in another BAR: neither gets in the other's way."""

import cocotb
from cocotb.triggers import Timer

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.doorbells import SILENT, open_doorbells
from epbell_tb.endpoint.latencies import HOST_READS

_BAR, _DOORBELLS = 3, 4
_SIZES = (1, 1024, 1025)
_READS = 4
"""Reads by a handler, at most: the CPU's port answers in order, so each may wait behind all words of a transfer."""

_HANDLED = _READS * -(-_SIZES[-1] // 4) * HOST_READS
_GAP_NS = 400
_LONG = 256
"""Bytes of a transfer that takes so long that rings must have come meanwhile."""

_MEANWHILE = 3
"""Rings that come while such a one is under way, at least."""


class _Ringer:
    """Rings doorbells at random for as long as it is told to, and sees that each ring is handled once."""

    def __init__(self, env, doorbells):
        self.rung = 0
        self.stopped = False
        self._env, self._doorbells = env, doorbells
        self._share = env.tree.endpoint.msi_parent is None
        self._wanted = list(doorbells.client.handled)

    async def run(self):
        """Ring one, or several of them at once, whenever those before have been handled."""
        env, client = self._env, self._doorbells.client
        while not self.stopped:
            # Kicks of the eDMA are one and the same: two at once may be one, and each is for every doorbell.
            vectors = env.random.sample(range(_DOORBELLS), 1 if self._share else env.random.choice((1, 1, 2, 4)))
            for vector in range(_DOORBELLS):
                self._wanted[vector] += self._share or vector in vectors
            for vector in vectors:
                await self._doorbells.ring(vector, env.random.getrandbits(32))
            await env.until(lambda: client.handled == self._wanted, f"rings {vectors} are handled", _HANDLED)
            self.rung += len(vectors)
            await Timer(env.random.randrange(_GAP_NS) + 1, unit="ns")

    def check(self):
        """See that no handler ran for nothing."""
        handled = self._doorbells.client.handled
        assert handled == self._wanted, f"the handlers ran {handled}, not {self._wanted} times"


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario()
async def transfers_while_doorbells_ring(env):
    """Run Linux's READ, WRITE and COPY tests while doorbells ring in another BAR: right bytes, and no ring lost."""
    doorbells = await open_doorbells(env, _BAR, _DOORBELLS)
    for size in _SIZES if env.thorough else (_SIZES[0], _SIZES[-1]):
        for test in (env.host.read_test, env.host.write_test, env.host.copy_test):
            ringer = _Ringer(env, doorbells)
            task = cocotb.start_soon(ringer.run())
            fired = sum(env.device.fired)
            assert await test(size) == 0, f"{test.__name__}({size}): {env.software.log}"
            assert sum(env.device.fired) == fired + 1, "one interrupt of the host's, for the transfer"
            meanwhile = ringer.rung
            ringer.stopped = True
            await task
            assert size < _LONG or meanwhile >= _MEANWHILE, f"only {meanwhile} rings during {test.__name__}({size})"
            await env.clocks(SILENT)
            ringer.check()
    assert not env.to_host.memory.dropped, "a write reached nothing"
    assert not env.software.controller.outbound, "a window was left behind"
    assert await doorbells.client.close() == 0
    assert await env.host.bar_test(_BAR) == 0
