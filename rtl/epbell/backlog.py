"""What waits at the end of stages that nothing holds up."""

from typing import Any

from amaranth.hdl import Assert, Module
from amaranth.lib import data
from amaranth.utils import ceil_log2

from epbell.pcie.fifo import Fifo

__all__ = ["Backlog"]


class Backlog(Fifo):
    """FIFO behind stages that run freely: what comes is taken, and ``room`` tells in time that no more may begin.

    From where entries begin they take some clocks to here, and ``room`` some to there. So there is no more room when
    there are places only for all that may be on the way; and as much waits by then, so that there is something to go in
    each clock until more comes.

    Parameters
    ----------
    layout : data.StructLayout
        An entry.
    under_way : int
        How many entries may come from the last clock with ``room`` on, 1 or more.
    apart : str
        As of :class:`~epbell.pcie.fifo.Fifo`.

    Attributes
    ----------
    As those of :class:`~epbell.pcie.fifo.Fifo`.

    Raises
    ------
    ValueError
        If `under_way` is less than 1.
    """

    def __init__(self, layout: data.StructLayout, under_way: int, *, apart: str = "") -> None:
        if not isinstance(under_way, int) or under_way < 1:
            raise ValueError(f"The number of entries that are under way must be 1 or more, not {under_way!r}")
        super().__init__(layout, 1 << ceil_log2(2 * under_way), under_way=under_way, apart=apart)

    def elaborate(self, platform: object) -> Module:
        """Assert that there is a place for what comes."""
        m: Any = super().elaborate(platform)
        m.d.sync += Assert(~self.i_valid | (self.level != self._depth), "an entry comes without room for it")
        return m
