"""When the simulation goes on by itself: the end of the timer of cocotb's that fires next."""

import heapq
from itertools import count
from typing import Any

from cocotb.triggers import Timer
from cocotb.utils import get_sim_time

__all__ = [
    "Timers",
    "now",
]


def now() -> int:
    """Return the time in steps of the simulator."""
    return int(get_sim_time("step"))


class Timers:
    """Follows every timer that anybody waits for; to be used in a ``with``.

    cocotb 2.1 tells nobody: this takes the place of the methods of ``Timer`` by which it is registered with the
    simulator, is taken back, and fires.
    """

    def __init__(self) -> None:
        self._ends: list[tuple[int, int]] = []
        self._waits: dict[Any, int] = {}  # number of the wait for a timer
        self._running: set[int] = set()
        self._numbers = count()
        self._timer: Any = Timer
        self._stock = self._timer._prime, self._timer._unprime, self._timer._react

    def __enter__(self) -> "Timers":
        prime, unprime, react = self._stock

        def primed(timer: Any) -> None:
            number = self._waits[timer] = next(self._numbers)
            self._running.add(number)
            heapq.heappush(self._ends, (now() + timer._sim_steps, number))
            prime(timer)

        def unprimed(timer: Any) -> None:
            self._running.discard(self._waits.pop(timer, -1))
            unprime(timer)

        def reacted(timer: Any) -> None:
            self._running.discard(self._waits.pop(timer, -1))
            react(timer)

        self._timer._prime, self._timer._unprime, self._timer._react = primed, unprimed, reacted
        return self

    def __exit__(self, *_: object) -> None:
        self._timer._prime, self._timer._unprime, self._timer._react = self._stock

    def next(self) -> int | None:
        """Return the time at which the next timer fires, in steps of the simulator; None without any."""
        while self._ends and self._ends[0][1] not in self._running:
            heapq.heappop(self._ends)
        return self._ends[0][0] if self._ends else None
