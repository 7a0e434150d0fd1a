"""What the kernel is told to fail, as with its own fault injection: words of the form ``fault_inject.NAME=VALUE``.

| word | effect |
|---|---|
| ``fault_inject.platform_msi=ENOMEM`` | allocating a device's messages fails with that errno |
| ``fault_inject.dma_map_resource`` | mapping a device's registers for DMA fails |
| ``fault_inject.kcalloc=2`` | the second allocation of memory for a doorbell fails, once |
| ``fault_inject.irq_alloc_desc=ENOSPC`` | there is no Linux number for the eDMA's doorbell interrupt, with that errno |
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "Faults",
]

_PREFIX = "fault_inject."


@dataclass
class Faults:
    """Faults to come; a test may set them at any time.

    Attributes
    ----------
    platform_msi
        Negative errno of the allocation of messages, 0 for none.
    dma_map_resource
        Whether mappings fail.
    kcalloc
        Which allocation of memory from now on fails, counted from 1; 0 for none.
    irq_alloc_desc
        Negative errno of the allocation of the doorbell's interrupt, 0 for none.
    """

    platform_msi: int = 0
    dma_map_resource: bool = False
    kcalloc: int = 0
    irq_alloc_desc: int = 0

    @staticmethod
    def of(bootargs: Mapping[str, str]) -> "Faults":
        """Return what the kernel's command line asks for."""
        which = bootargs.get(f"{_PREFIX}kcalloc", "0")
        if not which.isdecimal():
            raise ValueError(f"The fault of kcalloc is a number, not {which!r}")
        return Faults(
            platform_msi=-_errno(bootargs, "platform_msi"),
            dma_map_resource=f"{_PREFIX}dma_map_resource" in bootargs,
            kcalloc=int(which),
            irq_alloc_desc=-_errno(bootargs, "irq_alloc_desc"),
        )

    def kcalloc_fails(self) -> bool:
        """Return whether this allocation is the one that fails."""
        if not self.kcalloc:
            return False
        self.kcalloc -= 1
        return not self.kcalloc


def _errno(bootargs: Mapping[str, str], fault: str) -> int:
    """Return the number of the errno that a fault is to end with, 0 when there is no such fault."""
    name = bootargs.get(f"{_PREFIX}{fault}", "")
    number = getattr(errno, name, 0) if name.startswith("E") else 0
    if name and not number:
        raise ValueError(f"The fault of {fault} is the name of an errno, not {name!r}")
    return number
