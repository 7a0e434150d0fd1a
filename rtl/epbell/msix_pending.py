"""The pending bits of the MSI-X vectors."""

from typing import Any

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["PendingBits"]


class PendingBits(wiring.Component):
    """A bit for each vector, in dwords as in the PBA, and a look at one of them from a vector upwards.

    Parameters
    ----------
    words : int
        Dwords, 2 to 64.

    Attributes
    ----------
    vector : In(11)
        Look at this vector; the answer belongs to the next clock.
    word : Out(32)
        Its dword,
    here : Out(1)
        its own bit,
    found, first : Out(1), Out(5)
        and the lowest bit of the dword, from its own upwards, that is set.
    w_en, w_index, w_word : In(1), In(6), In(32)
        Replace a dword; seen by a look in the next clock.
    """

    vector: Any
    word: Any
    here: Any
    found: Any
    first: Any
    w_en: Any
    w_index: Any
    w_word: Any

    def __init__(self, words: int) -> None:
        self._words = words
        super().__init__({
            "vector": In(11),
            "word": Out(32),
            "here": Out(1),
            "found": Out(1),
            "first": Out(5),
            "w_en": In(1),
            "w_index": In(6),
            "w_word": In(32),
        })

    def elaborate(self, platform: object) -> Module:
        """Build the memory."""
        m: Any = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=self._words, init=[])
        write: Any = memory.write_port()
        read: Any = memory.read_port()
        position: Any = Signal(5)
        upwards: Any = Signal(32)
        m.d.sync += position.eq(self.vector[:5])
        m.d.comb += [
            write.en.eq(self.w_en),
            write.addr.eq(self.w_index),
            write.data.eq(self.w_word),
            read.addr.eq(self.vector >> 5),
            self.word.eq(read.data),
            upwards.eq(read.data & (Const(0xFFFF_FFFF, 32) << position)),
            self.here.eq(read.data.bit_select(position, 1)),
            self.found.eq(upwards.any()),
        ]
        for bit in reversed(range(32)):
            with m.If(upwards[bit]):
                m.d.comb += self.first.eq(bit)
        return m
