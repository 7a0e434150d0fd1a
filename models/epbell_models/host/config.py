"""Configuration space of one function, as the kernel's PCI core uses it: dwords, the command register, capabilities."""

from typing import Protocol

from ..platform import Bus

__all__ = [
    "COMMAND",
    "COMMAND_INTX_DISABLE",
    "COMMAND_MASTER",
    "COMMAND_MEMORY",
    "PciConfig",
    "PciFunction",
]

COMMAND = 0x04
COMMAND_MEMORY = 1 << 1
COMMAND_MASTER = 1 << 2
COMMAND_INTX_DISABLE = 1 << 10

_STATUS_CAPABILITIES = 1 << 20
_CAPABILITIES = 0x34
_INTERRUPT = 0x3C
_MOST_CAPABILITIES = 48


class PciFunction(Protocol):
    """A function at the other end of a link: configuration space, and the memory bus that reaches its BARs."""

    @property
    def memory(self) -> Bus:
        """The host's memory bus."""
        ...

    async def config_read32(self, offset: int) -> int:
        """Read one dword of configuration space."""
        ...

    async def config_write32(self, offset: int, value: int) -> None:
        """Write one dword of configuration space."""
        ...


class PciConfig:
    """Configuration space.

    Parameters
    ----------
    function
        Access to the function.
    """

    def __init__(self, function: PciFunction) -> None:
        self._function = function

    async def read32(self, offset: int) -> int:
        """Read one dword."""
        return await self._function.config_read32(offset)

    async def write32(self, offset: int, value: int) -> None:
        """Write one dword."""
        await self._function.config_write32(offset, value)

    async def update_command(self, *, set_: int = 0, clear: int = 0) -> None:
        """Change bits of the command register; nothing is written when they are so already."""
        # The upper half is the status register, whose bits a written one would clear.
        value = await self.read32(COMMAND) & 0xFFFF
        wanted = value & ~clear | set_
        if wanted != value:
            await self.write32(COMMAND, wanted)

    async def let_intx(self, allowed: bool) -> None:
        """Set or clear Interrupt Disable."""
        await self.update_command(
            set_=0 if allowed else COMMAND_INTX_DISABLE, clear=COMMAND_INTX_DISABLE if allowed else 0
        )

    async def interrupt_pin(self) -> int:
        """Read which interrupt pin the function has, 1 to 4, 0 for none."""
        return await self.read32(_INTERRUPT) >> 8 & 0xFF

    async def find_capability(self, wanted: int) -> int:
        """Return the offset of a capability, 0 when the function lacks it."""
        if not await self.read32(COMMAND) & _STATUS_CAPABILITIES:
            return 0
        offset = await self.read32(_CAPABILITIES) & 0xFC
        for _ in range(_MOST_CAPABILITIES):
            if not offset:
                break
            header = await self.read32(offset)
            if header & 0xFF == wanted:
                return offset
            offset = header >> 8 & 0xFC
        return 0
