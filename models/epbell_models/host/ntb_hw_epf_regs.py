"""The control block of a bridge's endpoint function as the host's ntb_hw_epf accesses it, and its commands.

Follows drivers/ntb/hw/epf/ntb_hw_epf.c.
"""

import errno
from enum import IntEnum

from .pci import PciDevice

__all__ = [
    "MSIX",
    "Command",
    "EpfRegisters",
    "Register",
]

MSIX = 1 << 16
"""Bit of CONFIGURE_DOORBELL's argument, whose lower half is how many vectors there are."""

_OK, _ERROR = 1, 2
_TIMEOUT = 1.0


class Register:
    """Byte offsets. COMMAND_STATUS and LINK_STATUS have 16 bits, the others 32."""

    COMMAND = 0x00
    ARGUMENT = 0x04
    COMMAND_STATUS = 0x08
    LINK_STATUS = 0x0A
    LOWER_ADDR = 0x10
    UPPER_ADDR = 0x14
    LOWER_SIZE = 0x18
    UPPER_SIZE = 0x1C
    MW_COUNT = 0x20
    MW1_OFFSET = 0x24
    SPAD_OFFSET = 0x28
    SPAD_COUNT = 0x2C
    DB_ENTRY_SIZE = 0x30
    DB_DATA = 0x34
    DB_OFFSET = 0xB4


class Command(IntEnum):
    """What may be written to COMMAND."""

    CONFIGURE_DOORBELL = 1
    TEARDOWN_DOORBELL = 2
    CONFIGURE_MW = 3
    TEARDOWN_MW = 4
    LINK_UP = 5
    LINK_DOWN = 6


class EpfRegisters:
    """The block behind a BAR.

    Parameters
    ----------
    device
        The function.
    poll_seconds
        Time from one look at COMMAND_STATUS to the next.

    Attributes
    ----------
    bar
        BAR of the block.
    """

    def __init__(self, device: PciDevice, poll_seconds: float) -> None:
        self._device = device
        self._poll_seconds = poll_seconds
        self._lock = device.platform.lock()
        self.bar = 0

    async def read(self, offset: int) -> int:
        """Read a word."""
        return await self._device.read32(self.bar, offset)

    async def read16(self, offset: int) -> int:
        """Read a half word."""
        return int.from_bytes(await self._device.read(self.bar, offset, 2), "little")

    async def write(self, offset: int, value: int) -> None:
        """Store a word."""
        await self._device.write32(self.bar, offset, value)

    async def send(self, command: int, argument: int) -> int:
        """Give the endpoint a command and wait for the answer, one at a time.

        Returns
        -------
        int
            0; -EINVAL when the endpoint answers with an error, -ETIMEDOUT after a second without an answer.
        """
        platform = self._device.platform
        async with self._lock:
            await self.write(Register.ARGUMENT, argument)
            await self.write(Register.COMMAND, command)
            end = platform.now() + _TIMEOUT
            while True:
                late = platform.now() > end
                status = await self.read16(Register.COMMAND_STATUS)
                if status in (_OK, _ERROR) or late:
                    break
                await platform.sleep(self._poll_seconds)
            await self._device.write(self.bar, Register.COMMAND_STATUS, bytes(2))
        if status == _OK:
            return 0
        return -errno.EINVAL if status == _ERROR else -errno.ETIMEDOUT
