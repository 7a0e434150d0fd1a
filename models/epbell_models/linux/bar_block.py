"""Registers that a function keeps in the memory behind a BAR, as its own processor accesses them."""

from .pci_epc import NO_BAR, PciEpc

__all__ = [
    "BarBlock",
]


class BarBlock:
    """A block of little-endian registers.

    Parameters
    ----------
    epc
        Endpoint controller; its bus is the processor's.

    Attributes
    ----------
    bar
        BAR that shows the block.
    address
        Where the processor finds it.
    """

    def __init__(self, epc: PciEpc) -> None:
        self._bus = epc.bus
        self.bar = NO_BAR
        self.address = 0

    async def read(self, offset: int) -> int:
        """Read a word."""
        return await self._bus.read32(self.address + offset)

    async def read64(self, offset: int) -> int:
        """Read two words, the lower one first."""
        low = await self.read(offset)
        return await self.read(offset + 4) << 32 | low

    async def write(self, offset: int, value: int) -> None:
        """Write a word."""
        await self._bus.write32(self.address + offset, int(value) & 0xFFFF_FFFF)
