"""A CPU that does not take an answer as soon as it is there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import cocotb

from epbell_tb.endpoint.env import EndpointEnv

__all__ = ["hesitating"]

_WAITS = 6
"""Clocks, at most, in which it takes answers, or takes none."""


@asynccontextmanager
async def hesitating(env: EndpointEnv) -> AsyncIterator[None]:
    """Let the CPU take answers now and then only."""

    async def hesitate() -> None:
        takes = False
        while True:
            env.cpu.take_answers(takes)
            await env.clocks(env.random.randrange(1, _WAITS))
            takes = not takes

    task = cocotb.start_soon(hesitate())
    yield
    task.cancel()
    env.cpu.take_answers(True)
