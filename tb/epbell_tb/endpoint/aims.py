"""Which inbound windows are in force in which cycle: a re-target is followed to the clock.

Its clock is known by the answer to the CPU's write: before that, requests may have to wait for what they met.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from epbell_models.reference.inbound import InboundWindows
from epbell_tb.endpoint.latencies import AIMED, ANSWERED, MADE

__all__ = [
    "Aims",
]

_KEPT = 64
_NOT_YET = 1 << 62


class Aims:
    """The windows of a reference endpoint, as requests of any recent cycle have met them.

    Parameters
    ----------
    windows
        The windows; what is written to their registers is in force at once.

    Attributes
    ----------
    changes
        How often the windows have changed.
    crossed
        Requests during which they changed: after the beat that decided where it goes, before or with the last one.
    """

    def __init__(self, windows: InboundWindows) -> None:
        self._windows = windows
        self.changes = 0
        self.crossed = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything but what is in force now."""
        self._since = deque([(0, self._windows.in_force)], _KEPT)
        self._written: int | None = None

    def written(self, now: int) -> None:
        """Note that the CPU's write of a register was handed over in this cycle."""
        in_force = self._windows.in_force
        if in_force is not self._since[-1][1]:
            self.changes += 1
            self._since.append((_NOT_YET, in_force))
            self._written = now

    def answered(self, now: int) -> None:
        """Note that it was answered."""
        if self._written is not None:
            _, in_force = self._since.pop()
            self._since.append((now - ANSWERED - MADE + AIMED, in_force))
            self._written = None

    def known(self, decided: int, now: int) -> bool:
        """Return whether it is known by now what was in force in a cycle."""
        return self._written is None or decided < self._written + AIMED or now > decided + ANSWERED

    def settled(self, decided: int) -> bool:
        """Return whether the newest windows were in force in a cycle, so that `at` has nothing to do."""
        return self._since[-1][0] <= decided

    @contextmanager
    def at(self, decided: int, last: int) -> Iterator[None]:
        """Let the windows of the cycle ``decided`` be in force; the request ends in the cycle ``last``."""
        self.crossed += any(decided < since <= last for since, _ in self._since)
        newest = self._windows.in_force
        self._windows.in_force = next(found for since, found in reversed(self._since) if since <= decided)
        try:
            yield
        finally:
            self._windows.in_force = newest
