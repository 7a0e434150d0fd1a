"""What a simulation has seen of the bins of function: counted here, and appended to a file when the process ends.

The environment variable EPBELL_BINS names the file; without it nothing is counted. A fork counts for itself.
"""

from __future__ import annotations

import atexit
import json
import os
from collections import Counter

__all__ = ["VARIABLE", "begin", "forget", "save", "see", "wanted"]

VARIABLE = "EPBELL_BINS"
"""Environment variable with the path of the file."""

_seen: Counter[tuple[object, ...]] = Counter()
_place: dict[str, str] = {}


def wanted() -> bool:
    """Return whether anybody asks."""
    return bool(os.environ.get(VARIABLE))


def begin(**place: object) -> None:
    """Say what all bins of this process have in common, such as ``width=64``."""
    if not _place:
        atexit.register(save)
    _place.update({axis: str(value) for axis, value in place.items()})


def see(cross: str, *values: object, times: int = 1) -> None:
    """Count a bin of a cross, by its values but those of the place, in the order of its axes."""
    _seen[(cross, *values)] += times


def forget() -> None:
    """Begin anew, as a fork does: what came before is its parent's."""
    _seen.clear()


def save() -> None:
    """Append what was counted, in one piece, and begin anew."""
    path = os.environ.get(VARIABLE)
    if not path or not _seen:
        return
    stalls = "on" if os.environ.get("EPBELL_STALLS") == "1" else "off"
    counted = [[cross, [str(value) for value in values], times] for (cross, *values), times in _seen.items()]
    line = json.dumps({"place": {"stalls": stalls, **_place}, "seen": counted}) + "\n"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
    _seen.clear()
