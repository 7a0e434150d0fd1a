"""The endpoint controller core: what a controller can do, and the checks before its driver is asked to do it.

Follows drivers/pci/endpoint/pci-epc-core.c. Functions return 0 or a negative errno.
"""

import errno
from dataclasses import dataclass
from enum import Enum, IntFlag
from typing import TYPE_CHECKING, Protocol

from ..platform import Bus, Platform
from .dma import CoherentPool
from .msi import MsiDomain

if TYPE_CHECKING:
    from .pci_epf import PciEpf

__all__ = [
    "BAR_COUNT",
    "NO_BAR",
    "BarFlag",
    "BarKind",
    "EpcFeatures",
    "EpcOps",
    "EpfBar",
    "IrqKind",
    "PciEpc",
    "bar_features",
]

BAR_COUNT = 6
NO_BAR = -1


class IrqKind(Enum):
    """How the endpoint may interrupt the host."""

    INTX = 0
    MSI = 1
    MSIX = 2


class BarKind(Enum):
    """What a BAR allows."""

    PROGRAMMABLE = "programmable"
    FIXED = "fixed"
    RESERVED = "reserved"


class BarFlag(IntFlag):
    """Low bits of a BAR as the host will read them."""

    MEM_32 = 0x0
    IO = 0x1
    MEM_64 = 0x4
    PREFETCH = 0x8


@dataclass(frozen=True)
class BarFeature:
    """One BAR of a controller: kind, size in bytes when fixed, whether it is the lower half of a 64-bit pair."""

    kind: BarKind = BarKind.PROGRAMMABLE
    fixed_size: int = 0
    only_64bit: bool = False


@dataclass(frozen=True)
class EpcFeatures:
    """What a controller can do."""

    bars: tuple[BarFeature, ...]
    align: int = 0
    msi_capable: bool = True
    msix_capable: bool = False
    intx_capable: bool = False
    dynamic_inbound_mapping: bool = True

    def next_free_bar(self, bar: int) -> int:
        """Return the first usable BAR from ``bar`` on, `NO_BAR` when there is none."""
        if 0 < bar < BAR_COUNT and self.bars[bar - 1].only_64bit:
            bar += 1
        return next((n for n in range(bar, BAR_COUNT) if self.bars[n].kind is not BarKind.RESERVED), NO_BAR)


@dataclass(frozen=True)
class EpfBar:
    """What a function wants behind a BAR."""

    barno: int
    phys_addr: int
    size: int
    flags: BarFlag = BarFlag.MEM_32


class EpcOps(Protocol):
    """A controller's driver."""

    features: EpcFeatures

    async def set_bar(self, bar: EpfBar) -> int:
        """Put ``bar.phys_addr`` behind a BAR; 0 or a negative errno."""
        ...

    async def clear_bar(self, bar: EpfBar) -> None:
        """Take a BAR away."""
        ...

    async def get_msi(self) -> int:
        """Return the number of vectors the host enabled, or a negative errno."""
        ...

    async def raise_irq(self, kind: IrqKind, number: int) -> int:
        """Interrupt the host; vectors count from 1. 0 or a negative errno."""
        ...


class PciEpc:
    """An endpoint controller as functions see it.

    Parameters
    ----------
    platform
        Time and concurrency.
    bus
        The processor's bus, for the memory behind the BARs.
    ops
        The controller's driver.
    pool
        Memory for the BARs.
    msi_domain
        The domain behind ``msi-parent``, None without one.
    """

    def __init__(
        self, platform: Platform, bus: Bus, ops: EpcOps, pool: CoherentPool, msi_domain: MsiDomain | None
    ) -> None:
        self.platform = platform
        self.bus = bus
        self.features = ops.features
        self.pool = pool
        self.msi_domain = msi_domain
        self.functions: list[PciEpf] = []
        self._ops = ops
        self._lock = platform.lock()

    async def set_bar(self, bar: EpfBar) -> int:
        """Check and set a BAR; -EINVAL for a size or flags that the controller cannot have."""
        if not 0 <= bar.barno < BAR_COUNT:
            return -errno.EINVAL
        feature = self.features.bars[bar.barno]
        wrong = (
            bar.size <= 0
            or bar.size & (bar.size - 1)
            or (feature.kind is BarKind.FIXED and feature.fixed_size != bar.size)
            or (bar.barno == BAR_COUNT - 1 and bar.flags & BarFlag.MEM_64)
            or (bar.size >> 32 and not bar.flags & BarFlag.MEM_64)
        )
        if wrong:
            return -errno.EINVAL
        async with self._lock:
            return await self._ops.set_bar(bar)

    async def clear_bar(self, bar: EpfBar) -> None:
        """Take a BAR away; quietly nothing for the upper half of a pair."""
        if not 0 <= bar.barno < BAR_COUNT or (bar.barno == BAR_COUNT - 1 and bar.flags & BarFlag.MEM_64):
            return
        async with self._lock:
            await self._ops.clear_bar(bar)

    async def get_msi(self) -> int:
        """Return how many vectors the host enabled; 0 when it enabled none."""
        async with self._lock:
            return max(0, await self._ops.get_msi())

    async def raise_irq(self, kind: IrqKind, number: int) -> int:
        """Interrupt the host; vectors count from 1."""
        async with self._lock:
            return await self._ops.raise_irq(kind, number)


def bar_features(sizes: tuple[int, ...], wide: tuple[int, ...] = ()) -> tuple[BarFeature, ...]:
    """Return the BARs of hardware whose sizes are fixed.

    Parameters
    ----------
    sizes
        Six sizes in bytes, powers of two; 0 for a BAR that does not exist.
    wide
        BARs that are the lower half of a 64-bit pair.
    """
    if len(sizes) != BAR_COUNT or any(size & (size - 1) or size < 0 for size in sizes):
        raise ValueError(f"BAR sizes are six powers of two, 0 for a BAR that does not exist, not {sizes!r}")
    if any(not 0 <= bar < BAR_COUNT - 1 or not sizes[bar] or sizes[bar + 1] for bar in wide):
        raise ValueError(f"A 64-bit BAR needs a size and its upper half none, not {wide!r} of {sizes!r}")
    return tuple(
        BarFeature(BarKind.FIXED, size, bar in wide) if size else BarFeature(BarKind.RESERVED)
        for bar, size in enumerate(sizes)
    )
