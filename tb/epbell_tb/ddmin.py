"""Delta debugging: the shortest list that still fails, found by leaving parts out (Zeller and Hildebrandt, 2002).

Hypothesis shrinks only what its own strategies have drawn, within one process; here each trial is a simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["ddmin", "simplest"]

Item = TypeVar("Item")


def ddmin(items: Sequence[Item], fails: Callable[[Sequence[Item]], bool]) -> list[Item]:
    """Return a part of a list that fails, and no longer does without any one of its items.

    Parameters
    ----------
    items : sequence
        A list that fails; the order of what is left stays.
    fails : callable
        Tells whether a list fails. It is asked about each list once only.

    Raises
    ------
    ValueError
        If the list does not fail.
    """
    if not fails(items):
        raise ValueError(f"Only a list that fails can be shortened, not this one of {len(items)}")
    kept, pieces = list(items), 2
    while kept:
        size = -(-len(kept) // pieces)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            if fails(rest):
                kept, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if size == 1:
                break
            pieces = min(2 * pieces, len(kept))
    return kept


def simplest(
    items: Sequence[Item], simpler: Callable[[Item], Sequence[Item]], fails: Callable[[Sequence[Item]], bool]
) -> list[Item]:
    """Return a list that fails, in which each item was replaced by the first of its simpler forms with which it does.

    Parameters
    ----------
    items : sequence
        A list that fails.
    simpler : callable
        Returns simpler forms of an item, the simplest first.
    fails : callable
        Tells whether a list fails.
    """
    kept = list(items)
    for index, item in enumerate(items):
        for form in simpler(item):
            trial = [*kept[:index], form, *kept[index + 1 :]]
            if fails(trial):
                kept = trial
                break
    return kept
