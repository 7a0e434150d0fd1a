"""Memory for BARs, and device registers as DMA masters address them.

`CoherentPool` hands out naturally aligned pieces of the endpoint's ``memory-region`` (kernel/dma/coherent.c).
`DmaMappings` keeps account of what dma_map_resource() handed out (kernel/dma/mapping.c).
"""

from ..devicetree import Region
from .faults import Faults

__all__ = [
    "PAGE_SIZE",
    "CoherentPool",
    "DmaMappings",
]

PAGE_SIZE = 0x1000
"""Bytes that a mapping starts and ends at a multiple of."""


class CoherentPool:
    """A first-fit pool.

    Parameters
    ----------
    region
        The memory to hand out.
    """

    def __init__(self, region: Region) -> None:
        self._region = region
        self._used: dict[int, int] = {}

    def alloc(self, size: int) -> int | None:
        """Return the address of ``size`` bytes, rounded up to a power of two of pages; None when there are none."""
        rounded = max(PAGE_SIZE, 1 << (size - 1).bit_length())
        end = self._region.address + self._region.size
        address = -(-self._region.address // rounded) * rounded
        while address + rounded <= end:
            if all(address + rounded <= start or start + length <= address for start, length in self._used.items()):
                self._used[address] = rounded
                return address
            address += rounded
        return None

    def free(self, address: int) -> None:
        """Return memory to the pool."""
        del self._used[address]


class DmaMappings:
    """Mappings of device registers for the endpoint controller as DMA master.

    Parameters
    ----------
    faults
        Whether to fail.
    offset
        What an IOMMU adds to a physical address; 0 without one, as in this design.

    Attributes
    ----------
    live
        Size of each mapping that is not undone yet, by its first IOVA; twice the same page is a list of two.
    mapped, unmapped
        How often each was done.
    """

    def __init__(self, faults: Faults | None = None, *, offset: int = 0) -> None:
        self._faults = faults if faults is not None else Faults()
        self.offset = offset
        self.live: dict[int, list[int]] = {}
        self.mapped = 0
        self.unmapped = 0

    def map_resource(self, address: int, size: int) -> int | None:
        """Map whole pages of registers; return the first IOVA, None when it fails."""
        if address % PAGE_SIZE or size % PAGE_SIZE or size <= 0:
            raise ValueError(f"A mapping is whole pages, not {size:#x} bytes at {address:#x}")
        if self._faults.dma_map_resource:
            return None
        self.mapped += 1
        self.live.setdefault(address + self.offset, []).append(size)
        return address + self.offset

    def unmap_resource(self, iova: int, size: int) -> None:
        """Undo a mapping; it must be one."""
        sizes = self.live.get(iova, [])
        if size not in sizes:
            raise RuntimeError(f"Nothing of {size:#x} bytes is mapped at {iova:#x}")
        self.unmapped += 1
        sizes.remove(size)
        if not sizes:
            del self.live[iova]
