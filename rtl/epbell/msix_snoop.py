"""Which entries of the MSI-X table the host's writes touch."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Snoop"]


class Snoop(wiring.Component):
    """Follows the host's writes to the RAM, and picks out those to the MSI-X table; the answer is one clock late.

    An entry has four dwords, the last of them its vector control; the table may begin at any dword.

    Parameters
    ----------
    address_width : int
        Width of a dword address of the RAM, 3 or more.
    lanes : int
        Dwords that the host can write in one clock: a power of two, 1 to 16.

    Attributes
    ----------
    table : In(address_width)
        Dword address of the table.
    last : In(11)
        Number of the last entry.
    wrote, address, written : In(1), In(address_width), In(lanes)
        The host writes in this clock: dword address of lane 0, and the lanes of which it writes at least one byte.
    entry : In(11)
        An entry,
    touched : Out(1)
        and whether the write of the clock before has touched any of its dwords.
    control_valid, control : Out(1), Out(11)
        The write of the clock before has touched the vector control of exactly this entry,
    control_many : Out(1)
        or those of several entries.

    Raises
    ------
    ValueError
        If a parameter is none of those.
    """

    table: Any
    last: Any
    wrote: Any
    address: Any
    written: Any
    entry: Any
    touched: Any
    control_valid: Any
    control: Any
    control_many: Any

    def __init__(self, address_width: int, lanes: int) -> None:
        if not isinstance(address_width, int) or address_width < 3:
            raise ValueError(f"The width of an address of the table must be 3 or more, not {address_width!r}")
        if lanes not in (1, 2, 4, 8, 16):
            raise ValueError(f"The lanes of the host's writes must be 1, 2, 4, 8 or 16, not {lanes!r}")
        self._lanes = lanes
        super().__init__({
            "table": In(address_width),
            "last": In(11),
            "wrote": In(1),
            "address": In(address_width),
            "written": In(lanes),
            "entry": In(11),
            "touched": Out(1),
            "control_valid": Out(1),
            "control": Out(11),
            "control_many": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Count the dwords from the start of the table, and take them in fours."""
        m: Any = Module()
        offset: Any = Signal(len(self.table))  # of lane 0; wraps, as the RAM does
        written: Any = Signal(self._lanes)
        m.d.sync += [
            offset.eq(self.address - self.table),
            written.eq(self.written & self.wrote.replicate(self._lanes)),
        ]
        entries = (self._lanes + 6) // 4  # that one write can reach into
        dwords: Any = Signal(4 * entries)
        m.d.comb += dwords.eq(written << offset[:2])
        touched: Any = Signal(entries)
        hits: Any = Signal(entries)
        numbers = []
        for index in range(entries):
            number: Any = Signal(len(self.table) - 2, name=f"entry{index}")
            m.d.comb += number.eq(offset[2:] + index)
            numbers.append(number)
            in_table = number <= self.last
            m.d.comb += [
                touched[index].eq(dwords.word_select(index, 4).any() & (number == self.entry) & in_table),
                hits[index].eq(dwords[4 * index + 3] & in_table),
            ]
        for index in reversed(range(entries)):
            with m.If(hits[index]):
                m.d.comb += self.control.eq(numbers[index])
        several = (hits & (hits - 1)[:entries]).any()
        m.d.comb += [
            self.touched.eq(touched.any()),
            self.control_valid.eq(hits.any() & ~several),
            self.control_many.eq(several),
        ]
        return m
