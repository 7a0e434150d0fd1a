"""The endpoint controller core: what a controller can do, and the checks before its driver is asked to do it.

Follows drivers/pci/endpoint/pci-epc-core.c. Functions return 0 or a negative errno.
"""

import errno
from dataclasses import dataclass
from enum import Enum, IntFlag
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from ..platform import Bus, Platform
from .aux_resource import NO_BAR, AuxKind, AuxResource
from .dma import CoherentPool, DmaMappings
from .faults import Faults
from .msi import MsiDomain

if TYPE_CHECKING:
    from .pci_epf import PciEpf

__all__ = [
    "BAR_COUNT",
    "NO_BAR",
    "AuxKind",
    "AuxOps",
    "AuxResource",
    "BarFeature",
    "BarFlag",
    "BarKind",
    "EpcFeatures",
    "EpcOps",
    "EpfBar",
    "Generation",
    "IrqKind",
    "PciEpc",
    "ReservedRegion",
    "bar_features",
]

BAR_COUNT = 6

Generation = Literal["v7", "merged"]
"""Which form of the embedded doorbell the kernel has: as first posted with aux resources, or as merged."""

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


@runtime_checkable
class AuxOps(Protocol):
    """A controller's driver that knows of auxiliary resources."""

    async def get_aux_resources_count(self) -> int:
        """Return how many resources there are, or a negative errno."""
        ...

    async def get_aux_resources(self, resources: list[AuxResource], room: int) -> int:
        """Append every resource; 0, -ENOSPC when they are more than ``room``, or another negative errno."""
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
    generation
        Form of the embedded doorbell.
    faults
        What is to fail.
    mappings
        The controller as DMA master.
    """

    def __init__(
        self,
        platform: Platform,
        bus: Bus,
        ops: EpcOps,
        pool: CoherentPool,
        msi_domain: MsiDomain | None,
        *,
        generation: Generation = "merged",
        faults: Faults | None = None,
        mappings: DmaMappings | None = None,
    ) -> None:
        if generation not in ("v7", "merged"):
            raise ValueError(f"The generation of the embedded doorbell is 'v7' or 'merged', not {generation!r}")
        self.platform = platform
        self.bus = bus
        self.features = ops.features
        self.pool = pool
        self.msi_domain = msi_domain
        self.generation: Generation = generation
        self.faults = faults if faults is not None else Faults()
        self.mappings = mappings if mappings is not None else DmaMappings(self.faults)
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

    async def get_aux_resources_count(self, function: int = 0) -> int:
        """Return how many auxiliary resources there are.

        -EINVAL for a function that does not exist, -EOPNOTSUPP when the driver does not know of such resources.
        """
        if not 0 <= function < len(self.functions):
            return -errno.EINVAL
        if not isinstance(self._ops, AuxOps):
            return -errno.EOPNOTSUPP
        async with self._lock:
            return await self._ops.get_aux_resources_count()

    async def get_aux_resources(self, resources: list[AuxResource] | None, room: int, function: int = 0) -> int:
        """Append every auxiliary resource to ``resources``.

        Returns 0 (v7: how many), -ENOSPC when they are more than ``room``, or an error as the count's. Before there
        was an operation for the count, no list and no room asked for it.
        """
        if resources is None or room < 1:
            asks_for_count = self.generation == "v7" and resources is None and room == 0
            return await self.get_aux_resources_count(function) if asks_for_count else -errno.EINVAL
        if not 0 <= function < len(self.functions):
            return -errno.EINVAL
        if not isinstance(self._ops, AuxOps):
            return -errno.EOPNOTSUPP
        async with self._lock:
            error = await self._ops.get_aux_resources(resources, room)
        return len(resources) if self.generation == "v7" and not error else error


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
