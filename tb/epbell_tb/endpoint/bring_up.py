"""What comes before and after every scenario: the bring-up, which those that begin alike can share, checks, report."""

import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import Timer

from epbell_tb.endpoint.env import EndpointEnv

__all__ = [
    "BringUp",
    "after",
    "bring_up_of",
    "scenario",
    "settled",
]

Run = Callable[[Any], Coroutine[Any, Any, None]]
Test = Callable[..., Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class BringUp:
    """How a scenario finds the endpoint.

    Attributes
    ----------
    linux
        Whether both ends' Linux runs; else the endpoint is enumerated only.
    msix
        How many MSI-X vectors it offers, 0 to 2048.
    """

    linux: bool = True
    msix: int = 0

    async def environment(self, dut: Any) -> EndpointEnv:
        """Return an environment that is up; it has neither name nor stalls yet."""
        env = EndpointEnv(dut, msix=self.msix)
        await env.bring_up(linux=self.linux)
        return env


async def settled() -> None:
    """Wait until no pin is X any more: simulators with four states evaluate nothing before time 0."""
    if not cocotb.SIM_NAME.startswith("Verilator"):
        await Timer(1, "ns")


_bring_ups: dict[Test, BringUp] = {}


def bring_up_of(test: Test) -> BringUp | None:
    """Return how the endpoint of a test is brought up, None for one that is not made by `scenario`."""
    return _bring_ups.get(test)


def scenario(*, linux: bool = True, msix: int = 0) -> Callable[[Run], Test]:
    """Turn a coroutine on an environment into one on the design: bring-up before, checks and report after it.

    Whoever has an environment that is up hands it over as well, and spares the bring-up.
    """
    return after(BringUp(linux, msix))


def after(bring_up: BringUp) -> Callable[[Run], Test]:
    """Turn a coroutine on an environment into one on the design, as `scenario` does, after any bring-up."""

    def wrap(run: Run) -> Test:
        @functools.wraps(run)
        async def test(dut: Any, env: EndpointEnv | None = None) -> None:
            if env is None:
                await settled()
                env = await bring_up.environment(dut)
            env.begin(run.__name__)
            try:
                env.stall()
                await run(env)
                await env.finish()
            finally:
                env.report()

        _bring_ups[test] = bring_up
        return test

    return wrap
