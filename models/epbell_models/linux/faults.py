"""What the kernel is told to fail, as with its own fault injection: words of the form ``fault_inject.NAME=VALUE``.

| word | effect |
|---|---|
| ``fault_inject.platform_msi=ENOMEM`` | allocating a device's messages fails with that errno |
| ``fault_inject.dma_map_resource`` | mapping a device's registers for DMA fails |
| ``fault_inject.kcalloc=2`` | the second allocation of memory for a doorbell fails, once |
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
    """

    platform_msi: int = 0
    dma_map_resource: bool = False
    kcalloc: int = 0

    @staticmethod
    def of(bootargs: Mapping[str, str]) -> "Faults":
        """Return what the kernel's command line asks for."""
        name = bootargs.get(f"{_PREFIX}platform_msi", "")
        number = getattr(errno, name, 0) if name.startswith("E") else 0
        if name and not number:
            raise ValueError(f"The fault of platform_msi is the name of an errno, not {name!r}")
        which = bootargs.get(f"{_PREFIX}kcalloc", "0")
        if not which.isdecimal():
            raise ValueError(f"The fault of kcalloc is a number, not {which!r}")
        return Faults(-number, f"{_PREFIX}dma_map_resource" in bootargs, int(which))

    def kcalloc_fails(self) -> bool:
        """Return whether this allocation is the one that fails."""
        if not self.kcalloc:
            return False
        self.kcalloc -= 1
        return not self.kcalloc
