"""Base address registers: what the hard block decodes, as the endpoint must know it."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "DEFAULT_BARS",
    "MAX_BARS",
    "Bar",
    "FixedBar",
    "check_bars",
    "check_fixed_bar",
]

MAX_BARS = 6
"""BARs of a type 0 header."""


@dataclass(frozen=True)
class Bar:
    """One memory BAR.

    Parameters
    ----------
    size : int
        Bytes: a power of two from 128 to 2 GiB.
    wide : bool
        A 64-bit BAR; it takes the next one's place too.

    Raises
    ------
    ValueError
        If `size` is none of those.
    """

    size: int
    wide: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or not 128 <= self.size <= 1 << 31 or self.size & (self.size - 1):
            raise ValueError(f"The size of a BAR must be a power of two from 128 bytes to 2 GiB, not {self.size!r}")
        if not isinstance(self.wide, bool):
            raise ValueError(f"Whether a BAR has 64 address bits must be True or False, not {self.wide!r}")


@dataclass(frozen=True)
class FixedBar:
    """A BAR that shows a register page whatever the inbound windows say.

    Parameters
    ----------
    number : int
        The BAR.
    page : int
        Local address of the page.
    """

    number: int
    page: int


DEFAULT_BARS: tuple[Bar | None, ...] = (*(Bar(16 << 10) for _ in range(5)), Bar(64 << 10))
"""Five BARs of 16 KiB and one of 64 KiB, all 32-bit."""


def check_bars(bars: Sequence[Bar | None]) -> tuple[Bar | None, ...]:
    """Return `bars`, filled up to six with None.

    Raises
    ------
    ValueError
        If there are more than six, none at all, or something follows a 64-bit BAR in the place of its upper half.
    """
    if not isinstance(bars, Sequence) or not all(isinstance(bar, Bar | None) for bar in bars):
        raise ValueError(f"The BARs must be a sequence of Bar or None, not {bars!r}")
    if len(bars) > MAX_BARS:
        raise ValueError(f"An endpoint has at most six BARs, not {len(bars)!r}")
    padded = (*bars, *(None for _ in range(MAX_BARS - len(bars))))
    if not any(padded):
        raise ValueError(f"An endpoint needs at least one BAR for the host to ring it, not {bars!r}")
    for index, bar in enumerate(padded):
        if bar is not None and bar.wide and (index + 1 == MAX_BARS or padded[index + 1] is not None):
            raise ValueError(f"The place after 64-bit BAR {index} holds its upper half and must be None, not {bars!r}")
    return padded


def check_fixed_bar(bars: Sequence[Bar | None], number: int) -> int:
    """Return `number` if that BAR can show a register page for ever.

    Raises
    ------
    ValueError
        If there is no such BAR, or it is smaller than 4 KiB.
    """
    existing = [str(index) for index, bar in enumerate(bars) if bar is not None]
    if not isinstance(number, int) or isinstance(number, bool) or str(number) not in existing:
        raise ValueError(f"The fixed BAR must be one of the BARs {', '.join(existing)}, not {number!r}")
    bar = bars[number]
    if bar is None or bar.size < 4096:
        raise ValueError(f"The fixed BAR {number} must have at least 4 KiB for the eDMA page, not {bar!r}")
    return number
