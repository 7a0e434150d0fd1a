"""What an endpoint controller's driver offers: some of it always, the rest in groups (include/linux/pci-epc.h)."""

from typing import Protocol, runtime_checkable

from .aux_resource import AuxResource
from .epc_features import EpcFeatures, EpfBar, IrqKind

__all__ = [
    "AuxOps",
    "EpcEvents",
    "EpcOps",
    "MapOps",
    "MsixOps",
]


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


class EpcEvents(Protocol):
    """What a function wants to be told of its controller (struct pci_epc_event_ops)."""

    async def epc_init(self) -> int:
        """Set the controller up for the function: it has been initialised. 0 or a negative errno."""
        ...

    async def epc_deinit(self) -> None:
        """Stop using the controller: what it had been told is about to be lost, or is lost."""
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


@runtime_checkable
class MsixOps(Protocol):
    """A controller's driver that knows MSI-X."""

    async def set_msix(self, vectors: int, bar: int, offset: int) -> int:
        """Put a table of ``vectors`` entries at an offset of a BAR, the pending bits behind; 0 or a negative errno."""
        ...

    async def get_msix(self) -> int:
        """Return the number of vectors that the host may use, or a negative errno while it has MSI-X disabled."""
        ...


@runtime_checkable
class MapOps(Protocol):
    """A controller's driver that maps the host's memory."""

    def align_addr(self, pci_addr: int, size: int) -> tuple[int, int, int]:
        """Return what must be mapped to reach ``size`` bytes: first address, bytes, offset of the bytes in it."""
        ...

    async def map_addr(self, address: int, pci_addr: int, size: int) -> int:
        """Let the processor reach PCI addresses from ``pci_addr`` at ``address``; 0 or a negative errno."""
        ...

    async def unmap_addr(self, address: int) -> None:
        """Undo the mapping at ``address``."""
        ...
