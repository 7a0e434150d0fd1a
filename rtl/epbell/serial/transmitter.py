"""The board's end of the wire, outwards: messages are sent until the host has acknowledged them."""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from epbell.serial.frame import BYTE, HEADER, IDENTITY, LONGEST, SEQUENCE_BITS, SLOTS, Kind, header
from epbell.serial.framing import Framer
from epbell.serial.receiver import Heard

__all__ = ["Outbox", "Transmitter"]

_MOST = LONGEST + 1  # dwords of a frame


class Outbox(wiring.Signature):
    """The place of the next message, in the writer's view.

    Attributes
    ----------
    room : In(1)
        There is a place. It stays until it is used.
    write, place, word : Out(1), Out(6), Out(32)
        Write a dword of the message, its first at 1.
    done, kind, length : Out(1), Out(4), Out(6)
        In the same clock as the last ``write`` or later: the message is complete, and what it is.
    """

    def __init__(self) -> None:
        super().__init__({
            "room": In(1),
            "write": Out(1),
            "place": Out(6),
            "word": Out(32),
            "done": Out(1),
            "kind": Out(Kind),
            "length": Out(6),
        })


class Transmitter(wiring.Component):
    """Sends messages in their order, as many as the host has places for, and HELLO and states of the receiver between.

    What the host has not acknowledged is sent again when it asks for it, and when nothing has been acknowledged for
    `patience` clocks. Each message says what the receiver waits for; a frame that says nothing else is sent when there
    is no message that could.

    Parameters
    ----------
    hello : sequence of int
        Dwords of a HELLO behind its first one.
    patience : int
        Clocks, 1 or more.

    Attributes
    ----------
    heard : In(Heard())
        From the receiver.
    outbox : In(Outbox())
        What is to be sent.
    bytes : Out(stream.Signature(8))
        For the wire.
    repeated : Out(1)
        Messages are sent again.
    """

    heard: Any
    outbox: Any
    bytes: Any
    repeated: Any

    def __init__(self, hello: tuple[int, ...], patience: int) -> None:
        if not isinstance(patience, int) or patience < 1:
            raise ValueError(f"What is not acknowledged must be sent again after 1 clock or more, not {patience!r}")
        self._hello = IDENTITY, *hello
        self._patience = patience
        super().__init__({
            "heard": In(Heard()),
            "outbox": In(Outbox()),
            "bytes": Out(stream.Signature(BYTE)),
            "repeated": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Keep messages until they are acknowledged, and choose what to send next."""
        m: Any = Module()
        m.submodules.framer = framer = Framer()
        m.submodules.places = memory = Memory(shape=32, depth=SLOTS * _MOST, init=[])
        wiring.connect(m, framer.bytes, wiring.flipped(self.bytes))
        heard, outbox = self.heard, self.outbox
        written, sent, acked, limit = (self._number(name) for name in ("written", "sent", "acked", "limit"))
        kinds = Array(Signal(10, name=f"message{slot}") for slot in range(SLOTS))  # kind and length
        write: Any = memory.write_port()
        m.d.comb += [
            outbox.room.eq((written - acked)[:SEQUENCE_BITS] != SLOTS),
            write.addr.eq(Cat(outbox.place, written[:3])),
            write.data.eq(outbox.word),
            write.en.eq(outbox.write),
        ]
        with m.If(outbox.done):
            m.d.sync += [kinds[written[:3]].eq(Cat(outbox.kind, outbox.length)), written.eq(written + 1)]
        owed = {name: Signal(name=f"owes_{name}") for name in ("greet", "ask", "tell")}
        self._send(m, framer, memory, kinds, owed, written, sent, limit)
        self._acknowledge(m, written, sent, acked, limit)
        for name, owes in owed.items():
            with m.If(getattr(heard, name)):
                m.d.sync += owes.eq(1)
        with m.If(heard.reset):
            m.d.sync += [value.eq(0) for value in (written, sent, acked, limit, owed["ask"], owed["tell"])]
        return m

    def _number(self, name: str) -> Any:
        return Signal(SEQUENCE_BITS, name=name)

    def _acknowledge(self, m: Any, written: Any, sent: Any, acked: Any, limit: Any) -> None:
        """Follow what the host has, and go back to what it has not."""
        heard = self.heard
        waited: Any = Signal(range(self._patience))
        news: Any = Signal(SEQUENCE_BITS)  # messages that are acknowledged for the first time
        under_way: Any = Signal(SEQUENCE_BITS)
        m.d.comb += [news.eq(heard.ack - acked), under_way.eq(sent - acked)]
        valid = heard.valid & (news <= (written - acked)[:SEQUENCE_BITS])
        late = under_way.any() & (waited == self._patience - 1)
        with m.If(under_way.any()):
            m.d.sync += waited.eq(waited + 1)
        with m.If(valid):
            m.d.sync += [acked.eq(heard.ack), limit.eq(heard.ack + heard.room)]
            with m.If(news.any()):
                m.d.sync += waited.eq(0)
        m.d.comb += self.repeated.eq(under_way.any() & ((valid & heard.again & (news < under_way)) | late))
        with m.If((valid & heard.again) | late):
            m.d.sync += [sent.eq(Mux(valid, heard.ack, acked)), waited.eq(0)]
        with m.Elif(valid & (news > under_way)):
            m.d.sync += sent.eq(heard.ack)
        with m.If(~under_way.any()):
            m.d.sync += waited.eq(0)

    def _send(
        self, m: Any, framer: Any, memory: Any, kinds: Any, owed: dict[str, Any], written: Any, sent: Any, limit: Any
    ) -> None:
        """Send one frame after the other."""
        heard = self.heard
        read: Any = memory.read_port()
        slot: Any = Signal(3)
        place: Any = Signal(range(_MOST))
        first: Any = Signal(32)
        hello: Any = Signal()
        view: Any = data.View(HEADER, first)
        words = Array(Const(word, 32) for word in self._hello)
        may: Any = Signal()
        ahead: Any = Signal(SEQUENCE_BITS)
        m.d.comb += ahead.eq(limit - sent)
        m.d.comb += may.eq((sent != written) & ahead.any() & (ahead <= SLOTS))
        m.d.comb += read.addr.eq(Cat(place, slot))
        fields = {"room": heard.room_here, "ack": heard.expected, "epoch": heard.epoch, "sequence": sent}
        message = kinds[sent[:3]]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [place.eq(1), slot.eq(sent[:3]), hello.eq(owed["greet"])]
                with m.If(owed["greet"]):
                    length = len(self._hello)
                    m.d.sync += [first.eq(header(kind=Kind.HELLO, length=length, **fields)), owed["greet"].eq(0)]
                    m.next = "HEADER"
                with m.Elif(owed["ask"]):
                    m.d.sync += [first.eq(header(kind=Kind.AGAIN, **fields)), owed["ask"].eq(0), owed["tell"].eq(0)]
                    m.next = "HEADER"
                with m.Elif(may & ~heard.valid):
                    m.d.sync += [first.eq(header(kind=message[:4], length=message[4:], **fields))]
                    m.d.sync += [sent.eq(sent + 1), owed["tell"].eq(0)]
                    m.next = "HEADER"
                with m.Elif(owed["tell"]):
                    m.d.sync += [first.eq(header(kind=Kind.STATE, **fields)), owed["tell"].eq(0)]
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += [framer.valid.eq(1), framer.word.eq(first), framer.last.eq(~view.length.any())]
                with m.If(framer.ready):
                    m.next = "WORDS"
                    with m.If(framer.last):
                        m.next = "IDLE"
            with m.State("WORDS"):
                m.d.comb += [
                    framer.valid.eq(1),
                    framer.word.eq(Mux(hello, words[(place - 1)[:2]], read.data)),
                    framer.last.eq(place == view.length),
                ]
                with m.If(framer.ready):
                    m.d.sync += place.eq(place + 1)
                    m.next = "NEXT"
                    with m.If(framer.last):
                        m.next = "IDLE"
            with m.State("NEXT"):
                m.next = "WORDS"
