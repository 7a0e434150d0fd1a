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

    Unlike in :class:`amaranth.lib.fifo.SyncFIFO`, a flip-flop enables the memory's writes, whoever comes or goes, and
    nothing has more than one LUT behind ``o_ready``: both may come late in their clock. An entry can go in the clock
    after the one in which it comes.

    Parameters
    ----------
    layout : data.StructLayout
        An entry.
    depth : int
        Entries, 1 or more.
    under_way : int
        How many entries may come from the last clock with ``room`` on, 1 to `depth`.
    apart : str
        A member of the layout that is kept in a memory of its own, with addresses of its own: what decides about what
        comes next is then not as far away as all the rest.

    Attributes
    ----------
    i_valid, i_data : In(1), In(layout)
        An entry comes; not into a FIFO that is full, which who puts it in asserts.
    room : Out(1)
        More may begin. One level behind flip-flops.
    o_valid, o_ready, o_data : Out(1), In(1), Out(layout)
        Way out. ``o_valid`` is a flip-flop, ``o_data`` the output of a memory of LUTs.
    level : Out(range(depth + 1))
        How many entries there are, a flip-flop.
    """

    i_valid: Any
    i_data: Any
    room: Any
    o_valid: Any
    o_ready: Any
    o_data: Any
    level: Any

    def __init__(self, layout: data.StructLayout, depth: int, *, under_way: int = 1, apart: str = "") -> None:
        self._layout, self._depth, self._under_way, self._apart = layout, depth, under_way, apart
        super().__init__({
            "i_valid": In(1),
            "i_data": In(layout),
            "room": Out(1),
            "o_valid": Out(1),
            "o_ready": In(1),
            "o_data": Out(layout),
            "level": Out(range(depth + 1)),
        })

    def elaborate(self, platform: object) -> Module:
        """Keep the entries in a memory, between two places that go round."""
        m: Any = Module()
        bits = max(1, ceil_log2(self._depth))
        newest: Any = Signal(bits)  # the place of the next one to come, which is free unless all are taken
        oldest: Any = Signal(bits)
        free: Any = Signal(init=1)  # there is a place
        level, comes, goes = self.level, self.i_valid, self.o_ready & self.o_valid
        m.d.comb += self.room.eq(level <= self._depth - self._under_way)
        m.d.sync += [
            newest.eq(newest + comes),
            # Each way is known when it is known who comes and who goes, which only choose.
            level.eq(Mux(goes, Mux(comes, level, level - 1), Mux(comes, level + 1, level))),
            free.eq((free & ~(comes & (level == self._depth - 1))) | goes),
            self.o_valid.eq(comes | (self.o_valid & ~(self.o_ready & (level == 1)))),
        ]
        with m.If(self.o_ready):
            m.d.sync += oldest.eq(oldest + self.o_valid)
        names = tuple(self._layout.members)
        self._keep(m, "entries", [name for name in names if name != self._apart], free, newest, oldest)
        if self._apart:
            # Addresses the other way round: else synthesis would make one of both.
            newest_inverted: Any = Signal(bits, init=-1)
            oldest_inverted: Any = Signal(bits, init=-1)
            m.d.sync += newest_inverted.eq(~(newest + comes))
            with m.If(self.o_ready):
                m.d.sync += oldest_inverted.eq(~(oldest + self.o_valid))
            self._keep(m, "apart", [self._apart], free, newest_inverted, oldest_inverted)
        return m

    def _keep(self, m: Any, name: str, members: list[str], free: Any, newest: Any, oldest: Any) -> None:
        """Keep members of the entries in a memory: write what is at the way in, show the oldest."""
        layout = data.StructLayout({member: self._layout.members[member] for member in members})
        m.submodules[name] = memory = Memory(shape=layout, depth=1 << len(newest), init=[])
        write: Any = memory.write_port()
        read: Any = memory.read_port(domain="comb")
        m.d.comb += [write.en.eq(free), write.addr.eq(newest), read.addr.eq(oldest)]
        for member in members:
            m.d.comb += [write.data[member].eq(self.i_data[member]), self.o_data[member].eq(read.data[member])]
