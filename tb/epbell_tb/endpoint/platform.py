"""The models' platform over cocotb: Linux's seconds become simulated time, divided by one factor."""

from collections.abc import Coroutine
from typing import Any

import cocotb
import cocotb.triggers
from cocotb.triggers import First, Timer, ValueChange
from cocotb.utils import get_sim_time

from epbell_models.platform import Event, Lock, Task

__all__ = [
    "CocotbIrqLine",
    "CocotbPlatform",
]


class _Event:
    """`Event` of the models."""

    def __init__(self, platform: "CocotbPlatform") -> None:
        self._platform = platform
        self._event = cocotb.triggers.Event()

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
        await First(self._event.wait(), self._platform.timer(timeout))
        return self._event.is_set()


class CocotbPlatform:
    """`epbell_models.platform.Platform` over the simulator's time.

    Parameters
    ----------
    scale
        Seconds of Linux time in a simulated second: 1000 makes Linux's millisecond a simulated microsecond.
    """

    def __init__(self, scale: float) -> None:
        if scale <= 0:
            raise ValueError(f"The time scale must be positive, not {scale!r}")
        self._scale = scale

    def timer(self, seconds: float) -> Timer:
        """Return a timer for ``seconds`` of Linux time, at least a nanosecond."""
        return Timer(max(1, round(seconds * 1e9 / self._scale)), unit="ns")

    def now(self) -> float:
        """Return the time in seconds of Linux time."""
        return get_sim_time("ns") * 1e-9 * self._scale

    async def sleep(self, seconds: float) -> None:
        """Suspend the caller for ``seconds`` of Linux time."""
        await self.timer(seconds)

    def event(self) -> Event:
        """Return a new, clear event."""
        return _Event(self)

    def lock(self) -> Lock:
        """Return a new, free lock."""
        return cocotb.triggers.Lock()

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> Task:
        """Start a task; should it raise, the test fails."""
        return cocotb.start_soon(coroutine, name=name)


class CocotbIrqLine:
    """An interrupt output of the design, as the CPU sees it.

    Parameters
    ----------
    signal
        The output.
    bit
        Which of its lines.
    """

    def __init__(self, signal: Any, bit: int = 0) -> None:
        self._signal = signal
        self._bit = bit
        self._change = ValueChange(signal)

    def level(self) -> bool:
        """Return the level now."""
        return bool(int(self._signal.value) >> self._bit & 1)

    async def wait_high(self) -> None:
        """Return at once while the line is high, otherwise when it rises."""
        while not self.level():
            await self._change
