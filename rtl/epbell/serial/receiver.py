"""The board's end of the wire, inwards: frames are judged, messages wait in their order until they are taken."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from epbell.serial.frame import HEADER, LONGEST, SEQUENCE_BITS, SLOTS, Kind
from epbell.serial.framing import Deframer

__all__ = ["Heard", "Messages", "Receiver"]

_MOST = LONGEST + 1  # dwords of a frame


class Heard(wiring.Signature):
    """What the transmitter has to know of what came in, in the receiver's view.

    Attributes
    ----------
    valid, ack, room : Out(1), Out(4), Out(4)
        A frame of this session has come, and what it says of the other end's receiver.
    again : Out(1)
        With ``valid``: the other end asks for everything from ``ack`` on once more.
    reset : Out(1)
        A session begins: forget everything.
    greet, tell, ask : Out(1)
        A HELLO, a frame with the new ``ack`` and ``room_here``, a request for what is missing is to be sent.
    epoch, expected, room_here : Out(8), Out(4), Out(4)
        Number of the session, of the next message, and for how many there are places.
    """

    def __init__(self) -> None:
        super().__init__({
            "valid": Out(1),
            "ack": Out(SEQUENCE_BITS),
            "room": Out(4),
            "again": Out(1),
            "reset": Out(1),
            "greet": Out(1),
            "tell": Out(1),
            "ask": Out(1),
            "epoch": Out(8),
            "expected": Out(SEQUENCE_BITS),
            "room_here": Out(4),
        })


class Messages(wiring.Signature):
    """Dwords of messages, header first, in the giver's view.

    Attributes
    ----------
    valid, ready : Out(1), In(1)
    word : Out(32)
    first, last : Out(1)
        The dword is the header; is the last one of its message.
    """

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "ready": In(1), "word": Out(32), "first": Out(1), "last": Out(1)})


class Receiver(wiring.Component):
    """Takes the messages of the host, each once and in their order, whatever the wire does to frames.

    A frame with a bad CRC, with another length than its header says, or of another session than RESET has begun, is as
    if it had not been; of the last kind the host is told with a HELLO. A message with the next number is kept if there
    is a place; one that was there already is acknowledged once more; before one that is missing, nothing is kept, and
    the host is asked for it. It is asked once: if that is lost, its own time runs out.

    Attributes
    ----------
    data, valid : In(8), In(1)
        Bytes from the wire.
    heard : Out(Heard())
        For the transmitter.
    messages : Out(Messages())
        What the host has sent; a dword every two clocks.
    bad : Out(1)
        A frame was no good.
    """

    data: Any
    valid: Any
    heard: Any
    messages: Any
    bad: Any

    def __init__(self) -> None:
        super().__init__({
            "data": In(8),
            "valid": In(1),
            "heard": Out(Heard()),
            "messages": Out(Messages()),
            "bad": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Write each frame to the place of the next message; keep it if it turns out to be that."""
        m: Any = Module()
        m.submodules.deframer = deframer = Deframer()
        m.submodules.places = memory = Memory(shape=32, depth=SLOTS * _MOST, init=[])
        write: Any = memory.write_port()
        heard = self.heard
        header: Any = Signal(HEADER)
        count: Any = Signal(range(_MOST + 2))  # dwords of the frame so far
        taken: Any = Signal(SEQUENCE_BITS)  # number of the message that is taken next
        room: Any = Signal(4)
        expected = heard.expected
        m.d.comb += [
            deframer.data.eq(self.data),
            deframer.valid.eq(self.valid),
            room.eq(SLOTS - (expected - taken)[:SEQUENCE_BITS]),
            heard.room_here.eq(room),
            write.addr.eq(Cat(count[:6], expected[:3])),
            write.data.eq(deframer.word),
            write.en.eq(deframer.word_valid & room.any() & (count < _MOST)),
        ]
        with m.If(deframer.word_valid):
            m.d.sync += count.eq(count + (count <= _MOST))
            with m.If(~count.any()):
                m.d.sync += header.eq(data.View(HEADER, deframer.word))
        with m.If(deframer.end):
            m.d.sync += count.eq(0)
        self._judge(m, deframer, header, deframer.good & (count == header.length + 1))
        self._give(m, memory, taken)
        with m.If(heard.reset):
            m.d.sync += [taken.eq(0), expected.eq(0)]
        return m

    def _judge(self, m: Any, deframer: Any, header: Any, whole: Any) -> None:
        """Decide what a frame is good for, at its end."""
        heard = self.heard
        asked: Any = Signal()  # for what is missing; no message has come since
        ahead: Any = Signal(SEQUENCE_BITS)  # how far the message is from the one that is waited for
        m.d.comb += [
            ahead.eq(header.sequence - heard.expected),
            heard.ack.eq(header.ack),
            heard.room.eq(header.room),
        ]
        missing: Any = Signal()
        with m.If(deframer.end & ~whole):
            m.d.comb += [self.bad.eq(1), missing.eq(heard.epoch.any())]
        with m.Elif(deframer.end & (header.kind == Kind.RESET)):
            m.d.comb += [heard.reset.eq(1), heard.greet.eq(1)]
            m.d.sync += [heard.epoch.eq(header.epoch), asked.eq(0)]
        with m.Elif(deframer.end & (header.epoch != heard.epoch)):
            m.d.comb += heard.greet.eq(1)
        with m.Elif(deframer.end):
            m.d.comb += [heard.valid.eq(1), heard.again.eq(header.kind == Kind.AGAIN)]
            with m.If(header.kind.as_value()[-1]):  # MESSAGE or above
                m.d.comb += heard.tell.eq(1)
                with m.If(ahead.any()):
                    m.d.comb += missing.eq(~ahead[-1])
                with m.Elif(heard.room_here.any()):
                    m.d.sync += [heard.expected.eq(heard.expected + 1), asked.eq(0)]
        with m.If(missing & ~asked):
            m.d.comb += heard.ask.eq(1)
            m.d.sync += asked.eq(1)

    def _give(self, m: Any, memory: Any, taken: Any) -> None:
        """Read message after message, dword after dword."""
        read: Any = memory.read_port()
        heard, messages = self.heard, self.messages
        place: Any = Signal(range(_MOST))
        length: Any = Signal(6)
        found = data.View(HEADER, read.data)
        m.d.comb += [
            read.addr.eq(Cat(place, taken[:3])),
            messages.word.eq(read.data),
            messages.first.eq(~place.any()),
            messages.last.eq(place == Mux(messages.first, found.length, length)),
        ]
        with m.FSM():
            with m.State("FETCH"), m.If((taken != heard.expected) & ~heard.reset):
                m.next = "SHOW"
            with m.State("SHOW"):
                m.d.comb += [messages.valid.eq(1), read.en.eq(0)]
                with m.If(messages.first):
                    m.d.sync += length.eq(found.length)
                with m.If(messages.ready):
                    m.d.sync += place.eq(place + 1)
                    m.next = "FETCH"
                    with m.If(messages.last):
                        m.d.sync += [place.eq(0), taken.eq(taken + 1)]
                        m.d.comb += heard.tell.eq(1)
                with m.If(heard.reset):
                    m.next = "FETCH"
        with m.If(heard.reset):
            m.d.sync += place.eq(0)
