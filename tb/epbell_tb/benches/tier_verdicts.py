"""Scenarios of `epbell_tb.tier_scenarios` on the model tier: root complex, link, hard block, and all that watches them.

The account of each goes to the file of figures (:mod:`epbell_tb.figures`); why one has failed, cocotb tells.
"""

import cocotb

from epbell_tb import figures, tier_scenarios
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.tiers import Tier

_REST = 200


class ModelTier(Tier):
    """The vocabulary over an `EndpointEnv`."""

    def __init__(self, name, env):
        super().__init__(name, env.seed, env.cpu, env.to_host.memory, env.board, env.counters)
        self._env = env

    async def write(self, bar, offset, data, *, enables=None, poisoned=False):
        """Post whole dwords."""
        request = memory_request(self._env.address(bar, offset), data, first_be=enables)
        request.ep = poisoned
        await self._env.memory.post(request)

    async def ask(self, bar, offset, length):
        """Read bytes in one request; return completion status and data."""
        answer = await self._env.memory.complete(memory_request(self._env.address(bar, offset), None, length))
        return int(answer.status), answer.data[:length] if not answer.status else b""

    async def settle(self):
        """Wait until everything that was under way has ended."""
        await self._env.block.settle()
        await self._env.clocks(_REST)

    @property
    def irqs(self):
        """Levels of the Messaging Unit's line and of the eDMA's."""
        return self._env.irq_mu.level(), self._env.irq_edma[0].level()


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(scenario=[*tier_scenarios.SCENARIOS.values(), *tier_scenarios.PLANTED.values()])
async def verdict(dut, scenario):
    """Run one scenario."""
    name = scenario.__name__
    env = EndpointEnv(dut, name)
    await env.start(linux=False)
    tier = ModelTier(name, env)
    await tier_scenarios.run(tier, name)
    await env.finish()
    figures.append(scenario=name, account=await tier.account())
