"""Registers of a SystemRDL address map: flat names, address decoding, and the refusal of what is not implemented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amaranth.hdl import C, Signal, Value
from systemrdl.node import AddrmapNode, FieldNode, MemNode, Node, RegfileNode, RegNode

from epbell.csr_field import Field
from epbell_regs import flat_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Register",
    "any_of",
    "registers_of",
]

_DOCUMENTATION = {"name", "desc"}
# These have done their work when the tree is elaborated: every register knows its address, and what is not present is
# not there.
_DONE = {"addressing", "alignment", "ispresent"}
_PROPERTIES_OF_A_GROUP = _DOCUMENTATION | _DONE | {"littleendian", "lsb0"}
_PROPERTIES_OF_A_REGISTER = _DOCUMENTATION | {"ispresent", "regwidth", "accesswidth"}


@dataclass(frozen=True)
class Register:
    """One 32-bit register.

    Attributes
    ----------
    name : str
        Flat name, as in ``epbell_regs.offsets``.
    address : int
        Byte offset in the address map.
    whole_word : bool
        Whether a write needs all four byte strobes to have any effect.
    fields : tuple of Field
        In ascending order of bits.
    """

    name: str
    address: int
    whole_word: bool
    fields: tuple[Field, ...]

    def write_strobes(self, m: Any, bus: Any) -> Signal:
        """One bit for each byte of this register that is being written in this cycle."""
        strobes = Signal(4, name=f"{self.name}_w")
        # One in the other: a simulator that knows that nothing is written asks no register for its address.
        with m.If(bus.w_en), m.If(bus.w_addr[2:] == self.address >> 2):
            m.d.comb += strobes.eq(bus.w_strb.all().replicate(4) if self.whole_word else bus.w_strb)
        return strobes

    def read_select(self, m: Any, bus: Any) -> Signal:
        """High while this register is being read."""
        select = Signal(name=f"{self.name}_r")
        m.d.comb += select.eq(bus.r_en & (bus.r_addr[2:] == self.address >> 2))
        return select


def registers_of(top: AddrmapNode) -> tuple[Register, ...]:
    """All registers of an address map, in ascending order of addresses.

    Raises
    ------
    ValueError
        If the tree uses anything that is not implemented; the message names it and where it is.
    """
    registers = [_register(node) for node in _register_nodes(top)]
    return tuple(sorted(registers, key=lambda register: register.address))


def any_of(words: Sequence[Value]) -> Value:
    """OR of any number of values as a tree: a chain of a hundred would overflow Python's stack.

    Its parts are powers of two, which fill the LUTs.
    """
    if not words:
        return C(0, 32)
    if len(words) == 1:
        return words[0]
    half = 1 << (len(words) - 1).bit_length() - 1
    return any_of(words[:half]) | any_of(words[half:])


def _register_nodes(group: Node) -> Iterator[RegNode]:
    _refuse_properties(group, _PROPERTIES_OF_A_GROUP)
    for child in group.children(unroll=True):
        if isinstance(child, RegNode):
            yield child
        elif isinstance(child, RegfileNode | AddrmapNode):
            yield from _register_nodes(child)
        else:
            kind = "mem" if isinstance(child, MemNode) else "signal"
            raise ValueError(
                f"A component in an address map must be a reg, regfile or addrmap; take {child.get_path()} out of the "
                f"RDL, it is not implemented for {kind!r}"
            )


def _register(node: RegNode) -> Register:
    path = node.get_path()
    _refuse_properties(node, _PROPERTIES_OF_A_REGISTER)
    if node.external:
        raise ValueError(f"Register {path} must be internal: remove the qualifier, not {'external'!r}")
    if node.is_alias:
        raise ValueError(f"Register {path} must be declared on its own: remove the qualifier, not {'alias'!r}")
    regwidth, accesswidth = node.get_property("regwidth"), node.get_property("accesswidth")
    if regwidth != 32:
        raise ValueError(f"The property 'regwidth' of {path} must be 32, not {regwidth!r}")
    if accesswidth not in (8, 32):
        raise ValueError(
            f"The property 'accesswidth' of {path} must be 8 (byte strobes) or 32 (whole words), not {accesswidth!r}"
        )
    if node.absolute_address % 4:
        raise ValueError(f"The address of {path} must be a multiple of 4 bytes, not {node.absolute_address!r}")
    fields: list[Field] = []
    for child in node.children():
        if not isinstance(child, FieldNode):
            raise ValueError(f"Register {path} must hold nothing but fields, not {child.inst_name!r}")
        fields.append(Field(child))
    return Register(flat_name(node), node.absolute_address, accesswidth == 32, tuple(fields))


def _refuse_properties(node: Node, implemented: set[str]) -> None:
    for name in node.list_properties():
        if name not in implemented and node.get_property(name) is not False:
            raise ValueError(
                f"A property of {node.get_path()} must be one that this elaborator implements "
                f"({', '.join(sorted(implemented))}); remove it from the RDL, not {name!r}"
            )
