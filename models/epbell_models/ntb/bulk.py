"""Bulk transfer over a queue: frames as fast as there is room for them, checked on the other side."""

import errno
import zlib

from ..platform import Platform
from .queue import TransportQueue
from .transport import NtbTransport

__all__ = [
    "Bulk",
    "Sink",
]

_NUMBER = 4


class Sink:
    """Takes what a `Bulk` sends.

    Parameters
    ----------
    transport
        The transport, started; a queue of it is created.

    Attributes
    ----------
    queue
        The queue.
    frames, bytes
        What was received.
    gaps
        Frames whose number was not the next.
    checksum
        CRC-32 of everything received, in order.
    """

    def __init__(self, transport: NtbTransport) -> None:
        self.frames = 0
        self.bytes = 0
        self.gaps = 0
        self.checksum = 0
        self.queue = transport.create_queue(self)

    async def received(self, queue: TransportQueue, data: bytes) -> None:
        """Count and check a frame."""
        self.gaps += int.from_bytes(data[:_NUMBER], "little") != self.frames
        self.frames += 1
        self.bytes += len(data)
        self.checksum = zlib.crc32(data, self.checksum)

    async def event(self, queue: TransportQueue, up: bool) -> None:
        """Do nothing."""


class Bulk:
    """Sends frames at full rate.

    Parameters
    ----------
    platform
        Time and tasks.
    transport
        The transport, started; a queue of it is created.
    size
        Bytes of a frame, at least 4: the first four are its number.
    retry
        Seconds until a frame for which there was no room is tried again.

    Attributes
    ----------
    queue
        The queue.
    up
        An event that is set while there is a link.
    frames, bytes
        What was sent.
    checksum
        CRC-32 of everything sent, in order; compare with the `Sink`'s.
    """

    def __init__(
        self, platform: Platform, transport: NtbTransport, *, size: int = 1024, retry: float = 100e-6
    ) -> None:
        if size < _NUMBER:
            raise ValueError(f"A frame has at least {_NUMBER} bytes, for its number, not {size!r}")
        self._platform = platform
        self._size = size
        self._retry = retry
        self.up = platform.event()
        self.frames = 0
        self.bytes = 0
        self.checksum = 0
        self.queue = transport.create_queue(self)

    async def received(self, queue: TransportQueue, data: bytes) -> None:
        """Do nothing: nobody answers."""

    async def event(self, queue: TransportQueue, up: bool) -> None:
        """Note the link."""
        if up:
            self.up.set()
        else:
            self.up.clear()

    async def send(self, count: int) -> int:
        """Send ``count`` frames; 0, or the first error other than -EAGAIN."""
        for _ in range(count):
            frame = self._frame()
            while (error := await self.queue.send(frame)) == -errno.EAGAIN:
                await self._platform.sleep(self._retry)
            if error:
                return error
            self.frames += 1
            self.bytes += len(frame)
            self.checksum = zlib.crc32(frame, self.checksum)
        return 0

    def _frame(self) -> bytes:
        """Return the next frame: its number, then bytes that differ from those of its neighbours."""
        number = self.frames
        pattern = bytes((7 * number + index) & 0xFF for index in range(self._size - _NUMBER))
        return number.to_bytes(_NUMBER, "little") + pattern
