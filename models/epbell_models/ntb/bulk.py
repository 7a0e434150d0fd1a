"""Bulk transfer over a queue: frames as fast as there is room for them, checked on the other side."""

import errno
import zlib

from ..platform import Platform
from .queue import TransportQueue
from .queue_client import UpNoted
from .transport import NtbTransport

__all__ = [
    "Bulk",
    "Sink",
    "merged_doorbells",
]

_NUMBER = 4


def merged_doorbells(sender: TransportQueue, receiver: TransportQueue) -> int:
    """Return how many of the sender's doorbells told the receiver nothing of their own: one before them did."""
    return max(0, sender.counts.rings - receiver.counts.interrupts)


class Sink(UpNoted):
    """Takes what a `Bulk` on the other side sends.

    Parameters
    ----------
    platform
        Time and tasks.
    transport
        The transport, started; a queue of it is created.

    Attributes
    ----------
    queue
        The queue.
    up
        An event that is set while there is a link.
    received_frames, received_bytes
        What was received.
    gaps
        Frames whose number was not the next.
    received_checksum
        CRC-32 of everything received, in order.
    """

    def __init__(self, platform: Platform, transport: NtbTransport) -> None:
        super().__init__(platform)
        self.received_frames = 0
        self.received_bytes = 0
        self.gaps = 0
        self.received_checksum = 0
        self.queue = transport.create_queue(self)

    async def received(self, queue: TransportQueue, data: bytes) -> None:
        """Count and check a frame."""
        self.gaps += int.from_bytes(data[:_NUMBER], "little") != self.received_frames
        self.received_frames += 1
        self.received_bytes += len(data)
        self.received_checksum = zlib.crc32(data, self.received_checksum)



class Bulk(Sink):
    """Sends frames at full rate; takes what a `Bulk` on the other side sends, so that both ways are busy at once.

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
    sent_frames, sent_bytes
        What was sent.
    sent_checksum
        CRC-32 of everything sent, in order, to compare with the other side's `Sink.received_checksum`.
    """

    def __init__(
        self, platform: Platform, transport: NtbTransport, *, size: int = 1024, retry: float = 100e-6
    ) -> None:
        if size < _NUMBER:
            raise ValueError(f"A frame has at least {_NUMBER} bytes, for its number, not {size!r}")
        super().__init__(platform, transport)
        self._platform = platform
        self._size = size
        self._retry = retry
        self.sent_frames = 0
        self.sent_bytes = 0
        self.sent_checksum = 0

    async def send(self, count: int) -> int:
        """Send ``count`` frames; 0, or the first error other than -EAGAIN."""
        for _ in range(count):
            frame = self._frame()
            while (error := await self.queue.send(frame)) == -errno.EAGAIN:
                await self._platform.sleep(self._retry)
            if error:
                return error
            self.sent_frames += 1
            self.sent_bytes += len(frame)
            self.sent_checksum = zlib.crc32(frame, self.sent_checksum)
        return 0

    def _frame(self) -> bytes:
        """Return the next frame: its number, then bytes that differ from those of its neighbours."""
        number = self.sent_frames
        pattern = bytes((7 * number + index) & 0xFF for index in range(self._size - _NUMBER))
        return number.to_bytes(_NUMBER, "little") + pattern
