"""What the host reads of a function's errors: Status, Device Status, and Advanced Error Reporting."""

from dataclasses import dataclass

from epbell_models.host.config import COMMAND
from epbell_models.host.pci import PciDevice
from epbell_tb.endpoint.drivers import HostFunction

__all__ = [
    "CORRECTABLE",
    "FATAL",
    "NONFATAL",
    "REQUESTS",
    "ErrorRegisters",
    "Errors",
]

CORRECTABLE, NONFATAL, FATAL, REQUESTS = 1, 2, 4, 8
"""Bits of Device Control and of Device Status: enables, and what was detected (PCI Express, 7.5.3.4 and 7.5.3.5)."""

_EXPRESS = 0x10
_CONTROL = 0x08
_AER, _AER_ID = 0x100, 0x0001
_STATUS, _CORRECTABLE_STATUS, _CORRECTABLE_MASK, _CONTROL_AER, _HEADER = 0x04, 0x10, 0x14, 0x18, 0x1C
_ADVISORY = 1 << 13
_ERRORS = 0xF
_PCI_STATUS = 0xF900
_ALL = 0xFFFF_FFFF


@dataclass(frozen=True)
class Errors:
    """What a function tells of errors.

    Attributes
    ----------
    status
        The error bits of Status.
    device
        Those of Device Status.
    uncorrectable, correctable
        The status registers of AER.
    first, header
        First Error Pointer, and the header log.
    """

    status: int
    device: int
    uncorrectable: int
    correctable: int
    first: int
    header: tuple[int, int, int, int]


class ErrorRegisters:
    """The registers of a function.

    Parameters
    ----------
    device
        The device, to find capabilities.
    function
        Its configuration space.
    """

    def __init__(self, device: PciDevice, function: HostFunction) -> None:
        self._device = device
        self._function = function

    async def enable(self, what: int, *, advisory: bool = False) -> None:
        """Let the function send messages of some kinds; of advisory errors, too, if told."""
        control = await self._device.find_capability(_EXPRESS) + _CONTROL
        value = await self._function.config_read32(control)
        await self._function.config_write32(control, value & 0xFFF0 | what)
        header = await self._function.config_read32(_AER)
        assert header & 0xFFFF == _AER_ID, f"no Advanced Error Reporting at {_AER:#x}: {header:#x}"
        await self._function.config_write32(_AER + _CORRECTABLE_MASK, 0 if advisory else _ADVISORY)

    async def read(self) -> Errors:
        """Read all of them, and clear what can be cleared."""
        read, write = self._function.config_read32, self._function.config_write32
        control = await self._device.find_capability(_EXPRESS) + _CONTROL
        command, device = await read(COMMAND), await read(control)
        uncorrectable, correctable = await read(_AER + _STATUS), await read(_AER + _CORRECTABLE_STATUS)
        pointer = await read(_AER + _CONTROL_AER)
        one, two, three, four = [await read(_AER + _HEADER + 4 * n) for n in range(4)]
        await write(COMMAND, command)
        await write(control, device)
        await write(_AER + _STATUS, _ALL)
        await write(_AER + _CORRECTABLE_STATUS, _ALL)
        return Errors(
            command >> 16 & _PCI_STATUS,
            device >> 16 & _ERRORS,
            uncorrectable,
            correctable,
            pointer & 0x1F,
            (one, two, three, four),
        )
