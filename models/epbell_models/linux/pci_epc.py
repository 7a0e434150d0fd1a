"""The endpoint controller core: the checks before a controller's driver is asked to do something.

Follows drivers/pci/endpoint/pci-epc-core.c. Functions return 0 or a negative errno.
"""

import errno
from typing import TYPE_CHECKING, Literal

from ..devicetree import Region
from ..platform import Bus, Platform
from .aux_resource import NO_BAR, AuxKind, AuxResource
from .dma import PAGE_SIZE, CoherentPool, DmaMappings
from .epc_features import (
    BAR_COUNT,
    BarFeature,
    BarFlag,
    BarKind,
    EpcFeatures,
    EpfBar,
    IrqKind,
    ReservedRegion,
    Submap,
    bar_features,
)
from .epc_ops import AuxOps, EpcEvents, EpcOps, MapOps, MsixOps
from .faults import Faults
from .msi import MsiDomain
from .pci_epc_mem import EpcMap, EpcMemory

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
    "EpcEvents",
    "EpcFeatures",
    "EpcMap",
    "EpcOps",
    "EpfBar",
    "Generation",
    "IrqKind",
    "MapOps",
    "MsixOps",
    "PciEpc",
    "ReservedRegion",
    "Submap",
    "bar_features",
]

Generation = Literal["v7", "merged"]
"""Which form of the embedded doorbell the kernel has: as first posted with aux resources, or as merged."""

_MSIX_VECTORS = 2048


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
    window
        Addresses of the processor for outbound windows, None when there are none.

    Attributes
    ----------
    init_complete
        Whether the controller has been initialised, and not gone away since.
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
        window: Region | None = None,
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
        self.memory = EpcMemory(window, max(PAGE_SIZE, ops.features.align)) if window is not None else None
        self.functions: list[PciEpf] = []
        self.init_complete = False
        self._ops = ops
        self._lock = platform.lock()

    async def init_notify(self) -> int:
        """Tell every function that the controller is initialised; the first error of one, or 0.

        The kernel goes on whatever a function answers, and forgets it.
        """
        errors = [await function.events.epc_init() for function in self.functions if function.events is not None]
        self.init_complete = True
        return next((error for error in errors if error), 0)

    async def deinit_notify(self) -> None:
        """Tell every function that the controller goes away: reset by the host, or without a link."""
        for function in self.functions:
            if function.events is not None:
                await function.events.epc_deinit()
        self.init_complete = False

    async def set_bar(self, bar: EpfBar) -> int:
        """Check and set a BAR; -EINVAL for a size, flags or a submap that the controller cannot have."""
        if not 0 <= bar.barno < BAR_COUNT:
            return -errno.EINVAL
        feature = self.features.bars[bar.barno]
        wrong = (
            bar.size <= 0
            or bar.size & (bar.size - 1)
            or (feature.kind is BarKind.FIXED and feature.fixed_size != bar.size)
            or (bar.barno == BAR_COUNT - 1 and bar.flags & BarFlag.MEM_64)
            or (bar.size >> 32 and not bar.flags & BarFlag.MEM_64)
            or (bar.submap and not self.features.can_subrange)
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

    async def set_msix(self, vectors: int, bar: int, offset: int) -> int:
        """Put the table of MSI-X into a BAR; -EINVAL unless there are 1 to 2048 vectors."""
        if not 1 <= vectors <= _MSIX_VECTORS:
            return -errno.EINVAL
        if not isinstance(self._ops, MsixOps):
            return 0
        async with self._lock:
            return await self._ops.set_msix(vectors, bar, offset)

    async def get_msix(self) -> int:
        """Return how many vectors of MSI-X the host may use; 0 while it has it disabled."""
        if not isinstance(self._ops, MsixOps):
            return 0
        async with self._lock:
            return max(0, await self._ops.get_msix())

    async def raise_irq(self, kind: IrqKind, number: int) -> int:
        """Interrupt the host; vectors count from 1."""
        async with self._lock:
            return await self._ops.raise_irq(kind, number)

    # -- the host's memory ---------------------------------------------------------------------------------------------

    @property
    def unaligned_access(self) -> bool:
        """Whether the driver itself sees to the alignment of what is mapped."""
        return isinstance(self._ops, MapOps)

    async def map_addr(self, address: int, pci_addr: int, size: int) -> int:
        """Map the host's memory at an address of `memory`; 0 or a negative errno."""
        if not isinstance(self._ops, MapOps):
            return 0
        async with self._lock:
            return await self._ops.map_addr(address, pci_addr, size)

    async def unmap_addr(self, address: int) -> None:
        """Undo `map_addr`."""
        if isinstance(self._ops, MapOps):
            async with self._lock:
                await self._ops.unmap_addr(address)

    async def mem_map(self, pci_addr: int, size: int) -> EpcMap | int:
        """Allocate and map what it takes to reach as many of ``size`` bytes as one mapping can.

        Returns
        -------
        EpcMap or int
            The mapping, whose ``pci_size`` may be less than ``size``. -EINVAL for no bytes, -ENOMEM without addresses,
            or the driver's error.
        """
        if size <= 0:
            return -errno.EINVAL
        first, length, offset = pci_addr, size, 0
        if isinstance(self._ops, MapOps):
            first, length, offset = self._ops.align_addr(pci_addr, size)
        base = self.memory.alloc(length) if self.memory is not None else None
        if self.memory is None or base is None:
            return -errno.ENOMEM
        error = await self.map_addr(base, first, length)
        if error:
            self.memory.free(base, length)
            return error
        reached = min(size, first + length - pci_addr)
        return EpcMap(pci_addr, reached, first, length, base, base + offset)

    async def mem_unmap(self, mapping: EpcMap) -> None:
        """Undo `mem_map`."""
        await self.unmap_addr(mapping.base)
        if self.memory is not None:
            self.memory.free(mapping.base, mapping.map_size)

    # -- auxiliary resources -------------------------------------------------------------------------------------------

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
