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
    """Vectors of one function: ``count`` words from ``data``, which is a multiple of it."""

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
        self._used = bytearray(vectors)
        self._owners: dict[int, tuple[MsiBlock, Callable[[int], None]]] = {}

    def allocate(self, count: int, callback: Callable[[int], None]) -> MsiBlock | None:
        """Reserve the lowest aligned block of ``count`` vectors."""
        data = self._used.find(bytes(count))
        while data > 0 and data % count:
            # Free from here on, but the block has to begin at a multiple of its length.
            data = self._used.find(bytes(count), data + count - data % count)
        if data < 0:
            return None
        block = MsiBlock(self.address, data, count)
        for word in range(data, data + count):
            self._used[word] = 1
            self._owners[word] = block, callback
        return block

    def release(self, block: MsiBlock) -> None:
        """Return vectors."""
        for word in range(block.data, block.data + block.count):
            self._used[word] = 0
            del self._owners[word]

    def deliver(self, data: int) -> None:
        """Take one message, the 32-bit word written to the window."""
        if data not in self._owners:
            self.strays.append(data)
            return
        block, callback = self._owners[data]
        callback(data - block.data)
