"""Scenarios of `epbell_tb.tier_scenarios` on the wire tier."""

from __future__ import annotations

from typing import Any

from epbell_tb import tier_scenarios
from epbell_tb.tiers import Tier, Verdict, reason
from epbell_tb.wire_cpu import at_once
from epbell_tb.wire_env import WireEnv

__all__ = ["WireTier", "verdict"]


class WireTier(Tier):
    """The vocabulary over a `WireEnv`."""

    def __init__(self, name: str, seed: int, env: WireEnv) -> None:
        super().__init__(name, seed, env.cpu, env.memory, env.board, env.counters)
        self._env = env

    async def write(
        self, bar: int, offset: int, data: bytes, *, enables: int | None = None, poisoned: bool = False
    ) -> None:
        """Post whole dwords; they leave with whatever waits next."""
        self._env.post(bar, offset, data, enables=enables, poisoned=poisoned)

    async def ask(self, bar: int, offset: int, length: int) -> tuple[int, bytes]:
        """Read bytes in one request; return completion status and data."""
        return self._env.ask(bar, offset, length)

    async def settle(self) -> None:
        """Wait until everything that was under way has ended."""
        self._env.settle()

    @property
    def irqs(self) -> tuple[bool, bool]:
        """Levels of the Messaging Unit's line and of the eDMA's."""
        return self._env.irq_mu, self._env.irq_edma


def verdict(name: str, width: int, *, seed: int = 1, **options: Any) -> Verdict:
    """Run a scenario on the wire tier; options as of `WireEnv`. Whatever the scenario raises is its verdict.

    Raises
    ------
    ValueError
        If there is no such endpoint.
    epbell_tb.runner.SimulationError
        If it cannot be compiled.
    """
    with WireEnv(name, width, seed=seed, **options) as env:
        tier = WireTier(name, seed, env)
        try:
            at_once(tier_scenarios.run(tier, name))
            env.finish()
            return Verdict(True, account=at_once(tier.account()))
        except Exception as complaint:
            return Verdict(False, reason(str(complaint)))
