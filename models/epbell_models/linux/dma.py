"""Coherent memory for BARs: naturally aligned pieces of the endpoint's ``memory-region`` (kernel/dma/coherent.c)."""

from ..devicetree import Region

__all__ = [
    "CoherentPool",
]

_PAGE = 0x1000


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
        rounded = max(_PAGE, 1 << (size - 1).bit_length())
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
