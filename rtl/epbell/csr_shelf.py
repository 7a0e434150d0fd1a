"""Words that nobody but the register port looks at: kept in memories, not in flip-flops.

A word of a DMA channel, such as an address, takes 32 flip-flops, as many LUTs that hold them, and as many again on its
way out. As an entry of a memory of LUTs, one memory for a row of 16 words, it takes four flip-flops: for each byte
whether it has been written since the reset, which a memory does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib.memory import Memory

from epbell.csr_field import Action
from epbell.csr_register import any_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from epbell.csr_register import Register

__all__ = ["Shelf", "shelved"]

_LEAST = 2
"""Words for which a row has a memory."""

_COLUMNS = 16


def shelved(registers: Sequence[Register], row: int) -> dict[int, list[Register]]:
    """Return the registers that can be kept in a memory, by their rows: at least two of a row.

    These are storages of 32 bits, written by bytes, zero after a reset, which the hardware neither sees nor changes.

    Parameters
    ----------
    registers : sequence of Register
        All of a block.
    row : int
        Lowest bit of an address that tells rows apart.
    """
    rows: dict[int, list[Register]] = {}
    for register in registers:
        plain = all(
            field.action is Action.STORAGE and not field.signature.members and not field.reset
            for field in register.fields
        )
        if plain and not register.whole_word and sum(field.width for field in register.fields) == 32:
            rows.setdefault(register.address >> row, []).append(register)
    return {row: words for row, words in rows.items() if len(words) >= _LEAST}


class Shelf:
    """The memory of a row.

    Parameters
    ----------
    m : Module
        Module to add to.
    domain : str
        Clock domain of the flip-flops of a read.
    name : str
        Of the memory, and what the names of its signals begin with.

    Attributes
    ----------
    word : Value(32)
        What was read in the clock before, zero if it was not of this row or of none of its words: a flip-flop and
        another one, which are joined.
    """

    def __init__(self, m: Any, domain: str, name: str) -> None:
        self._m, self._domain, self._name = m, domain, name
        m.submodules[name] = self._memory = Memory(shape=32, depth=_COLUMNS, init=[])
        self._read: Any = Signal(32, reset_less=True, name=f"{name}_read")
        self._there: Any = Signal(4, reset_less=True, name=f"{name}_there")
        self.word: Any = self._read & Cat(lane.replicate(8) for lane in self._there)

    def write(self, column: Any, data: Any, strobes: Any) -> None:
        """Write bytes of a column in this clock; what is none of the words is not read.

        Parameters
        ----------
        column : Value(4)
            Bits 5:2 of the address.
        data, strobes : Value(32), Value(4)
            Bytes, and which of them are written.
        """
        port: Any = self._memory.write_port(granularity=8)
        self._m.d.comb += [port.addr.eq(column), port.data.eq(data), port.en.eq(strobes)]

    def read(self, column: Any, selected: Any, words: Sequence[tuple[str, Any, Any]]) -> None:
        """Read in each clock.

        Parameters
        ----------
        column : Value(4)
            Bits 5:2 of the address.
        selected : Value(1)
            The address is in this row.
        words : sequence of (str, Value(4), Value(1))
            Of each word its name, its bytes that are written in this clock, and whether it is in the column.
        """
        m = self._m
        port: Any = self._memory.read_port(domain="comb")
        there: list[Any] = []
        for name, strobes, here in words:
            written: Any = Signal(4, name=f"{name}_written")
            m.d.sync += written.eq(written | strobes)
            there.append(written & here.replicate(4))
        m.d.comb += port.addr.eq(column)
        m.d[self._domain] += [self._read.eq(port.data), self._there.eq(Mux(selected, any_of(there), 0))]
