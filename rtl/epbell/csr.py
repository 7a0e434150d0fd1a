"""Control and status registers: the internal register port, and RTL elaborated straight from a SystemRDL tree.

SystemRDL 2.0 (Accellera, January 2018) is the only source of a register map; :class:`Block` turns the compiled tree
into flip-flops (and memories of LUTs for words that no hardware looks at, ``epbell.csr_shelf``), write decoders and
one read multiplexer. A property which this module does not implement is refused by name when the block is constructed,
so that no line of a ``.rdl`` file is without effect.

The members that a field gives the block
----------------------------------------
``block.field("SR", "RF0")`` (also the attribute ``block.SR__RF0``) is an interface. Its members follow from what the
field declares; ``w`` is the width of the field, directions are the block's:

====================================  =============================================================================
declared in RDL                       members
====================================  =============================================================================
``sw=r hw=na reset=k``                none: a constant
``sw=r hw=w``                         ``value In(w)``: read as it stands in the cycle of the read. The declared
                                      ``reset`` is what the hardware promises to drive after reset.
``sw=rw hw=r``                        ``value Out(w)``: storage; ``hwclr`` adds ``clear In(w)``
``sw=rw hw=na``                       none: storage that no hardware looks at
``onwrite=woclr``                     ``value Out(w)``, ``clear_strobe Out(w)``: the bits that software writes as 1 in
                                      this cycle; ``hwset`` adds ``set In(w)``, ``hwclr`` adds ``clear In(w)``
``onwrite=woset``                     ``value Out(w)``, ``set_strobe Out(w)``: the bits that software writes as 1 in
                                      this cycle (again, if they are set already); ``hwset`` and ``hwclr`` as above
``sw=w singlepulse``                  ``pulse Out(1)``: 1 is being written in this cycle; reads as zero
``sw=w swmod``                        ``w_stb Out(1)``, ``w_data Out(w)``: a write in this cycle; stores nothing and
                                      reads as zero; bytes without a strobe are zero in ``w_data``
``sw=rw swmod``                       as storage, and ``w_stb Out(1)``, ``w_data Out(w)``: the value from the next
                                      clock on
``swacc``                             adds ``r_stb Out(1)``: the register is being read in this cycle
====================================  =============================================================================

Ties: where a bit is set and cleared on the same cycle, **setting has precedence**, whoever sets and whoever clears it
(``hwset`` over ``woclr`` and ``hwclr``; a software ``woset`` over ``hwclr``). Only in a storage the hardware's
``hwclr`` goes before what software writes.

Width of an access: ``accesswidth = 8`` honours byte strobes, each byte for itself. ``accesswidth = 32`` makes a
register whole-word only: a write with fewer than four strobes is ignored entirely. Reads are always whole words.

Reserved bits and unmapped offsets read as zero and ignore writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell.csr_decoder import Access, Decoder, RegisteredDecoder
from epbell.csr_field import Field, FieldSignature
from epbell.csr_register import Register, registers_of

if TYPE_CHECKING:
    from systemrdl.node import AddrmapNode

__all__ = [
    "PAGE",
    "Block",
    "Field",
    "FieldSignature",
    "Signature",
]


class Signature(wiring.Signature):
    """The internal register port, in the initiator's view: 32-bit words, always accepted, no wait states.

    The target takes a write at the clock edge that ends the cycle in which ``w_en`` is high. ``r_data`` is
    combinational: it is valid in the cycle in which ``r_en`` is high and shows the state before that edge, at which the
    side effects of the read happen. Both directions may be used in one cycle.

    Registered, each access is decoded a cycle ahead, which makes the paths short. What is written with ``w_en`` takes
    effect one edge later: at the one that ends the next cycle. The address of a read is taken at the edge that ends a
    cycle in which ``r_load`` is high, and stays until the next one; the read is made in whatever later cycle ``r_en``
    is high, and ``r_data`` is valid in that cycle. A write and a read of one cycle, the one by ``w_en`` and the other
    by ``r_load``, meet in the next one if ``r_en`` comes then.

    With ``read_clocks`` a read is made in the cycle of ``r_en`` all the same, and what it gives comes later, out of
    flip-flops: of each group of registers first, then of all.

    Parameters
    ----------
    addr_width : int
        Width of the byte addresses in bits, 3 to 64. Bits 1:0 of an address are ignored.
    data_width : int
        Width of the data in bits; 32 only.
    registered : bool
        Whether accesses are decoded a cycle ahead.
    read_clocks : int
        Cycles from ``r_en`` to the data: 0, or registered also 2.

    Attributes
    ----------
    w_en : Out(1)
        Write in this cycle.
    w_addr : Out(addr_width)
        Byte address of the write.
    w_data : Out(32)
        Data to write.
    w_strb : Out(4)
        One bit for each byte of ``w_data`` that is to be written. None set: nothing happens.
    r_en : Out(1)
        Read in this cycle; registered, at the address that was loaded last.
    r_addr : Out(addr_width)
        Byte address of the read.
    r_load : Out(1)
        Registered only: take ``r_addr``.
    r_data : In(32)
        Data read, in the same cycle or ``read_clocks`` later.

    Raises
    ------
    ValueError
        If a width is outside its range, or data cannot come so late.
    """

    def __init__(
        self, addr_width: int = 16, data_width: int = 32, *, registered: bool = False, read_clocks: int = 0
    ) -> None:
        if not isinstance(addr_width, int) or not 3 <= addr_width <= 64:
            raise ValueError(f"The address width of a register port must be 3 to 64 bits, not {addr_width!r}")
        if data_width != 32:
            raise ValueError(f"The data width of a register port must be 32 bits, not {data_width!r}")
        if read_clocks not in ((0, 2) if registered else (0,)):
            which = "0 or 2" if registered else "0, or the port a registered one,"
            raise ValueError(f"The data of a read must come after {which} clocks, not {read_clocks!r}")
        self._addr_width = addr_width
        self._data_width = data_width
        self._read_clocks = read_clocks
        self._registered = registered
        super().__init__(
            {
                "w_en": Out(1),
                "w_addr": Out(addr_width),
                "w_data": Out(data_width),
                "w_strb": Out(data_width // 8),
                "r_en": Out(1),
                "r_addr": Out(addr_width),
                "r_data": In(data_width),
                **({"r_load": Out(1)} if registered else {}),
            }
        )

    @property
    def addr_width(self) -> int:
        """Width of the byte addresses in bits."""
        return self._addr_width

    @property
    def data_width(self) -> int:
        """Width of the data in bits."""
        return self._data_width

    @property
    def registered(self) -> bool:
        """Whether accesses are decoded a clock ahead."""
        return self._registered

    @property
    def read_clocks(self) -> int:
        """Clocks from ``r_en`` to the data."""
        return self._read_clocks

    @property
    def _key(self) -> tuple[int, bool, int]:
        return self._addr_width, self._registered, self._read_clocks

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signature) and self._key == other._key

    def __hash__(self) -> int:
        return hash((Signature, *self._key))

    def __repr__(self) -> str:
        mode = ", registered=True" if self.registered else ""
        mode += f", read_clocks={self.read_clocks}" if self.read_clocks else ""
        return f"csr.Signature(addr_width={self.addr_width}, data_width={self.data_width}{mode})"


PAGE = Signature(16, registered=True, read_clocks=2)
"""Port of the endpoint's register pages, whose paths are the shortest."""


