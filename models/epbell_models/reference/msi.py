"""MSIs on their way to the host: a queue, and what the host's mask bits hold back."""

from collections import deque

__all__ = [
    "QUEUE_DEPTH",
    "MsiQueue",
]

QUEUE_DEPTH = 16


class MsiQueue:
    """What the processor raised, in order, until the host lets us send it.

    While MSI is disabled or the function is no bus master the queue stands. Otherwise a vector that the host masked
    leaves it and is pending, however often it was raised, until the host unmasks it: then it is sent once, before what
    is queued, the lowest vector first. Vectors beyond those that the host granted alias to them, also for masking.

    Attributes
    ----------
    queue
        The vectors.
    enabled, multiple, master, mask
        State of the function's MSI capability and command register: MSI enabled, log2 of the vectors, bus master, mask
        bits.
    """

    def __init__(self) -> None:
        self.queue: deque[int] = deque()
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
    def due(self) -> bool:
        """Whether one is to be sent now."""
        self.update()
        return self.enabled and self.master and bool(self.queue or self._pending & ~self.mask)

    def raise_(self, vector: int) -> bool:
        """Queue a vector; False when there is no room."""
        self.update()
        if len(self.queue) == QUEUE_DEPTH:
            return False
        self.queue.append(vector)
        self.update()
        return True

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
        """Let what is masked leave the queue."""
        if not self.enabled or not self.master:
            return
        granted = (1 << self.multiple) - 1
        while self.queue and self.mask >> (self.queue[0] & granted) & 1:
            self._pending |= 1 << (self.queue.popleft() & granted)
