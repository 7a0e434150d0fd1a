"""MSI-X of a function, its table programmed entry by entry (drivers/pci/msi/msi.c).

Every entry stays masked until somebody requests its vector, and is masked again when he no longer wants it.
"""

import errno
from collections.abc import Callable, Sequence
from typing import Protocol

from .config import PciConfig
from .msi import MsiBlock, MsiReceiver

__all__ = [
    "BarAccess",
    "MsixSetup",
]

_CAPABILITY = 0x11
_ENABLE = 1 << 31
_MASK_ALL = 1 << 30
_TABLE = 0x4
_ENTRY = 16
_LOWER, _UPPER, _DATA, _VECTOR_CONTROL = 0x0, 0x4, 0x8, 0xC
_MASKED = 1 << 0


class BarAccess(Protocol):
    """What is needed of the function's BARs."""

    @property
    def resources(self) -> Sequence[object]:
        """Six BARs, None for one that does not exist."""
        ...

    async def read32(self, bar: int, offset: int) -> int:
        """Read a dword of a BAR."""
        ...

    async def write32(self, bar: int, offset: int, value: int) -> None:
        """Store a dword to a BAR."""
        ...


class MsixSetup:
    """Each vector has a message of its own.

    Parameters
    ----------
    config
        Configuration space.
    bars
        The BARs, one of which has the table.
    receiver
        The host's MSI controller.
    limit
        Greatest number of vectors that the host grants.
    """

    def __init__(self, config: PciConfig, bars: BarAccess, receiver: MsiReceiver, limit: int) -> None:
        self._config = config
        self._bars = bars
        self._receiver = receiver
        self._limit = limit
        self._blocks: list[MsiBlock] = []
        self._masked: list[bool] = []
        self._bar = self._table = 0

    @property
    def count(self) -> int:
        """How many vectors there are, 0 while MSI-X is not set up."""
        return len(self._blocks)

    async def enable(self, least: int, most: int, deliver: Callable[[int], None]) -> int:
        """Set up as many vectors as function and host have.

        Returns
        -------
        int
            How many there are; -EINVAL without the capability, -ENOSPC for too few, -ENOMEM when the table is in a BAR
            that does not exist.
        """
        offset = await self._config.find_capability(_CAPABILITY)
        if not offset or self._blocks:
            return -errno.EINVAL
        control = await self._config.read32(offset)
        offered = (control >> 16 & 0x7FF) + 1
        where = await self._config.read32(offset + _TABLE)
        self._bar, self._table = where & 0x7, where & ~0x7
        if self._bar >= len(self._bars.resources) or self._bars.resources[self._bar] is None:
            return -errno.ENOMEM
        blocks = self._allocate(min(offered, most, self._limit), deliver)
        if len(blocks) < least:
            self._release(blocks)
            return -errno.ENOSPC
        await self._program(offset, control & ~(_ENABLE | _MASK_ALL), offered, blocks)
        self._blocks = blocks
        self._masked = [True] * len(blocks)
        return len(blocks)

    async def disable(self) -> None:
        """Mask every vector, disable MSI-X and return the vectors."""
        if not self._blocks:
            return
        offset = await self._config.find_capability(_CAPABILITY)
        control = await self._config.read32(offset)
        for index in range(len(self._blocks)):
            await self._bars.write32(self._bar, self._entry(index) + _VECTOR_CONTROL, _MASKED)
        await self._bars.read32(self._bar, self._entry(0) + _VECTOR_CONTROL)
        await self._config.write32(offset, control & ~_ENABLE)
        await self._config.let_intx(True)
        self._release(self._blocks)
        self._blocks = []

    async def mask(self, index: int, masked: bool) -> None:
        """Mask or unmask a vector; masking is read back, so that no message follows it."""
        at = self._entry(index) + _VECTOR_CONTROL
        self._masked[index] = masked
        await self._bars.write32(self._bar, at, _MASKED if masked else 0)
        if masked:
            await self._bars.read32(self._bar, at)

    async def restore(self) -> None:
        """Write the settings again after the function has forgotten them (__pci_restore_msix_state)."""
        if not self._blocks:
            return
        offset = await self._config.find_capability(_CAPABILITY)
        control = await self._config.read32(offset) & ~(_ENABLE | _MASK_ALL)
        await self._config.let_intx(False)
        await self._config.write32(offset, control | _ENABLE | _MASK_ALL)
        await self._write_messages(self._blocks)
        for index, masked in enumerate(self._masked):
            await self._bars.write32(self._bar, self._entry(index) + _VECTOR_CONTROL, _MASKED if masked else 0)
        await self._config.write32(offset, control | _ENABLE)

    async def _program(self, offset: int, control: int, offered: int, blocks: list[MsiBlock]) -> None:
        """Enable with all of the function masked, write messages, mask every entry, INTx off, then let it go."""
        await self._config.write32(offset, control | _ENABLE | _MASK_ALL)
        await self._write_messages(blocks)
        # The entry is in the function when a read of it has come back.
        await self._bars.read32(self._bar, self._entry(len(blocks) - 1) + _DATA)
        await self._config.let_intx(False)
        for index in range(offered):
            await self._bars.write32(self._bar, self._entry(index) + _VECTOR_CONTROL, _MASKED)
        await self._config.write32(offset, control | _ENABLE)

    async def _write_messages(self, blocks: list[MsiBlock]) -> None:
        for index, block in enumerate(blocks):
            entry = self._entry(index)
            await self._bars.write32(self._bar, entry + _LOWER, block.address & 0xFFFF_FFFF)
            await self._bars.write32(self._bar, entry + _UPPER, block.address >> 32)
            await self._bars.write32(self._bar, entry + _DATA, block.data)

    def _entry(self, index: int) -> int:
        return self._table + _ENTRY * index

    def _allocate(self, count: int, deliver: Callable[[int], None]) -> list[MsiBlock]:
        blocks: list[MsiBlock] = []
        for index in range(count):
            block = self._receiver.allocate(1, lambda _, index=index: deliver(index))
            if block is None:
                break
            blocks.append(block)
        return blocks

    def _release(self, blocks: list[MsiBlock]) -> None:
        for block in blocks:
            self._receiver.release(block)
