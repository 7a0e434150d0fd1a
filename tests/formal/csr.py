"""Proofs of the registers made from SystemRDL: what each access does, and to which fields."""

from functools import partial
from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib.wiring import In
from inside import Inside
from systemrdl import RDLCompiler
from systemrdl.node import AddrmapNode, FieldNode, RegNode
from systemrdl.rdltypes.builtin_enums import AccessType, OnWriteType

import epbell_regs
from epbell.csr import Block
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_EVERY_ACCESS = Path(__file__).with_name("every_access.rdl")
_BUS = {"w_en": 1, "w_data": 32, "w_strb": 4, "r_en": 1}
# Windows are alike: two show all that a page has.
_PAGES: dict[str, dict[str, int]] = {"controller": {}, "iatu": {"windows": 2}, "iatu_outbound": {"windows": 2}}


class _Map(Bench):
    """An account of each field, kept as the map declares it; all accesses and all that the hardware says are free."""

    decode: str | None = None
    read_clocks = 0

    def __init__(self, node: AddrmapNode, addr_width: int) -> None:
        self.node, self.addr_width = node, addr_width
        self.dut = Block(node, addr_width=addr_width, decode=self.decode, read_clocks=self.read_clocks)
        self.registers = [one for one in node.descendants(unroll=True) if isinstance(one, RegNode)]
        inputs = {
            f"{self.name(field)}_{member}": In(field.width)
            for register in self.registers
            for field in register.fields()
            for member in ("value", "set", "clear")
            if self._is_input(field, member)
        }
        super().__init__({**self._bus_inputs(), **inputs})

    def _bus_inputs(self) -> dict[str, Any]:
        addresses = dict.fromkeys(("w_addr", "r_addr"), In(self.addr_width))
        return {**{name: In(width) for name, width in _BUS.items()}, **addresses}

    def _connect_bus(self, m: Any, checks: Checks) -> Any:
        """Connect the register port; return what it has to read as, also where nothing is read."""
        for name in (*_BUS, "w_addr", "r_addr"):
            m.d.comb += getattr(self.dut.bus, name).eq(getattr(self, name))
        return self.dut.bus.r_data

    @staticmethod
    def name(field: FieldNode) -> str:
        return f"{epbell_regs.flat_name(field.parent)}__{field.inst_name}"

    @staticmethod
    def _is_input(field: FieldNode, member: str) -> bool:
        if member == "value":
            return field.get_property("sw") is AccessType.r and field.get_property("hw") is AccessType.w
        return bool(field.get_property(f"hw{member[:3].replace('cle', 'clr')}"))

    def check(self, m: Any, checks: Checks) -> None:
        self.m, self.changed = m, []
        m.submodules.dut = dut = self.dut
        self.inside = Inside(dut)
        self.shelved = {register.name for register in dut._registers if dut._decoder.keeps(register)}
        data = self._connect_bus(m, checks)
        expected: Any = Signal(32, name="expected")
        for register in self.registers:
            word, mapped = self._register(checks, register)
            with m.If(self.r_en & (self.r_addr[2:] == register.absolute_address >> 2)):
                m.d.comb += expected.eq(word & mapped)
        self._state_read(checks, data, expected)
        checks.cover("a word is read that was written", self.r_en & (expected.any()) & checks.past(self.w_en, "wrote"))

    def _state_read(self, checks: Checks, data: Any, expected: Any) -> None:
        checks.forward(
            "a read gives what the accesses before it left, in its own clock", ~self.r_en | (data == expected)
        )
        checks.backward("what is not mapped, and reserved bits, read as zero", ~(data & ~expected).any())

    def _register(self, checks: Checks, register: RegNode) -> tuple[Any, int]:
        """State what is true of a register; return what it reads as, and which bits of it are there."""
        hit = self.w_en & (self.w_addr[2:] == register.absolute_address >> 2)
        whole = register.get_property("accesswidth") == 32
        lanes = Mux(hit & (self.w_strb.all() | (not whole)), self.w_strb, 0)
        written: Any = Signal(4, name=f"{register.inst_name}_lanes")
        self.m.d.comb += written.eq(lanes)
        accepted, reads = Signal(32), self.r_en & (self.r_addr[2:] == register.absolute_address >> 2)
        self.m.d.comb += accepted.eq(Cat(lane.replicate(8) for lane in written))
        word: Any = Signal(32, name=f"{register.inst_name}_reads")
        mapped = 0
        for field in register.fields():
            value = self._field(checks, field, accepted[field.low : field.high + 1], reads)
            if value is not None:
                self.m.d.comb += word[field.low : field.high + 1].eq(value)
                mapped |= (1 << field.high + 1) - (1 << field.low)
        checks.cover("a write of some bytes", hit & ~self.w_strb.all() & self.w_strb.any())
        return word, mapped

    def _field(self, checks: Checks, field: FieldNode, bits: Any, reads: Any) -> Any:
        """State what is true of a field, `bits` of which are being written; return what it reads as, None for zero."""
        sw, hw = field.get_property("sw"), field.get_property("hw")
        port = getattr(self.dut, self.name(field), None)
        data = self.w_data[field.low : field.high + 1]
        if field.get_property("swacc"):
            checks.forward("a read of its register is told", ~reads | port.r_stb)
            checks.backward("nothing else is told as one", ~port.r_stb | reads)
        if sw is AccessType.w:
            self._state_events(checks, field, port, data, bits)
            return None
        if sw is AccessType.r:
            if hw is AccessType.na:
                return Const(field.get_property("reset"), field.width)
            value = getattr(self, f"{self.name(field)}_value")
            self.m.d.comb += port.value.eq(value)
            return value
        return self._state_kept(checks, field, port, data, bits)

    def _state_events(self, checks: Checks, field: FieldNode, port: Any, data: Any, bits: Any) -> None:
        if field.get_property("singlepulse"):
            checks.forward("each 1 that is written is a pulse", ~(data & bits & ~port.pulse).any())
            checks.backward("nothing else is a pulse", ~(port.pulse & ~(data & bits)).any())
            return
        self._state_told(checks, port, bits, data & bits)

    @staticmethod
    def _state_told(checks: Checks, port: Any, bits: Any, word: Any) -> None:
        checks.forward("each write that reaches it is told, with its word", ~bits.any() | port.w_stb)
        checks.forward("each write that reaches it is told, with its word", ~port.w_stb | (port.w_data == word))
        checks.backward("nothing else is told as one", ~port.w_stb | bits.any())

    def _state_kept(self, checks: Checks, field: FieldNode, port: Any, data: Any, bits: Any) -> Any:
        kept: Any = Signal(field.width, init=field.get_property("reset"), name=f"{self.name(field)}_kept")
        before: Any = Signal(field.width, init=field.get_property("reset"), name=f"{self.name(field)}_before")
        sets, clears = self._from_hardware(field, port, "set"), self._from_hardware(field, port, "clear")
        onwrite = field.get_property("onwrite")
        if onwrite is None:
            after = ((kept & ~bits) | (data & bits)) & ~clears
            if field.get_property("swmod"):
                self._state_told(checks, port, bits, (kept & ~bits) | (data & bits))
        else:
            ones = data & bits
            name = "clear" if onwrite is OnWriteType.woclr else "set"
            told = getattr(port, f"{name}_strobe")
            checks.forward("each 1 that is written is told", ~(ones & ~told).any())
            checks.backward("no other is told", ~(told & ~ones).any())
            sets, clears = (sets, clears | ones) if name == "clear" else (sets | ones, clears)
            after = (kept & ~clears) | sets
        self.m.d.sync += [kept.eq(after), before.eq(kept)]
        checks.invariant("what is kept is kept", self._stored(field) == kept)
        if hw_sees := field.get_property("hw") is not AccessType.na:
            checks.backward("the hardware sees what is kept, and nothing else", port.value == kept)
        if onwrite is not None and hw_sees:
            name = self.name(field)
            was_set, was_cleared = checks.past(sets, f"{name}_was_set"), checks.past(clears, f"{name}_was_cleared")
            checks.forward(
                "a bit that is set is 1 in the next clock, whoever clears it", ~(was_set & ~port.value).any()
            )
            checks.backward("only what is set rises", ~(port.value & ~before & ~was_set).any())
            checks.forward("what is cleared, and not set, is 0", ~(was_cleared & ~was_set & port.value).any())
            checks.backward("only what is cleared falls", ~(before & ~port.value & ~was_cleared).any())
            if "set" in port.signature.members and "clear_strobe" in port.signature.members:
                checks.cover("set and cleared at once", (was_set & was_cleared & port.value).any())
        elif hw_sees:
            touched = checks.past(bits | clears, f"{self.name(field)}_touched")
            checks.backward("no write that does not reach it changes it", ~((port.value ^ before) & ~touched).any())
        return kept

    def _stored(self, field: FieldNode) -> Any:
        """Return what the block has of a field: flip-flops, or what has been written of a word in a memory."""
        name = epbell_regs.flat_name(field.parent)
        if name not in self.shelved:
            return self.inside.signal(f"{self.name(field)}_q")
        written, row = self.inside.signal(f"{name}_written"), field.parent.absolute_address >> 6
        word = self.inside.word(self.m, f"shelf{row:x}", Const(field.parent.absolute_address % 64 >> 2, 4))
        return word & Cat(lane.replicate(8) for lane in written)

    def _from_hardware(self, field: FieldNode, port: Any, member: str) -> Any:
        if not self._is_input(field, member):
            return Const(0, field.width)
        value = getattr(self, f"{self.name(field)}_{member}")
        self.m.d.comb += getattr(port, member).eq(value)
        return value


