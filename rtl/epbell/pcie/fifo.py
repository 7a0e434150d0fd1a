"""FIFO for who has seen that there is room."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["Fifo"]


class Fifo(wiring.Component):
    """FIFO that takes whatever comes: who puts something in has seen that there is room for it.

    Unlike in :class:`amaranth.lib.fifo.SyncFIFO`, nothing is between ``i_valid`` and the memory.

    Parameters
    ----------
    layout : data.StructLayout
        An entry.
    depth : int
        Entries, 1 or more.

    Attributes
    ----------
    i_valid, i_data : In(1), In(layout)
        An entry comes; only while there is ``room``, which who puts it in asserts.
    room : Out(1)
        There is a place. One level behind flip-flops.
    o_valid, o_ready, o_data : Out(1), In(1), Out(layout)
        Way out, for an entry from the clock after that in which it came on. ``o_valid`` is a flip-flop, ``o_data`` the
        output of a memory of LUTs.
    """

    i_valid: Any
    i_data: Any
    room: Any
    o_valid: Any
    o_ready: Any
    o_data: Any

    def __init__(self, layout: data.StructLayout, depth: int) -> None:
        self._layout, self._depth = layout, depth
        super().__init__({
            "i_valid": In(1),
            "i_data": In(layout),
            "room": Out(1),
            "o_valid": Out(1),
            "o_ready": In(1),
            "o_data": Out(layout),
        })

    def elaborate(self, platform: object) -> Module:
        """Keep the entries in a memory, between two places that go round."""
        m: Any = Module()
        bits = max(1, ceil_log2(self._depth))
        m.submodules.entries = entries = Memory(shape=self._layout, depth=1 << bits, init=[])
        write: Any = entries.write_port()
        read: Any = entries.read_port(domain="comb")
        level: Any = Signal(range(self._depth + 1))
        leaves: Any = Signal()
        m.d.comb += [
            write.en.eq(self.i_valid),
            write.data.eq(self.i_data),
            self.o_data.eq(read.data),
            self.room.eq(level != self._depth),
            leaves.eq(self.o_valid & self.o_ready),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + self.i_valid),
            read.addr.eq(read.addr + leaves),
            level.eq(level + self.i_valid - leaves),
            self.o_valid.eq(self.i_valid | Mux(leaves, level > 1, self.o_valid)),
        ]
        return m
