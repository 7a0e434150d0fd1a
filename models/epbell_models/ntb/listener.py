"""A client of a bridge that only listens."""

from dataclasses import dataclass, field
from typing import Any

from ..platform import Platform

__all__ = [
    "Listener",
]


@dataclass
class Listener:
    """An `NtbClient` that remembers what it was told.

    Attributes
    ----------
    platform
        Time.
    heard
        Each event: seconds of Linux's time, and ``"link"`` or the doorbell's vector.
    """

    platform: Platform
    heard: list[tuple[float, Any]] = field(default_factory=list[tuple[float, Any]])

    def link_event(self) -> None:
        """Note that the link may have changed."""
        self.heard.append((self.platform.now(), "link"))

    def db_event(self, vector: int) -> None:
        """Note that a doorbell of a vector was rung."""
        self.heard.append((self.platform.now(), vector))

    def take(self) -> list[Any]:
        """Return what was heard since the last time, without the times."""
        events = [event for _, event in self.heard]
        self.heard.clear()
        return events
