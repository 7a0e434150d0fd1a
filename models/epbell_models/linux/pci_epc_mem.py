"""Addresses of the processor that outbound windows can be put behind (drivers/pci/endpoint/pci-epc-mem.c)."""

from dataclasses import dataclass

from ..devicetree import Region

__all__ = [
    "EpcMap",
    "EpcMemory",
]


@dataclass(frozen=True)
class EpcMap:
    """Memory of the host as the processor reaches it.

    Attributes
    ----------
    pci_addr, pci_size
        What is mapped of that which was asked for, from its first byte on.
    map_pci_addr, map_size
        What had to be mapped for it, since windows have a granularity.
    base
        Where the mapping starts.
    address
        Where the byte at ``pci_addr`` is.
    """

    pci_addr: int
    pci_size: int
    map_pci_addr: int
    map_size: int
    base: int
    address: int


class EpcMemory:
    """The address space given to outbound windows.

    Parameters
    ----------
    region
        All of it.
    page_size
        Bytes of the smallest piece, a power of two.
    """

    def __init__(self, region: Region, page_size: int) -> None:
        self._region = region
        self._page_size = page_size
        self._used: dict[int, int] = {}

    @property
    def used(self) -> int:
        """Bytes handed out."""
        return sum(self._used.values())

    def alloc(self, size: int) -> int | None:
        """Return the address of a piece, a power of two of pages and aligned to that; None when there is none."""
        length = self._rounded(size)
        end = self._region.size // self._page_size * self._page_size
        for offset in range(0, end - length + 1, length):
            address = self._region.address + offset
            if all(address + length <= start or start + used <= address for start, used in self._used.items()):
                self._used[address] = length
                return address
        return None

    def free(self, address: int, size: int) -> None:
        """Return a piece; address and size must be those of `alloc`."""
        if self._used.get(address) != self._rounded(size):
            raise RuntimeError(f"Nothing of {size:#x} bytes was handed out at {address:#x}")
        del self._used[address]

    def _rounded(self, size: int) -> int:
        pages = -(-size // self._page_size)
        return self._page_size << (pages - 1).bit_length()
