"""The shortest list of operations that still fails: `epbell_tb.ddmin` over simulations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from epbell_tb.ddmin import ddmin, simplest
from epbell_tb.progress import Display
from epbell_tb.random_place import Drawn, Ended, run
from epbell_tb.traffic.operations import Operation

__all__ = ["alike", "shrink"]

_GAPS = (0, 1, 8)
_TOLD = 60


def shrink(
    drawn: Drawn, ended: Ended, folder: Path, shown: Display, *, best: Path | None = None, bench: str | None = None
) -> Drawn:
    """Return the fewest operations found that fail for a reason like the one of the whole list.

    Parameters
    ----------
    drawn : Drawn
        A list that fails.
    ended : Ended
        What came of it.
    folder : Path
        Of the simulations.
    shown : Display
        Where each step is told.
    best : Path, optional
        File for the shortest list so far, written whenever there is a shorter one.
    bench : str, optional
        Another bench than the usual one.
    """
    begun = ended.figures.get("begun", len(drawn.operations))
    trials = 0
    job = f"shrinking {begun} operations"
    shown.begin(job)

    def fails(operations: Sequence[Operation]) -> bool:
        nonlocal trials
        trials += 1
        less = replace(drawn, operations=list(operations))
        trial = run(less, folder, bench=bench)
        found = not trial.passed and alike(trial.reason, ended.reason)
        if found and best is not None:
            less.save(best)
        step = f"trial {trials}: {len(operations)} operations"
        shown.begin(step)
        shown.end(step, "still fails" if found else "does not fail like that")
        return found

    kept = list(drawn.operations[:begun])
    try:
        kept = ddmin(kept, fails)
    except ValueError:  # what comes at the end depends on all of it
        kept = ddmin(drawn.operations, fails)
    kept = simplest(kept, _simpler, fails)
    shown.end(job, f"{len(kept)} are left after {trials} trials")
    return replace(drawn, operations=kept)


def alike(one: str, other: str) -> bool:
    """Return whether two reasons begin with the same words, whatever the numbers."""
    first, second = (re.sub(r"0x[0-9a-f]+|\d+", "#", text)[:_TOLD] for text in (one, other))
    return first == second


def _simpler(operation: Operation) -> list[Operation]:
    return [replace(operation, gap=gap) for gap in _GAPS if gap < operation.gap]