class _Ahead(_Map):
    """The same where accesses are decoded a clock ahead: what `_Map` calls an access is one when it is made."""

    decode = "sync"

    def _bus_inputs(self) -> dict[str, Any]:
        inputs = {**_BUS, "w_addr": self.addr_width, "r_addr": self.addr_width, "r_load": 1}
        return {f"bus_{name}": In(width) for name, width in inputs.items()}

    def _connect_bus(self, m: Any, checks: Checks) -> Any:
        bus = self.dut.bus
        for name in (*_BUS, "w_addr", "r_addr", "r_load"):
            m.d.comb += getattr(bus, name).eq(getattr(self, f"bus_{name}"))
        for name in ("w_en", "w_addr", "w_data", "w_strb"):
            setattr(self, name, checks.past(getattr(bus, name), f"{name}_before"))
        # As in the block, a reset forgets nothing of it.
        loaded: Any = Signal(reset_less=True, name="loaded")
        self.r_addr: Any = Signal(self.addr_width, reset_less=True, name="r_addr_loaded")
        with m.If(bus.r_load):
            m.d.sync += [self.r_addr.eq(bus.r_addr), loaded.eq(1)]
        self.r_en: Any = bus.r_en & loaded
        selects = self.dut._decoder.selects
        for register in self.registers:
            select, here = selects[epbell_regs.flat_name(register)], self.r_addr[2:] == register.absolute_address >> 2
            checks.invariant("what is selected was loaded", select == (loaded & here))
        if self.shelved:
            column = self.inside.signal("r_shelf_column")
            checks.invariant("the word in a memory, too", ~loaded | (column == self.r_addr[2:6]))
        # Without a read it shows what the next one would give.
        return Mux(self.r_en, bus.r_data, 0)


