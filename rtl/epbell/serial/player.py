"""What the host's messages are about: packets for the endpoint's streams, its pins, its CPU, configuration space."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell.config_reader import BARS
from epbell.pcie import usp, usp_requester
from epbell.serial.frame import HEADER, Kind
from epbell.serial.manager import ACCESS
from epbell.serial.pins import PULSES, TO_BOARD
from epbell.serial.receiver import Messages

__all__ = ["SIDEBAND", "Player"]

_ARGUMENTS = 3  # dwords of a message that is no packet, at most

SIDEBAND = data.StructLayout({"first_be": 4, "last_be": 4, "discontinue": 1, "tph": 11, "spare": 12})
"""First dword of a packet: what the hard block says beside it. Of RC only ``discontinue`` counts."""


class Player(wiring.Component):
    """Does what one message after the other says.

    A packet is a :data:`SIDEBAND`, the descriptor and the payload; it goes out beat by beat, a dword every two clocks.
    A packet without a dword, and a message of unknown kind, are nothing. ``discontinue`` is in the last beat.

    Parameters
    ----------
    width : int
        Width of the PCIe streams in bits.

    Attributes
    ----------
    messages : In(Messages())
        What the host has sent.
    cq, rc
        Streams to the endpoint.
    access_valid, access_ready, access : Out(1), In(1), Out(ACCESS)
        To the CPU.
    pins : Out(TO_BOARD)
        Inputs of the endpoint.
    bars : Out(32).array(6)
        Base address registers, as the host reads them.
    quiet : In(1)
        Nothing goes from the endpoint to the host, and nothing is waited for of its CPU.
    settled, settled_taken : Out(1), In(1)
        It has been quiet for as long as the host has asked for; until it is told.
    """

    messages: Any
    cq: Any
    rc: Any
    access_valid: Any
    access_ready: Any
    access: Any
    pins: Any
    bars: Any
    quiet: Any
    settled: Any
    settled_taken: Any

    def __init__(self, width: int) -> None:
        self._width = width
        super().__init__({
            "messages": In(Messages()),
            "cq": Out(usp.CompleterRequest(width)),
            "rc": Out(usp_requester.RequesterCompletion(width)),
            "access_valid": Out(1),
            "access_ready": In(1),
            "access": Out(ACCESS),
            "pins": Out(TO_BOARD),
            "bars": Out(32).array(BARS),
            "quiet": In(1),
            "settled": Out(1),
            "settled_taken": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Look at the header, gather dwords, do it."""
        m: Any = Module()
        messages = self.messages
        kind: Any = Signal(Kind)
        place: Any = Signal(2)
        words: Any = Signal(data.ArrayLayout(32, _ARGUMENTS))
        m.d.comb += [self.access.eq(words), self.settled.eq(0)]
        for name in PULSES:
            m.d.sync += getattr(self.pins, name).eq(0)
        packet = (kind == Kind.CQ_CC) | (kind == Kind.RC_RQ)
        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += messages.ready.eq(1)
                m.d.sync += place.eq(0)
                with m.If(messages.valid & messages.first):
                    m.d.sync += kind.eq(data.View(HEADER, messages.word).kind)
                    with m.If(~messages.last):
                        m.next = "WORDS"
            with m.State("WORDS"):
                m.d.comb += messages.ready.eq(1)
                with m.If(messages.valid):
                    with m.If(place < _ARGUMENTS):
                        m.d.sync += [words[place].eq(messages.word), place.eq(place + 1)]
                    with m.If(packet):
                        m.next = "LANES"
                    with m.If(messages.last):
                        m.next = "DO"
            with m.State("DO"):
                self._do(m, kind, words)
            self._packet(m, kind, words)
        return m

    def _do(self, m: Any, kind: Any, words: Any) -> None:
        """Do what a message says that is no packet."""
        rests: Any = Signal(16)  # clocks for which it has been quiet
        m.d.sync += rests.eq(Mux(self.quiet, rests + ~rests.all(), 0))
        with m.Switch(kind):
            with m.Case(Kind.CPU):
                m.d.comb += self.access_valid.eq(1)
                with m.If(self.access_ready):
                    m.next = "HEADER"
            with m.Case(Kind.PINS):
                m.d.sync += self.pins.eq(words)
                m.next = "HEADER"
            with m.Case(Kind.CONFIG):
                with m.Switch(words[0][:3]):
                    for number in range(BARS):
                        with m.Case(number):
                            m.d.sync += self.bars[number].eq(words[1])
                m.next = "HEADER"
            with m.Case(Kind.SETTLE):
                m.d.comb += self.settled.eq(rests >= words[0][:16])
                with m.If(self.settled_taken):
                    m.next = "HEADER"
            with m.Default():
                m.next = "HEADER"

    def _packet(self, m: Any, kind: Any, words: Any) -> None:
        """Gather the dwords of a beat, and offer it."""
        messages, lanes = self.messages, self._width // 32
        side = data.View(SIDEBAND, words[0])
        lane: Any = Signal(range(lanes))
        keep: Any = Signal(lanes)
        beat: Any = Signal(data.ArrayLayout(32, lanes))
        sop: Any = Signal(init=1)
        last: Any = Signal()
        offered: Any = Signal()
        requests = kind == Kind.CQ_CC
        for stream, ours in ((self.cq, requests), (self.rc, ~requests)):
            m.d.comb += [
                stream.tvalid.eq(offered & ours),
                stream.tdata.eq(beat),
                stream.tkeep.eq(keep),
                stream.tlast.eq(last),
            ]
        bad = side.discontinue & last
        first_be, last_be, tph = (Mux(sop, value, 0) for value in (side.first_be, side.last_be, side.tph))
        m.d.comb += [
            self.cq.tuser.eq(
                usp.request_sideband(
                    self._width, first_be=first_be, last_be=last_be, sop=sop, discontinue=bad, tph=tph
                )
            ),
            self.rc.tuser.eq(usp_requester.completion_sideband(self._width, sop=sop, discontinue=bad)),
        ]
        with m.State("LANES"):
            m.d.comb += messages.ready.eq(1)
            with m.If(messages.valid):
                m.d.sync += [
                    beat[lane].eq(messages.word),
                    keep.eq(Mux(lane.any(), keep, 0) | (1 << lane)),
                    lane.eq(lane + 1),
                    last.eq(messages.last),
                ]
                with m.If(messages.last | (lane == lanes - 1)):
                    m.d.sync += lane.eq(0)
                    m.next = "BEAT"
        with m.State("BEAT"):
            m.d.comb += offered.eq(1)
            with m.If((self.cq.tready & requests) | (self.rc.tready & ~requests)):
                m.d.sync += sop.eq(last)
                m.next = "LANES"
                with m.If(last):
                    m.next = "HEADER"
