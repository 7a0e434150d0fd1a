"""What ``epbell vntb`` has measured: times of the pings on each doorbell, what they should be, and whether they are."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epbell_models.jiffies import delay
from epbell_tb.vntb_costs import per_ping_us

__all__ = [
    "FEWEST",
    "Goal",
    "Pings",
    "goals",
    "of_lines",
]

FEWEST = 50
"""Pings of which a median says something about a wait at random; with fewer nothing is judged of it."""

_LOOK_MS = 5
"""Linux's constant: milliseconds from one look at polled doorbells to the next."""

_ALLOWANCE_US = 50.0
_TOLERANCE_US = 1000.0
_POLLED = "polling"
_AT_ENDPOINT, _HEARD = "doorbell's TLP at the endpoint", "endpoint's driver hears it"


@dataclass(frozen=True)
class Pings:
    """The pings on one doorbell.

    Attributes
    ----------
    backend : str
        ``"polling"``, ``"mu"`` or ``"edma"``.
    tree : str
        Name of the device tree.
    times : sequence of float
        Microseconds from the host's first store to its client's handler.
    steps : sequence of mapping
        For each ping when its steps were made, in microseconds.
    summary : mapping
        What the bench told at the end: ``period_us``, ``seconds``, ``simulated``, ``idle``, ``reason``.
    """

    backend: str
    tree: str
    times: Sequence[float]
    steps: Sequence[Mapping[str, float]]
    summary: Mapping[str, Any]

    @property
    def median(self) -> float:
        """Median in microseconds."""
        return statistics.median(self.times)

    @property
    def p95(self) -> float:
        """Time that 95 of 100 pings stay below, in microseconds: nearest rank."""
        return sorted(self.times)[math.ceil(0.95 * len(self.times)) - 1]

    @property
    def path(self) -> float:
        """Median of what is left of a ping without its wait at the endpoint, in microseconds."""
        waits = [steps[_HEARD] - steps[_AT_ENDPOINT] for steps in self.steps]
        return statistics.median(time - wait for time, wait in zip(self.times, waits, strict=True))

    @property
    def hardware(self) -> float:
        """What is left of the path without what software is given, in microseconds."""
        return self.path - per_ping_us(self.backend)

    def typical(self) -> Mapping[str, float]:
        """Return the steps of the ping that is nearest to the median."""
        return min(zip(self.times, self.steps, strict=True), key=lambda ping: abs(ping[0] - self.median))[1]

    def entry(self) -> dict[str, Any]:
        """Return what goes to the report."""
        figures = {
            "min": min(self.times), "median": self.median, "p95": self.p95, "max": max(self.times),
            "path": self.path, "software": per_ping_us(self.backend), "hardware": self.hardware,
        }  # fmt: skip
        rounded = {name: round(value, 3) for name, value in figures.items()}
        times = [round(time, 3) for time in self.times]
        return {"backend": self.backend, "tree": self.tree, **rounded, **self.summary, "times": times}


@dataclass(frozen=True)
class Goal:
    """One goal: what it is in words, and whether it is reached, None when that cannot be said."""

    text: str
    reached: bool | None


def of_lines(tree: str, lines: Sequence[Mapping[str, Any]]) -> Pings:
    """Return the pings that a bench told of, a line for each, and the summary."""
    pings, summary = [line for line in lines if "ping" in line], dict(lines[-1])
    backend = summary.pop("backend")
    return Pings(backend, tree, [line["us"] for line in pings], [line["steps"] for line in pings], summary)


def goals(found: Sequence[Pings], hz: int | None) -> list[Goal]:
    """Judge each of them; of polled doorbells the median, the path, and the longest.

    Parameters
    ----------
    found : sequence of Pings
        What was measured.
    hz : int or None
        Jiffies per second, None for delays as they are written: Linux's period follows from it, whatever was measured.
    """
    judged: list[Goal] = []
    for pings in found:
        judged += _polled(pings, 1e6 * delay(_LOOK_MS, hz)) if pings.backend == _POLLED else [_interrupt(pings)]
    return judged


def _polled(pings: Pings, period: float) -> list[Goal]:
    software = per_ping_us(_POLLED)
    limit, longest, wanted = _ALLOWANCE_US + software, max(pings.times), period / 2 + pings.path
    median = f"polled: median {pings.median:.0f} us within 1000 us of half a period and the path, {wanted:.0f} us"
    path = f"polled: path {pings.path:.1f} us below 50 us and the software's {software:.0f} us"
    most = f"polled: longest {longest:.0f} us below a period, {period:.0f} us, and {limit:.0f} us for the path"
    reached: bool | None = abs(pings.median - wanted) < _TOLERANCE_US
    if len(pings.times) < FEWEST:
        median, reached = f"{median}: not judged, of fewer than {FEWEST} pings", None
    return [Goal(median, reached), Goal(path, pings.path < limit), Goal(most, longest < period + limit)]


def _interrupt(pings: Pings) -> Goal:
    software = per_ping_us(pings.backend)
    text = f"{pings.backend}: median {pings.median:.1f} us below 50 us and the software's {software:.0f} us"
    return Goal(text, pings.median < _ALLOWANCE_US + software)
