"""The number of the clock: of the simulator that this process runs in, or of the one whose log is being read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cocotb.utils import get_sim_time

__all__ = [
    "PERIOD_NS",
    "cycle",
    "follow_clock",
]

PERIOD_NS = 4
"""The hard block's user clock: 250 MHz."""


def _simulated() -> int:
    return int(get_sim_time("ns")) // PERIOD_NS


_source: Callable[[], int] = _simulated


def cycle() -> int:
    """Return the number of the latest clock edge."""
    return _source()


@contextmanager
def follow_clock(source: Callable[[], int]) -> Iterator[None]:
    """Take the number from elsewhere than cocotb's simulator."""
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before
