"""What the RAM must hold, as far as the pins tell: two masters write it, and a write may be done a little later."""

from collections import deque
from dataclasses import dataclass

__all__ = [
    "Overwritten",
    "ShadowRam",
]

FOREVER = 1 << 62
_KEPT = 4096


@dataclass
class Overwritten:
    """What a write replaced, and the last cycles in which the host and the CPU may still read it."""

    start: int
    old: bytes
    known: bytes
    host_until: int
    cpu_until: int


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
        self.compared = 0
        self.volatile = range(0)

    def write(self, address: int, data: bytes, enables: int, *, host_until: int, cpu_until: int) -> Overwritten:
        """Store the enabled bytes; until then a read of either master may still see the old ones."""
        start = address - self._base
        end = start + len(data)
        entry = Overwritten(start, bytes(self._data[start:end]), bytes(self._known[start:end]), host_until, cpu_until)
        if enables == (1 << len(data)) - 1:
            self._data[start:end] = data
            self._known[start:end] = b"\x01" * len(data)
        else:
            for index in range(len(data)):
                if enables >> index & 1:
                    self._data[start + index] = data[index]
                    self._known[start + index] = 1
        self._recent.append(entry)
        return entry

    def forget(self, address: int, length: int) -> None:
        """Note that bytes may have any value from now on."""
        start = address - self._base
        self._known[start : start + length] = bytes(length)

    def check(self, address: int, data: bytes, since: int, *, host: bool, what: str) -> None:
        """Compare what a read that began in cycle ``since`` returned with what the RAM held since then."""
        start = address - self._base
        end = start + len(data)
        known = self._known[start:end]
        self.compared += sum(known)
        if all(known) and self._data[start:end] == data:
            return
        for index, byte in enumerate(data, start):
            if index + self._base in self.volatile:
                continue
            if not self._known[index]:
                if not self._was(index, byte, since, host):
                    self._data[index], self._known[index] = byte, 1
            elif byte != self._data[index] and not self._was(index, byte, since, host):
                want = self._data[index]
                raise AssertionError(f"{what}: byte at {self._base + index:#x} is {byte:#04x}, not {want:#04x}")

    def _was(self, index: int, byte: int, since: int, host: bool) -> bool:
        """Return whether a byte may have had a value that was overwritten at or after ``since``."""
        for entry in reversed(self._recent):
            at = index - entry.start
            visible = (entry.host_until if host else entry.cpu_until) >= since
            if visible and 0 <= at < len(entry.old) and (not entry.known[at] or entry.old[at] == byte):
                return True
        return False
