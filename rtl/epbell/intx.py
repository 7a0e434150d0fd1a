"""INTA of function 0 towards the host, through the hard block's port (AMD PG213, "Legacy Interrupt Mode")."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell.patience import PATIENCE, Patience, check_answers

__all__ = [
    "HardIntx",
    "Intx",
]


class HardIntx(wiring.Signature):
    """``cfg_interrupt_int``, ``_pending`` and ``_sent`` of the hard block, in the endpoint's view.

    Attributes
    ----------
    sent : In(1)
        The change of ``int`` has been accepted, and has gone to the host as a message unless the host has disabled it.
    int : Out(4)
        INTA to INTD.
    pending : Out(4)
        Interrupt Status of each function.
    """

    def __init__(self) -> None:
        super().__init__({"sent": In(1), "int": Out(4), "pending": Out(4)})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HardIntx)

    def __hash__(self) -> int:
        return hash(HardIntx)

    def __repr__(self) -> str:
        return "intx.HardIntx()"


class Intx(wiring.Component):
    """Asserts and deasserts INTA, by level and by pulses; each change waits for the answer to the one before.

    By level: INTA follows ``level``. What changes while a change is under way is followed when that has been answered,
    to the level that there is then. By pulses: each pulse asserts INTA, waits until that has gone, and deasserts it;
    pulses wait for each other, and for a time when ``level`` is low, so that the host gets one Assert_INTA for each.

    While ``disabled``, INTA is deasserted; the level waits, and so do pulses. The hard block answers all the same: its
    answer says that it has accepted the change, and whether there was a message is not known if ``disabled`` has
    changed in between. So an assertion counts as heard only if ``disabled`` has been low in every clock from the one in
    which it was asked for to its answer, both included. Otherwise INTA is deasserted, and later asserted again if there
    is still a reason. The host may then be told twice of one event, but the line is not: it gets a Deassert_INTA in
    between. Interrupt Status (``hard.pending[0]``) shows what there is to tell the host, disabled or not.

    A pulse that comes while ``disabled`` is merged with the last one that waits; so is one for which there is no place.
    All these are told after it came. Who wants a message for each has ``full`` to wait for: it falls, when the host
    lets messages go.

    Parameters
    ----------
    pulses : int
        Pulses that can wait, with the one under way, 2 to 63.
    patience : int
        Clocks of ``flush`` after which no answer is waited for any more, 1 or more.

    Attributes
    ----------
    level : In(1)
        INTA is wanted.
    pulse : In(1)
        One pulse, in each clock in which this is high.
    disabled : In(1)
        The host does not want INTx: Interrupt Disable is set, or MSI or MSI-X is enabled.
    flush : In(1)
        Forget the pulses, one in the same clock too, and deassert INTA whatever the level: for the reset of the
        function.
    hold_level, hold_pulse : In(1)
        Do not assert INTA for the level, for the oldest pulse: what it announces is still on its way. Deasserting goes
        on.
    hard : Out(HardIntx())
        The hard block's port.
    told : Out(1)
        INTA as the host knows it by the last message.
    room : Out(6)
        Pulses for which there is room; that of one that is done is free in the clock after ``done``.
    full : Out(1)
        There is no room, and there will be some without ``level`` or ``disabled`` changing.
    asserted, deasserted : Out(1)
        A message has gone to the host; `asserted` only if that is sure.
    queued, done, merged : Out(1)
        A pulse has got a place; one has reached the host in the clock before, its deassertion is to come; one has been
        merged.
    idle : Out(1)
        INTA is deasserted, and no answer of the hard block is awaited.
    busy : Out(1)
        A change is wanted, or under way. What waits because of ``disabled`` does not count.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    level: Any
    pulse: Any
    disabled: Any
    flush: Any
    hold_level: Any
    hold_pulse: Any
    hard: Any
    told: Any
    room: Any
    full: Any
    asserted: Any
    deasserted: Any
    queued: Any
    done: Any
    merged: Any
    idle: Any
    busy: Any

    def __init__(self, pulses: int = 16, *, patience: int = PATIENCE) -> None:
        if not isinstance(pulses, int) or not 2 <= pulses <= 63:
            raise ValueError(f"The number of INTx pulses that can wait must be 2 to 63, not {pulses!r}")
        self._pulses = pulses
        self._patience = check_answers(patience)
        super().__init__({
            **{name: In(1) for name in ("level", "pulse", "disabled", "flush", "hold_level", "hold_pulse")},
            "hard": Out(HardIntx()),
            "told": Out(1),
            "room": Out(6, init=pulses),
            **{name: Out(1) for name in ("full", "asserted", "deasserted", "queued", "done", "merged", "idle", "busy")},
        })

    def elaborate(self, platform: object) -> Module:
        """Count the pulses, and change the line when the last change has been answered."""
        m: Any = Module()
        m.submodules.patience = patience = Patience(self._patience)
        line: Any = Signal()  # what the hard block has been told
        asked: Any = Signal()  # and has not answered yet
        pulsing: Any = Signal()  # the line was asserted for a pulse, not for the level
        doubt: Any = Signal()  # INTx was disabled since the line's change was asked for
        unheard: Any = Signal()  # the host may not have heard of the line's assertion
        places: Any = Signal(self._pulses)  # bit n: more than n pulses, with the one under way until it is done
        enters: Any = Signal()  # unless there is a flush
        wanted: Any = Signal()
        moves: Any = Signal()
        reaches: Any = Signal()  # the host: the oldest pulse, whose place is left in the next clock
        all_places = places[self._pulses - 1]
        some = Mux(self.done, places[1], places[0])
        sure = ~doubt & ~self.disabled
        answered = asked & (self.hard.sent | patience.over)
        merges = (some & self.disabled) | all_places
        allowed = ~self.disabled & ~self.flush
        keeps = self.level & ~unheard & allowed
        # A line that is low and owes no answer has been heard.
        rises = Mux(self.level, ~self.hold_level, some & ~self.hold_pulse) & allowed
        m.d.comb += [
            # A pulse ends as soon as the host has it; the level takes the line over, or keeps it.
            wanted.eq(keeps | (some & ~line & allowed)),
            moves.eq(~asked & Mux(line, ~keeps, rises)),
            patience.waits.eq(self.flush),
            self.hard.int[0].eq(line),
            self.hard.pending[0].eq(((self.level | some) & ~self.flush) | line),
            self.idle.eq(~line & ~asked),
            self.asserted.eq(answered & line & sure),
            self.deasserted.eq(answered & ~line),
            # Not with the end of the patience: that is in a flush, which forgets the pulses.
            reaches.eq(asked & self.hard.sent & line & sure & pulsing & some & ~self.flush),
            enters.eq(self.pulse & ~merges),
            self.queued.eq(enters & ~self.flush),
            self.merged.eq(self.pulse & merges & ~self.flush),
            self.busy.eq(asked | (line != wanted)),
            self.full.eq(all_places & ~self.level & ~self.disabled),
        ]
        m.d.sync += [
            asked.eq(moves | (asked & ~answered)),
            line.eq(line ^ moves),
            doubt.eq(asked & ~sure),
            self.done.eq(reaches),
        ]
        with m.If(answered):
            m.d.sync += [unheard.eq(line & ~sure), self.told.eq(line)]
        with m.If(~asked):
            m.d.sync += pulsing.eq(~self.level & ~self.flush)
        with m.Elif(self.flush):
            m.d.sync += pulsing.eq(0)
        # Both ways first by what is known, a place that is left; whether a pulse enters comes late.
        entered = Mux(self.done, places, Cat(Const(1, 1), places[:-1]))
        m.d.sync += places.eq(Mux(enters, entered, Mux(self.done, places[1:], places)))
        with m.If(enters ^ self.done):
            m.d.sync += self.room.eq(Mux(self.done, self.room + 1, self.room - 1))
        with m.If(self.flush):
            m.d.sync += [places.eq(0), self.room.eq(self._pulses)]
        return m
