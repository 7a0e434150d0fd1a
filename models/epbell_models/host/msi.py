"""Where a host receives MSIs: an address, a word per vector, and a call per message.

Every message is counted, also when several arrive before anybody looks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "MsiBlock",
    "MsiController",
    "MsiReceiver",
]


@dataclass(frozen=True)
class MsiBlock:
    """Vectors of one function: ``count`` (a power of two) words from ``data``, which is a multiple of it."""

    address: int
    data: int
    count: int


class MsiReceiver(Protocol):
    """What a driver core needs of the host's MSI controller."""

    def allocate(self, count: int, callback: Callable[[int], None]) -> MsiBlock | None:
        """Reserve ``count`` vectors; ``callback`` gets the vector's index per message. None when there are too few."""
        ...

    def release(self, block: MsiBlock) -> None:
        """Return vectors."""
        ...


class MsiController:
    """A receiver in plain Python.

    Parameters
    ----------
    address
        Bus address of the message window, 4 bytes.
    vectors
        How many words it knows; also the greatest block.

    Attributes
    ----------
    strays
        Words received that belong to nobody.
    """

    def __init__(self, address: int = 0xFEE0_0000, vectors: int = 64) -> None:
        self.address = address
        self.strays: list[int] = []
        self._vectors = vectors
        self._blocks: dict[MsiBlock, Callable[[int], None]] = {}

    def allocate(self, count: int, callback: Callable[[int], None]) -> MsiBlock | None:
        """Reserve the lowest aligned block of ``count`` vectors."""
        for data in range(0, self._vectors - count + 1, count):
            if all(data + count <= used.data or used.data + used.count <= data for used in self._blocks):
                block = MsiBlock(self.address, data, count)
                self._blocks[block] = callback
                return block
        return None

    def release(self, block: MsiBlock) -> None:
        """Return vectors."""
        del self._blocks[block]

    def deliver(self, data: int) -> None:
        """Take one message, the 32-bit word written to the window."""
        for block, callback in self._blocks.items():
            if block.data <= data < block.data + block.count:
                callback(data - block.data)
                return
        self.strays.append(data)
