"""MSI-X: the table and the pending bits in the endpoint's RAM, and which message is to be sent (PCI Express, 6.1.4).

An event is raised by vector. While MSI-X is disabled, the function or the vector masked or the function no bus master,
the vector is pending: its bit in the PBA says so, raising it again changes nothing but a count, and it is sent once
when the obstacle has gone. The bit is cleared before the message leaves.
"""

from collections import deque
from typing import Protocol

__all__ = [
    "FIFO_DEPTH",
    "Msix",
]

FIFO_DEPTH = 16

_ENTRY = 16
_DATA, _VECTOR_CONTROL = 8, 12
_MASKED = 1 << 0


class Memory(Protocol):
    """The RAM by local address, dword by dword."""

    def read32(self, address: int) -> int:
        """Read an aligned dword."""
        ...

    def write32(self, address: int, value: int) -> None:
        """Write an aligned dword."""
        ...


class Msix:
    """The engine.

    Parameters
    ----------
    memory
        Where table and PBA are.

    Attributes
    ----------
    table, pba
        Addresses of both in that memory.
    on, last
        Whether they are set up, and the highest vector.
    enabled, function_mask, master
        State of the function's MSI-X capability and command register.
    queue
        Vectors that nothing holds back, in the order in which they go. Where hardware lets the processor wait for room,
        this queue grows.
    sent, held, merged, refused
        How many messages went, vectors became pending, were raised while pending, were raised though they do not exist.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.enabled = self.function_mask = self.master = False
        self.queue: deque[int] = deque()
        self._pending: set[int] = set()
        self.reset()

    def reset(self) -> None:
        """Forget the table and everything raised."""
        self.table = self.pba = self.last = 0
        self.on = False
        self.queue.clear()
        self._pending.clear()
        self.clear_counts()

    def clear_counts(self) -> None:
        """Zero the counters."""
        self.sent = self.held = self.merged = self.refused = 0

    def forget(self) -> None:
        """Drop everything raised, as a reset of the function does; what is set up stays."""
        self.queue.clear()
        for vector in sorted(self._pending):
            self._mark(vector, False)
        self._pending.clear()

    @property
    def room(self) -> int:
        """How many more vectors hardware would take without waiting."""
        return max(0, FIFO_DEPTH - len(self.queue))

    @property
    def pending(self) -> frozenset[int]:
        """The vectors held back."""
        return frozenset(self._pending)

    def raise_(self, vector: int) -> None:
        """Tell the host of an event."""
        if not self.on or vector > self.last:
            self.refused += 1
            return
        if vector in self._pending:
            self.merged += 1
            return
        if self._is_held_back(vector):
            self._hold(vector)
        else:
            self.queue.append(vector)

    def update(self) -> None:
        """Follow a change of what holds vectors back: of the host's settings, or of the table."""
        for vector in [vector for vector in self.queue if self._is_held_back(vector)]:
            self.queue.remove(vector)
            self._hold(vector)
        for vector in sorted(self._pending) if self._may_send() else ():
            if not self._is_held_back(vector):
                self._pending.discard(vector)
                self._mark(vector, False)
                self.queue.append(vector)

    def next(self) -> tuple[int, int] | None:
        """Take the message to be sent now, address and word; None when there is none."""
        while self.queue:
            vector = self.queue.popleft()
            if self._is_held_back(vector):
                self._hold(vector)
                continue
            entry = self._entry(vector)
            self.sent += 1
            address = self._memory.read32(entry + 4) << 32 | self._memory.read32(entry) & ~0x3
            return address, self._memory.read32(entry + _DATA)
        return None

    def _hold(self, vector: int) -> None:
        if vector in self._pending:
            self.merged += 1
            return
        self._pending.add(vector)
        self._mark(vector, True)
        self.held += 1

    def _may_send(self) -> bool:
        return self.on and self.enabled and self.master and not self.function_mask

    def _is_held_back(self, vector: int) -> bool:
        if not self._may_send() or vector > self.last:
            return True
        return bool(self._memory.read32(self._entry(vector) + _VECTOR_CONTROL) & _MASKED)

    def _entry(self, vector: int) -> int:
        return self.table + _ENTRY * vector

    def _mark(self, vector: int, pending: bool) -> None:
        address, bit = self.pba + 4 * (vector // 32), 1 << vector % 32
        word = self._memory.read32(address)
        self._memory.write32(address, word | bit if pending else word & ~bit)
