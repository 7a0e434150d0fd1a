"""Whether a reset is on, followed by its edges: whoever looks in every clock would read the pin in every clock."""

from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import ValueChange

__all__ = [
    "InReset",
]


class InReset:
    """True at a clock edge at which the reset is high.

    Parameters
    ----------
    reset
        The pin.
    begins
        Called when a reset begins, also while nobody looks.
    """

    def __init__(self, reset: Any, begins: Callable[[], None] = lambda: None) -> None:
        self._on = bool(reset.value)
        self._begins = begins
        cocotb.start_soon(self._follow(reset), name="reset follower")

    def __bool__(self) -> bool:
        return self._on

    async def _follow(self, reset: Any) -> None:
        change = ValueChange(reset)
        while True:
            await change
            self._on = bool(reset.value)
            if self._on:
                self._begins()
