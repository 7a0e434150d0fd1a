"""Coverage of forks: each hands its counters on to its parent, and the first one writes them all.

The calls are in ``native/coverage.cpp``, which is part of every build with coverage.
"""

import ctypes

_SELF = ctypes.CDLL(None)


def hand_on(path):
    """Write the counters of this process, if it was built with coverage."""
    _move("epbell_coverage_save", path)


def take_over(path):
    """Go on with the counters of a fork that has ended; one that was killed left none."""
    if path.exists():
        _move("epbell_coverage_load", path)
        path.unlink()


def _move(function, path):
    """Call a function that only a simulator with coverage has."""
    if hasattr(_SELF, function) and not getattr(_SELF, function)(str(path).encode()):
        raise OSError(f"{function} must move the counters of coverage, {path}")
