"""MSIs on their way to the host: a queue, and what the host's mask bits hold back."""

from collections import deque

__all__ = [
    "QUEUE_DEPTH",
    "MsiQueue",
]

QUEUE_DEPTH = 16

_ANY = 31


class MsiQueue:
    """What the processor raised, in order, until the host lets us send it.

    A vector that the host masked leaves the queue and is pending, however often it was raised, until the host unmasks
    it: then it is sent once, before what is queued, the lowest vector first. So is every vector while MSI is disabled
    or the function no bus master. Vectors beyond those that the host granted alias to them, also for masking, and also
    the pending ones when it grants fewer; while MSI is disabled nobody knows yet.

    Attributes
    ----------
    queue
        The vectors. Where hardware lets the processor wait for room, this queue grows.
    enabled, multiple, master, mask
        State of the function's MSI capability and command register: MSI enabled, log2 of the vectors, bus master, mask
        bits.
    held, merged
        How many vectors became pending, were pending already.
    """

    def __init__(self) -> None:
        self.queue: deque[int] = deque()
        self.held = self.merged = 0
        self.enabled = self.master = False
        self.multiple = 0
        self.mask = 0
        self._pending = 0

    @property
    def pending(self) -> int:
        """The vectors held back by their mask bits, bit n for vector n."""
        self.update()
        return self._pending

    @property
    def room(self) -> int:
        """How many more vectors hardware would take without waiting."""
        self.update()
        return max(0, QUEUE_DEPTH - len(self.queue))

    @property
    def due(self) -> bool:
        """Whether one is to be sent now."""
        self.update()
        return self.enabled and self.master and bool(self.queue or self._pending & ~self.mask)

    def raise_(self, vector: int) -> None:
        """Queue a vector."""
        self.update()
        self.queue.append(vector)
        self.update()

    def next(self) -> int | None:
        """Take the vector that is to be sent now, None when there is none or the host does not let us."""
        if not self.due:
            return None
        released = self._pending & ~self.mask
        if not released:
            return self.queue.popleft()
        vector = (released & -released).bit_length() - 1
        self._pending &= ~(1 << vector)
        return vector

    def forget(self) -> None:
        """Drop everything."""
        self.queue.clear()
        self._pending = 0

    def update(self) -> None:
        """Let what may not be sent now leave the queue."""
        granted = (1 << self.multiple) - 1 if self.enabled else _ANY
        before = [vector for vector in range(_ANY + 1) if self._pending >> vector & 1]
        self._pending = sum(1 << vector for vector in {vector & granted for vector in before})
        while self.queue and not self._may_go(self.queue[0] & granted):
            bit = 1 << (self.queue.popleft() & granted)
            self.merged += bool(self._pending & bit)
            self.held += not self._pending & bit
            self._pending |= bit

    def _may_go(self, vector: int) -> bool:
        return self.enabled and self.master and not self.mask >> vector & 1
