"""MSI of a function, set up and taken down (drivers/pci/msi/msi.c)."""

import errno
from collections.abc import Callable

from .config import PciConfig
from .msi import MsiBlock, MsiReceiver

__all__ = [
    "MsiSetup",
]

_CAPABILITY = 0x05
_ENABLE = 1 << 16
_WIDE = 1 << 23
_MASKABLE = 1 << 24
_OFFERED_SHIFT, _GRANTED_SHIFT = 17, 20
_LOWER, _UPPER = 0x4, 0x8


class MsiSetup:
    """The vectors are one block of words: the function puts a vector's number into the low bits of the first word.

    Parameters
    ----------
    config
        Configuration space.
    receiver
        The host's MSI controller.
    limit
        Greatest number of vectors that the host grants.

    Attributes
    ----------
    count
        How many vectors there are, 0 while MSI is not set up.
    """

    def __init__(self, config: PciConfig, receiver: MsiReceiver, limit: int) -> None:
        self._config = config
        self._receiver = receiver
        self._limit = limit
        self._block: MsiBlock | None = None

    @property
    def count(self) -> int:
        """How many vectors there are."""
        return self._block.count if self._block is not None else 0

    async def enable(self, least: int, most: int, deliver: Callable[[int], None]) -> int:
        """Set up a power of two of vectors; return how many, -EINVAL without the capability, -ENOSPC for too few.

        When the host cannot give as many as it wants to, it gives one: a block is had as a whole or not at all, and the
        kernel tries no other size.
        """
        offset = await self._config.find_capability(_CAPABILITY)
        if not offset or self._block is not None:
            return -errno.EINVAL
        control = await self._config.read32(offset)
        granted = min(1 << (control >> _OFFERED_SHIFT & 0x7), most, self._limit)
        granted = 1 << (granted.bit_length() - 1)
        block = None
        for count in (granted, 1):
            if block is None and count >= least:
                block = self._receiver.allocate(count, deliver)
        if block is None:
            return -errno.ENOSPC
        await self._program(offset, control, block)
        self._block = block
        return block.count

    async def disable(self) -> None:
        """Disable MSI and return the vectors."""
        if self._block is None:
            return
        offset = await self._config.find_capability(_CAPABILITY)
        control = await self._config.read32(offset)
        await self._config.write32(offset, control & ~_ENABLE)
        await self._config.let_intx(True)
        self._receiver.release(self._block)
        self._block = None

    async def restore(self) -> None:
        """Write the settings again after the function has forgotten them (__pci_restore_msi_state)."""
        if self._block is None:
            return
        offset = await self._config.find_capability(_CAPABILITY)
        control = await self._config.read32(offset) & ~_ENABLE
        await self._config.write32(offset, control)
        await self._program(offset, control, self._block)

    async def _program(self, offset: int, control: int, block: MsiBlock) -> None:
        """Address, data, no vector masked, number of vectors, and only then the enable bit; INTx off."""
        config = self._config
        wide = bool(control & _WIDE)
        control &= ~(0x7 << _GRANTED_SHIFT | _ENABLE)
        control |= (block.count.bit_length() - 1) << _GRANTED_SHIFT
        await config.write32(offset, control)
        await config.write32(offset + _LOWER, block.address & 0xFFFF_FFFF)
        if wide:
            await config.write32(offset + _UPPER, block.address >> 32)
        await config.write32(offset + (0xC if wide else 0x8), block.data)
        if control & _MASKABLE:
            await config.write32(offset + (0x10 if wide else 0xC), 0)
        await config.let_intx(False)
        await config.write32(offset, control | _ENABLE)
