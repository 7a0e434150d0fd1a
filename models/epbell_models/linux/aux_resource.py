"""Auxiliary resources of an endpoint controller: registers of its own that a function may hand to the host.

Follows include/linux/pci-epc.h: the controller's driver says how many there are and describes each.
"""

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "NO_BAR",
    "AuxKind",
    "AuxResource",
]

NO_BAR = -1
"""Number of no BAR."""


class AuxKind(Enum):
    """What a resource is. The merged kernel knows doorbells only; the posted series knew the other two as well."""

    DOORBELL_MMIO = "doorbell"
    DMA_CTRL_MMIO = "dma registers"
    DMA_CHAN_DESC = "dma descriptors"


@dataclass(frozen=True)
class AuxResource:
    """One resource.

    Attributes
    ----------
    kind
        What it is.
    phys_addr
        Its physical address, not that by which a DMA master reaches it.
    size
        Bytes.
    bar
        BAR that shows it already, `NO_BAR` when none does.
    bar_offset
        Its byte offset in that BAR.
    irq
        Doorbells: Linux number of the interrupt that follows.
    data
        Doorbells: the word that the host must store.
    """

    kind: AuxKind
    phys_addr: int
    size: int
    bar: int = NO_BAR
    bar_offset: int = 0
    irq: int = 0
    data: int = 0
