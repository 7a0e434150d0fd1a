"""How an access at the register port comes to the registers: in its own clock, or decoded a clock ahead.

Both decoders give each register an :class:`Access`, from which its fields are built, and join what the registers read
as. A whole access in one clock is the address's comparison, the strobes and what the field does with both, one behind
the other. A clock ahead, the comparison ends in flip-flops, and the access itself starts from these alone.

An address is a row and a column, as in a memory, each decoded once for all registers that share them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import C, Cat, Mux, Signal

from epbell.csr_field import BYTEWISE, Action
from epbell.csr_register import any_of
from epbell.csr_shelf import Shelf, shelved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from epbell.csr_field import Field
    from epbell.csr_register import Register

__all__ = [
    "GROUP",
    "Access",
    "Decoder",
    "RegisteredDecoder",
]


GROUP = 8
"""Registers of a row whose words are joined in one clock where the data of a read are held: two levels of logic."""

_ROW = 6
"""Lowest bit of an address that tells rows apart: a row has 16 words, since four bits are one LUT."""


class Access:
    """An access to one register, as its fields see it in the clock in which it is made.

    Attributes
    ----------
    writes : Value(1)
        Whether anything is being written.
    w_data : Value(32)
        Data to write.
    strobes : Value(4)
        Bytes of the register that are being written; none while ``writes`` is low.
    reads : Value(1)
        Whether the register is being read.
    """

    def __init__(self, *, writes: Any, w_data: Any, strobes: Any, reads: Any) -> None:
        self.writes = writes
        self.w_data = w_data
        self.strobes = strobes
        self.reads = reads

    def data(self, field: Field) -> Any:
        """Bits of ``w_data`` that are a field's."""
        return self.w_data[field.low : field.low + field.width]

    def mask(self, field: Field) -> Any:
        """Bits of a field whose byte is being written."""
        return Cat(self.strobes[bit // 8] for bit in range(field.low, field.low + field.width))

    def after(self, field: Field, value: Any) -> Any:
        """Value of a storage from the next clock on, by the one that it has."""
        mask = self.mask(field)
        return (self.data(field) & mask) | (value & ~mask)

    def ones(self, m: Any, register: Register, field: Field) -> Any:
        """Bits of a field that are being written 1."""
        return self.data(field) & self.mask(field)


class Decoder:
    """An access is made in the clock in which it is at the port.

    Parameters
    ----------
    bus : interface
        Register port, in the target's view.
    """

    def __init__(self, bus: Any) -> None:
        self._bus = bus

    def keeps(self, register: Register) -> bool:
        """Whether a register has no fields to be built: no."""
        return False

    def access(self, m: Any, register: Register) -> Access:
        """Decode the accesses to one register."""
        bus = self._bus
        strobes, reads = register.write_strobes(m, bus), register.read_select(m, bus)
        return Access(writes=bus.w_en, w_data=bus.w_data, strobes=strobes, reads=reads)

    def join(self, m: Any, words: Sequence[tuple[Register, Any]]) -> None:
        """Build the read multiplexer over the registers that do not always read as zero."""
        with m.If(self._bus.r_en), m.Switch(self._bus.r_addr[2:]):
            for register, word in words:
                with m.Case(register.address >> 2):
                    m.d.comb += self._bus.r_data.eq(word)


class _Ahead(Access):
    """An access out of flip-flops; pulses have their own, and nothing between them and the field."""

    def __init__(self, now: Access, *, domain: str, w_data: Any, strobes: Any, reads: Any) -> None:
        super().__init__(writes=C(1), w_data=w_data, strobes=strobes, reads=reads)
        self._now = now
        self._domain = domain

    def ones(self, m: Any, register: Register, field: Field) -> Any:
        if field.action is not Action.PULSE:
            return super().ones(m, register, field)
        ones: Any = Signal(field.width, name=f"{register.name}__{field.name}_ones")
        m.d[self._domain] += ones.eq(self._now.ones(m, register, field))
        return ones


class RegisteredDecoder:
    """An access is decoded in the clock in which it is at the port, and made in a later one.

    A register that keeps to itself what is written has no flip-flop of its own for that, but those of its row, one for
    each byte, and that of its column: so they are few, and each drives few. Where the hardware is told of a write, each
    byte of the register has one, and each bit of a pulse. Reads are decoded like this, too, where their data come
    later: a row's flip-flop lets the words of the row through behind the columns'. Else each register has one for them.
    Words of those rows that are storage alone are on shelves (:mod:`epbell.csr_shelf`).

    Parameters
    ----------
    bus : interface
        Register port, in the target's view, of a signature with ``registered=True``.
    registers : sequence of Register
        All of them.
    domain : str
        Clock domain of the flip-flops that hold what was decoded.

    Attributes
    ----------
    selects : dict of str to Value(1)
        For each register, by its name, whether it is what the address that was loaded last is of.
    """

    def __init__(self, bus: Any, registers: Sequence[Register], domain: str) -> None:
        self._bus = bus
        self._domain = domain
        # What these hold means nothing without a strobe, or without r_en.
        self._w_data: Any = Signal(32, reset_less=True, name="w_data_held")
        self._in_use = sorted({register.address >> _ROW for register in registers})
        self._beyond = max(_ROW, *(register.address.bit_length() for register in registers))
        self._written: Any = Signal(4, name="w_bytes")  # are being written at the port, not beyond the registers
        self._rows: dict[tuple[int, int], Any] = {}
        self._columns: dict[tuple[int, int], Any] = {}
        self._loads: dict[str, Any] = {}
        self._shelves = shelved(registers, _ROW) if bus.signature.read_clocks else {}
        self.selects: dict[str, Any] = {register.name: self._select(register) for register in registers}

    def keeps(self, register: Register) -> bool:
        """Whether a register has no fields to be built: it is on a shelf."""
        return register in self._shelves.get(register.address >> _ROW, ())

    def now(self, register: Register) -> Access:
        """Return the write at the port in this clock, which is made in the next one."""
        bus = self._bus
        # ANDs and no multiplexer: synthesis would make the comparison a synchronous reset of these, which is slower.
        here = self._row(bus.w_addr, register) & self._column(bus.w_addr, register)
        strobes = self._bytes(register) & here.replicate(4)
        return Access(writes=bus.w_en, w_data=bus.w_data, strobes=strobes, reads=C(0))

    def made(self, register: Register) -> Access:
        """Return the write that is made in this clock, of any byte of a register whatever it has there."""
        strobes: Any = Cat(self._in_row(register, lane) for lane in range(4))
        here = self._in_column(register).replicate(4)
        return Access(writes=C(1), w_data=self._w_data, strobes=strobes & here, reads=C(0))

    def access(self, m: Any, register: Register) -> Access:
        """Decode the accesses to one register into flip-flops; return what these make of it."""
        now = self.now(register)
        strobes, reads = self._strobes(m, register, now.strobes), self._bus.r_en & self.selects[register.name]
        return _Ahead(now, domain=self._domain, w_data=self._w_data, strobes=strobes, reads=reads)

    def join(self, m: Any, words: Sequence[tuple[Register, Any]]) -> None:
        """Join what the registers read as, no more than one of which is selected; decode rows and columns."""
        shelves = self._keep(m)
        writes = self._bus.w_en & ~self._bus.w_addr[self._beyond :].any()
        m.d.comb += self._written.eq(self._bus.w_strb & writes.replicate(4))
        m.d[self._domain] += self._w_data.eq(self._bus.w_data)
        for held, value in (*self._rows.values(), *self._columns.values()):
            m.d[self._domain] += held.eq(value)
        with m.If(self._bus.r_load):
            for held, value in self._loads.values():
                m.d[self._domain] += held.eq(value)
        if not self._bus.signature.read_clocks:
            chosen = [word & self.selects[register.name].replicate(32) for register, word in words]
            m.d.comb += self._bus.r_data.eq(any_of(chosen))
            return
        rows: dict[int, list[tuple[Register, Any]]] = {}
        for register, word in words:
            rows.setdefault(register.address >> _ROW, []).append((register, word))
        groups: list[Any] = []
        for row, there in rows.items():
            chosen = [word & self._of_column(register).replicate(32) for register, word in there]
            for first in range(0, len(chosen), GROUP):
                groups.append(Signal(32, reset_less=True, name=f"words_of{row:x}_{first}"))
                group = any_of(chosen[first : first + GROUP])
                # A multiplexer: synthesis makes the row the synchronous reset of these, which costs no logic.
                m.d[self._domain] += groups[-1].eq(Mux(self._of_row(there[0][0]), group, 0))
        read: Any = Signal(32, reset_less=True, name="word_read")
        m.d[self._domain] += read.eq(any_of([*groups, *shelves]))
        m.d.comb += self._bus.r_data.eq(read)

    def _keep(self, m: Any) -> list[Any]:
        """Build the shelves; return what is read from them."""
        if not self._shelves:
            return []
        column: Any = Signal(_ROW - 2, reset_less=True, name="w_shelf_column")
        m.d[self._domain] += column.eq(self._bus.w_addr[2:_ROW])
        loaded = self._loaded("r_shelf_column", self._bus.r_addr[2:_ROW])
        words: list[Any] = []
        for row, registers in self._shelves.items():
            shelf = Shelf(m, self._domain, f"shelf{row:x}")
            in_row = Cat(self._in_row(registers[0], lane) for lane in range(4))
            shelf.write(column, self._w_data, in_row)
            there = [
                (one.name, in_row & self._in_column(one).replicate(4), self._of_column(one)) for one in registers
            ]
            shelf.read(loaded, self._of_row(registers[0]), there)
            words.append(shelf.word)
        return words

    def _select(self, register: Register) -> Any:
        """Return whether what was loaded last is the address of a register."""
        if self._bus.signature.read_clocks:
            return self._of_row(register) & self._of_column(register)
        address = self._bus.r_addr
        here = self._row(address, register) & self._column(address, register) & ~address[self._beyond :].any()
        return self._loaded(f"{register.name}_selected", here)

    def _of_row(self, register: Register) -> Any:
        """Return a flip-flop: what was loaded last is in the row."""
        row = register.address >> _ROW
        return self._loaded(f"r_row{row:x}", self._bus.r_addr[_ROW:] == row)

    def _of_column(self, register: Register) -> Any:
        """Return a flip-flop: what was loaded last is in the column; one for each part of the rows."""
        column, part = self._place(register)
        init, low = part & 1, part >> 1
        held = self._loaded(f"r_column{column:x}_{part}", (self._bus.r_addr[2:_ROW] == column) ^ low, init=init)
        return held ^ low

    def _loaded(self, name: str, value: Any, init: int = 0) -> Any:
        """Return a flip-flop of this name for what is true of the address that is loaded."""
        return self._loads.setdefault(name, (Signal(len(value), reset_less=True, name=name, init=init), value))[0]

    def _strobes(self, m: Any, register: Register, now: Any) -> Any:
        """Return the bytes of a register that are looked at when they are written, and are being written."""
        bytewise = [field for field in register.fields if field.action in BYTEWISE]
        lanes = {bit // 8 for field in bytewise for bit in range(field.low, field.low + field.width)}
        told = any("w_stb" in field.signature.members for field in bytewise)
        held: list[Any] = [C(0, 1)] * 4
        for lane in sorted(lanes)[:1] if register.whole_word else sorted(lanes):
            if not told:
                held[lane] = self._in_row(register, lane) & self._in_column(register)
                continue
            held[lane] = Signal(name=f"{register.name}_w_held{'' if register.whole_word else lane}")
            m.d[self._domain] += held[lane].eq(now[lane])
        return any_of(held).replicate(4) if register.whole_word else Cat(held)

    def _in_row(self, register: Register, lane: int) -> Any:
        """Return a flip-flop: this byte is being written, of some register in the row."""
        row = register.address >> _ROW
        key = row, 4 if register.whole_word else lane
        if key not in self._rows:
            held: Any = Signal(name=f"w_row{row:x}_{'word' if register.whole_word else lane}")
            here = self._bytes(register)[lane] & self._row(self._bus.w_addr, register)
            self._rows[key] = held, here
        return self._rows[key][0]

    def _in_column(self, register: Register) -> Any:
        """Return a flip-flop: what is written, if anything is, is in the column; one for each part of the rows."""
        column, part = key = self._place(register)
        init, low = part & 1, part >> 1
        if key not in self._columns:
            held: Any = Signal(reset_less=True, name=f"w_column{column:x}_{part}", init=init)
            self._columns[key] = held, self._column(self._bus.w_addr, register) ^ low
        return self._columns[key][0] ^ low

    def _bytes(self, register: Register) -> Any:
        return self._written.all().replicate(4) if register.whole_word else self._written

    def _row(self, address: Any, register: Register) -> Any:
        return address[_ROW : self._beyond] == register.address >> _ROW

    def _column(self, address: Any, register: Register) -> Any:
        return address[2:_ROW] == register.address % (1 << _ROW) >> 2

    def _place(self, register: Register) -> tuple[int, int]:
        """Return the column of a register, and the part of the rows that it is in, 0 to 3.

        The parts have flip-flops of their own, so that each drives fewer. These begin with different values, and those
        of parts 2 and 3 are low when it is so: what is equal synthesis makes one. The rows take turns.
        """
        return register.address % (1 << _ROW) >> 2, self._in_use.index(register.address >> _ROW) & 3
