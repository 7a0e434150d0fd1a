"""The MSI-X vectors that have been raised, and wait for their turn."""

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell.compare import less
from epbell.pcie.fifo import Fifo

__all__ = ["VECTOR", "Raises"]

VECTOR = data.StructLayout({"vector": 11})
"""A vector in a queue."""


class Raises(wiring.Component):
    """Queues each raised vector that there is, a clock after it was raised, and refuses the others.

    Parameters
    ----------
    depth : int
        Raised vectors that can wait, 1 to 63.

    Attributes
    ----------
    run : In(1)
        Vectors can be raised; while it is low, everything is forgotten.
    last : In(11)
        Number of the last vector.
    raise_valid, raise_vector : In(1), In(11)
        Raise a vector.
    room, full : Out(6), Out(1)
        As of `Msix`.
    queued, refused : Out(1)
        A vector enters the queue, the clock after it was raised; one is refused, two clocks after.
    waits, take : Out(1), In(1)
        There is a vector, and it leaves.
    vector : Out(11)
        The oldest one, when it was there in the clock before.
    busy : Out(1)
        There is a vector, or may be in the next clock.
    """

    run: Any
    last: Any
    raise_valid: Any
    raise_vector: Any
    room: Any
    full: Any
    queued: Any
    refused: Any
    waits: Any
    take: Any
    vector: Any
    busy: Any

    def __init__(self, depth: int) -> None:
        self._depth = depth
        super().__init__({
            "run": In(1),
            "last": In(11),
            "raise_valid": In(1),
            "raise_vector": In(11),
            "room": Out(6),
            **{name: Out(1) for name in ("full", "queued", "refused", "waits")},
            "take": In(1),
            "vector": Out(11),
            "busy": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Look whether there is such a vector; queue it in the next clock."""
        m: Any = Module()
        m.submodules.queue = ResetInserter(~self.run)(queue := Fifo(VECTOR, self._depth))
        raising: Any = Signal()
        known: Any = Signal()
        m.d.comb += [
            queue.i_valid.eq(raising & known & queue.room),
            queue.o_ready.eq(self.take),
            self.queued.eq(queue.i_valid & self.run),
            self.waits.eq(queue.o_valid),
            self.busy.eq(raising | queue.o_valid),
        ]
        m.d.sync += [
            raising.eq(self.raise_valid),
            queue.i_data.vector.eq(self.raise_vector),
            self.vector.eq(queue.o_data.vector),
            known.eq(self.run & ~less(self.last, self.raise_vector)),
            self.refused.eq(raising & ~self.queued),
            self.room.eq(self._depth - queue.level),
            self.full.eq(
                (queue.level >= self._depth)
                | ((queue.level >= self._depth - 1) & (raising | self.raise_valid))
                | ((queue.level >= self._depth - 2) & raising & self.raise_valid)
            ),
        ]
        return m
