"""The models' platform over the simulator's time, with one scale factor for all of Linux's time constants."""

from collections.abc import Coroutine
from typing import Any

import cocotb
from cocotb.simtime import get_sim_time
from cocotb.triggers import Event, First, Lock, Timer

__all__ = [
    "CocotbPlatform",
]

#: Linux seconds per simulated second: a millisecond of Linux is a microsecond here.
TIME_SCALE = 1000
_SHORTEST_PS = 4000


class _Level:
    """`epbell_models.platform.Event` over cocotb's."""

    def __init__(self, scale: float) -> None:
        self._event = Event()
        self._scale = scale

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    def is_set(self) -> bool:
        return self._event.is_set()

    async def wait(self, timeout: float | None = None) -> bool:
        if self._event.is_set():
            return True
        if timeout is None:
            await self._event.wait()
            return True
        timer = Timer(_picoseconds(timeout, self._scale), unit="ps")
        return await First(self._event.wait(), timer) is not timer


class CocotbPlatform:
    """`epbell_models.platform.Platform` inside a simulation.

    Parameters
    ----------
    scale : float
        Linux seconds per simulated second.
    """

    def __init__(self, scale: float = TIME_SCALE) -> None:
        self._scale = scale
        self._tasks: list[Any] = []

    def now(self) -> float:
        """Return the time in Linux seconds."""
        return get_sim_time("ps") * 1e-12 * self._scale

    async def sleep(self, seconds: float) -> None:
        """Suspend the caller for ``seconds`` of Linux time, at least one clock."""
        await Timer(_picoseconds(seconds, self._scale), unit="ps")

    def event(self) -> _Level:
        """Return a new, clear event."""
        return _Level(self._scale)

    def lock(self) -> Lock:
        """Return a new, free lock."""
        return Lock()

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> Any:
        """Start a task; should it raise, the test fails."""
        return cocotb.start_soon(coroutine)


def _picoseconds(seconds: float, scale: float) -> int:
    return max(_SHORTEST_PS, round(seconds / scale * 1e12))
