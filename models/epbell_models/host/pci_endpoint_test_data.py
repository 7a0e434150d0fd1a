"""The data transfer tests of pci_endpoint_test. Their names are the host's: READ is what the endpoint writes.

The wait for the endpoint's interrupt has no end, as in the kernel: a command that it drops is for ever.
"""

import errno
import random
import zlib

from .dma import DmaBuffer, DmaMemory, map_buffer
from .pci_endpoint_test_regs import Capability, Command, Flag, Register, Status
from .pci_endpoint_test_state import DriverState

__all__ = [
    "TransferTests",
]


class TransferTests:
    """The tests, without the driver's lock.

    Parameters
    ----------
    state
        The driver's state.
    memory
        The host's memory, None for none at all.
    alignment
        What buffers are aligned to unless the endpoint says that it does not mind: 0 or a power of two.
    source
        Where the data come from.
    """

    def __init__(self, state: DriverState, memory: DmaMemory | None, alignment: int, source: random.Random) -> None:
        self._state = state
        self._memory = memory
        self._alignment = alignment
        self._random = source

    async def write(self, size: int, dma: bool) -> int:
        """WRITE: the endpoint reads a buffer and compares its checksum."""
        if not self._is_valid(size):
            return -errno.EINVAL
        data = self._random.randbytes(size)
        buffer = self._map(data)
        if isinstance(buffer, int):
            return buffer
        await self._state.write(Register.CHECKSUM, _checksum(data))
        await self._tell_source(buffer)
        await self._transfer(Command.READ, size, dma)
        status = await self._state.read_status()
        buffer.unmap()
        return 0 if status & Status.READ_SUCCESS else -errno.EIO

    async def read(self, size: int, dma: bool) -> int:
        """READ: the endpoint fills a buffer and leaves its checksum."""
        if not self._is_valid(size):
            return -errno.EINVAL
        buffer = self._map(bytes(size))
        if isinstance(buffer, int):
            return buffer
        await self._tell_destination(buffer)
        await self._transfer(Command.WRITE, size, dma)
        data = buffer.unmap()
        return 0 if _checksum(data) == await self._state.read(Register.CHECKSUM) else -errno.EIO

    async def copy(self, size: int, dma: bool) -> int:
        """COPY: the endpoint copies one buffer to another."""
        if not self._is_valid(size):
            return -errno.EINVAL
        data = self._random.randbytes(size)
        source = self._map(data)
        if isinstance(source, int):
            return source
        await self._tell_source(source)
        destination = self._map(bytes(size))
        if isinstance(destination, int):
            source.unmap()
            return destination
        await self._tell_destination(destination)
        await self._transfer(Command.COPY, size, dma)
        copied = destination.unmap()
        source.unmap()
        return 0 if _checksum(copied) == _checksum(data) else -errno.EIO

    def _is_valid(self, size: int) -> bool:
        return size > 0 and self._state.has_irq_type

    def _map(self, data: bytes) -> DmaBuffer | int:
        alignment = 0 if self._state.caps & Capability.UNALIGNED_ACCESS else self._alignment
        return map_buffer(self._memory, data, alignment)

    async def _tell_source(self, buffer: DmaBuffer) -> None:
        await self._state.write(Register.LOWER_SRC, buffer.low)
        await self._state.write(Register.UPPER_SRC, buffer.high)

    async def _tell_destination(self, buffer: DmaBuffer) -> None:
        await self._state.write(Register.LOWER_DST, buffer.low)
        await self._state.write(Register.UPPER_DST, buffer.high)

    async def _transfer(self, command: Command, size: int, dma: bool) -> None:
        await self._state.write(Register.SIZE, size)
        await self._state.write(Register.FLAGS, Flag.USE_DMA if dma else 0)
        await self._state.command(command)
        await self._state.irq_whenever()


def _checksum(data: bytes) -> int:
    """Return the CRC of both ends: seed of ones, nothing inverted at the end."""
    return zlib.crc32(data) ^ 0xFFFF_FFFF
