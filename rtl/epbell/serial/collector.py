"""What the endpoint has to tell the host, as messages: packets of its streams, answers of its CPU's bus, its pins."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell.pcie import usp, usp_requester
from epbell.serial.frame import Kind
from epbell.serial.manager import ANSWER
from epbell.serial.pins import FROM_BOARD
from epbell.serial.player import SIDEBAND
from epbell.serial.transmitter import Outbox

__all__ = ["Collector"]

_DWORDS = 3  # of a message that is no packet, at most


class Collector(wiring.Component):
    """Writes messages to the outbox, one at a time: completions first, then requests, answers, pins, SETTLE.

    A beat is taken when its dwords are in the outbox; so what is told of the pins is never ahead of a packet that was
    taken before. The order of the host's own messages is not the order of what comes back.

    Parameters
    ----------
    width : int
        Width of the PCIe streams in bits.

    Attributes
    ----------
    cc, rq
        Streams of the endpoint.
    answered, taken, answer : In(1), Out(1), In(ANSWER)
        From the CPU.
    pins : In(FROM_BOARD)
        Outputs of the endpoint; ``msi`` is high for a clock.
    settled, settled_taken : In(1), Out(1)
        Tell that it has been quiet.
    outbox : Out(Outbox())
        To the transmitter.
    quiet : Out(1)
        There is nothing to tell but that.
    """

    cc: Any
    rq: Any
    answered: Any
    taken: Any
    answer: Any
    pins: Any
    settled: Any
    settled_taken: Any
    outbox: Any
    quiet: Any

    def __init__(self, width: int) -> None:
        self._width = width
        super().__init__({
            "cc": In(usp.CompleterCompletion(width)),
            "rq": In(usp_requester.RequesterRequest(width)),
            "answered": In(1),
            "taken": Out(1),
            "answer": In(ANSWER),
            "pins": In(FROM_BOARD),
            "settled": In(1),
            "settled_taken": Out(1),
            "outbox": Out(Outbox()),
            "quiet": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Choose a source, write its dwords, then what they are."""
        m: Any = Module()
        outbox, pins = self.outbox, self.pins
        told: Any = Signal(FROM_BOARD)  # but for `msi`
        asked: Any = Signal(32)  # MSIs, since the pins were told
        shown: Any = Signal(FROM_BOARD)
        m.d.comb += [shown.eq(pins), shown.msi.eq(0)]
        due: Any = Signal()
        m.d.comb += due.eq(asked.any() | (shown.as_value() != told.as_value()))
        m.d.comb += self.quiet.eq(~(self.cc.tvalid | self.rq.tvalid | self.answered | due))
        m.d.sync += asked.eq(asked | pins.msi)
        kind: Any = Signal(Kind)
        place: Any = Signal(6, init=1)
        count: Any = Signal(2)
        words: Any = Signal(data.ArrayLayout(32, _DWORDS))
        m.d.comb += outbox.place.eq(place)
        with m.If(outbox.write):
            m.d.sync += place.eq(place + 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += place.eq(1)
                with m.If(outbox.room):
                    with m.If(self.cc.tvalid):
                        m.d.sync += kind.eq(Kind.CQ_CC)
                        m.next = "BEATS"
                    with m.Elif(self.rq.tvalid):
                        m.d.sync += [kind.eq(Kind.RC_RQ), words.eq(self._sideband()), count.eq(1)]
                        m.next = "WORDS"
                    with m.Elif(self.answered):
                        m.d.comb += self.taken.eq(1)
                        m.d.sync += [kind.eq(Kind.CPU), words.eq(self.answer), count.eq(2)]
                        m.next = "WORDS"
                    with m.Elif(due):
                        m.d.sync += [kind.eq(Kind.PINS), count.eq(3), told.eq(shown), asked.eq(pins.msi)]
                        m.d.sync += words.eq(shown.as_value() | (asked << 32))
                        m.next = "WORDS"
                    with m.Elif(self.settled):
                        m.d.comb += self.settled_taken.eq(1)
                        m.d.sync += kind.eq(Kind.SETTLE)
                        m.next = "DONE"
            with m.State("WORDS"):
                m.d.comb += [outbox.write.eq(1), outbox.word.eq(words[0])]
                m.d.sync += [words.eq(words.as_value()[32:]), count.eq(count - 1)]
                with m.If(count == 1):
                    m.next = "DONE"
                    with m.If(kind == Kind.RC_RQ):
                        m.next = "BEATS"
            with m.State("DONE"):
                m.d.comb += [outbox.done.eq(1), outbox.kind.eq(kind), outbox.length.eq(place - 1)]
                m.next = "IDLE"
            self._beats(m, kind)
        return m

    def _sideband(self) -> Any:
        """Return what goes before the dwords of a request; nothing is ever discontinued."""
        enables = usp_requester.request_enables(self._width, self.rq.tuser)
        assert SIDEBAND["first_be"].offset == 0
        return Cat(enables)

    def _beats(self, m: Any, kind: Any) -> None:
        """Write the dwords of a packet."""
        lanes = self._width // 32
        lane: Any = Signal(range(lanes))
        last: Any = Signal()  # dword of the beat
        completes = kind == Kind.CQ_CC
        valid, tlast = (
            Mux(completes, getattr(self.cc, name), getattr(self.rq, name)) for name in ("tvalid", "tlast")
        )
        words = Mux(completes, self.cc.tdata, self.rq.tdata)
        keep: Any = Mux(completes, self.cc.tkeep, self.rq.tkeep)
        following: Any = Cat(keep[1:], 0)
        with m.State("BEATS"):
            m.d.comb += [
                self.outbox.write.eq(valid),
                self.outbox.word.eq(words.word_select(lane, 32)),
                last.eq(~following.bit_select(lane, 1)),
                self.cc.tready.eq(last & completes),
                self.rq.tready.eq(last & ~completes),
            ]
            with m.If(valid):
                m.d.sync += lane.eq(Mux(last, 0, lane + 1))
                with m.If(last & tlast):
                    m.next = "DONE"
