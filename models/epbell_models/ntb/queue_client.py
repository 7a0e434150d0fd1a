"""Who uses a queue of ntb_transport, and what the queue tells: events, counts, the steps of a frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..platform import Platform

if TYPE_CHECKING:
    from .queue import TransportQueue

__all__ = [
    "QueueClient",
    "QueueCounts",
    "Trace",
    "UpNoted",
]

Trace = Callable[[str, float], None]
"""Called with a step and its time: "store" before a frame's first store, "ring" before its doorbell, "irq" when the
driver tells of a doorbell, "received" before the client's handler."""


class QueueClient(Protocol):
    """Who sends and receives. Neither call is made while the same is still awaited."""

    async def received(self, queue: TransportQueue, data: bytes) -> None:
        """Take a frame, in the tasklet's context: the next one waits."""
        ...

    async def event(self, queue: TransportQueue, up: bool) -> None:
        """Take note that the queue's link is up, or down."""
        ...


class UpNoted:
    """Half a `QueueClient`: keeps an event set while there is a link.

    Parameters
    ----------
    platform
        Time and tasks.

    Attributes
    ----------
    up
        The event.
    """

    def __init__(self, platform: Platform) -> None:
        self.up = platform.event()

    async def event(self, queue: TransportQueue, up: bool) -> None:
        """Note the link."""
        if up:
            self.up.set()
        else:
            self.up.clear()


@dataclass
class QueueCounts:
    """What a queue has seen since it was created.

    Attributes
    ----------
    sent, sent_bytes, full
        Frames sent and their bytes; how often there was no room.
    rings
        Doorbells that were rung for them, the frame that says goodbye included.
    interrupts
        How often the driver told of a doorbell that may be this queue's.
    received, received_bytes
        Frames received and their bytes.
    empty
        Looks at a frame that was not there (yet).
    versions, overflows
        Frames that were refused: another version than the next, longer than there is room for.
    """

    sent: int = 0
    sent_bytes: int = 0
    full: int = 0
    rings: int = 0
    interrupts: int = 0
    received: int = 0
    received_bytes: int = 0
    empty: int = 0
    versions: int = 0
    overflows: int = 0
