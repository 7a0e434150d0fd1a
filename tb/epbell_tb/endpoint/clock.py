"""The number of the clock: of the simulator that this process runs in, or of the one whose log is being read."""

from collections.abc import Callable

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


def follow_clock(source: Callable[[], int] | None) -> None:
    """Take the number from elsewhere than cocotb's simulator; None: from there again."""
    global _source
    _source = source or _simulated
