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
        Tells whether a list fails. It is not asked again about one that does not.

    Raises
    ------
    ValueError
        If the list does not fail.
    """
    if not fails(items):
        raise ValueError(f"Only a list that fails can be shortened, not this one of {len(items)}")
    kept = list(items)
    known: set[tuple[int, ...]] = set()
    size = max(1, len(kept) // 2)
    while kept:
        before = len(kept)
        at = 0
        while at < len(kept):
            rest = kept[:at] + kept[at + size :]
            key = tuple(map(id, rest))
            if key not in known and fails(rest):
                kept = rest
            else:
                known.add(key)
                at += size
        if size == 1 and len(kept) == before:
            break
        size = max(1, size // 2)
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
