"""The control block of pci-epf-vntb at the start of its config BAR: offsets, commands, and access by the processor.

Follows drivers/pci/endpoint/functions/pci-epf-vntb.c; the host's driver is drivers/ntb/hw/epf/ntb_hw_epf.c. Behind the
block are two rows of scratchpads: the first is the host's own, the second the endpoint's.
"""

from enum import IntEnum

from .bar_block import BarBlock

__all__ = [
    "BLOCK_SIZE",
    "MSIX_ENABLE",
    "SLOTS",
    "Command",
    "CommandStatus",
    "Control",
    "ControlBlock",
]

BLOCK_SIZE = 0x134
"""Bytes of the block; the scratchpads follow."""

SLOTS = 32
"""Doorbell slots that the block has room for."""

MSIX_ENABLE = 1 << 16
"""Bit of CONFIGURE_DOORBELL's argument: the host takes MSI-X. Below it is how many vectors the host has."""

_LINK_UP = 1 << 0


class Control:
    """Byte offsets. COMMAND_STATUS and LINK_STATUS have 16 bits, ADDR and SIZE two words, everything else 32 bits."""

    COMMAND = 0x00
    ARGUMENT = 0x04
    COMMAND_STATUS = 0x08
    LINK_STATUS = 0x0A
    TOPOLOGY = 0x0C
    ADDR = 0x10
    SIZE = 0x18
    NUM_MWS = 0x20
    RESERVED = 0x24
    SPAD_OFFSET = 0x28
    SPAD_COUNT = 0x2C
    DB_ENTRY_SIZE = 0x30
    DB_DATA = 0x34
    DB_OFFSET = 0xB4


class Command(IntEnum):
    """What the host may write to COMMAND."""

    CONFIGURE_DOORBELL = 1
    TEARDOWN_DOORBELL = 2
    CONFIGURE_MW = 3
    TEARDOWN_MW = 4
    LINK_UP = 5
    LINK_DOWN = 6


class CommandStatus(IntEnum):
    """How the function answers; the host writes zero when it has seen it."""

    OK = 1
    ERROR = 2


class ControlBlock(BarBlock):
    """The block in memory."""

    async def clear(self, spads: int) -> None:
        """Zero the block and both rows of ``spads`` scratchpads, as memory is that the kernel allocates for DMA."""
        await self._bus.write(self.address, bytes(BLOCK_SIZE + 8 * spads))

    async def read16(self, offset: int) -> int:
        """Read a half word."""
        return int.from_bytes(await self._bus.read(self.address + offset, 2), "little")

    async def write16(self, offset: int, value: int) -> None:
        """Write a half word, and nothing beside it."""
        await self._bus.write(self.address + offset, int(value).to_bytes(2, "little"))

    async def set_link(self, up: bool) -> None:
        """Set or clear the link's bit."""
        status = await self.read16(Control.LINK_STATUS)
        await self.write16(Control.LINK_STATUS, status | _LINK_UP if up else status & ~_LINK_UP)

    async def publish(self, slot: int, data: int, offset: int) -> None:
        """Say what the host must store to ring a slot, and where behind the slot's entry."""
        await self.write(Control.DB_DATA + 4 * slot, data)
        await self.write(Control.DB_OFFSET + 4 * slot, offset)

    async def spad(self, index: int, *, host: bool) -> int:
        """Return the offset of a scratchpad of the host's row or the endpoint's; as in the kernel, no index is refused.

        Where the rows are and how long is read from the block each time, as the kernel does, though the host can write
        there.
        """
        first = await self.read(Control.SPAD_OFFSET)
        count = await self.read(Control.SPAD_COUNT)
        return first + 4 * (index if host else count + index)
