"""Crossing between two clock domains of any frequency ratio: words with a full flag on both sides.

Every event crosses exactly once, as a change of a toggle that the other side answers. The writer's toggle changes when
a word starts to cross; the reader answers with ``seen`` when the word arrives and with ``taken`` when it is read. At
most one word per channel is under way; a word written meanwhile replaces any that waits, and crosses next.

``seen`` and ``taken`` never change in the same clock of the reader, so a writer that samples both sees a state that the
reader was in, or one between two such states: an answer for an older word is never mistaken for one about a newer word.
This asks that the wires of a channel differ in delay by less than a clock of the reader, and that ``payload`` arrives
within two clocks of the reader; constrain them so.

The toggles are not reset by the domain's ``rst``, which would look like an event on the other side. After a reset of
either side :class:`Restart` halts both, zeroes the toggles while nobody looks, and starts again; words which the writer
still counts as unread then cross again, so that none is lost.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = [
    "Receiver",
    "Restart",
    "Sender",
]


class Restart(wiring.Component):
    """One end of the hand-shake that restarts a link, in the domain ``sync``; the other end is the same.

    Four phases, none of which a reset can cut short: I am ``down``; the other end is halted and says ``ack``; I have
    zeroed my toggles and am not ``down`` any more; the other end takes ``ack`` back. Both ends may do so at once.

    Attributes
    ----------
    request, hold : In(1)
        Restart the link (as the domain's ``rst`` does); stay down while high.
    far_down, far_ack : In(1)
        ``down`` and ``ack`` of the other end; synchronised here.
    down, ack : Out(1)
        To the other end.
    up : Out(1)
        The link works: toggles may be changed and looked at.
    clear : Out(1)
        The other end does not look: zero the toggles.
    """

    request: Any
    hold: Any
    far_down: Any
    far_ack: Any
    down: Any
    ack: Any
    up: Any
    clear: Any

    def __init__(self) -> None:
        inputs = dict.fromkeys(("request", "hold", "far_down", "far_ack"), In(1))
        super().__init__({**inputs, **dict.fromkeys(("down", "ack", "up", "clear"), Out(1))})

    def elaborate(self, platform: object) -> Module:
        """Build the hand-shake. None of its flip-flops has a reset."""
        m: Any = Module()
        far_down, far_ack = Signal(), Signal()
        m.submodules.far_down = FFSynchronizer(self.far_down, far_down)
        m.submodules.far_ack = FFSynchronizer(self.far_ack, far_ack)
        needed = Signal(init=1, reset_less=True)
        down = Signal(reset_less=True)
        released = Signal(reset_less=True)
        ack = Signal(reset_less=True)
        restart = Signal()
        m.d.comb += restart.eq(self.request | ResetSignal("sync", allow_reset_less=True))

        with m.If(needed & ~down & ~released):
            m.d.sync += [needed.eq(0), down.eq(1)]
        with m.Elif(restart & ~down):
            m.d.sync += needed.eq(1)
        with m.If(down & far_ack & ~restart & ~self.hold):
            m.d.sync += [down.eq(0), released.eq(1)]
        with m.If(released & ~far_ack):
            m.d.sync += released.eq(0)
        m.d.sync += ack.eq(far_down)

        m.d.comb += [
            self.down.eq(down),
            self.ack.eq(ack),
            self.up.eq(~(needed | down | released | ack | ResetSignal("sync", allow_reset_less=True))),
            self.clear.eq(ack | (down & far_ack)),
        ]
        return m


class Sender(wiring.Component):
    """Writer's end of a channel, in the domain ``sync``.

    Parameters
    ----------
    width : int
        Width of the word in bits; 0 for a channel that carries events only.

    Attributes
    ----------
    write, word : In(1), In(width)
        A new word is there; the newest word, in this clock and until the next write.
    reset : In(1)
        Forget all words; wins over ``write``.
    up, clear : In(1)
        From :class:`Restart`.
    toggle, payload, echo : Out(1), Out(width), Out(1)
        To the receiver.
    seen, taken : In(1)
        From the receiver; synchronised here.
    full : Out(1)
        The newest word has not been read, as far as is known here. 1 from the clock after ``write`` on.
    emptied : Out(1)
        ``full`` falls at the end of this clock.
    superseded : Out(1)
        ``write`` replaces a word that has not begun to cross.
    busy : Out(1)
        A word has not arrived yet.
    """

    write: Any
    word: Any
    reset: Any
    up: Any
    clear: Any
    toggle: Any
    payload: Any
    echo: Any
    seen: Any
    taken: Any
    full: Any
    emptied: Any
    superseded: Any
    busy: Any

    def __init__(self, width: int) -> None:
        self._width = width
        words = {"word": In(width), "payload": Out(width)} if width else {}
        inputs = dict.fromkeys(("write", "reset", "up", "clear", "seen", "taken"), In(1))
        outputs = dict.fromkeys(("toggle", "echo", "full", "emptied", "superseded", "busy"), Out(1))
        super().__init__({**inputs, **outputs, **words})

    def elaborate(self, platform: object) -> Module:
        """Build the writer's end."""
        m: Any = Module()
        seen, taken = Signal(), Signal()
        m.submodules.seen = FFSynchronizer(self.seen, seen)
        m.submodules.taken = FFSynchronizer(self.taken, taken)
        toggle = Signal(reset_less=True)
        # Not reset either: the toggle may have changed in the clock before, and promises this word.
        payload = Signal(self._width, reset_less=True)
        waiting = Signal()
        under_way, send = Signal(), Signal()
        m.d.comb += [
            under_way.eq(toggle != seen),
            send.eq(self.up & ~under_way & (self.write | waiting)),
            # Only an answer about the newest word counts: none is waiting or under way, and this one is taken.
            self.emptied.eq(self.full & self.up & ~under_way & ~waiting & (taken == toggle) & ~self.write),
            self.superseded.eq(self.write & waiting & ~self.reset),
            self.busy.eq(under_way | waiting),
            self.toggle.eq(toggle),
            self.echo.eq(taken),
        ]
        if self._width:
            m.d.comb += self.payload.eq(payload)
        with m.If(send):
            m.d.sync += [toggle.eq(~toggle), waiting.eq(0)]
            if self._width:
                m.d.sync += payload.eq(self.word)
        with m.Elif(self.write):
            m.d.sync += waiting.eq(1)
        with m.If(self.write):
            m.d.sync += self.full.eq(1)
        with m.Elif(self.emptied):
            m.d.sync += self.full.eq(0)
        with m.If(self.clear):
            # What was under way may be lost: whatever is not known to be read crosses again.
            m.d.sync += [toggle.eq(0), waiting.eq(self.full | self.write)]
        with m.If(self.reset):
            m.d.sync += [self.full.eq(0), waiting.eq(0)]
        return m


class Receiver(wiring.Component):
    """Reader's end of a channel, in the domain ``sync``.

    Parameters
    ----------
    width : int
        Width of the word in bits; 0 for a channel that carries events only.

    Attributes
    ----------
    take : In(1)
        The word is being read. Without effect while ``full`` is 0.
    reset : In(1)
        Forget the word; wins over an arrival.
    up, clear : In(1)
        From :class:`Restart`.
    toggle, payload, echo : In(1), In(width), In(1)
        From the sender; the first and the last are synchronised here.
    seen, taken : Out(1)
        To the sender.
    full, word : Out(1), Out(width)
        An unread word is there; the last word to arrive. Both change in the same clock. ``full`` falls in the clock
        after ``take`` unless a word arrives: then it stays, or becomes, 1.
    arrived : Out(1)
        A word arrives at the end of this clock.
    busy : Out(1)
        The sender has not been told of the last ``take`` yet.
    """

    take: Any
    reset: Any
    up: Any
    clear: Any
    toggle: Any
    payload: Any
    echo: Any
    seen: Any
    taken: Any
    full: Any
    word: Any
    arrived: Any
    busy: Any

    def __init__(self, width: int) -> None:
        self._width = width
        words = {"word": Out(width), "payload": In(width)} if width else {}
        inputs = dict.fromkeys(("take", "reset", "up", "clear", "toggle", "echo"), In(1))
        outputs = dict.fromkeys(("seen", "taken", "full", "arrived", "busy"), Out(1))
        super().__init__({**inputs, **outputs, **words})

    def elaborate(self, platform: object) -> Module:
        """Build the reader's end."""
        m: Any = Module()
        toggle, echo = Signal(), Signal()
        m.submodules.toggle = FFSynchronizer(self.toggle, toggle)
        m.submodules.echo = FFSynchronizer(self.echo, echo)
        seen, taken = Signal(reset_less=True), Signal(reset_less=True)
        coming = Signal()
        m.d.comb += [
            coming.eq(self.up & (toggle != seen)),
            # An unread word is first given up, a clock before the next one is let in: never both answers at once.
            self.arrived.eq(coming & (taken == seen)),
            self.busy.eq(taken != echo),
            self.seen.eq(seen),
            self.taken.eq(taken),
        ]
        with m.If(coming | (self.take & self.full)):
            m.d.sync += taken.eq(seen)
        with m.If(self.arrived):
            m.d.sync += [seen.eq(toggle), self.full.eq(1)]
            if self._width:
                m.d.sync += self.word.eq(self.payload)
        with m.Elif(self.take):
            m.d.sync += self.full.eq(0)
        with m.If(self.clear):
            m.d.sync += [seen.eq(0), taken.eq(0)]
        with m.If(self.reset):
            m.d.sync += self.full.eq(0)
            if self._width:
                m.d.sync += self.word.eq(0)
        return m
