"""MSIs towards the host, through the hard block's interrupt port (AMD PG213, "Configuration Interrupt Interface")."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell.csr_register import any_of
from epbell.patience import PATIENCE, Patience, check_answers
from epbell.pcie.fifo import Fifo

__all__ = [
    "HardMsi",
    "MsiSender",
]

VECTORS = 32
"""Vectors that an MSI can have."""

_SETTLES = 7
"""Clocks in which nothing is begun after the host has granted another number: pending ones move, all is looked at."""


_GROUPS = 4  # of vectors, in which one is searched
_ENTRY = data.StructLayout({"vector": 5})


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


# One of these is on; `back`: what was asked for has not been sent, it becomes pending.
_STATE = data.StructLayout({"idle": 1, "asked": 1, "back": 1})


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
    never stands, whatever the hard block owes: with MSI off as itself, whatever was granted before. Function 0 only.

    What the host says goes through flip-flops: the mask that counts is the one in the fourth clock before ``hard.int``,
    the enables and the number of vectors are those of the third. When that number has changed, nothing is
    begun for eight clocks. From `valid` to ``hard.int`` there are seven clocks, if nothing is in the way; queued
    vectors leave every five clocks, or become pending.

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
        Queue this vector; refused when the queue has no place, or is flushed.
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
        Free entries, a clock late.
    full : Out(1)
        There may be no place; known for certain when nothing was queued in the two clocks before.
    busy : Out(1)
        Something is waiting in the queue or on its way. A pending vector that the host masks does not count. A clock
        late, and up to four after the host has unmasked one.
    idle : Out(1)
        No answer of the hard block is awaited.
    queued, taken : Out(1)
        A vector enters the queue; the oldest one leaves it, the second clock after it came or later, which says nothing
        while ``flush`` is high.
    sent, held, merged, refused : Out(1)
        An MSI has gone; a vector of the queue has become pending; a vector was pending already, when it was to become
        so; a vector has been refused. Each in the clock after it.

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
    full: Any
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
            "full": Out(1),
            "busy": Out(1),
            "idle": Out(1),
            **{name: Out(1) for name in ("queued", "taken", "sent", "held", "merged", "refused")},
        })

    def elaborate(self, platform: object) -> Module:
        """Build a queue, what looks at the vectors, and a machine that waits for the answer."""
        m: Any = Module()
        m.submodules.queue = ResetInserter(self.flush)(queue := Fifo(_ENTRY, self._depth))
        self._state: Any = Signal(_STATE, init={"idle": 1})
        self._pending: Any = Signal(VECTORS)
        self._owed: Any = Signal(5)  # what the answer is for: neither in the queue nor pending
        self._takes: Any = Signal()  # the oldest of the queue leaves it
        self._restarts: Any = Signal()  # another vector is to be looked at
        self._restarted: Any = Signal()  # since the clock before
        self._keeps: Any = Signal()  # the vector that is looked at becomes pending
        self._begins: Any = Signal()  # a pending vector is asked for
        self._sends: Any = Signal()  # the oldest of the queue is
        self._follow_host(m)
        self._look_at_front(m, queue)
        self._look_at_pending(m)
        m.d.comb += [
            queue.i_valid.eq(self.valid & queue.room),
            queue.i_data.vector.eq(self.vector),
            queue.o_ready.eq(self._takes),
            self.queued.eq(queue.i_valid & ~self.flush),
            self.taken.eq(self._takes),
            self.idle.eq(self._state.idle),
        ]
        m.d.sync += [
            self.room.eq(self._depth - queue.level),
            self.full.eq((queue.level + self.valid) >= self._depth),
            self.refused.eq(self.valid & (self.flush | ~queue.room)),
            self.busy.eq(queue.o_valid | self._any | ~self._state.idle | ~(self._may | self._off)),
        ]
        self._send(m, queue)
        return m

    def _follow_host(self, m: Any) -> None:
        """Put into flip-flops what the host allows, and which halves of the vectors it has not granted."""
        self._may: Any = Signal()  # it allows MSIs
        self._off: Any = Signal()  # it does not
        self._enabled: Any = Signal()
        self._mask: Any = Signal(VECTORS)
        # Bit n: vectors have n bits at most; while MSI is off, nobody knows.
        self._folds: Any = Signal(len(self.vector))
        folds: Any = Signal(len(self.vector))  # a clock earlier
        settles: Any = Signal(range(_SETTLES + 1))  # clocks in which neither of both is true
        on: Any = Signal()
        calm = (folds == self._folds) & (settles[1:] == 0)
        m.d.sync += [
            on.eq(self.hard.enable[0] & self.bus_master),
            self._enabled.eq(self.hard.enable[0]),
            self._mask.eq(self.hard.data),
            folds.eq(Cat(self.hard.enable[0] & (self.hard.mmenable[:3] <= bits) for bits in range(len(folds)))),
            self._folds.eq(folds),
            settles.eq(Mux(folds == self._folds, settles - settles.any(), _SETTLES)),
            self._may.eq(calm & on),
            self._off.eq(calm & ~on),
        ]

    def _look_at_front(self, m: Any, queue: Any) -> None:
        """Find out as what the oldest vector of the queue is sent, or the one that has come back, in four clocks."""
        back = self._state.back
        number: Any = Signal(5)
        self._front: Any = Signal(VECTORS)
        self._hit: Any = Signal()  # it is pending already
        # Each with `restarted`: of one that has gone meanwhile.
        self._sendable: Any = Signal()  # all is known of the oldest one, and it is not masked
        self._keepable: Any = Signal()  # and it is masked
        self._returned: Any = Signal()  # all is known of the one that has come back
        looked: Any = Signal(3)  # clocks since it is there
        masked: Any = Signal(_GROUPS)
        hit: Any = Signal(_GROUPS)
        known = looked[2] & ~self._restarted
        m.d.sync += [
            self._restarted.eq(self._restarts),
            looked.eq(Cat(queue.o_valid | back, looked[:2] & ~self._restarted.replicate(2))),
            number.eq(Mux(back, self._owed, queue.o_data.vector) & ~self._folds),
            self._front.eq(Const(1, VECTORS) << number),
            masked.eq(_by_group(self._front & self._mask)),
            hit.eq(_by_group(self._front & self._pending)),
            self._sendable.eq(known & ~back & ~masked.any()),
            self._keepable.eq(known & ~back & masked.any()),
            self._returned.eq(known & back),
            self._hit.eq(hit.any()),
        ]

    def _look_at_pending(self, m: Any) -> None:
        """Let pending vectors move to granted ones, from half to half; find the lowest one that may be sent."""
        self._any: Any = Signal()  # the pending ones have been looked at, and there is one
        self._none: Any = Signal()  # and there is none
        self._lowest: Any = Signal(VECTORS)
        self._shown: Any = Signal()  # the lowest one has been asked for, and is shown as pending
        ready: Any = Signal(VECTORS)
        rested: Any = Signal()
        rests = self._state.idle & ~self._begins & ~self._sends
        moved = [self._pending[vector] & ~self._ungranted(vector) for vector in range(VECTORS)]
        for bit in range(len(self.vector)):
            for vector in range(1 << bit):
                moved[vector] |= self._pending[vector | 1 << bit] & self._folds[bit]
        ungranted: Any = Cat(self._ungranted(vector) for vector in range(VECTORS))
        leaves = self._lowest & self._begins.replicate(VECTORS)
        m.d.comb += [
            self.hard.pending_status.eq(self._pending | (self._lowest & self._shown.replicate(VECTORS))),
            self.hard.pending_status_data_enable.eq(1),
        ]
        m.d.sync += [
            ready.eq(self._pending & ~self._mask & ~ungranted),
            rested.eq(rests & ~self.flush),
            # When all has rested for two clocks.
            self._any.eq(rested & rests & ~self.flush & ready.any()),
            self._none.eq(rested & rests & ~self.flush & ~ready.any()),
            self._pending.eq((Cat(moved) & ~leaves) | (self._front & self._keeps.replicate(VECTORS))),
        ]
        with m.If(self._state.idle & ~self._begins):
            m.d.sync += self._lowest.eq(ready & (-ready)[:VECTORS])

    def _ungranted(self, vector: int) -> Any:
        return self._folds[vector.bit_length() - 1] if vector else Const(0, 1)

    def _send(self, m: Any, queue: Any) -> None:
        """Decide what becomes of the vectors that have been looked at, and wait for the answer.

        What is decided in a flush has no effect.
        """
        m.submodules.patience = patience = Patience(self._patience)
        doubt: Any = Signal()  # MSI has been off since it was asked for
        forgotten: Any = Signal()  # what the answer is for
        state, asked = self._state, self._state.asked
        begun = (self._begins | self._sends) & ~self.flush
        ends = self.hard.sent | self.hard.fail | patience.over
        returns = ~(self.hard.sent | forgotten | self.flush)
        fails = asked & ~self.hard.sent & (self.hard.fail | patience.over)
        fresh = ~self._restarted
        turn = self._may & self._none & ~self.hold & fresh  # of the front
        masks: Any = Signal()  # it becomes pending: it is masked, or nothing may be sent at all
        keeps_back: Any = Signal()
        numbers = [any_of([self._lowest[v] for v in range(VECTORS) if v >> bit & 1]) for bit in range(5)]
        m.d.comb += [
            self._begins.eq(self._may & self._any & ~self.hold_pending & ~self.wait),
            self._sends.eq(turn & self._sendable & ~self.wait),
            masks.eq(((self._sendable | self._keepable) & self._off & fresh) | (turn & self._keepable)),
            keeps_back.eq(self._returned & (self._may | self._off) & fresh),
            self._keeps.eq(masks | keeps_back),
            self._takes.eq(self._sends | masks),
            self._restarts.eq(self._takes | self._begins | fails | keeps_back | self.flush),
            patience.waits.eq(asked & doubt),
        ]
        gone = self._lowest & self._begins.replicate(VECTORS)
        m.d.sync += [
            self.hard.int.eq(gone | (self._front & self._sends.replicate(VECTORS))),
            self.sent.eq(asked & self.hard.sent),
            self.held.eq(masks & ~self._hit & ~self.flush),
            self.merged.eq(self._keeps & self._hit & ~self.flush),
            doubt.eq(asked & (doubt | ~self._enabled)),
            forgotten.eq((asked & forgotten) | self.flush),
        ]
        m.d.sync += [
            state.idle.eq(
                (state.idle & ~begun) | (asked & ends & ~returns) | (state.back & (keeps_back | self.flush))
            ),
            state.asked.eq((state.idle & begun) | (asked & ~ends)),
            state.back.eq((asked & ends & returns) | (state.back & ~(keeps_back | self.flush))),
        ]
        with m.If(state.idle):
            m.d.sync += [
                self._shown.eq(self._begins),
                self._owed.eq(Mux(self._begins, Cat(numbers), queue.o_data.vector)),
            ]
        with m.Elif((asked & self.hard.sent) | (state.back & keeps_back)):
            m.d.sync += self._shown.eq(0)
        with m.If(self.flush):
            m.d.sync += [self._pending.eq(0), self._shown.eq(0), self.hard.int.eq(0)]


def _by_group(vectors: Any) -> Any:
    """Return for each group of vectors whether one is there."""
    return Cat(vectors.word_select(group, VECTORS // _GROUPS).any() for group in range(_GROUPS))
