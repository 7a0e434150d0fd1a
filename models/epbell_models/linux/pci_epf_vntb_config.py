"""What configfs says of pci-epf-vntb, and which BAR is for what.

Follows drivers/pci/endpoint/functions/pci-epf-vntb.c.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..jiffies import delay
from .epc_features import BAR_COUNT, NO_BAR, EpcFeatures
from .pci_epf_vntb_control import BLOCK_SIZE

__all__ = [
    "CLASS_MEMORY_RAM",
    "MSIX_OFFSET",
    "MSI_VECTORS",
    "NO_BARS",
    "VntbBars",
    "VntbConfig",
    "VntbRelease",
    "assign_bars",
]

VntbRelease = Literal["v7.1", "newest"]

CLASS_MEMORY_RAM = 0x05_0000
"""Class code of the function; the host's driver binds to no other."""

MSI_VECTORS = 16
"""MSI vectors that the function's capability offers, whatever configfs says."""

MSIX_OFFSET = 0x800
"""Where the table of MSI-X is in the config BAR; the pending bits follow it."""

_MOST_WINDOWS = 4


@dataclass(frozen=True)
class VntbConfig:
    """The function's directory in configfs, and what else there is to choose.

    Parameters
    ----------
    db_count
        Doorbell slots, the two that never ring included; judged when the function is bound.
    spad_count
        Scratchpads of either side.
    mw_sizes
        Bytes of each memory window, at most 4: Linux's num_mws, mw1, mw2 and so on. On hardware whose BARs have a fixed
        size, that size.
    ctrl_bar, db_bar
        BAR of the control block, and of the doorbells; `NO_BAR` lets the function choose.
    mw_bars
        BAR of each memory window; `NO_BAR`, or none at all, lets the function choose.
    vendor, device
        Identity. 1957:0809 is an i.MX8 to the host's driver.
    msix_interrupts
        Vectors of MSI-X, 0 for none. Linux's function raises MSI only, though its host asks for MSI-X first; this one
        answers such a host with MSI-X, if there is any.
    release
        ``"newest"``, or ``"v7.1"``: doorbell bits and vectors one too high, slot 1 listened to, one bit per ring of the
        peer and at once, 1 and 2 slots accepted.
    hz
        Jiffies per second, which all delays are rounded up to; None for delays as they are written.
    """

    db_count: int = 4
    spad_count: int = 64
    mw_sizes: tuple[int, ...] = (0x10_0000,)
    ctrl_bar: int = NO_BAR
    db_bar: int = NO_BAR
    mw_bars: tuple[int, ...] = ()
    vendor: int = 0x1957
    device: int = 0x0809
    msix_interrupts: int = 0
    release: VntbRelease = "newest"
    hz: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.mw_sizes) <= _MOST_WINDOWS:
            raise ValueError(f"A vNTB has 1 to {_MOST_WINDOWS} memory windows, not {self.mw_sizes!r}")
        if len(self.mw_bars) > len(self.mw_sizes):
            raise ValueError(f"A BAR is named for each memory window at most, not {self.mw_bars!r}")
        for bar in (self.ctrl_bar, self.db_bar, *self.mw_bars):
            if not NO_BAR <= bar < BAR_COUNT:
                raise ValueError(f"A BAR is 0 to {BAR_COUNT - 1}, or {NO_BAR} for any, not {bar!r}")
        if self.release not in ("v7.1", "newest"):
            raise ValueError(f"The release of pci-epf-vntb is 'v7.1' or 'newest', not {self.release!r}")
        if self.msix_interrupts and BLOCK_SIZE + 8 * self.spad_count > MSIX_OFFSET:
            most = (MSIX_OFFSET - BLOCK_SIZE) // 8
            raise ValueError(f"Beside a table of MSI-X there is room for {most} scratchpads, not {self.spad_count!r}")
        self.delay(0)

    def delay(self, milliseconds: int) -> float:
        """Return a delay of the kernel's in seconds: whole jiffies, rounded up."""
        return delay(milliseconds, self.hz)


@dataclass(frozen=True)
class VntbBars:
    """Which BAR is for what."""

    ctrl: int
    db: int
    windows: tuple[int, ...]


NO_BARS = VntbBars(NO_BAR, NO_BAR, ())
"""What a function has that is not bound."""


def assign_bars(config: VntbConfig, features: EpcFeatures) -> VntbBars | None:
    """Choose the BARs that configfs does not name, in order, among those that the controller lets functions use.

    Returns
    -------
    VntbBars or None
        As many windows as there are BARs for; None without a BAR for control block, doorbells and first window each.
    """
    named = [config.ctrl_bar, config.db_bar, *config.mw_bars]
    wanted = [*named, *[NO_BAR] * (2 + len(config.mw_sizes) - len(named))]
    chosen: list[int] = []
    search = 0
    for index, bar in enumerate(wanted):
        if bar == NO_BAR:
            bar, search = _find(features, search, [*chosen, *wanted[index:]])
        if bar == NO_BAR:
            break
        chosen.append(bar)
    if len(chosen) < 3:
        return None
    return VntbBars(chosen[0], chosen[1], tuple(chosen[2:]))


def _find(features: EpcFeatures, first: int, used: Sequence[int]) -> tuple[int, int]:
    """Return the first usable BAR from ``first`` on that is not used, and where to look next."""
    bar = features.next_free_bar(first)
    while bar != NO_BAR and bar in used:
        bar = features.next_free_bar(bar + 1)
    return bar, bar + 1
