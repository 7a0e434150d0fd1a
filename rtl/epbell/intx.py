"""INTA of function 0 towards the host, through the hard block's port (AMD PG213, "Legacy Interrupt Mode")."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "HardIntx",
    "Intx",
]


class HardIntx(wiring.Signature):
    """``cfg_interrupt_int``, ``_pending`` and ``_sent`` of the hard block, in the endpoint's view.

    Attributes
    ----------
    sent : In(1)
        The change of ``int`` has gone to the host as a message.
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

    While ``disabled``, INTA is deasserted. Pulses wait, and so does the level. An assertion that is answered while
    ``disabled`` has not reached the host: INTA is deasserted, and later asserted again if there is still a reason.
    Interrupt Status (``hard.pending[0]``) shows what there is to tell the host, disabled or not.

    Parameters
    ----------
    pulses : int
        Pulses that can wait, with the one under way, 1 to 63.

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
    hold : In(1)
        Do not assert INTA: what it announces is still on its way. Deasserting goes on.
    hard : Out(HardIntx())
        The hard block's port.
    told : Out(1)
        INTA as the host knows it by the last message.
    room : Out(6)
        Pulses for which there is room.
    asserted, deasserted : Out(1)
        A message has gone to the host; `asserted` not if it was disabled meanwhile.
    done, refused : Out(1)
        A pulse has reached the host, its deassertion is to come; a pulse has been refused, there was no room.
    idle : Out(1)
        INTA is deasserted, and no answer of the hard block is awaited.
    busy : Out(1)
        A change is wanted, or under way. What waits because of ``disabled`` does not count.

    Raises
    ------
    ValueError
        If `pulses` is out of range.
    """

    level: Any
    pulse: Any
    disabled: Any
    flush: Any
    hold: Any
    hard: Any
    told: Any
    room: Any
    asserted: Any
    deasserted: Any
    done: Any
    refused: Any
    idle: Any
    busy: Any

    def __init__(self, pulses: int = 16) -> None:
        if not isinstance(pulses, int) or not 1 <= pulses <= 63:
            raise ValueError(f"The number of INTx pulses that can wait must be 1 to 63, not {pulses!r}")
        self._pulses = pulses
        super().__init__({
            **{name: In(1) for name in ("level", "pulse", "disabled", "flush", "hold")},
            "hard": Out(HardIntx()),
            "told": Out(1),
            "room": Out(6),
            **{name: Out(1) for name in ("asserted", "deasserted", "done", "refused", "idle", "busy")},
        })

    def elaborate(self, platform: object) -> Module:
        """Count the pulses, and change the line when the last change has been answered."""
        m: Any = Module()
        line: Any = Signal()  # what the hard block has been told
        asked: Any = Signal()  # and has not answered yet
        pulsing: Any = Signal()  # the line was asserted for a pulse, not for the level
        unheard: Any = Signal()  # the host did not want to hear of the line's assertion
        waiting: Any = Signal(6)  # pulses, with the one under way until it is done
        wanted: Any = Signal()
        answered = asked & self.hard.sent
        took = self.pulse & self.room.any() & ~self.flush
        m.d.comb += [
            # A pulse ends as soon as the host has it; the level takes the line over, or keeps it.
            wanted.eq(((self.level & ~unheard) | (waiting.any() & ~line)) & ~self.disabled & ~self.flush),
            self.hard.int[0].eq(line),
            self.hard.pending[0].eq(((self.level | waiting.any()) & ~self.flush) | line),
            self.idle.eq(~line & ~asked),
            self.room.eq(self._pulses - waiting),
            self.asserted.eq(answered & line & ~self.disabled),
            self.deasserted.eq(answered & ~line),
            self.done.eq(self.asserted & pulsing & waiting.any()),
            self.refused.eq(self.pulse & ~self.room.any()),
            self.busy.eq(asked | (line != wanted)),
        ]
        with m.If(answered):
            m.d.sync += [asked.eq(0), unheard.eq(line & self.disabled), self.told.eq(line)]
        with m.Elif(~asked & (line != wanted) & ~(wanted & self.hold)):
            m.d.sync += [line.eq(wanted), asked.eq(1), pulsing.eq(~self.level)]
        with m.If(self.flush):
            m.d.sync += [waiting.eq(0), pulsing.eq(0)]
        with m.Else():
            m.d.sync += waiting.eq(waiting + took - self.done)
        return m
