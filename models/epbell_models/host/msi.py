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
        self._vectors = vectors
        self._owners: dict[int, tuple[MsiBlock, Callable[[int], None]]] = {}

    def allocate(self, count: int, callback: Callable[[int], None]) -> MsiBlock | None:
        """Reserve the lowest aligned block of ``count`` vectors."""
        for data in range(0, self._vectors - count + 1, count):
            words = range(data, data + count)
            if not any(word in self._owners for word in words):
                block = MsiBlock(self.address, data, count)
                self._owners.update(dict.fromkeys(words, (block, callback)))
                return block
        return None

    def release(self, block: MsiBlock) -> None:
        """Return vectors."""
        for word in range(block.data, block.data + block.count):
            del self._owners[word]

    def deliver(self, data: int) -> None:
        """Take one message, the 32-bit word written to the window."""
        if data not in self._owners:
            self.strays.append(data)
            return
        block, callback = self._owners[data]
        callback(data - block.data)
