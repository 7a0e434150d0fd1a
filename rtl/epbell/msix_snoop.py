"""Which entries of the MSI-X table the host's writes touch."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell.compare import less
from epbell.csr_register import any_of

__all__ = ["SNOOPED", "Snoop"]

SNOOPED = 4
"""Clocks from a write to what is said of it."""


class Snoop(wiring.Component):
    """Follows the host's writes to the RAM, and picks out those to the MSI-X table; the answer comes four clocks later.

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
        and whether the write of four clocks before has touched any of its dwords; the entry is
        that of two clocks before.
    control_valid, control : Out(1), Out(11)
        The write of four clocks before has touched the vector control of exactly this entry,
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
        """Count the dwords from the start of the table, take them in fours, and compare these with what there is."""
        m: Any = Module()
        offset: Any = Signal(len(self.table))  # of lane 0; wraps, as the RAM does
        written: Any = Signal(self._lanes)
        entries = (self._lanes + 6) // 4  # that one write can reach into
        dwords: Any = Signal(4 * entries)
        touched: Any = Signal(entries)  # the entry is one of those, and in the table
        hits: Any = Signal(entries)  # the vector control of this one is, and it is in the table
        near: Any = Signal(entries)  # any dword of this one is, whether there is such an entry or not
        same: Any = Signal(entries)  # it is the entry that is asked for
        controls: Any = Signal(entries)
        inside: Any = Signal(entries)
        m.d.sync += [
            offset.eq(self.address - self.table),
            written.eq(self.written & self.wrote.replicate(self._lanes)),
            dwords.eq(written << offset[:2]),
        ]
        m.d.comb += [touched.eq(near & same & inside), hits.eq(controls & inside)]
        named = []
        for index in range(entries):
            number: Any = Signal(len(self.table) - 2, name=f"entry{index}")
            control: Any = Signal(11, name=f"control{index}")
            m.d.sync += [
                number.eq(offset[2:] + index),
                control.eq(number),
                near[index].eq(dwords.word_select(index, 4).any()),
                same[index].eq(number[:11] == self.entry),  # of one in the table, that is all of it
                controls[index].eq(dwords[4 * index + 3]),
                inside[index].eq(~less(self.last, number)),
            ]
            named.append(control & hits[index].replicate(11))
        several = (hits & (hits - 1)[:entries]).any()
        m.d.sync += [
            self.touched.eq(touched.any()),
            self.control.eq(any_of(named)),
            self.control_valid.eq(hits.any() & ~several),
            self.control_many.eq(several),
        ]
        return m