class _Late(_Ahead):
    """The same where the data of a read come two clocks later, and the registers are joined in groups."""

    read_clocks = 2

    def _connect_bus(self, m: Any, checks: Checks) -> Any:
        super()._connect_bus(m, checks)
        return self.dut.bus.r_data

    def _state_read(self, checks: Checks, data: Any, expected: Any) -> None:
        expects, read = expected, self.r_en
        for clock in range(self.read_clocks):
            # As in the block, a reset forgets nothing of it.
            expects_before: Any = Signal(32, reset_less=True, name=f"expected_before{clock}")
            read_before: Any = Signal(reset_less=True, name=f"read_before{clock}")
            self.m.d.sync += [expects_before.eq(expects), read_before.eq(read)]
            expects, read = expects_before, read_before
        checks.forward(
            "a read gives what the accesses before it left, two clocks later", ~read | ~(expects & ~data).any()
        )
        checks.backward("nothing else is in what a read gives", ~read | ~(data & ~expects).any())


def _every_access(width: int, kind: type[_Map]) -> _Map:
    compiler = RDLCompiler()
    compiler.compile_file(str(_EVERY_ACCESS))
    return kind(compiler.elaborate("every_access", parameters={"WIDTH": width}).top, 7)


def _page(name: str) -> _Map:
    return _Late(epbell_regs.load(name, **_PAGES[name]), 16)


PROOFS = [
    Proof(
        f"csr.access.{width}{suffix}",
        "each kind of field: read after write, set before clear, and a write that does not reach it changes nothing",
        partial(_every_access, width, kind),
        depth=depth,
        cover_depth=3 + depth,
        mutant_depth=3 + depth,
    )
    for width in (8, 32)
    for kind, suffix, depth in ((_Map, "", 1), (_Ahead, ".ahead", 2), (_Late, ".late", 4))
] + [
    Proof(
        f"csr.page.{name}",
        "every register of this page: read after write, and nothing else is changed by an access",
        partial(_page, name),
        depth=4,
        cover_depth=7,
        mutant_depth=7,
    )
    for name in _PAGES
]
