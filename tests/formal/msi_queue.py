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
_MASK, _ON = 4, 3  # clocks in which the host's masks, and its enables and grants, come to the port
_MOST = 9  # clocks for which something may stand
_SINCE = 9
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
        self._follow_host(checks)
        self._account()
        self._state_invariants(checks)
        self._state_stages(checks)
        self._state_queue(checks)
        self._state_sending(checks)
        self._state_pending(checks)
        self._state_progress(checks)
        self._cover(checks)

    def _follow_host(self, checks: Checks) -> None:
        """Keep what the host has said in the clocks before."""
        may, mask, bits = self.enable[0] & self.bus_master, self.data, self.mmenable[:3]
        self.on, self.masks = [may], [mask]
        # The number of bits of a vector; while MSI is off, nobody knows.
        width = Mux(self.enable[0] & (bits < 5), bits, 5)
        self.width, cut = [width], 5 - width
        cut_before: Any = 0
        for clock in range(1, _MASK + 1):
            self.on.append(checks.past(self.on[-1], f"on{clock}"))
            self.masks.append(checks.past(self.masks[-1], f"masks{clock}"))
            cut = checks.past(cut[:3], f"cut{clock}")
            self.width.append(self._wire((5 - cut)[:3], f"width{clock}"))
            cut_before = cut if clock == 2 else cut_before
        self.before = self._wire((5 - checks.past(cut_before, "cut_before"))[:3], "width_before")
        self.enabled = checks.past(self.enable[0], "enabled_before")
        self.flushed = checks.past(self.flush, "flushed_before")

    def _account(self) -> None:
        """Keep the queue, oldest first, the pending vectors, and the one that the hard block was asked for."""
        m, dut = self.m, self.dut
        self.queue = [self._keep(5, f"queued{n}") for n in range(_DEPTH)]
        self.level = self._keep(range(_DEPTH + 1), "level")
        self.out, self.back = self._keep(1, "out"), self._keep(1, "back")
        pending, owed = self._keep(32, "pending"), self._keep(5, "owed")
        self.shown, self.off = self._keep(1, "shown"), self._keep(1, "off")
        self.forgot, self.waited = self._keep(1, "forgotten"), self._keep(range(_PATIENCE + 1), "waited")
        self.began_pending, self.began_front = self._keep(1, "began_pending"), self._keep(1, "began_front")
        # Whether something is begun or kept is the unit's to say; of several pending vectors it chooses.
        # What is decided in a flush has no effect.
        self.begins, self.sends, self.keeps = (one & ~self.flush for one in (dut._begins, dut._sends, dut._keeps))
        chosen = dut.hard.int & self.began_pending.replicate(_VECTORS)
        number = Cat(Cat(dut.hard.int[n] for n in range(_VECTORS) if n >> bit & 1).any() for bit in range(5))
        self.pending = self._wire(pending & ~chosen, "pending_now")
        self.owed = self._wire(Mux(self.began_pending, number, owed), "owed_now")
        self.asked = self._wire((Const(1, _VECTORS) << self.owed)[:_VECTORS], "asked_now")
        self.any = self.level != 0
        over = self.off & (self.waited == _PATIENCE - 1)
        self.answered = self.out & (self.sent | self.fail | over)
        self.returns = self.answered & ~self.sent & ~self.forgot & ~self.flush
        ends_back = self.back & (self.keeps | self.flush)
        self.front = self._granted(Mux(self.back, self.owed, self.queue[0]), "front")
        self.takes = dut.taken & ~self.flush
        self.enters = self.valid & ~self.flush & (self.level != _DEPTH)
        kept, forget = self.keeps.replicate(_VECTORS), self.flush.replicate(_VECTORS)
        m.d.sync += [
            pending.eq((self._moved(self.pending) | (self.front & kept)) & ~forget),
            owed.eq(Mux(self.sends, self.queue[0], self.owed)),
            self.out.eq((self.out & ~self.answered) | self.begins | self.sends),
            self.back.eq(self.returns | (self.back & ~ends_back)),
            self.shown.eq(((self.shown & ~(self.answered & self.sent) & ~ends_back) | self.begins) & ~self.flush),
            self.off.eq(self.out & (self.off | ~self.enabled)),
            self.forgot.eq((self.out & self.forgot) | self.flush),
            self.waited.eq(Mux(self.out & self.off & ~self.answered, self.waited + 1, 0)),
            self.began_pending.eq(self.begins),
            self.began_front.eq(self.sends),
            self.level.eq(Mux(self.flush, 0, self.level + self.enters - self.takes)),
        ]
        with m.If(self.answered & ~self.returns):
            m.d.sync += self.shown.eq(0)
        place = self.level - self.takes
        for n, one in enumerate(self.queue):
            moved = self.queue[n + 1] if n + 1 < _DEPTH else one
            m.d.sync += one.eq(Mux(self.enters & (place == n), self.vector, Mux(self.takes, moved, one)))

    def _granted(self, number: Any, name: str) -> Any:
        """Return as what a vector is sent: the one with the same low bits that the host has granted."""
        low = [Mux(self.width[2] > bit, number[bit], 0) for bit in range(5)]
        return self._wire((Const(1, _VECTORS) << Cat(low))[:_VECTORS], name)

    def _moved(self, vectors: Any) -> Any:
        """Let vectors that are not granted lose their highest bit."""
        targets: list[Any] = [0] * _VECTORS
        for vector in range(_VECTORS):
            bits = vector.bit_length()
            over = self.width[2] < bits if bits else Const(0, 1)
            targets[vector] |= vectors[vector] & ~over
            if bits:
                targets[vector & ~(1 << bits - 1)] |= vectors[vector] & over
        return Cat(targets)

    def _state_invariants(self, checks: Checks) -> None:
        inside, queue = self.inside, self.inside.within("queue")
        state = self.dut._state
        checks.invariant("what is pending is pending", self.dut._pending == self.pending)
        checks.invariant("an answer is awaited", state.asked == self.out)
        checks.invariant("or one has come back", state.back == self.back)
        checks.invariant("states are those", state.idle == ~(self.out | self.back))
        checks.invariant("what was asked for is remembered", ~(self.out | self.back) | (self.dut._owed == self.owed))
        checks.invariant("it was pending, or not", self.dut._shown == self.shown)
        checks.invariant("then it is the lowest one", ~self.shown | (self.dut._lowest == self.asked))
        checks.invariant("none is shown that was forgotten", ~self.out | ~self.forgot | ~self.shown)
        checks.invariant("none is shown when none is out", self.out | self.back | ~self.shown)
        checks.invariant("MSI was off, or not", ~self.out | (inside.signal("doubt") == self.off))
        checks.invariant("it was forgotten, or not", ~self.out | (inside.signal("forgotten") == self.forgot))
        patience = inside.within("patience")
        checks.invariant("the wait is counted", ~self.out | (patience.signal("waited") == self.waited))
        known = patience.signal("ends") == (patience.signal("waited") == _PATIENCE - 1)
        checks.invariant("its end is known ahead", ~self.out | known)
        checks.invariant("one that has begun is out", self.out | ~(self.began_pending | self.began_front))
        checks.invariant("one begins at a time", ~(self.began_pending & self.began_front))
        checks.invariant("none comes back while one is out", ~(self.out & self.back))
        checks.invariant("the host is followed", self.dut._folds == Cat(self.width[2] <= bit for bit in range(5)))
        level, oldest, newest = (queue.signal(name) for name in ("level", "oldest", "newest"))
        checks.invariant("entries are counted", (level == self.level) & (level <= _DEPTH))
        checks.invariant("one is there", queue.signal("o_valid") == self.any)
        checks.invariant("places are places", newest == (oldest + level)[0])
        checks.invariant("it knows whether there is a place", queue.signal("free") == (level != _DEPTH))
        for n in range(_DEPTH):
            word = queue.word(self.m, "entries", (oldest + n)[0]).vector
            checks.invariant("entries are what was queued", (n >= level) | (word == self.queue[n]))

    def _state_stages(self, checks: Checks) -> None:
        """State what is in each stage, as far as the host has stayed as it is for long enough."""
        m, dut, inside = self.m, self.dut, self.inside
        differs = self.width[1] != self.width[2]
        self.since: Any = Signal(range(_SINCE + 1), init=_SINCE, name="clocks_since_it_changed")
        m.d.sync += self.since.eq(Mux(differs, 0, self.since + (self.since != _SINCE)))
        since = self.since
        settles = inside.signal("settles")
        checks.invariant("clocks since the grants changed are counted", settles == Mux(since < 7, 7 - since, 0))
        checks.invariant("so many at most", since <= _SINCE)
        for width in (*self.width[1:], self.before):
            checks.invariant("a vector has five bits at most", width <= 5)
        checks.invariant("grants are the same since then", (since == 0) | (self.width[2] == self.before))
        checks.invariant("they are followed", inside.signal("folds") == Cat(self.width[1] <= bit for bit in range(5)))
        checks.invariant("masks are followed", dut._mask == self.masks[1])
        checks.invariant("enables are followed", inside.signal("on") == self.on[1])
        checks.invariant("so is MSI's", dut._enabled == self.enabled)
        checks.invariant("it may be sent when all is settled", ~dut._may | (self.on[2] & (since >= 7)))
        checks.invariant("or not", ~dut._off | (~self.on[2] & (since >= 7)))
        for clock in range(1, 6):
            high = self.pending & ~self._granted_mask()
            checks.invariant("pending ones have moved", (since < clock) | ~high[1 << 5 - clock :].any())
        ready, rested = inside.signal("ready"), inside.signal("rested")
        self.could = [self.pending & ~self.masks[1] & self._granted_mask()]
        for clock in range(1, 4):
            self.could.append(checks.past(self.could[-1], f"could{clock}"))
        checks.invariant("what may be sent is known", ready == self.could[1])
        checks.invariant("it is pending still", ~rested | (since == 0) | ~(ready & ~self.pending).any())
        lowest = dut._lowest
        chose = dut._none | dut._any
        checks.invariant("nothing is out, then", ~(rested | chose) | ~(self.out | self.back))
        checks.invariant("not both", ~(dut._none & dut._any))
        checks.invariant("nothing has been forgotten", ~rested | ~self.flushed)
        looked_for = dut._any & (since >= 2)
        checks.invariant("a pending one is chosen", ~looked_for | (lowest.any() & ~(lowest & ~self.pending).any()))
        checks.invariant("one", ~dut._any | ~(lowest & (lowest - 1)[:_VECTORS]).any())
        none = dut._none & ~self.flushed
        checks.invariant("none is chosen if there is none", ~none | ~self.could[2].any())
        checks.invariant("it was not masked", ~dut._any | ~(lowest & self.masks[3]).any())
        checks.invariant("it is granted", ~looked_for | ~(lowest & ~self._granted_mask()).any())
        self._state_front(checks)

    def _state_front(self, checks: Checks) -> None:
        dut, inside, since = self.dut, self.inside, self.since
        looked, new = inside.signal("looked"), dut._restarted
        valid = [one & ~new for one in (*looked, dut._sendable | dut._keepable | dut._returned)]
        number, front = inside.signal("number"), dut._front
        own = self.front
        there = self.any | self.back
        for n in range(4):
            checks.invariant("what is looked at is there", ~valid[n] | there)
            checks.invariant("one stage is after the other", ~valid[n] | valid[max(n - 1, 0)])
        checks.invariant("its number is", ~valid[0] | (since < 1) | (((Const(1, 32) << number)[:32]) == own))
        checks.invariant("it is one of all", ~valid[1] | (since < 2) | (front == own))
        groups = [own.word_select(n, 8) for n in range(4)]
        for n, group in enumerate(groups):
            masked = (group & self.masks[2].word_select(n, 8)).any()
            pending = (group & self.pending.word_select(n, 8)).any()
            known, hit = inside.signal("masked")[n] == masked, inside.signal("hit")[n] == pending
            checks.invariant("groups know masked ones", ~valid[2] | (since < 3) | known)
            checks.invariant("and pending ones", ~valid[2] | (since < 7) | hit)
        checks.invariant("it is pending, or not", ~valid[3] | (since < 7) | (dut._hit == (own & self.pending).any()))
        masked = (own & self.masks[3]).any()
        checks.invariant("one of three", (dut._sendable + dut._keepable + dut._returned) <= 1)
        checks.invariant("it has come back, or not", ~valid[3] | (dut._returned == self.back))
        checks.invariant("it is masked, or not", ~valid[3] | self.back | (since < 4) | (dut._keepable == masked))

    def _state_queue(self, checks: Checks) -> None:
        dut = self.dut
        checks.forward("a vector is queued where there is room", ~self.enters | dut.queued)
        checks.backward("nothing else is queued", ~dut.queued | self.enters)
        refused = checks.past(self.valid & ~self.enters, "not_queued")
        checks.forward("what is not queued is refused", ~refused | dut.refused)
        checks.backward("nothing else is refused", ~dut.refused | refused)
        checks.backward("one leaves that is there", ~self.takes | self.any)
        left = checks.past(self.level, "level_before")
        begun = checks.past(Const(1, 1), "begun")
        checks.backward("room is what was left", ~begun | (dut.room == _DEPTH - left))
        queued = checks.past(dut.queued, "queued_before")
        checks.forward("full when there is no room", (self.level != _DEPTH) | dut.full | queued | self.forgot)
        checks.forward("also after one was queued", ~queued | (self.level != _DEPTH) | dut.full)
        checks.backward("not full when there is room", ~dut.full | (left + checks.past(self.valid, "came") >= _DEPTH))

    def _state_sending(self, checks: Checks) -> None:
        dut, sent = self.dut, self.dut.hard.int
        front, pending = checks.past(self.front, "front_before"), checks.past(self.pending, "pending_before")
        oldest = checks.past(self.any, "any_before")
        checks.forward("a pending vector is sent in the next clock", ~self.began_pending | sent.any())
        checks.forward("or the oldest of the queue", ~self.began_front | ((sent == front) & oldest))
        checks.backward("nothing else is sent", ~sent.any() | self.began_pending | self.began_front)
        checks.backward("one vector at a time", ~(sent & (sent - 1)[:_VECTORS]).any())
        checks.backward("what was masked in the fourth clock before is never sent", ~(sent & self.masks[_MASK]).any())
        checks.backward("nothing is sent while MSI or bus mastering was off in the third", ~sent.any() | self.on[_ON])
        checks.backward("of the pending ones, one that is is sent", ~self.began_pending | ~(sent & ~pending).any())
        granted = self._granted_mask(_ON)
        checks.backward("only what is granted is sent", ~(sent & ~granted).any())
        none = checks.past(~self.out & ~self.back, "none_before")
        checks.backward("none is sent while an answer is awaited", ~sent.any() | none)
        free = checks.past(~self.wait & ~self.flush, "free_before")
        checks.backward("none is sent while another answer is awaited, or in a flush", ~sent.any() | free)
        open_, shut = checks.past(~self.hold, "open_before"), checks.past(self.hold_pending, "shut_before")
        checks.backward("the oldest is not sent before what it announces", ~self.began_front | open_)
        checks.backward("nor is a pending one", ~self.began_pending | ~shut)
        first = ~self.could[3].any()
        checks.backward("the oldest is not sent before a pending one that could be", ~self.began_front | first)
        answer = checks.past(self.out & self.sent, "answered_before")
        checks.forward("an answer is passed on", ~answer | dut.sent)
        checks.backward("each that was sent has one answer", ~dut.sent | answer)
        checks.forward("with MSI off, the wait has an end", self.waited < _PATIENCE)
        idle = ~self.out & ~self.back
        checks.forward("idle when no answer is awaited", ~idle | dut.idle)
        checks.backward("not idle while one is", ~dut.idle | idle)
        works = checks.past(self.any | self.out | self.back, "works_before")
        checks.forward("busy while anything can be done", ~works | dut.busy)
        others = Cat(dut.hard.select, dut.hard.pending_status_function_num, dut.hard.attr, dut.hard.tph_present,
                     dut.hard.tph_type, dut.hard.tph_st_tag, dut.hard.function_number)  # fmt: skip
        checks.backward("it is function 0, without attributes and hints", ~others.any())

    def _state_pending(self, checks: Checks) -> None:
        dut = self.dut
        shown = self.pending | (self.asked & self.shown.replicate(_VECTORS))
        checks.forward("what is pending is shown", ~(shown & ~dut.hard.pending_status).any())
        checks.backward("nothing else is shown", ~(dut.hard.pending_status & ~shown).any())
        checks.forward("it is always valid", dut.hard.pending_status_data_enable)
        forgot = checks.past(self.flush, "forgot")
        checks.backward("after a flush nothing is pending", ~forgot | ~dut.hard.pending_status.any())
        kept = self.keeps & ~self.back
        masked = (self.front & self.masks[_MASK - 1]).any()
        checks.backward("one that becomes pending was masked, or MSI or bus mastering off",
                        ~kept | masked | ~self.on[2])  # fmt: skip
        checks.backward("a masked one only when what it announces has left", ~(kept & self.on[2]) | ~self.hold)
        checks.backward("none is taken from the queue, and neither sent nor kept", ~self.takes | kept | self.sends)
        checks.backward("none is kept that is not taken", ~kept | self.takes)
        met = (self.pending & self.front).any()
        twice = checks.past(self.keeps & met, "kept_twice")
        checks.forward("each that meets itself pending is counted as merged", ~twice | dut.merged)
        checks.backward("nothing else is counted as merged", ~dut.merged | twice)
        becomes = checks.past(kept & ~met, "becomes_pending")
        checks.forward("each that becomes pending is counted as held", ~becomes | dut.held)
        checks.backward("nothing else is counted as held", ~dut.held | becomes)

    def _state_progress(self, checks: Checks) -> None:
        """State that nothing stands for long, while the host stays as it is and nothing is in the way."""
        stays = Cat(self.on[n] == self.on[n + 1] for n in range(2)).all() & (self.masks[0] == self.masks[1])
        calm = stays & ~self.flush & Cat(self.width[n] == self.width[n + 1] for n in range(2)).all()
        unmasked = (self._granted_mask() & self.pending & ~self.masks[0]).any()
        free = ~self.out & ~self.back & ~self.wait & ~self.hold_pending & ~self.hold & self.on[0]
        moves = self.begins | self.takes | self.keeps | self.answered
        dut, looked = self.dut, self.inside.signal("looked")
        stands = {
            "a pending one": free & unmasked,
            "the front": (free & self.any) | self.back | (~self.on[0] & self.any),
        }
        for what, stand in stands.items():
            clocks: Any = Signal(range(_MOST + 1), name=f"clocks_that_{what.replace(' ', '_')}_stands")
            self.m.d.sync += clocks.eq(Mux(stand & calm & ~moves, clocks + (clocks != _MOST), 0))
            checks.invariant("so many at most", clocks <= _MOST)
            same = (self.on[1] == self.on[2]) & (self.on[2] == self.on[3])
            checks.invariant("the host stays as long", self.since >= clocks)
            checks.invariant("with its masks", (clocks == 0) | (self.masks[1] == self.masks[2]))
            checks.invariant("with its enables", (clocks == 0) | same)
            checks.invariant("nothing has moved", (clocks == 0) | ~dut._restarted)
            sends = ~self.out & ~self.back & self.on[1]
            checks.invariant("it is known whether it may", (clocks < 8) | (Mux(self.on[1], dut._may, dut._off)))
            checks.invariant("all rests", (clocks < 1) | ~sends | self.inside.signal("rested"))
            checks.invariant("all has rested", (clocks < 2) | ~sends | dut._none | dut._any)
            if what == "the front":
                for n, one in enumerate((*looked, dut._sendable | dut._keepable | dut._returned)):
                    checks.invariant("it is looked at", (clocks <= n) | one)
            else:
                checks.invariant("it is ready", (clocks < 1) | self.inside.signal("ready").any())
                checks.invariant("it is chosen", (clocks < 3) | dut._any)
                checks.invariant("it is free", (clocks == 0) | sends)
            checks.forward("what may be done is done soon", clocks != _MOST)

    def _granted_mask(self, clock: int = 2) -> Any:
        """Return the vectors that the host had granted some clocks ago."""
        return Cat(self.width[clock] >= vector.bit_length() for vector in range(_VECTORS))

    def _cover(self, checks: Checks) -> None:
        dut = self.dut
        held_once: Any = Signal(name="held_once")
        self.m.d.sync += held_once.eq(held_once | (dut.held & self.on[3]))
        checks.cover("a masked vector is sent at the unmask", self.began_pending & held_once & dut.hard.int[3])
        checks.cover("a vector is merged", dut.merged & self.on[3])
        failed_once: Any = Signal(name="failed_once")
        self.m.d.sync += failed_once.eq(failed_once | self.returns)
        checks.cover("one that failed is sent", self.began_pending & failed_once)
        checks.cover("an answer is given up", self.returns & ~self.fail)
        checks.cover("a pending vector moves", (self.pending == 0b0010) & (self._moved(self.pending)[:4] == 0b0001))
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
        depth=2,
        cover_depth=20,
        mutant_depth=13,
    )
]
