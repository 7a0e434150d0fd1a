"""Delays of the kernel's: whole jiffies, rounded up (include/linux/jiffies.h)."""

__all__ = [
    "delay",
]


def delay(milliseconds: int, hz: int | None) -> float:
    """Return a delay in seconds.

    Parameters
    ----------
    milliseconds
        The delay as it is written.
    hz
        Jiffies per second; None for the delay as it is written.
    """
    if hz is None:
        return milliseconds / 1000
    if hz < 1:
        raise ValueError(f"There are one or more jiffies in a second, not {hz!r}")
    return -(-milliseconds * hz // 1000) / hz
