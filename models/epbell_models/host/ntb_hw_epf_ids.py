"""Which functions the host's ntb_hw_epf binds to, and which BAR of each is for what (its table of IDs)."""

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "BarMap",
    "Release",
    "find_map",
]

Release = Literal["6.1", "newest"]
"""``"6.1"`` is Debian's kernel of November 2026, which has most of what is new."""

_NO_BAR = -1


@dataclass(frozen=True)
class BarMap:
    """BAR of the control block, of the peer's scratchpads, of the doorbells, and of each memory window, -1 for none."""

    config: int
    peer_spad: int
    db: int
    windows: tuple[int, int, int, int]


_J721E = BarMap(0, 1, 2, (2, 3, 4, 5))
_MX8 = BarMap(0, 0, 2, (4, 5, _NO_BAR, _NO_BAR))
_RCAR = BarMap(0, 0, 4, (2, _NO_BAR, _NO_BAR, _NO_BAR))
_MAPS = {(0x104C, 0xB00D): _J721E, (0x1957, 0x0809): _MX8, (0x1912, 0x0030): _RCAR}
_NOT_IN_6_1 = (0x1912, 0x0030)


def find_map(vendor: int, device: int, release: Release) -> BarMap | None:
    """Return the map of a function, None when the driver does not know it."""
    if release == "6.1" and (vendor, device) == _NOT_IN_6_1:
        return None
    return _MAPS.get((vendor, device))
