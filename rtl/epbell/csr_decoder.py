"""How an access at the register port comes to the registers: in its own clock, or decoded a clock ahead.

Both decoders give each register an :class:`Access`, from which its fields are built, and join what the registers read
as. A whole access in one clock is the address's comparison, the strobes and what the field does with both, one behind
the other. A clock ahead, the comparison ends in flip-flops, one for each register and byte, and the access itself
starts from these alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import C, Cat, Signal

from epbell.csr_field import STORED
from epbell.csr_register import any_of

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
"""Registers whose words are joined in one clock where the data of a read are held: two levels of logic."""


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
    """An access out of flip-flops; bits written as 1 have their own, and nothing between them and the field."""

    def __init__(self, now: Access, *, domain: str, w_data: Any, strobes: Any, reads: Any) -> None:
        super().__init__(writes=C(1), w_data=w_data, strobes=strobes, reads=reads)
        self._now = now
        self._domain = domain

    def ones(self, m: Any, register: Register, field: Field) -> Any:
        ones: Any = Signal(field.width, name=f"{register.name}__{field.name}_ones")
        m.d[self._domain] += ones.eq(self._now.ones(m, register, field))
        return ones


class RegisteredDecoder:
    """An access is decoded in the clock in which it is at the port, and made in a later one.

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
    selects : dict of str to Signal(1)
        For each register, by its name, whether it is what the address that was loaded last is of.
    """

    def __init__(self, bus: Any, registers: Sequence[Register], domain: str) -> None:
        self._bus = bus
        self._domain = domain
        # What these hold means nothing without a strobe, or without r_en.
        self._w_data: Any = Signal(32, reset_less=True, name="w_data_held")
        self.selects: dict[str, Any] = {
            register.name: Signal(reset_less=True, name=f"{register.name}_selected") for register in registers
        }

    def now(self, register: Register) -> Access:
        """Return the write at the port in this clock, which is made in the next one."""
        bus = self._bus
        # ANDs and no multiplexer: synthesis would make the comparison a synchronous reset of these, which is slower.
        here = bus.w_en & (bus.w_addr[2:] == register.address >> 2)
        bytes_ = bus.w_strb.all().replicate(4) if register.whole_word else bus.w_strb
        return Access(writes=bus.w_en, w_data=bus.w_data, strobes=bytes_ & here.replicate(4), reads=C(0))

    def access(self, m: Any, register: Register) -> Access:
        """Decode the accesses to one register into flip-flops; return what these make of it."""
        bus, domain, now = self._bus, self._domain, self.now(register)
        select = self.selects[register.name]
        with m.If(bus.r_load):
            m.d[domain] += select.eq(bus.r_addr[2:] == register.address >> 2)
        strobes = self._strobes(m, register, now.strobes)
        return _Ahead(now, domain=domain, w_data=self._w_data, strobes=strobes, reads=bus.r_en & select)

    def join(self, m: Any, words: Sequence[tuple[Register, Any]]) -> None:
        """Join what the registers read as; no more than one is selected."""
        m.d[self._domain] += self._w_data.eq(self._bus.w_data)
        chosen = [word & self.selects[register.name].replicate(32) for register, word in words]
        if not self._bus.signature.read_clocks:
            m.d.comb += self._bus.r_data.eq(any_of(chosen))
            return
        groups: list[Any] = []
        for first in range(0, len(chosen), GROUP):
            group: Any = Signal(32, reset_less=True, name=f"words_from{first}")
            m.d[self._domain] += group.eq(any_of(chosen[first : first + GROUP]))
            groups.append(group)
        read: Any = Signal(32, reset_less=True, name="word_read")
        m.d[self._domain] += read.eq(any_of(groups))
        m.d.comb += self._bus.r_data.eq(read)

    def _strobes(self, m: Any, register: Register, now: Any) -> Any:
        """Flip-flops for the bytes that have something to store, one for all of them where only whole words count."""
        stored = [field for field in register.fields if field.action in STORED]
        lanes = {bit // 8 for field in stored for bit in range(field.low, field.low + field.width)}
        if register.whole_word and lanes:
            whole: Any = Signal(name=f"{register.name}_w_held")
            m.d[self._domain] += whole.eq(now[0])
            return whole.replicate(4)
        held: list[Any] = [C(0, 1)] * 4
        for lane in sorted(lanes):
            held[lane] = Signal(name=f"{register.name}_w_held{lane}")
            m.d[self._domain] += held[lane].eq(now[lane])
        return Cat(held)
