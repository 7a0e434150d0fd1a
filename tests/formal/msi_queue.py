"""Proofs of the queue of MSIs: each one that is queued is sent once, merged with one that is pending, or forgotten."""

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib.wiring import In
from inside import Inside

from epbell.msi import MsiSender
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

# Places of the queue, and clocks; the endpoint has 16 and 65536, which only makes the counts longer.
_DEPTH, _PATIENCE = 2, 3
_VECTORS = 32
_HARD = {"enable": 4, "mmenable": 12, "mask_update": 1, "data": 32, "sent": 1, "fail": 1}


class _Queue(Bench):
    """What is queued, what is pending and what is on its way, by an account of the bench's own."""

    def __init__(self) -> None:
        one_bit = ("valid", "bus_master", "hold", "hold_pending", "wait", "flush")
        hard = {name: In(width) for name, width in _HARD.items()}
        super().__init__({**dict.fromkeys(one_bit, In(1)), "vector": In(5), **hard})

    def check(self, m: Any, checks: Checks) -> None:
        self.m = m
        m.submodules.dut = self.dut = dut = MsiSender(_DEPTH, patience=_PATIENCE)
        self.inside = Inside(dut)
        for name in self.signature.members:
            m.d.comb += getattr(dut.hard if name in _HARD else dut, name).eq(getattr(self, name))
        self.may = self.enable[0] & self.bus_master
        self._account()
        self._state_invariants(checks)
        self._state_queue(checks)
        self._state_sending(checks)
        self._state_pending(checks)
        self._cover(checks)

    def _account(self) -> None:
        """Keep the queue, oldest first, the pending vectors, and the one that the hard block was asked for."""
        m, dut = self.m, self.dut
        self.queue = [self._keep(5, f"queued{n}") for n in range(_DEPTH)]
        self.level = self._keep(range(_DEPTH + 1), "level")
        pending, asked, self.out = self._keep(32, "pending"), self._keep(32, "asked"), self._keep(1, "out")
        self.shown, self.off = self._keep(1, "shown"), self._keep(1, "off")
        self.waited = self._keep(range(_PATIENCE + 1), "waited")
        began_pending, self.began_front = self._keep(1, "began_pending"), self._keep(1, "began_front")
        self.began_pending = began_pending
        # Of several pending vectors that may be sent, the unit chooses.
        chosen = dut.hard.int & began_pending.replicate(_VECTORS)
        self.pending, self.asked = self._wire(pending & ~chosen, "pending_now"), self._wire(asked | chosen, "asked_now")
        self.granted = self._grant(self.pending, "pending_as_granted")
        self.unmasked = self._wire(self.granted & ~self.data, "unmasked")
        self.any = self.level != 0
        self.front = self._grant(Const(1, _VECTORS) << self.queue[0], "front")
        front_masked = (self.front & self.data).any()
        over = self.waited == _PATIENCE - 1
        unanswered = self.out & (self.off | ~self.enable[0])
        self.answered = self.out & (self.sent | self.fail | (unanswered & over))
        self.returns = self.answered & ~self.sent
        free = ~self.out & ~self.flush & self.may
        self.sends_pending = free & self.unmasked.any() & ~self.hold_pending & ~self.wait
        self.looks = free & ~self.unmasked.any() & self.any & ~self.hold
        self.sends_front = self.looks & ~front_masked & ~self.wait
        self.keeps = (self.looks & front_masked) | (self.any & ~self.flush & ~self.may & ~self.answered)
        self.takes = self.sends_front | self.keeps
        self.enters = self.valid & ~self.flush & (self.level != _DEPTH)
        self.owed = self._grant(self.asked, "owed")
        back, kept = self.returns.replicate(_VECTORS), self.keeps.replicate(_VECTORS)
        forget = self.flush.replicate(_VECTORS)
        m.d.sync += [
            pending.eq((self.granted | (self.front & kept) | (self.owed & back)) & ~forget),
            asked.eq(
                Mux(self.sends_front, Const(1, _VECTORS) << self.queue[0], self.asked)
                & ~(forget | self.answered.replicate(_VECTORS))
            ),
            self.out.eq((self.out & ~self.answered) | self.sends_pending | self.sends_front),
            self.shown.eq(Mux(self.out, self.shown, self.sends_pending)),
            self.off.eq(self.out & (self.off | ~self.enable[0])),
            self.waited.eq(Mux(unanswered & ~self.answered, self.waited + 1, 0)),
            began_pending.eq(self.sends_pending),
            self.began_front.eq(self.sends_front),
            self.level.eq(Mux(self.flush, 0, self.level + self.enters - self.takes)),
        ]
        place = self.level - self.takes
        for n, one in enumerate(self.queue):
            moved = self.queue[n + 1] if n + 1 < _DEPTH else one
            m.d.sync += one.eq(Mux(self.enters & (place == n), self.vector, Mux(self.takes, moved, one)))

    def _grant(self, vectors: Any, name: str) -> Any:
        """Take vectors for those with the same low bits that the host has granted; with MSI off, for themselves."""
        granted: Any = Signal(_VECTORS, name=name)
        self.m.d.comb += granted.eq(vectors)
        for log2 in range(5):
            count = 1 << log2
            with self.m.If(self.enable[0] & (self.mmenable[:3] == log2)):
                same = [[vectors[n] for n in range(low, _VECTORS, count)] for low in range(count)]
                self.m.d.comb += granted.eq(Cat(Cat(*ones).any() for ones in same))
        return granted

    def _state_invariants(self, checks: Checks) -> None:
        inside, queue = self.inside, self.inside.within("queue")
        checks.invariant("what is pending is pending", inside.signal("pending") == self.pending)
        checks.invariant("what was asked for is remembered", inside.signal("asked") == self.asked)
        checks.invariant("an answer is awaited", inside.signal("state") == self.out)
        checks.invariant("it was pending, or not", ~self.out | (inside.signal("shown") == self.shown))
        checks.invariant("MSI was off, or not", ~self.out | (inside.signal("doubt") == self.off))
        checks.invariant("the wait is counted", ~self.out | (inside.within("patience").signal("waited") == self.waited))
        checks.invariant("one is asked for at a time", ~(self.asked & (self.asked - 1)[:_VECTORS]).any())
        checks.invariant("none is asked for when none is out", self.out | ~self.asked.any())
        checks.invariant("one that has begun is out", self.out | ~(self.began_pending | self.began_front))
        checks.invariant("one begins at a time", ~(self.began_pending & self.began_front))
        level, consume, produce = self._queue_signals(queue)
        checks.invariant("entries are counted", (level == self.level) & (level <= _DEPTH))
        checks.invariant("places are places", produce == (consume + level)[0])
        for n in range(_DEPTH):
            word = queue.word(self.m, "storage", (consume + n)[0])
            checks.invariant("entries are what was queued", (n >= level) | (word == self.queue[n]))

    @staticmethod
    def _queue_signals(queue: Inside) -> tuple[Any, ...]:
        return tuple(queue.signal(name) for name in ("level", "consume", "produce"))

    def _state_queue(self, checks: Checks) -> None:
        dut = self.dut
        checks.forward("a vector is queued where there is room", ~self.enters | dut.queued)
        checks.backward("nothing else is queued", ~dut.queued | self.enters)
        checks.forward("what is not queued is refused", ~self.valid | self.enters | dut.refused)
        checks.backward("nothing else is refused", ~dut.refused | (self.valid & ~self.enters))
        checks.forward("the oldest vector leaves when its turn has come", ~self.takes | dut.taken)
        checks.backward("no vector leaves before its turn", ~dut.taken | self.takes)
        checks.backward("room is what is left", dut.room == _DEPTH - self.level)

    def _state_sending(self, checks: Checks) -> None:
        dut, sent = self.dut, self.dut.hard.int
        on = checks.past(self.may, "may_before")
        masked = checks.past(self.data, "mask_before")
        front = checks.past(self.front, "front_before")
        unmasked = checks.past(self.unmasked, "unmasked_before")
        checks.forward("a pending vector that is unmasked is sent in the next clock", ~self.began_pending | sent.any())
        checks.forward("else the oldest of the queue is, if it is not masked", ~self.began_front | (sent == front))
        checks.backward("nothing else is sent", ~sent.any() | self.began_pending | self.began_front)
        checks.backward("one vector at a time", ~(sent & (sent - 1)[:_VECTORS]).any())
        checks.backward("what is masked is never sent", ~(sent & masked).any())
        checks.backward("nothing is sent while MSI or bus mastering is off", ~sent.any() | on)
        checks.backward(
            "of the pending ones, one that was pending and unmasked is sent",
            ~self.began_pending | ~(sent & ~unmasked).any(),
        )
        last = checks.past(self._last_granted(), "last_granted_before")
        checks.backward("only what is granted is sent", ~(sent >> (last + 1)[:6]).any())
        checks.backward("none is sent while an answer is awaited", ~sent.any() | ~checks.past(self.out, "out_before"))
        checks.forward("an answer is passed on", ~(self.out & self.sent) | dut.sent)
        checks.backward("each that was sent has one answer", ~dut.sent | (self.out & self.sent))
        checks.forward("with MSI off, the wait has an end", self.waited < _PATIENCE)
        checks.forward("idle when no answer is awaited", self.out | dut.idle)
        checks.backward("not idle while one is", ~dut.idle | ~self.out)
        works = self.any | self.unmasked.any() | self.out
        checks.forward("busy while anything can be done", ~works | dut.busy)
        checks.backward("not busy otherwise", ~dut.busy | works)
        others = Cat(dut.hard.select, dut.hard.pending_status_function_num, dut.hard.attr, dut.hard.tph_present,
                     dut.hard.tph_type, dut.hard.tph_st_tag, dut.hard.function_number)  # fmt: skip
        checks.backward("it is function 0, without attributes and hints", ~others.any())

    def _last_granted(self) -> Any:
        return Mux(self.mmenable[:3] > 4, _VECTORS - 1, (Const(1, 6) << self.mmenable[:3]) - 1)[:5]

    def _state_pending(self, checks: Checks) -> None:
        dut = self.dut
        on_its_way = self.asked & self.shown.replicate(_VECTORS)
        checks.forward("what is pending is shown", ~((self.pending | on_its_way) & ~dut.hard.pending_status).any())
        checks.backward("nothing else is shown", ~(dut.hard.pending_status & ~(self.pending | on_its_way)).any())
        checks.forward("it is always valid", dut.hard.pending_status_data_enable)
        kept = checks.past(self.front & self.keeps.replicate(_VECTORS), "kept")
        back = checks.past(self.owed & self.returns.replicate(_VECTORS), "back")
        forgot = checks.past(self.flush, "forgot")
        checks.forward(
            "a masked vector, and each while MSI is off, is shown in the next clock",
            forgot | self.began_pending | ~(kept & ~dut.hard.pending_status).any(),
        )
        checks.forward("one that failed is shown again", forgot | ~(back & ~dut.hard.pending_status).any())
        checks.backward("after a flush nothing is pending", ~forgot | ~dut.hard.pending_status.any())
        twice = (self.keeps & (self.granted & self.front).any()) | (self.returns & (self.granted & self.owed).any())
        checks.forward("each that meets itself pending is counted as merged", ~twice | dut.merged)
        checks.backward("nothing else is counted as merged", ~dut.merged | twice)
        becomes = self.keeps & ~(self.granted & self.front).any()
        checks.forward("each that becomes pending is counted as held", ~becomes | dut.held)
        checks.backward("nothing else is counted as held", ~dut.held | becomes)

    def _cover(self, checks: Checks) -> None:
        dut = self.dut
        held_once: Any = Signal(name="held_once")
        self.m.d.sync += held_once.eq(held_once | (dut.held & self.may))
        checks.cover("a masked vector is sent at the unmask", self.began_pending & held_once & dut.hard.int[3])
        checks.cover("a vector is merged", dut.merged & self.may)
        checks.cover("one that failed is sent", self.began_pending & checks.past(self.shown, "shown_ago"))
        checks.cover("an answer is given up", self.returns & ~self.fail)
        checks.cover("two pending vectors become one", (self.pending == 0b0110) & (self.granted == 0b0001))
        checks.cover("a flush while one is out", self.flush & self.out & ~self.answered)
        checks.cover("the queue is full", self.valid & ~self.flush & ~self.enters)

    def _keep(self, shape: Any, name: str) -> Any:
        return Signal(shape, name=f"{name}_kept")

    def _wire(self, value: Any, name: str) -> Any:
        wire: Any = Signal(len(value), name=name)
        self.m.d.comb += wire.eq(value)
        return wire


PROOFS = [
    Proof(
        "msi.queue.2",
        "each vector that is queued is sent once, masked ones at the unmask; pending bits, merges and holds are exact",
        _Queue,
        cover_depth=12,
        mutant_depth=6,
    )
]
