"""Frames out of bytes and back: flags around them, escaped bytes in them, a CRC at their end (after RFC 1662).

A frame is a number of dwords, little-endian, and the CRC-32 of Ethernet (reflected, inverted) over them. The byte 0x7E
is before and after each frame and nowhere else: in a frame, 0x7E and 0x7D are sent as 0x7D and the byte xor 0x20. So
whatever was on the wire before, the next flag begins a frame.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from epbell.serial.frame import BYTE

__all__ = [
    "Deframer",
    "Framer",
]

_FLAG, _ESCAPE, _FLIP = 0x7E, 0x7D, 0x20
_BYTES = 4  # of a dword


class Deframer(wiring.Component):
    """Finds frames in what comes over the wire, and hands on their dwords but for the CRC.

    A dword is handed on when the next one is whole, so that the CRC never is; only ``end`` tells whether what was
    handed on since the frame began is any good. A frame that ends within a dword or after an escape, or of which the
    CRC is wrong, is no good. Flags side by side have no frame between them.

    Attributes
    ----------
    data, valid : In(8), In(1)
        A byte from the wire, in each clock with ``valid``.
    word, word_valid : Out(32), Out(1)
        A dword of a frame, in each clock with ``word_valid``.
    end, good : Out(1)
        A frame has ended; its CRC was right.
    """

    data: Any
    valid: Any
    word: Any
    word_valid: Any
    end: Any
    good: Any

    def __init__(self) -> None:
        super().__init__({
            "data": In(8),
            "valid": In(1),
            "word": Out(32),
            "word_valid": Out(1),
            "end": Out(1),
            "good": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Take out flags and escapes, and gather dwords."""
        m: Any = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        flag, escape = self.data == _FLAG, self.data == _ESCAPE
        escaped: Any = Signal()
        begun: Any = Signal()  # there was a byte since the last flag
        held: Any = Signal()  # a dword waits for the next one
        handed: Any = Signal()  # one was handed on
        place: Any = Signal(range(_BYTES))
        early: Any = Signal(32 - 8)  # bytes of a dword that is not whole yet
        byte: Any = Signal(8)
        taken: Any = Signal()
        m.d.comb += [
            byte.eq(self.data ^ Mux(escaped, _FLIP, 0)),
            taken.eq(self.valid & ~flag & ~escape),
            crc.data.eq(byte),
            crc.valid.eq(taken),
            crc.start.eq(self.valid & flag),
            self.end.eq(self.valid & flag & begun),
            self.good.eq(crc.match_detected & ~place.any() & ~escaped & handed),
            self.word_valid.eq(taken & (place == _BYTES - 1) & held),
        ]
        with m.If(self.valid):
            m.d.sync += [begun.eq(~flag), escaped.eq(escape)]
        with m.If(self.valid & flag):
            m.d.sync += [place.eq(0), held.eq(0), handed.eq(0)]
        with m.If(taken):
            m.d.sync += [place.eq(place + 1), early.eq(Cat(early[8:], byte))]
            with m.If(place == _BYTES - 1):
                m.d.sync += [held.eq(1), handed.eq(held), self.word.eq(Cat(early, byte))]
        return m


class Framer(wiring.Component):
    """Sends dwords as a frame: from the first ``valid`` to the dword with ``last``, without an end to wait for.

    Attributes
    ----------
    word, valid, ready, last : In(32), In(1), Out(1), In(1)
        Dwords of the frame. ``word`` and ``last`` stay as they are from ``valid`` until ``ready``.
    bytes : Out(stream.Signature(8))
        What goes over the wire.
    """

    word: Any
    valid: Any
    ready: Any
    last: Any
    bytes: Any

    def __init__(self) -> None:
        super().__init__({
            "word": In(32),
            "valid": In(1),
            "ready": Out(1),
            "last": In(1),
            "bytes": Out(stream.Signature(BYTE)),
        })

    def elaborate(self, platform: object) -> Module:
        """Flag, dwords, CRC, flag; an escaped byte takes two."""
        m: Any = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        out = self.bytes
        place: Any = Signal(range(_BYTES))
        escaped: Any = Signal()
        byte: Any = Signal(8)
        sends: Any = Signal()  # a byte that may have to be escaped
        moves = out.valid & out.ready
        special = ((byte == _FLAG) | (byte == _ESCAPE)) & ~escaped
        done: Any = Signal()  # with a byte
        m.d.comb += done.eq(sends & moves & ~special)
        with m.If(sends):
            m.d.comb += out.payload.eq(Mux(special, _ESCAPE, byte ^ Mux(escaped, _FLIP, 0)))
        with m.Else():
            m.d.comb += out.payload.eq(_FLAG)
        with m.If(sends & moves):
            m.d.sync += escaped.eq(special)
        with m.If(done):
            m.d.sync += place.eq(place + 1)
        with m.FSM():
            with m.State("FLAG"):
                m.d.comb += [out.valid.eq(self.valid), crc.start.eq(1)]
                with m.If(moves):
                    m.next = "WORDS"
            with m.State("WORDS"):
                m.d.comb += [
                    sends.eq(1),
                    out.valid.eq(self.valid),
                    byte.eq(self.word.word_select(place, 8)),
                    crc.data.eq(byte),
                    crc.valid.eq(done),
                    self.ready.eq(done & (place == _BYTES - 1)),
                ]
                with m.If(self.ready & self.last):
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [sends.eq(1), out.valid.eq(1), byte.eq(crc.crc.word_select(place, 8))]
                with m.If(done & (place == _BYTES - 1)):
                    m.next = "END"
            with m.State("END"):
                m.d.comb += out.valid.eq(1)
                with m.If(moves):
                    m.next = "FLAG"
        return m
