"""What the RAM must hold, as far as the pins tell: two masters write it, and a write may be done a little later.

When the host and the CPU write the same byte at the same time the pins do not tell which of them is last. Either value
may stay; which one it is, the first read after both says, and then it is known.
"""

from collections import deque
from dataclasses import dataclass

__all__ = [
    "Overwritten",
    "ShadowRam",
]

FOREVER = 1 << 62
_KEPT = 4096
_LATEST = 256
_PACKET = 4096
"""Clocks that a packet may take: one that began before may end after another master's write."""


@dataclass
class Overwritten:
    """What a write of a master replaced, and the last cycles in which the host and the CPU may still read it."""

    start: int
    old: bytes
    known: bytes
    host_until: int
    cpu_until: int
    new: bytes
    enables: int
    by_host: bool

    def writes(self, index: int) -> bool:
        """Return whether it writes that byte."""
        at = index - self.start
        return 0 <= at < len(self.new) and bool(self.enables >> at & 1)

    def done(self, since: int) -> bool:
        """Return whether it was done before a cycle."""
        return max(self.host_until, self.cpu_until) < since


class ShadowRam:
    """Contents of the RAM; a byte that nobody wrote yet is learnt from its first read.

    Parameters
    ----------
    base, size
        Local address and size in bytes.

    Attributes
    ----------
    compared
        Bytes that were known when they were read.
    volatile
        Local addresses of bytes that the endpoint itself changes: they may have any value at any time.
    """

    def __init__(self, base: int, size: int) -> None:
        self._base = base
        self._data = bytearray(size)
        self._known = bytearray(size)
        self._recent: deque[Overwritten] = deque(maxlen=_KEPT)
        self._latest = {by_host: deque[Overwritten](maxlen=_LATEST) for by_host in (False, True)}
        self._rivals: dict[int, list[Overwritten]] = {}
        self._unsettled: dict[int, int] = {}
        self.compared = 0
        self.volatile = range(0)

    def write(
        self, address: int, data: bytes, enables: int, *, by_host: bool, since: int, host_until: int, cpu_until: int
    ) -> Overwritten:
        """Store the enabled bytes; until then a read of either master may still see the old ones.

        The write begins in cycle ``since``. What the other master writes at the same time may stay instead.
        """
        start = address - self._base
        end = start + len(data)
        old, known = bytes(self._data[start:end]), bytes(self._known[start:end])
        entry = Overwritten(start, old, known, host_until, cpu_until, data, enables, by_host)
        self._note_rivals(entry, since)
        if enables == (1 << len(data)) - 1:
            self._data[start:end] = data
            self._known[start:end] = b"\x01" * len(data)
        else:
            for index in range(len(data)):
                if enables >> index & 1:
                    self._data[start + index] = data[index]
                    self._known[start + index] = 1
        self._recent.append(entry)
        for index in range(start, end) if self._unsettled else ():
            if entry.writes(index) and self._unsettled.pop(index, -1) >= since and not by_host:
                self.forget(self._base + index, 1, max(host_until, cpu_until))
        return entry

    def known_pages(self, size: int) -> list[int]:
        """Return the offsets of pages of so many bytes of which some byte is known."""
        return [start for start in range(0, len(self._known), size) if any(self._known[start : start + size])]

    def forget(self, address: int, length: int, until: int) -> None:
        """Note that bytes may have any value, which may change until a cycle: a read from then on says what it is."""
        start = address - self._base
        self._known[start : start + length] = bytes(length)
        for index in range(start, start + length):
            self._rivals.pop(index, None)
            self._unsettled[index] = until

    def check(self, address: int, data: bytes, since: int, *, host: bool, what: str) -> None:
        """Compare what a read that began in cycle ``since`` returned with what the RAM held since then."""
        start = address - self._base
        end = start + len(data)
        known = self._known[start:end]
        self.compared += sum(known)
        if all(known) and self._data[start:end] == data and not self._rivals:
            return
        for index, byte in enumerate(data, start):
            if index + self._base in self.volatile:
                continue
            if self._one_of_rivals(index, byte, since):
                continue
            if not self._known[index]:
                if self._unsettled.get(index, -1) < since and not self._was(index, byte, since, host):
                    self._data[index], self._known[index] = byte, 1
                    self._unsettled.pop(index, None)
            elif byte != self._data[index] and not self._was(index, byte, since, host):
                want = self._data[index]
                raise AssertionError(f"{what}: byte at {self._base + index:#x} is {byte:#04x}, not {want:#04x}")

    def _note_rivals(self, entry: Overwritten, since: int) -> None:
        """Note, byte by byte, what the other master has begun to write and may do after this write."""
        end = entry.start + len(entry.new)
        latest = self._latest[not entry.by_host]
        while latest and latest[0].done(since - _PACKET):
            latest.popleft()
        near = [one for one in latest if one.start < end and entry.start < one.start + len(one.new)]
        others = [one for one in near if not one.done(since)]
        self._latest[entry.by_host].append(entry)
        for index in range(entry.start, end) if others or self._rivals else ():
            if not entry.writes(index):
                continue
            rivals = [other for other in others if other.writes(index)]
            if rivals:
                self._rivals[index] = [*rivals, entry]
            else:
                self._rivals.pop(index, None)

    def _one_of_rivals(self, index: int, byte: int, since: int) -> bool:
        """Return whether one of two writes at a time may have left a byte; a read after both says which it was."""
        rivals = self._rivals.get(index)
        if rivals is None or byte not in [rival.new[index - rival.start] for rival in rivals]:
            return False
        if all(rival.done(since) for rival in rivals):
            self._data[index] = byte
            del self._rivals[index]
        return True

    def _was(self, index: int, byte: int, since: int, host: bool) -> bool:
        """Return whether a byte may have had a value that was overwritten at or after ``since``."""
        for entry in reversed(self._recent):
            at = index - entry.start
            visible = (entry.host_until if host else entry.cpu_until) >= since
            if visible and 0 <= at < len(entry.old) and (not entry.known[at] or entry.old[at] == byte):
                return True
        return False
