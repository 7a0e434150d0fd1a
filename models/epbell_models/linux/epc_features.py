"""What an endpoint controller can do, and what a function asks it for (include/linux/pci-epc.h, pci-epf.h)."""

from dataclasses import dataclass
from enum import Enum, IntFlag

from .aux_resource import NO_BAR, AuxKind

__all__ = [
    "BAR_COUNT",
    "BarFeature",
    "BarFlag",
    "BarKind",
    "EpcFeatures",
    "EpfBar",
    "IrqKind",
    "ReservedRegion",
    "Submap",
    "bar_features",
]

BAR_COUNT = 6

_FIXED_WINDOW = 0x2000


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
class ReservedRegion:
    """Part of a reserved BAR that always shows the same registers: what they are, byte offset, bytes."""

    kind: AuxKind
    offset: int
    size: int


@dataclass(frozen=True)
class BarFeature:
    """One BAR of a controller.

    Kind, size in bytes when fixed, whether it is the lower half of a 64-bit pair, what it shows when reserved.
    """

    kind: BarKind = BarKind.PROGRAMMABLE
    fixed_size: int = 0
    only_64bit: bool = False
    regions: tuple[ReservedRegion, ...] = ()


@dataclass(frozen=True)
class EpcFeatures:
    """What a controller can do."""

    bars: tuple[BarFeature, ...]
    align: int = 0
    msi_capable: bool = True
    msix_capable: bool = False
    intx_capable: bool = False
    dynamic_inbound_mapping: bool = True
    subrange_mapping: bool = True

    @property
    def can_subrange(self) -> bool:
        """Whether a BAR may be tiled by several pieces of memory."""
        return self.dynamic_inbound_mapping and self.subrange_mapping

    def next_free_bar(self, bar: int) -> int:
        """Return the first usable BAR from ``bar`` on, `NO_BAR` when there is none."""
        if 0 < bar < BAR_COUNT and self.bars[bar - 1].only_64bit:
            bar += 1
        return next((n for n in range(bar, BAR_COUNT) if self.bars[n].kind is not BarKind.RESERVED), NO_BAR)


@dataclass(frozen=True)
class Submap:
    """One of the pieces that tile a BAR: where it leads, and its bytes. Their order is that in the BAR."""

    phys_addr: int
    size: int


@dataclass(frozen=True)
class EpfBar:
    """What a function wants behind a BAR: memory at ``phys_addr``, or at several places if it has a ``submap``."""

    barno: int
    phys_addr: int
    size: int
    flags: BarFlag = BarFlag.MEM_32
    submap: tuple[Submap, ...] = ()


def bar_features(
    sizes: tuple[int, ...], wide: tuple[int, ...] = (), fixed_bar: int | None = None
) -> tuple[BarFeature, ...]:
    """Return the BARs of hardware whose sizes are fixed.

    Parameters
    ----------
    sizes
        Six sizes in bytes, powers of two; 0 for a BAR that does not exist.
    wide
        BARs that are the lower half of a 64-bit pair.
    fixed_bar
        BAR that shows the registers of the eDMA for good: reserved, like one that does not exist.
    """
    if len(sizes) != BAR_COUNT or any(size & (size - 1) or size < 0 for size in sizes):
        raise ValueError(f"BAR sizes are six powers of two, 0 for a BAR that does not exist, not {sizes!r}")
    if any(not 0 <= bar < BAR_COUNT - 1 or not sizes[bar] or sizes[bar + 1] for bar in wide):
        raise ValueError(f"A 64-bit BAR needs a size and its upper half none, not {wide!r} of {sizes!r}")
    return tuple(_bar_feature(size, bar in wide, bar == fixed_bar) for bar, size in enumerate(sizes))


def _bar_feature(size: int, wide: bool, shows_edma: bool) -> BarFeature:
    if not size:
        return BarFeature(BarKind.RESERVED)
    if shows_edma:
        region = ReservedRegion(AuxKind.DMA_CTRL_MMIO, 0, min(_FIXED_WINDOW, size))
        return BarFeature(BarKind.RESERVED, only_64bit=wide, regions=(region,))
    return BarFeature(BarKind.FIXED, size, wide)
