"""MSIs towards the host, through the hard block's interrupt port (AMD PG213, "Configuration Interrupt Interface")."""

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from epbell.patience import PATIENCE, Patience, check_answers

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

    A vector is on ``hard.int``, one-hot, for one clock, and leaves the queue with that. When the hard block answers
    ``fail``, it becomes pending and is tried again. The answer is waited for as long as MSI stays enabled. Once it has
    been off, as after a reset of the function, the vector counts as not sent after `patience` clocks without an answer.
    An answer that comes while none is awaited is ignored. A vector beyond those that the host has granted is sent as
    the one with the same low bits of its number, and masked with it, since the hard block would refuse it for ever;
    pending ones are moved, and merged, when fewer are granted.

    A masked vector that comes to the front of the queue becomes pending (PCI Express Base 6.0, section 6.1.4): it is
    shown on ``hard.pending_status``, and sent once when it is unmasked, before what is in the queue. If it is pending
    already, it is merged. While MSI or bus mastering is off, every vector becomes pending like this, so that the queue
    never stands, whatever the hard block owes: with MSI off as itself, whatever was granted before. The mask that
    counts is the one in the clock before ``hard.int``. Function 0 only.

    While ``flush`` is high, nothing is queued or begun and what was queued or pending is forgotten; so is a vector that
    the hard block has been asked for, but its answer is still waited for: see ``idle``.

    Parameters
    ----------
    depth : int
        Vectors that fit into the queue, 1 to 63.
    patience : int
        Clocks that an answer is waited for once MSI has been off, 1 or more.

    Attributes
    ----------
    valid, vector : In(1), In(5)
        Queue this vector; refused when the queue is full, or flushed.
    bus_master : In(1)
        The host has enabled bus mastering.
    hold, hold_pending : In(1)
        Do not begin to send the oldest vector of the queue, nor let it become pending because of its mask; do not begin
        to send a pending one: what they announce is still on its way.
    wait : In(1)
        Begin to send nothing: the hard block owes an answer of another kind.
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
    queued, taken : Out(1)
        A vector enters the queue; the oldest one leaves it.
    sent, held, merged, refused : Out(1)
        An MSI has gone; a vector of the queue has become pending; a vector was pending already, when it was to become
        so; a vector has been refused.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    valid: Any
    vector: Any
    bus_master: Any
    hold: Any
    hold_pending: Any
    wait: Any
    flush: Any
    hard: Any
    room: Any
    busy: Any
    idle: Any
    queued: Any
    taken: Any
    sent: Any
    held: Any
    merged: Any
    refused: Any

    def __init__(self, depth: int = 16, *, patience: int = PATIENCE) -> None:
        if not isinstance(depth, int) or not 1 <= depth <= 63:
            raise ValueError(f"The depth of the MSI queue must be 1 to 63, not {depth!r}")
        self._depth = depth
        self._patience = check_answers(patience)
        super().__init__({
            "valid": In(1),
            "vector": In(5),
            "bus_master": In(1),
            **{name: In(1) for name in ("hold", "hold_pending", "wait", "flush")},
            "hard": Out(HardMsi()),
            "room": Out(6),
            "busy": Out(1),
            "idle": Out(1),
            **{name: Out(1) for name in ("queued", "taken", "sent", "held", "merged", "refused")},
        })

    def elaborate(self, platform: object) -> Module:
        """Build a queue, and a machine that waits for the answer."""
        m: Any = Module()
        m.submodules.queue = ResetInserter(self.flush)(queue := SyncFIFO(width=5, depth=self._depth))
        m.submodules.patience = patience = Patience(self._patience)
        state: Any = Signal(_State)
        pending: Any = Signal(VECTORS)
        moved: Any = Signal(VECTORS)  # the pending ones as vectors that are granted
        unmasked: Any = Signal(VECTORS)  # of these
        front: Any = Signal(VECTORS)
        asked: Any = Signal(VECTORS)  # what the answer is for: neither in the queue nor pending; none after a flush
        owed: Any = Signal(VECTORS)  # the same as a vector that is granted
        shown: Any = Signal()  # it was pending, and is shown so
        doubt: Any = Signal()  # MSI has been off since it was asked for
        may_send: Any = Signal()
        takes: Any = Signal()  # ask for the front of the queue
        keep: Any = Signal()  # let it become pending
        returns: Any = Signal()  # what was asked for has not been sent
        self._grants(m, ((pending, moved), (asked, owed)), front, queue.r_data)
        m.d.comb += [
            unmasked.eq(moved & ~self.hard.data),
            may_send.eq(self.hard.enable[0] & self.bus_master),
            patience.waits.eq((state == _State.ASKED) & (doubt | ~self.hard.enable[0])),
            self.hard.pending_status.eq(pending | (asked & shown.replicate(VECTORS))),
            self.hard.pending_status_data_enable.eq(1),
            queue.w_en.eq(self.valid & ~self.flush),
            queue.w_data.eq(self.vector),
            queue.r_en.eq(takes | keep),
            self.queued.eq(queue.w_en & queue.w_rdy),
            self.taken.eq(queue.r_en & queue.r_rdy),
            self.room.eq(self._depth - queue.level),
            self.busy.eq(queue.r_rdy | unmasked.any() | (state == _State.ASKED)),
            self.idle.eq(state == _State.IDLE),
            self.refused.eq(self.valid & (self.flush | ~queue.w_rdy)),
            self.sent.eq((state == _State.ASKED) & self.hard.sent),
            self.merged.eq((keep & (moved & front).any()) | (returns & (moved & owed).any())),
            self.held.eq(keep & ~(moved & front).any()),
        ]
        m.d.sync += self.hard.int.eq(0)
        m.d.sync += [pending.eq(moved | (front & keep.replicate(VECTORS))), doubt.eq(doubt | ~self.hard.enable[0])]
        with m.If(state == _State.IDLE):
            m.d.sync += doubt.eq(0)
            with m.If(~self.flush & ~may_send):
                m.d.comb += keep.eq(queue.r_rdy)
            with m.Elif(~self.flush & unmasked.any()), m.If(~self.hold_pending & ~self.wait):
                lowest = unmasked & (-unmasked)[:VECTORS]
                m.d.sync += [pending.eq(moved & ~lowest), shown.eq(1)]
                m.d.sync += [self.hard.int.eq(lowest), asked.eq(lowest), state.eq(_State.ASKED)]
            with m.Elif(~self.flush & queue.r_rdy & ~self.hold):
                masked = (front & self.hard.data).any()
                m.d.comb += keep.eq(masked)
                with m.If(~masked & ~self.wait):
                    m.d.comb += takes.eq(1)
                    m.d.sync += [shown.eq(0), asked.eq(Const(1, VECTORS) << queue.r_data)]
                    m.d.sync += [self.hard.int.eq(front), state.eq(_State.ASKED)]
        with m.Elif(self.hard.sent):
            m.d.sync += [asked.eq(0), state.eq(_State.IDLE)]
        with m.Elif(self.hard.fail | patience.over):
            m.d.comb += returns.eq(1)
            m.d.sync += [pending.eq(moved | owed), asked.eq(0), state.eq(_State.IDLE)]
        with m.Else():
            m.d.comb += keep.eq(queue.r_rdy & ~may_send & ~self.flush)
        with m.If(self.flush):
            m.d.sync += [pending.eq(0), asked.eq(0)]
        return m

    def _grants(self, m: Any, moved: Iterable[tuple[Any, Any]], front: Any, vector: Any) -> None:
        """Find out as what vectors are sent, pending ones and that of the queue: while MSI is off, nobody knows."""
        multiple, enabled = self.hard.mmenable[:3], self.hard.enable[0]
        granted = ((Const(1) << multiple) - 1).as_unsigned()
        m.d.comb += front.eq(Const(1, VECTORS) << (vector & Mux(enabled, granted, VECTORS - 1)))
        for vectors, target in moved:
            m.d.comb += target.eq(vectors)
            with m.If(enabled), m.Switch(multiple):
                for log2 in range(len(self.vector)):
                    with m.Case(log2):
                        groups = (vectors[at : at + (1 << log2)] for at in range(0, VECTORS, 1 << log2))
                        m.d.comb += target.eq(reduce(or_, groups))
