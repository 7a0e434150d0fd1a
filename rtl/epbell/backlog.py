"""What waits at the end of stages that nothing holds up."""

from typing import Any

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["Backlog"]


class Backlog(wiring.Component):
    """FIFO behind stages that run freely: what comes is taken, and ``room`` tells in time that no more may begin.

    From where entries begin they take some clocks to here, and ``room`` some to there. So there is no more room when
    there are places only for all that may be on the way; and as much waits by then, so that there is something to go in
    each clock until more comes. An entry can go in the clock after the one in which it comes.

    Unlike in :class:`amaranth.lib.fifo.SyncFIFO`, nothing has more than one LUT behind ``o_ready``, which comes late in
    its clock.

    Parameters
    ----------
    layout : data.StructLayout
        An entry.
    under_way : int
        How many entries may come from the last clock with ``room`` on, 1 or more.

    Attributes
    ----------
    i_valid, i_data : In(1), In(layout)
        An entry comes.
    room : Out(1)
        More may begin. One level behind flip-flops.
    o_valid, o_ready, o_data : Out(1), In(1), Out(layout)
        Way out; ``o_data`` is the output of a memory of LUTs.

    Raises
    ------
    ValueError
        If `under_way` is less than 1.
    """

    i_valid: Any
    i_data: Any
    room: Any
    o_valid: Any
    o_ready: Any
    o_data: Any

    def __init__(self, layout: data.StructLayout, under_way: int) -> None:
        if not isinstance(under_way, int) or under_way < 1:
            raise ValueError(f"The number of entries that are under way must be 1 or more, not {under_way!r}")
        self._layout, self._under_way = layout, under_way
        super().__init__({
            "i_valid": In(1),
            "i_data": In(layout),
            "room": Out(1),
            "o_valid": Out(1),
            "o_ready": In(1),
            "o_data": Out(layout),
        })

    def elaborate(self, platform: object) -> Module:
        """Keep entries in a memory, between two places that go round."""
        m: Any = Module()
        bits = ceil_log2(2 * self._under_way)
        places = 1 << bits
        m.submodules.entries = entries = Memory(shape=self._layout, depth=places, init=[])
        write: Any = entries.write_port()
        read: Any = entries.read_port(domain="comb")
        newest: Any = Signal(bits)  # the place of the next one to come
        oldest: Any = Signal(bits)
        level: Any = Signal(range(places + 1))
        m.d.comb += [
            write.en.eq(self.i_valid),
            write.addr.eq(newest),
            write.data.eq(self.i_data),
            read.addr.eq(oldest),
            self.o_data.eq(read.data),
            self.room.eq(level <= places - self._under_way),
        ]
        m.d.sync += [
            newest.eq(newest + self.i_valid),
            level.eq(level + self.i_valid),
            self.o_valid.eq(self.i_valid | (self.o_valid & ~(self.o_ready & (level == 1)))),
            Assert(~self.i_valid | (level != places), "an entry comes without room for it"),
        ]
        with m.If(self.o_ready):
            m.d.sync += oldest.eq(oldest + self.o_valid)
        with m.If(self.o_ready & self.o_valid):
            m.d.sync += level.eq(level - ~self.i_valid)
        return m
