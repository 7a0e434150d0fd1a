"""What the scoreboard waits for."""

from collections.abc import Callable
from dataclasses import dataclass, field

from epbell_tb.endpoint.packets import Request

__all__ = ["Expected", "Raise"]


@dataclass
class Expected:
    """A non-posted request and what its completions brought so far: the words of registers if they are predictable."""

    request: Request
    status: int
    ram: int | None = None
    words: bytes | None = None
    edma: bool = False
    data: bytearray = field(default_factory=bytearray)
    pieces: int = 0


@dataclass
class Raise:
    """A write that raises an interrupt: since when, what counts it if it is refused, who is told of its end."""

    since: int
    refused: str
    ended: Callable[[bool | None], None]
