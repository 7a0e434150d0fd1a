"""Proofs of INTA: the line follows its causes, each change is answered before the next, each pulse is told once."""

from typing import Any

from amaranth.hdl import Mux, Signal
from amaranth.lib.wiring import In
from inside import Inside

from epbell.intx import Intx
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

# Places for pulses, and clocks; the endpoint has 16 and 65536, which only makes the counts longer.
_PULSES, _PATIENCE = 2, 3
_COUNT = 8


class _Line(Bench):
    """What the line has to be, by an account of the bench's own."""

    def __init__(self) -> None:
        names = ("level", "pulse", "disabled", "flush", "hold_level", "hold_pulse", "sent")
        super().__init__(dict.fromkeys(names, In(1)))

    def check(self, m: Any, checks: Checks) -> None:
        self.m = m
        m.submodules.dut = self.dut = dut = Intx(_PULSES, patience=_PATIENCE)
        self.inside = Inside(dut)
        for name in self.signature.members:
            m.d.comb += getattr(dut.hard if name == "sent" else dut, name).eq(getattr(self, name))
        self.line = dut.hard.int[0]
        self._account(checks)
        self._state_invariants(checks)
        self._state_line(checks)
        self._state_pulses(checks)
        self._cover(checks)

    def _account(self, checks: Checks) -> None:
        """Follow the changes of the line to their answers, and the pulses that wait."""
        m, line = self.m, self.line
        self.was = checks.past(line, "line_before")
        owed: Any = Signal(name="owed")  # in clocks after the change's own
        doubt: Any = Signal(name="disabled_since_asked")
        self.unheard: Any = Signal(name="unheard")
        self.for_pulse: Any = Signal(name="for_pulse")
        self.flushed: Any = Signal(range(_PATIENCE), name="flushed_clocks")
        self.waiting: Any = Signal(range(_PULSES + 1), name="pulses_waiting")
        self.told: Any = Signal(name="told_last")
        self.changes = line != self.was
        self.owed = owed | self.changes
        given_up = self.flush & (self.flushed == _PATIENCE - 1)
        self.answered = self.owed & (self.sent | given_up)
        self.sure = ~(doubt & ~self.changes) & ~self.disabled
        self.heard = self.answered & line & self.sure
        pulsing = Mux(self.changes, checks.past(~self.level & ~self.flush, "no_level_before"), self.for_pulse)
        self.ends = self.heard & pulsing & (self.waiting != 0) & ~self.flush
        self.left = checks.past(self.ends, "ended_before")  # a place is being left
        merges = (self.disabled & (self.waiting != 0)) | (self.waiting + self.left == _PULSES)
        self.merges = self.pulse & ~self.flush & merges
        self.enters = self.pulse & ~self.flush & ~self.merges
        m.d.sync += [
            owed.eq(self.owed & ~self.answered),
            doubt.eq(~self.sure),
            self.for_pulse.eq(pulsing & ~self.flush),
            self.waiting.eq(Mux(self.flush, 0, self.waiting + self.enters - self.ends)),
            self.flushed.eq(Mux(self.flush, Mux(given_up, self.flushed, self.flushed + 1), 0)),
        ]
        with m.If(self.answered):
            m.d.sync += [self.unheard.eq(line & ~self.sure), self.told.eq(line)]
        self.open = ~self.owed
        causes = (self.level & ~self.unheard) | ((self.waiting != 0) & ~line)
        self.wanted = causes & ~self.disabled & ~self.flush
        self.held_up = self.wanted & Mux(self.level, self.hold_level, self.hold_pulse)
        self.moves = ~self.owed & (line != self.wanted) & ~self.held_up
        self.pulsing, self.doubt = pulsing, doubt

    def _state_invariants(self, checks: Checks) -> None:
        signal = self.inside.signal
        checks.invariant("an answer is owed", signal("asked") == self.owed)
        for n in range(_PULSES):
            checks.invariant("pulses that wait are counted", signal("places")[n] == (self.waiting + self.left > n))
        checks.invariant("so is what is left", self.dut.room == _PULSES - self.waiting - self.left)
        checks.invariant("no more wait than there is room for", self.waiting + self.left <= _PULSES)
        checks.invariant("a pulse that is done has told the host", ~self.left | (self.line & ~self.owed))
        checks.invariant("the host may not have heard", signal("unheard") == self.unheard)
        checks.invariant("a line that is down was heard", ~self.unheard | self.line | self.owed)
        checks.invariant(
            "the hard block may have been disabled", ~self.owed | (signal("doubt") == (self.doubt & ~self.changes))
        )
        checks.invariant("it was for a pulse", ~self.line | ~self.owed | (signal("pulsing") == self.pulsing))
        patience = self.inside.within("patience")
        checks.invariant("the wait is counted", patience.signal("waited") == self.flushed)
        checks.invariant("its end is known ahead", patience.signal("ends") == (self.flushed == _PATIENCE - 1))

    def _state_line(self, checks: Checks) -> None:
        dut, line = self.dut, self.line
        moved = checks.past(self.moves, "moved")
        wanted = checks.past(self.wanted, "wanted_before")
        checks.forward(
            "the line follows what is wanted in the next clock, if no answer is owed", ~moved | (line == wanted)
        )
        checks.backward("the line moves for nothing else", moved | ~self.changes)
        owed = checks.past(self.owed, "owed_before")
        checks.backward("each change waits for the answer to the one before", ~self.changes | ~owed)
        cause = checks.past((self.level | (self.waiting != 0)) & ~self.disabled & ~self.flush, "cause_before")
        checks.backward("the line rises only for the level or a pulse, enabled", ~(self.changes & line) | cause)
        alone = checks.past(
            self.level & ~self.hold_level & ~self.disabled & ~self.flush & ~self.owed & ~self.was & ~self.line, "alone"
        )
        checks.forward("the level raises the line in the next clock", ~alone | line)
        over = checks.past((self.disabled | self.flush) & ~self.owed, "over")
        checks.forward("disabled or flushed, the line falls in the next clock", ~over | ~line)
        rests = checks.past(~self.level & (self.waiting == 0) & ~self.owed, "rests")
        checks.forward("without a cause, the line falls in the next clock", ~rests | ~line)
        checks.backward(
            "INTB to INTD and other functions are never asked for", ~(dut.hard.int[1:] | dut.hard.pending[1:]).any()
        )
        checks.forward("an assertion that the host has heard is told", ~self.heard | dut.asserted)
        checks.backward("nothing else is told as one", ~dut.asserted | self.heard)
        falls = self.answered & ~line
        checks.forward("a deassertion that is answered is told", ~falls | dut.deasserted)
        checks.backward("nothing else is told as one", ~dut.deasserted | falls)
        up: Any = Signal(name="asserted_last")
        self.m.d.sync += up.eq((up | dut.asserted) & ~dut.deasserted)
        checks.invariant(
            "what the host has heard is up", ~up | (self.line & ~self.owed & ~self.unheard) | (~self.line & self.owed)
        )
        checks.backward("two assertions have a deassertion between them", ~(dut.asserted & up))
        checks.forward("INTA as the host knows it is that of the last answer", ~self.told | dut.told)
        checks.backward("it is nothing else", ~dut.told | self.told)
        idle = ~line & ~self.owed
        checks.forward("idle when the line is down and no answer is owed", ~idle | dut.idle)
        checks.backward("not idle otherwise", ~dut.idle | idle)
        checks.forward("busy while a change is wanted or owed", ~(self.owed | (line != self.wanted)) | dut.busy)
        checks.backward("not busy otherwise", ~dut.busy | self.owed | (line != self.wanted))

    def _state_pulses(self, checks: Checks) -> None:
        dut = self.dut
        came, gone, merged = (Signal(_COUNT, name=name) for name in ("came", "gone", "merged"))
        with self.m.If(self.flush):
            self.m.d.sync += [came.eq(0), gone.eq(0), merged.eq(0)]
        with self.m.Else():
            self.m.d.sync += [
                came.eq(came + self.pulse),
                gone.eq(gone + dut.done),
                merged.eq(merged + dut.merged),
            ]
        inside = _PULSES - dut.room  # with one that is done
        checks.forward("each pulse is told, merged or waits, exactly once", came == (gone + merged + inside)[:_COUNT])
        rest = _PULSES - self.waiting - self.left
        checks.backward("pulses of which there is no account have been flushed", dut.room == rest)
        checks.forward("a pulse gets a place if there is one", ~self.enters | dut.queued)
        checks.backward("nothing else gets a place", ~dut.queued | self.enters)
        checks.forward("a pulse without a place is merged", ~self.merges | dut.merged)
        checks.backward("nothing else is merged", ~dut.merged | self.merges)
        checks.forward("a pulse is done in the clock after the host has heard it", ~self.left | dut.done)
        checks.backward("each pulse that is done has an assertion of its own", ~dut.done | self.left)
        checks.backward("the host has heard of it", ~self.ends | dut.asserted)
        full = (self.waiting + self.left == _PULSES) & ~self.level & ~self.disabled
        checks.forward("full when no pulse finds a place, and one will", ~full | dut.full)
        checks.backward("not full otherwise", ~dut.full | full)
        status = ((self.level | (self.waiting != 0)) & ~self.flush) | self.line
        checks.forward("Interrupt Status shows each cause", ~status | dut.hard.pending[0])
        checks.backward("it shows nothing else", ~dut.hard.pending[0] | status)

    def _cover(self, checks: Checks) -> None:
        dut = self.dut
        twice: Any = Signal(name="done_before")
        self.m.d.sync += twice.eq(twice | dut.done)
        checks.cover("two pulses are told, one after the other", dut.done & twice)
        checks.cover("a pulse is merged with all places taken", dut.merged & ~self.disabled)
        checks.cover("a pulse is merged while disabled", dut.merged & self.disabled)
        checks.cover("an assertion that the host may not have heard ends", self.unheard & self.moves)
        checks.cover("an answer is given up", self.answered & ~self.sent & self.line)
        checks.cover("the level takes over the line of a pulse", self.ends & self.level)
        checks.cover("a message is held back", self.held_up & self.level)


PROOFS = [
    Proof(
        "intx.line.2",
        "INTA follows its causes, one change at a time; each pulse is told, merged or waits; disabled, it is down",
        _Line,
        cover_depth=14,
        mutant_depth=10,
    )
]
