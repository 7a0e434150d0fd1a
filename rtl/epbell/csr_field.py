"""A field of a register: what SystemRDL declares about it, the ports that follow, and its logic."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from amaranth.hdl import C, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from systemrdl.rdltypes.builtin_enums import AccessType, OnWriteType

if TYPE_CHECKING:
    from systemrdl.node import FieldNode

    from epbell.csr_decoder import Access
    from epbell.csr_register import Register

__all__ = [
    "BYTEWISE",
    "Action",
    "Field",
    "FieldSignature",
]

_IMPLEMENTED = {
    "name", "desc", "encode", "ispresent",
    "sw", "hw", "reset", "onwrite", "woclr", "woset", "hwset", "hwclr", "swmod", "swacc", "singlepulse",
}  # fmt: skip
# A property that RDL lets name a signal or another field; here the port of the block is the only source.
_BOOLEAN_ONLY = ("hwset", "hwclr", "swmod", "swacc", "singlepulse")


class Action(enum.Enum):
    """What a software access to a field does."""

    CONSTANT = "reads as its reset value"
    STATUS = "reads what the hardware drives"
    STORAGE = "reads back what was written"
    ONE_TO_CLEAR = "a written 1 clears"
    ONE_TO_SET = "a written 1 sets"
    PULSE = "a written 1 is a pulse"
    WRITE_ACTION = "a write is seen by the hardware and stored nowhere"


BYTEWISE = (Action.STORAGE, Action.ONE_TO_CLEAR, Action.ONE_TO_SET, Action.WRITE_ACTION)
"""Actions that look at what is written byte by byte when the write is made."""


class FieldSignature(wiring.Signature):
    """Ports of one field, in the block's view: see the head of :mod:`epbell.csr`.

    Parameters
    ----------
    action : Action
        What a software access does.
    width : int
        Width of the field in bits, 1 to 32.
    options : frozenset of str
        Those of ``hwset``, ``hwclr``, ``swmod``, ``swacc`` and ``visible`` that the field has.
    """

    def __init__(self, action: Action, width: int, options: frozenset[str]) -> None:
        self._key = (action, width, options)
        members: dict[str, Any] = {}
        if action is Action.STATUS:
            members["value"] = In(width)
        if action in (Action.STORAGE, Action.ONE_TO_CLEAR, Action.ONE_TO_SET) and "visible" in options:
            members["value"] = Out(width)
        if action is Action.ONE_TO_CLEAR:
            members["clear_strobe"] = Out(width)
        if action is Action.ONE_TO_SET:
            members["set_strobe"] = Out(width)
        if action is Action.PULSE:
            members["pulse"] = Out(width)
        if "hwset" in options:
            members["set"] = In(width)
        if "hwclr" in options:
            members["clear"] = In(width)
        if "swmod" in options:
            members |= {"w_stb": Out(1), "w_data": Out(width)}
        if "swacc" in options:
            members["r_stb"] = Out(1)
        super().__init__(members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSignature) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        action, width, options = self._key
        return f"csr.FieldSignature({action.name}, width={width}, options={sorted(options)})"


class Field:
    """One field of a register.

    Parameters
    ----------
    node : FieldNode
        Its place in the elaborated tree.

    Attributes
    ----------
    name : str
        Name of the field.
    low : int
        Lowest bit in the register.
    width : int
        Width in bits.
    reset : int
        Value after reset.
    action : Action
        What a software access does.
    signature : FieldSignature
        Ports towards the hardware.

    Raises
    ------
    ValueError
        If the field declares a property or a combination of properties which is not implemented.
    """

    def __init__(self, node: FieldNode) -> None:
        _refuse_properties(node)
        self.name = node.inst_name
        self.low = node.low
        self.width = node.width
        self.action = _action(node)
        self.reset = _reset(node, self.action)
        options = {name for name in ("hwset", "hwclr", "swmod", "swacc") if node.get_property(name)}
        if node.get_property("hw") is not AccessType.na:
            options.add("visible")
        _refuse_combinations(node, self.action, options)
        self.signature = FieldSignature(self.action, self.width, frozenset(options))

    def elaborate(self, m: Module, register: Register, port: Any, access: Access) -> Any:
        """Add the logic of the field; return what it reads as, or None when that is zero.

        Parameters
        ----------
        m : Module
            Module to add to.
        register : Register
            Where the field is.
        port : interface or None
            Ports of the field, None when it has none.
        access : Access
            What is being done to the register.
        """
        members = self.signature.members
        if "r_stb" in members:
            m.d.comb += port.r_stb.eq(access.reads)
        if self.action is Action.CONSTANT:
            return C(self.reset, self.width) if self.reset else None
        if self.action is Action.STATUS:
            return port.value
        if self.action is Action.PULSE:
            m.d.comb += port.pulse.eq(access.ones(m, register, self))
            return None
        if self.action is Action.WRITE_ACTION:
            m.d.comb += [
                port.w_stb.eq(self._written(access.strobes)),
                port.w_data.eq(access.data(self) & access.mask(self)),
            ]
            return None
        value: Any = Signal(self.width, init=self.reset, name=f"{register.name}__{self.name}_q")
        if "value" in members:
            m.d.comb += port.value.eq(value)
        if self.action is Action.STORAGE:
            self._elaborate_storage(m, port, value, access)
        else:
            self._elaborate_sticky(m, port, value, access.ones(m, register, self))
        return value

    def _elaborate_storage(self, m: Any, port: Any, value: Any, access: Access) -> None:
        data = access.data(self)
        for lane in range(4):
            first = max(self.low, 8 * lane) - self.low
            last = min(self.low + self.width, 8 * lane + 8) - self.low
            if first < last:
                with m.If(access.writes), m.If(access.strobes[lane]):
                    m.d.sync += value[first:last].eq(data[first:last])
        if "clear" in self.signature.members:
            for bit in range(self.width):
                with m.If(port.clear[bit]):
                    m.d.sync += value[bit].eq(0)
        if "w_stb" in self.signature.members:
            m.d.comb += [
                port.w_stb.eq(self._written(access.strobes)),
                port.w_data.eq(access.after(self, value)),
            ]

    def _elaborate_sticky(self, m: Any, port: Any, value: Any, ones: Any) -> None:
        sets: Any = C(0, self.width)
        clears: Any = C(0, self.width)
        if self.action is Action.ONE_TO_CLEAR:
            clears |= ones
            m.d.comb += port.clear_strobe.eq(ones)
        else:
            sets |= ones
            m.d.comb += port.set_strobe.eq(ones)
        if "set" in self.signature.members:
            sets |= port.set
        if "clear" in self.signature.members:
            clears |= port.clear
        # Set wins: losing an event would lose a doorbell, seeing one twice costs a handler run.
        m.d.sync += value.eq((value & ~clears) | sets)

    def _written(self, strobes: Any) -> Any:
        return strobes[self.low // 8 : (self.low + self.width - 1) // 8 + 1].any()


def _action(node: FieldNode) -> Action:
    path, sw, hw = node.get_path(), node.get_property("sw"), node.get_property("hw")
    hardware_writes = hw in (AccessType.w, AccessType.rw)
    onwrite = node.get_property("onwrite")
    if sw is AccessType.r:
        return Action.STATUS if hardware_writes else Action.CONSTANT
    if sw is AccessType.w:
        if node.get_property("singlepulse"):
            return Action.PULSE
        if node.get_property("swmod") and onwrite is None:
            return Action.WRITE_ACTION
        raise ValueError(f"A write-only field such as {path} needs 'swmod' or 'singlepulse', not {onwrite!r}")
    if sw is not AccessType.rw:
        raise ValueError(f"The property 'sw' of {path} must be r, w or rw, not {sw.name!r}")
    if onwrite is OnWriteType.woclr:
        return Action.ONE_TO_CLEAR
    if onwrite is OnWriteType.woset:
        return Action.ONE_TO_SET
    if onwrite is not None:
        raise ValueError(f"The property 'onwrite' of {path} must be woclr or woset, not {onwrite.name!r}")
    if hardware_writes:
        raise ValueError(
            f"The property 'hw' of the storage {path} must be r or na (hardware sets bits through hwset), "
            f"not {hw.name!r}"
        )
    return Action.STORAGE


def _reset(node: FieldNode, action: Action) -> int:
    reset = node.get_property("reset")
    if reset is None and action in (Action.STATUS, Action.PULSE, Action.WRITE_ACTION):
        # Nothing is stored; a status without a declared reset depends on how the design was built.
        return 0
    if not isinstance(reset, int):
        raise ValueError(f"The property 'reset' of {node.get_path()} must be a number, not {reset!r}")
    return reset


def _refuse_properties(node: FieldNode) -> None:
    for name in node.list_properties():
        if name not in _IMPLEMENTED and node.get_property(name) is not False:
            raise ValueError(
                f"A property of {node.get_path()} must be one that this elaborator implements "
                f"({', '.join(sorted(_IMPLEMENTED))}); remove it from the RDL, not {name!r}"
            )
    for name in _BOOLEAN_ONLY:
        value = node.get_property(name)
        if not isinstance(value, bool):
            raise ValueError(f"The property {name!r} of {node.get_path()} must be true or false, not {value!r}")


def _refuse_combinations(node: FieldNode, action: Action, options: set[str]) -> None:
    sticky = action in (Action.ONE_TO_CLEAR, Action.ONE_TO_SET)
    allowed = {
        "hwset": sticky,
        "hwclr": sticky or action is Action.STORAGE,
        "swmod": action in (Action.STORAGE, Action.WRITE_ACTION),
        "swacc": action not in (Action.PULSE, Action.WRITE_ACTION),
    }
    for name, possible in allowed.items():
        if name in options and not possible:
            raise ValueError(
                f"A property of {node.get_path()}, where {action.value}, must be of use there; remove it from the RDL, "
                f"not {name!r}"
            )
    if node.get_property("singlepulse") and action is not Action.PULSE:
        raise ValueError(
            f"The property 'sw' of the pulse {node.get_path()} must be w, not {node.get_property('sw').name!r}"
        )
    if sticky and "visible" not in options:
        raise ValueError(f"The property 'hw' of {node.get_path()} must be r or rw, not {'na'!r}")
