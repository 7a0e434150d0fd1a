"""An end to the wait for an answer of the hard block that may never come."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "PATIENCE",
    "Patience",
    "check_answers",
]

PATIENCE = 65536
"""Clocks that an answer is waited for while there may be none: 262 us at 250 MHz, of the 100 ms of a reset."""


def check_answers(patience: int) -> int:
    """Return `patience` if it is a number of clocks that an answer can be waited for.

    Raises
    ------
    ValueError
        If it is less than 1.
    """
    if not isinstance(patience, int) or patience < 1:
        raise ValueError(f"The patience with the hard block must be 1 clock or more, not {patience!r}")
    return patience


class Patience(wiring.Component):
    """Counts the clocks of a wait.

    Parameters
    ----------
    clocks : int
        How long it may take, 1 or more.

    Attributes
    ----------
    waits : In(1)
        There is no answer yet, and there may be none.
    over : Out(1)
        ``waits`` has been high for `clocks` clocks, this one included; stays until ``waits`` falls.

    Raises
    ------
    ValueError
        If `clocks` is out of range.
    """

    waits: Any
    over: Any

    def __init__(self, clocks: int = PATIENCE) -> None:
        self._clocks = check_answers(clocks)
        super().__init__({"waits": In(1), "over": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Count up to the end, and stay there; that it is the end is known a clock ahead."""
        m: Any = Module()
        waited: Any = Signal(range(self._clocks))
        ends: Any = Signal(init=self._clocks == 1)
        m.d.comb += self.over.eq(self.waits & ends)
        with m.If(~self.waits):
            m.d.sync += [waited.eq(0), ends.eq(self._clocks == 1)]
        with m.Elif(~ends):
            m.d.sync += [waited.eq(waited + 1), ends.eq(waited == self._clocks - 2)]
        return m
