"""Histograms of how long interrupts took, as numbers to draw: clocks in bins, runs with and without stalls apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from epbell_tb.endpoint.clock import PERIOD_NS

__all__ = [
    "KINDS",
    "Bin",
    "Chart",
    "charts",
]

KINDS = {
    "irq_mu": "ring of the Messaging Unit to irq_mu",
    "irq_edma": "kick of the eDMA to irq_edma",
    "msi": "CPU's write to an MSI at the host",
    "msix": "CPU's write to an MSI-X message",
}
"""Kinds of interrupts, and from what to what the clocks are counted."""

_MOST_BINS = 40


@dataclass(frozen=True)
class Bin:
    """Clocks from `low` up to `high`, both included, and how often: without stalls, with stalls."""

    low: int
    high: int
    flowing: int
    stalled: int


@dataclass(frozen=True)
class Chart:
    """The latencies of one kind.

    Attributes
    ----------
    kind, title : str
        Which.
    bins : tuple of Bin
        All of the same number of clocks, without gaps.
    figures : dict
        For ``"off"`` and ``"on"``, the stalls, if there are any: number, minimum, median, maximum in clocks.
    """

    kind: str
    title: str
    bins: tuple[Bin, ...]
    figures: dict[str, tuple[int, int, int, int]]

    @property
    def most(self) -> int:
        """The highest bin of all."""
        return max(max(one.flowing, one.stalled) for one in self.bins)

    @property
    def period_ns(self) -> int:
        """Nanoseconds of a clock."""
        return PERIOD_NS


def charts(spreads: Iterable[tuple[bool, Mapping[str, Mapping[int, int]]]]) -> list[Chart]:
    """Return a chart for each kind that has happened.

    Parameters
    ----------
    spreads : iterable
        For each run: whether the streams paused, and for each kind how often it took how many clocks.
    """
    counted = {kind: {False: Counter[int](), True: Counter[int]()} for kind in KINDS}
    for stalls, latencies in spreads:
        for kind, spread in latencies.items():
            counted[kind][stalls].update(spread)
    return [_chart(kind, both[False], both[True]) for kind, both in counted.items() if both[False] or both[True]]


def _chart(kind: str, flowing: Counter[int], stalled: Counter[int]) -> Chart:
    clocks = [*flowing, *stalled]
    low, high = min(clocks), max(clocks)
    size = -(-(high - low + 1) // _MOST_BINS)
    bins = []
    for start in range(low, high + 1, size):
        inside = range(start, start + size)
        bins.append(Bin(start, inside[-1], *(sum(map(one.__getitem__, inside)) for one in (flowing, stalled))))
    figures = {name: _figures(one) for name, one in (("off", flowing), ("on", stalled)) if one}
    return Chart(kind, KINDS[kind], tuple(bins), figures)


def _figures(spread: Counter[int]) -> tuple[int, int, int, int]:
    ordered = sorted(spread)
    total = spread.total()
    sums = accumulate(spread[clocks] for clocks in ordered)
    median = next(clocks for clocks, below in zip(ordered, sums, strict=True) if 2 * below >= total)
    return total, ordered[0], median, ordered[-1]
