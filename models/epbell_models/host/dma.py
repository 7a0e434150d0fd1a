"""Buffers of the host's memory that an endpoint may reach (kernel/dma/mapping.c, streaming mappings)."""

import errno
from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "DmaBuffer",
    "DmaMemory",
    "map_buffer",
]


class DmaMemory(Protocol):
    """The host's memory by bus address."""

    def allocate(self, size: int, alignment: int = 8) -> int | None:
        """Give the endpoint ``size`` bytes that nobody has; return their address, None when there are none."""
        ...

    def revoke(self, address: int) -> None:
        """Take back what was allocated at ``address``."""
        ...

    def peek(self, address: int, length: int) -> bytes:
        """Look at bytes, as the host's processor does."""
        ...

    def poke(self, address: int, data: bytes) -> None:
        """Set bytes, as the host's processor does."""
        ...


@dataclass(frozen=True)
class DmaBuffer:
    """A mapped buffer: where it was mapped from, the bus address to give to the endpoint, bytes from there on."""

    memory: DmaMemory
    mapped: int
    address: int
    size: int

    @property
    def low(self) -> int:
        """Lower half of the address."""
        return self.address & 0xFFFF_FFFF

    @property
    def high(self) -> int:
        """Upper half of the address."""
        return self.address >> 32

    def unmap(self) -> bytes:
        """Let the endpoint no longer reach it; return what is in it."""
        self.memory.revoke(self.mapped)
        return self.memory.peek(self.address, self.size)


def map_buffer(memory: DmaMemory | None, data: bytes, alignment: int) -> DmaBuffer | int:
    """Allocate a buffer with ``data`` in it and map it; -ENOMEM when there is no room.

    As many bytes as ``alignment`` (0 or a power of two) are allocated more, and the address rounded up to a multiple of
    it.
    """
    mapped = memory.allocate(len(data) + alignment) if memory is not None else None
    if memory is None or mapped is None:
        return -errno.ENOMEM
    address = -(-mapped // alignment) * alignment if alignment else mapped
    memory.poke(address, data)
    return DmaBuffer(memory, mapped, address, len(data))
