"""An environment of a bridge whose time is Linux's own, and whose idle time costs nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cocotb.clock import Clock

from epbell_tb.endpoint.function_state import StatefulBlock
from epbell_tb.endpoint.idle import Idle, clocks_of
from epbell_tb.endpoint.timers import Timers
from epbell_tb.endpoint.vntb_env import VntbEnv

__all__ = [
    "IdleVntbEnv",
    "idle_env",
]


class IdleVntbEnv(VntbEnv):
    """A bridge; environment variables as of `EndpointEnv`, and EPBELL_IDLE (run: no clock edge is left out).

    Parameters
    ----------
    dut
        The design, with the output ``at_rest``.
    timers
        Every timer.
    scale
        Seconds of Linux in a simulated second.
    watch_every
        As of `Idle`.

    Attributes
    ----------
    idle
        Who stops the clock, None when it runs all the time.
    """

    def __init__(self, dut: Any, timers: Timers, *, scale: float = 1.0, watch_every: int = 32) -> None:
        self.time_scale = scale
        self._clocks: list[Clock] = []
        super().__init__(dut)
        (clock,) = self._clocks
        runs = os.environ.get("EPBELL_IDLE") == "run"
        self.idle = None if runs else Idle(dut, clock, timers, watch_every=watch_every)

    def _hard_block(self) -> StatefulBlock:
        with clocks_of() as self._clocks:
            return super()._hard_block()


@contextmanager
def idle_env(dut: Any, **options: Any) -> Iterator[IdleVntbEnv]:
    """Make an environment, and follow every timer as long as it is used; options as of `IdleVntbEnv`."""
    with Timers() as timers:
        yield IdleVntbEnv(dut, timers, **options)
