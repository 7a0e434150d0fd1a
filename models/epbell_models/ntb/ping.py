"""Ping over a queue: frames that the other side sends back, and how long each was on its way."""

from ..platform import Platform
from .queue import TransportQueue
from .queue_client import UpNoted
from .transport import NtbTransport

__all__ = [
    "Echo",
    "Ping",
]

_NUMBER = 4


class Echo:
    """Sends every frame back, from the handler that received it.

    Parameters
    ----------
    transport
        The transport, started; a queue of it is created.

    Attributes
    ----------
    queue
        The queue.
    answered, refused
        Frames sent back, and those for which there was no room or no link.
    """

    def __init__(self, transport: NtbTransport) -> None:
        self.answered = 0
        self.refused = 0
        self.queue = transport.create_queue(self)

    async def received(self, queue: TransportQueue, data: bytes) -> None:
        """Answer."""
        if await queue.send(data):
            self.refused += 1
        else:
            self.answered += 1

    async def event(self, queue: TransportQueue, up: bool) -> None:
        """Do nothing."""


class Ping(UpNoted):
    """Sends frames to an `Echo`, one at a time.

    Parameters
    ----------
    platform
        Time and tasks.
    transport
        The transport, started; a queue of it is created.
    size
        Bytes of a frame, at least 4: the first four are its number.
    timeout
        Seconds after which an answer is no longer waited for.

    Attributes
    ----------
    queue
        The queue.
    up
        An event that is set while there is a link. The peer's queue may come up 10 ms later, and a ping wait for it.
    times
        Seconds from just before each frame was sent to its answer, in order.
    sent, lost
        Frames sent; those without an answer in time.
    refused
        Frames that the queue did not take.
    strangers
        Answers that nobody waited for: late, twice, or with other bytes than were sent.
    """

    def __init__(self, platform: Platform, transport: NtbTransport, *, size: int = 64, timeout: float = 1.0) -> None:
        if size < _NUMBER:
            raise ValueError(f"A ping has at least {_NUMBER} bytes, for its number, not {size!r}")
        super().__init__(platform)
        self._platform = platform
        self._size = size
        self._timeout = timeout
        self._awaited: bytes | None = None
        self._arrived = 0.0
        self._answer = platform.event()
        self.times: list[float] = []
        self.sent = 0
        self.lost = 0
        self.refused = 0
        self.strangers = 0
        self.queue = transport.create_queue(self)

    async def received(self, queue: TransportQueue, data: bytes) -> None:
        """Note when the answer arrived."""
        if data != self._awaited:
            self.strangers += 1
            return
        self._awaited = None
        self._arrived = self._platform.now()
        self._answer.set()

    async def once(self) -> float | None:
        """Send one frame and wait for its answer; return the seconds that took, None when there was none."""
        frame = self._frame(self.sent)
        self._answer.clear()
        self._awaited = frame
        start = self._platform.now()
        if await self.queue.send(frame):
            self._awaited = None
            self.refused += 1
            return None
        self.sent += 1
        if not await self._answer.wait(self._timeout):
            self._awaited = None
            self.lost += 1
            return None
        self.times.append(self._arrived - start)
        return self.times[-1]

    def _frame(self, number: int) -> bytes:
        """Return a frame: its number, then bytes that differ from those of its neighbours."""
        pattern = bytes((number + index) & 0xFF for index in range(self._size - _NUMBER))
        return number.to_bytes(_NUMBER, "little") + pattern
