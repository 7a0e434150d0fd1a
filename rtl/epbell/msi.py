"""MSIs towards the host, through the hard block's interrupt port (AMD PG213, "Configuration Interrupt Interface")."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Const, Module, ResetInserter, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

__all__ = [
    "HardMsi",
    "MsiSender",
]

VECTORS = 32
"""Vectors that an MSI can have."""


class HardMsi(wiring.Signature):
    """``cfg_interrupt_msi_*`` of the hard block, in the endpoint's view.

    Attributes
    ----------
    enable, mmenable, mask_update, data, sent, fail : In
        4, 12, 1, 32, 1 and 1 bits. ``data`` is the mask register of the function that ``select`` names.
    int, select, pending_status, pending_status_data_enable, pending_status_function_num, attr, tph_present, tph_type,
    tph_st_tag, function_number : Out
        32, 2, 32, 1, 2, 3, 1, 2, 8 and 8 bits.
    """

    def __init__(self) -> None:
        super().__init__({
            "enable": In(4),
            "mmenable": In(12),
            "mask_update": In(1),
            "data": In(32),
            "sent": In(1),
            "fail": In(1),
            "int": Out(32),
            "select": Out(2),
            "pending_status": Out(32),
            "pending_status_data_enable": Out(1),
            "pending_status_function_num": Out(2),
            "attr": Out(3),
            "tph_present": Out(1),
            "tph_type": Out(2),
            "tph_st_tag": Out(8),
            "function_number": Out(8),
        })

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HardMsi)

    def __hash__(self) -> int:
        return hash(HardMsi)

    def __repr__(self) -> str:
        return "msi.HardMsi()"


class _State(enum.Enum):
    IDLE = 0
    ASKED = 1


class MsiSender(wiring.Component):
    """Sends queued vectors one at a time, and none of them twice.

    A vector is on ``hard.int``, one-hot, for one clock; it leaves the queue when the hard block answers ``sent`` and is
    tried again when it answers ``fail``, or when the host switches MSI off before there is any answer. While MSI or bus
    mastering is off, vectors wait in the queue. A vector beyond those that the host has granted is sent as the one with
    the same low bits of its number, and masked with it, since the hard block would refuse it for ever; pending ones
    are moved, and merged, when fewer are granted.

    A masked vector that comes to the front of the queue becomes pending (PCI Express Base 6.0, section 6.1.4): it is
    shown on ``hard.pending_status``, and sent once when it is unmasked, before what is in the queue. If it is pending
    already, it is merged. The mask that counts is the one in the clock before ``hard.int``; a vector that is masked
    when its answer is not ``sent`` becomes pending, or stays so. Function 0 only.

    While ``flush`` is high, nothing is queued or begun and what was queued or pending is forgotten. A vector that the
    hard block has been asked for still waits for its answer: see ``idle``.

    Parameters
    ----------
    depth : int
        Vectors that fit into the queue, 1 to 63.

    Attributes
    ----------
    valid, vector : In(1), In(5)
        Queue this vector; refused when the queue is full, or flushed.
    bus_master : In(1)
        The host has enabled bus mastering.
    hold : In(1)
        Begin nothing new: what a vector announces is still on its way.
    flush : In(1)
        Forget everything, for the reset of the function.
    hard : Out(HardMsi())
        The hard block's port.
    room : Out(6)
        Free entries.
    busy : Out(1)
        Something is waiting in the queue or on its way. A pending vector that the host masks does not count.
    idle : Out(1)
        No answer of the hard block is awaited.
    sent, held, merged, refused : Out(1)
        An MSI has gone; a vector has become pending, or was pending; a vector has been refused.

    Raises
    ------
    ValueError
        If `depth` is out of range.
    """

    valid: Any
    vector: Any
    bus_master: Any
    hold: Any
    flush: Any
    hard: Any
    room: Any
    busy: Any
    idle: Any
    sent: Any
    held: Any
    merged: Any
    refused: Any

    def __init__(self, depth: int = 16) -> None:
        if not isinstance(depth, int) or not 1 <= depth <= 63:
            raise ValueError(f"The depth of the MSI queue must be 1 to 63, not {depth!r}")
        self._depth = depth
        super().__init__({
            "valid": In(1),
            "vector": In(5),
            "bus_master": In(1),
            "hold": In(1),
            "flush": In(1),
            "hard": Out(HardMsi()),
            "room": Out(6),
            "busy": Out(1),
            "idle": Out(1),
            **{name: Out(1) for name in ("sent", "held", "merged", "refused")},
        })

    def elaborate(self, platform: object) -> Module:
        """Build a queue, and a machine that waits for the answer."""
        m: Any = Module()
        m.submodules.queue = ResetInserter(self.flush)(queue := SyncFIFO(width=5, depth=self._depth))
        state: Any = Signal(_State)
        pending: Any = Signal(VECTORS)
        moved: Any = Signal(VECTORS)  # the pending ones as vectors that are granted
        unmasked: Any = Signal(VECTORS)  # of these
        front: Any = Signal(VECTORS)
        asked: Any = Signal(VECTORS)  # as it was on hard.int, if it was pending
        masked: Any = Signal()  # the vector at the front
        multiple = self.hard.mmenable[:3]
        granted = ((Const(1) << multiple) - 1).as_unsigned()
        m.d.comb += moved.eq(pending)
        with m.Switch(multiple):
            for log2 in range(len(self.vector)):
                with m.Case(log2):
                    count = 1 << log2
                    m.d.comb += moved.eq(reduce(or_, (pending[at : at + count] for at in range(0, VECTORS, count))))
        with m.If((state == _State.IDLE) & self.hard.enable[0]):
            m.d.sync += pending.eq(moved)
        m.d.comb += [
            unmasked.eq(moved & ~self.hard.data),
            front.eq(Const(1, VECTORS) << (queue.r_data & granted)),
            masked.eq((front & self.hard.data).any()),
            self.hard.pending_status.eq(pending),
            self.hard.pending_status_data_enable.eq(1),
            queue.w_en.eq(self.valid & ~self.flush),
            queue.w_data.eq(self.vector),
            queue.r_en.eq((self.sent & ~asked.any()) | self.held | self.merged),
            self.room.eq(self._depth - queue.level),
            self.busy.eq(queue.r_rdy | unmasked.any() | (state == _State.ASKED)),
            self.idle.eq(state == _State.IDLE),
            self.refused.eq(self.valid & (self.flush | ~queue.w_rdy)),
            self.sent.eq((state == _State.ASKED) & self.hard.sent),
        ]
        m.d.sync += self.hard.int.eq(0)
        with m.If(state == _State.IDLE), m.If(self.hard.enable[0] & self.bus_master & ~self.hold & ~self.flush):
            with m.If(unmasked.any()):
                lowest = unmasked & (-unmasked)[:VECTORS]
                m.d.sync += [self.hard.int.eq(lowest), asked.eq(lowest), state.eq(_State.ASKED)]
            with m.Elif(queue.r_rdy & masked):
                m.d.comb += [self.merged.eq((moved & front).any()), self.held.eq(~self.merged)]
                m.d.sync += pending.eq(moved | front)
            with m.Elif(queue.r_rdy):
                m.d.sync += [self.hard.int.eq(front), asked.eq(0), state.eq(_State.ASKED)]
        with m.Elif(self.hard.sent):
            m.d.sync += [pending.eq(pending & ~asked), state.eq(_State.IDLE)]
        with m.Elif(self.hard.fail | ~self.hard.enable[0]):
            m.d.sync += state.eq(_State.IDLE)
        with m.If(self.flush):
            m.d.sync += pending.eq(0)
        return m
