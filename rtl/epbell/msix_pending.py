"""The pending bits of the MSI-X vectors."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from epbell.csr_register import any_of

__all__ = ["LOOK", "SEARCH", "PendingBits"]

LOOK = 2
"""Clocks from a vector to its bit."""

SEARCH = 4
"""Clocks from a vector to the next one that is pending."""


class PendingBits(wiring.Component):
    """A bit for each vector, in dwords as in the PBA, and a look at one of them from a vector upwards.

    There can be a look in each clock; its answers come so many clocks later.

    Parameters
    ----------
    words : int
        Dwords, 2 to 64.

    Attributes
    ----------
    vector : In(11)
        Look at this vector.
    word, bit : Out(32), Out(32)
        Its dword, and its own bit in that, one-hot: a clock later,
    here : Out(1)
        whether that is set: :data:`LOOK` clocks later,
    found, first : Out(1), Out(5)
        and the lowest bit of the dword, from its own upwards, that is set: :data:`SEARCH` clocks later.
    w_en, w_index, w_word : In(1), In(6), In(32)
        Replace a dword; seen by a look two clocks later.
    """

    vector: Any
    word: Any
    bit: Any
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
            "bit": Out(32),
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
        m.submodules.memory = memory = Memory(shape=32, depth=self._words, init=[], attrs={"ram_style": "distributed"})
        write: Any = memory.write_port()
        read: Any = memory.read_port(domain="comb")
        upwards: Any = Signal(32)  # bits from the vector's own on
        reached: Any = Signal(32)  # those of them that are set
        lowest: Any = Signal(32)
        some: Any = Signal()
        replaces: Any = Signal()  # in this clock
        index: Any = Signal(6)
        new: Any = Signal(32)
        position = self.vector[:5]
        m.d.comb += [
            write.en.eq(replaces),
            write.addr.eq(index),
            write.data.eq(new),
            read.addr.eq(self.vector >> 5),
        ]
        m.d.sync += [
            replaces.eq(self.w_en),
            index.eq(self.w_index),
            new.eq(self.w_word),
            self.word.eq(read.data),
            self.bit.eq(Const(1, 32) << position),
            upwards.eq(Const(0xFFFF_FFFF, 32) << position),
            self.here.eq((self.word & self.bit).any()),
            reached.eq(self.word & upwards),
            lowest.eq(reached & (-reached)[:32]),
            some.eq(reached.any()),
            self.found.eq(some),
            self.first.eq(Cat(any_of([lowest[n] for n in range(32) if n >> bit & 1]) for bit in range(5))),
        ]
        return m