class Block(wiring.Component):
    """The registers of one address map.

    All flip-flops are in the domain ``sync``; wrap the block in ``ResetInserter`` to clear it by software (what is in
    memories reads as after a reset then, too), in ``DomainRenamer`` to move it. See the head of this module for the
    members of each field and for the tie rule.

    Parameters
    ----------
    node : AddrmapNode
        Compiled and elaborated address map, as from ``epbell_regs.load``.
    addr_width : int
        Width of the byte addresses of ``bus`` in bits. Addresses are relative to the address map.
    decode : str, optional
        Clock domain of flip-flops that decode each access a cycle ahead; the port is a registered one then. A domain of
        its own, so that a ``ResetInserter`` around the block need not clear what has been accepted; rename it to
        ``sync`` outside of that. Default: no such flip-flops.
    read_clocks : int
        Clocks from ``bus.r_en`` to the data, see :class:`Signature`; their flip-flops are in the domain `decode`, too.

    Attributes
    ----------
    bus : In(Signature(addr_width, registered=decode is not None, read_clocks=read_clocks))
        Register port. A write takes effect at the next clock edge, a read is answered in its own cycle; registered,
        see there. Members of fields that say "in this cycle" mean the one in which the access is made: with ``decode``
        the one after ``w_en``, and that of ``r_en``.
    <REG>__<FIELD> : Out(FieldSignature)
        One interface for each field that has anything to do with the hardware. Names of registers are flat, as in
        ``epbell_regs.offsets``: ``TR0``, ``BELL2_RUNG``.

    Raises
    ------
    ValueError
        If the tree uses a property, a component or a combination which is not implemented, or does not fit into
        ``addr_width``.
    """

    bus: Any

    def __init__(
        self, node: AddrmapNode, *, addr_width: int = 16, decode: str | None = None, read_clocks: int = 0
    ) -> None:
        port = Signature(addr_width, registered=decode is not None, read_clocks=read_clocks)
        if node.size > 1 << addr_width:
            raise ValueError(
                f"Address map {node.inst_name} needs {node.size:#x} bytes; the address width must reach all of them, "
                f"not {addr_width!r}"
            )
        self._registers = registers_of(node)
        self._fields: dict[tuple[str, str], Field] = {
            (register.name, field.name): field for register in self._registers for field in register.fields
        }
        members: dict[str, Any] = {"bus": In(port)}
        for (register, name), field in self._fields.items():
            if field.signature.members:
                members[f"{register}__{name}"] = Out(field.signature)
        super().__init__(members)
        self._after: dict[tuple[str, str], Any] = {}
        self._decoder = Decoder(self.bus) if decode is None else RegisteredDecoder(self.bus, self._registers, decode)

    def field(self, register: str, field: str) -> Any:
        """Interface of a field: its members are listed at the head of this module.

        Raises
        ------
        KeyError
            If there is no such field, or the field has no member at all.
        """
        if (register, field) not in self._fields:
            raise KeyError(f"The name of a field must be one that the address map declares, not {register}.{field!r}")
        if not self._fields[register, field].signature.members:
            raise KeyError(f"The field must be one that the hardware sees, not {register}.{field!r}")
        return getattr(self, f"{register}__{field}")

    def coming(self, m: Any, register: str, field: str) -> Any:
        """Bits of a field that are being written 1 at a registered port in this clock, and so are made in the next one.

        Parameters
        ----------
        m : Module
            Module to add to.
        register, field : str
            Names of a field.

        Raises
        ------
        TypeError
            If accesses are not decoded a clock ahead.
        """
        found, here = self._fields[register, field], self._register(register)
        return self._ahead(f"coming, not {register}.{field}'s").now(here).ones(m, here, found)

    def made(self, register: str) -> Access:
        """Write of a register, to any of its bytes, that is made in this clock; only behind a registered port.

        It comes out of flip-flops that the block builds: ask before it is elaborated.

        Parameters
        ----------
        register : str
            Name of a register.

        Raises
        ------
        TypeError
            If accesses are not decoded a clock ahead.
        """
        return self._ahead(f"made, not {register}'s").made(self._register(register))

    def _ahead(self, told: str) -> RegisteredDecoder:
        if not isinstance(self._decoder, RegisteredDecoder):
            raise TypeError(f"A block must decode a clock ahead to tell what is {told}")
        return self._decoder

    def after(self, register: str, field: str) -> Any:
        """Value of a storage from the next clock on: what a write that is made in this one leaves of it.

        The block drives it: ask before it is elaborated.

        Parameters
        ----------
        register, field : str
            Names of a field that the hardware sees, and does not clear.

        Raises
        ------
        KeyError
            As for :meth:`field`.
        """
        value = self.field(register, field).value
        return self._after.setdefault((register, field), Signal.like(value, name=f"{register}__{field}_after"))

    def _register(self, name: str) -> Register:
        (found,) = (each for each in self._registers if each.name == name)
        return found

    def vector(self, register: str, prefix: str, member: str = "value") -> Any:
        """One member of the numbered fields ``prefix0``, ``prefix1``, ... as one value, field 0 in bit 0.

        Wherever the fields are in the register: this hides the reversed bit order of two MU layouts. The result can be
        assigned to when the member is an input.

        Raises
        ------
        KeyError
            If there is no field ``prefix0``, or it has no such member.
        """
        parts: list[Any] = []
        while (register, f"{prefix}{len(parts)}") in self._fields:
            interface = self.field(register, f"{prefix}{len(parts)}")
            if member not in interface.signature.members:
                raise KeyError(
                    f"A member of {register}.{prefix}{len(parts)} must be one of "
                    f"{', '.join(interface.signature.members)}, not {member!r}"
                )
            parts.append(getattr(interface, member))
        if not parts:
            raise KeyError(f"The prefix must be that of numbered fields in {register}, not {prefix!r}")
        return Cat(*parts)

    def elaborate(self, platform: object) -> Module:
        """Build the decoders, the fields and the read multiplexer."""
        m: Any = Module()
        built = [register for register in self._registers if not self._decoder.keeps(register)]
        words = [(register, self._elaborate_register(m, register)) for register in built]
        self._decoder.join(m, [(register, word) for register, word in words if word is not None])
        return m

    def _elaborate_register(self, m: Any, register: Register) -> Value | None:
        """Decode one register; return what it reads as, None when that is always zero."""
        access = self._decoder.access(m, register)
        values: dict[str, Value] = {}
        for field in register.fields:
            port = getattr(self, f"{register.name}__{field.name}") if field.signature.members else None
            value = field.elaborate(m, register, port, access)
            if value is not None:
                values[field.name] = value
            if (register.name, field.name) in self._after:
                m.d.comb += self._after[register.name, field.name].eq(access.after(field, value))
        if not values:
            return None
        word: Any = Signal(32, name=f"{register.name}_word")
        for field in register.fields:
            if field.name in values:
                m.d.comb += word[field.low : field.low + field.width].eq(values[field.name])
        return word
