"""How long doorbells take through the endpoint: from the host's store to the driver above the bridge."""

from __future__ import annotations

import statistics
from collections.abc import Callable

__all__ = [
    "BellTimes",
]


class BellTimes:
    """Collects the times of rings; those that come before the driver has heard an earlier one are merged into it.

    Parameters
    ----------
    now
        Returns the time in seconds.

    Attributes
    ----------
    rings
        How many there were.
    times
        Seconds from the first ring of those that were merged to the driver.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.rings = 0
        self.times: list[float] = []
        self._now = now
        self._waits_since: float | None = None

    def rung(self) -> None:
        """Take note that the host is about to ring."""
        self.rings += 1
        if self._waits_since is None:
            self._waits_since = self._now()

    def heard(self) -> None:
        """Take note that the driver has been told."""
        if self._waits_since is not None:
            self.times.append(self._now() - self._waits_since)
            self._waits_since = None

    def note(self) -> str:
        """Return the figures in a line."""
        if not self.times:
            return f"rings {self.rings} of the host, none of which the driver above the bridge has heard"
        least, middle, most = (1e6 * one for one in (min(self.times), statistics.median(self.times), max(self.times)))
        merged = self.rings - len(self.times)
        took = f"{least:.2f}/{middle:.2f}/{most:.2f} us (min/median/max)"
        return f"rings {self.rings} of the host, {merged} of them merged: {took} to the driver above the bridge"
