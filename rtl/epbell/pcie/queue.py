"""The queue of the reads, and the credits that keep it from overflowing."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell.pcie.fifo import Fifo

__all__ = [
    "Credits",
    "Queue",
    "check_places",
]


def check_places(places: int) -> int:
    """Return `places` if the hard block can hold that many credits.

    Raises
    ------
    ValueError
        If it is not from 1 to 32.
    """
    if not isinstance(places, int) or not 1 <= places <= 32:
        raise ValueError(f"The number of non-posted requests under way must be 1 to 32, not {places!r}")
    return places


class Queue(wiring.Component):
    """First-in first-out queue with a register at its end, which an entry enters at once while the queue is empty.

    Parameters
    ----------
    layout : data.StructLayout
        An entry.
    depth : int
        Entries besides the one in the register, 1 or more.

    Attributes
    ----------
    i_valid, i_ready, i_data : In(1), Out(1), In(layout)
        Way in. ``i_ready`` is a flip-flop.
    o_valid, o_ready, o_data : Out(1), In(1), Out(layout)
        Way out, out of flip-flops: an entry can leave in the clock after it came.

    Raises
    ------
    ValueError
        If `depth` is less than 1.
    """

    i_valid: Any
    i_ready: Any
    i_data: Any
    o_valid: Any
    o_ready: Any
    o_data: Any

    def __init__(self, layout: data.StructLayout, depth: int) -> None:
        if not isinstance(depth, int) or depth < 1:
            raise ValueError(f"The depth of a queue must be 1 or more, not {depth!r}")
        self._layout, self._depth = layout, depth
        super().__init__({
            "i_valid": In(1),
            "i_ready": Out(1, init=1),
            "i_data": In(layout),
            "o_valid": Out(1),
            "o_ready": In(1),
            "o_data": Out(layout),
        })

    def elaborate(self, platform: object) -> Module:
        """Build a FIFO, the register, and a way from outside into that."""
        m: Any = Module()
        m.submodules.fifo = fifo = Fifo(self._layout, self._depth)
        moves: Any = Signal()  # the register may take another entry
        shown: Any = Signal(self._layout, reset_less=True)
        comes: Any = Signal()
        fills = (fifo.level == self._depth) | (comes & (fifo.level == self._depth - 1))
        m.d.sync += self.i_ready.eq(moves | ~fills)
        m.d.comb += [
            comes.eq(self.i_valid & self.i_ready),
            moves.eq(~self.o_valid | self.o_ready),
            fifo.i_data.eq(self.i_data),
            # While the FIFO has an entry, so has the register: it moves when what is there goes.
            fifo.i_valid.eq(comes & (fifo.o_valid | (self.o_valid & ~self.o_ready))),
            fifo.o_ready.eq(self.o_ready),
            self.o_data.eq(shown),
        ]
        with m.If(moves):
            m.d.sync += [
                self.o_valid.eq(fifo.o_valid | comes),
                shown.eq(Mux(fifo.o_valid, fifo.o_data, self.i_data)),
            ]
        return m


class Credits(wiring.Component):
    """Grants the hard block one non-posted request for each free place (PG213, ``pcie_cq_np_req``).

    Parameters
    ----------
    places : int
        Requests that may be under way at a time, 1 to 32.

    Attributes
    ----------
    returned : In(1)
        A non-posted request has been answered.
    np_req : Out(2)
        1 for one clock: one more request may come. Zero in reset.

    Raises
    ------
    ValueError
        If `places` is out of range.
    """

    returned: Any
    np_req: Any

    def __init__(self, places: int) -> None:
        self._places = check_places(places)
        super().__init__({"returned": In(1), "np_req": Out(2)})

    def elaborate(self, platform: object) -> Module:
        """Count the places that are neither granted nor taken."""
        m: Any = Module()
        free: Any = Signal(range(self._places + 1), init=self._places)
        m.d.sync += [
            self.np_req.eq(free.any()),
            free.eq(free - free.any() + (self.returned & (free != self._places))),
        ]
        return m
