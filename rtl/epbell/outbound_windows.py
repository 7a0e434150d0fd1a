"""Outbound windows: from an endpoint-local address to one on the PCI bus.

Register-compatible with the outbound regions of the DesignWare iATU in its unroll layout, for memory requests.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

import epbell_regs
from epbell import csr
from epbell.compare import less
from epbell.csr_register import any_of

__all__ = ["OutboundWindows"]

GRANULE_BITS = 12
"""Windows are aligned to 4 KiB."""

_STEP_BITS = 9
"""Bits of an address within the registers of a window."""

_ACTIVE = data.StructLayout({
    "on": 1,
    "base": 32 - GRANULE_BITS,
    "limit": 32 - GRANULE_BITS,
    "endless": 1,
    "shift": 64 - GRANULE_BITS,
    "tc": 3,
    "attr": 2,
    "ecrc": 1,
})


class OutboundWindows(wiring.Component):
    """Registers of the windows, and the translation of an address.

    A window takes part while CTRL2 has ENABLE set, CTRL1.TYPE is memory, CTRL1.FUNCTION is 0 and UPPER_BASE is 0. It
    claims the local addresses from its base to its limit, both included; with INCREASE_REGION_SIZE and an UPPER_LIMIT
    that is not zero, all from its base on. Where several claim an address, the one with the lowest number does. The
    address on the bus is ``target + (address - base)``, 64 bits. CTRL1 also says with which traffic class and
    attributes, and whether with a digest.

    The registers of a window take effect together, two clocks after any write to its CTRL2 is made: a window that is
    aimed elsewhere by writing BASE, LIMIT, TARGET, CTRL1 and CTRL2, in that order, shows its old or its new target and
    no third one, if what is under way when they do (``changing``) is looked up anew.

    Parameters
    ----------
    windows : int
        Number of windows, 1 to 16.

    Attributes
    ----------
    bus : In(csr.PAGE)
        Registers, map ``iatu_outbound``.
    address : In(32)
        Local address.
    changing : Out(1)
        Other registers are in force from the next clock on: an address of before has to be looked up anew. A flip-flop.
    claimed : Out(1)
        A window claims the address of the clock before. Three levels behind flip-flops.
    shift : Out(52)
        To be added to bits 31:12 of the local address of two clocks ago, to get bits 63:12 of that on the bus. An
        AND-OR behind flip-flops.
    tc, attr, ecrc : Out(3), Out(3), Out(1)
        For the request, likewise.

    Raises
    ------
    ValueError
        If `windows` is out of range.
    """

    bus: Any
    address: Any
    changing: Any
    claimed: Any
    shift: Any
    tc: Any
    attr: Any
    ecrc: Any

    def __init__(self, windows: int = 6) -> None:
        self._windows = windows
        tree = epbell_regs.load("iatu_outbound", windows=windows)
        self._block = csr.Block(tree, decode="sync", read_clocks=csr.PAGE.read_clocks)
        super().__init__({
            "bus": In(csr.PAGE),
            "address": In(32),
            "changing": Out(1),
            "claimed": Out(1),
            "shift": Out(64 - GRANULE_BITS),
            "tc": Out(3),
            "attr": Out(3),
            "ecrc": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Two comparators for each window, then the lowest that matches, then what it supplies."""
        m: Any = Module()
        m.submodules.registers = self._block
        wiring.connect(m, wiring.flipped(self.bus), self._block.bus)

        page = self.address[GRANULE_BITS:]
        hits: Any = Signal(self._windows)
        wins: Any = Signal(self._windows)
        chosen: list[Any] = []
        for index in range(self._windows):
            window = self._active(m, index)
            below: Any = Signal(name=f"below{index}")  # the address of the clock before
            above: Any = Signal(name=f"above{index}")
            m.d.sync += [below.eq(less(page, window.base)), above.eq(less(window.limit, page))]
            m.d.comb += hits[index].eq(window.on & ~below & (window.endless | ~above))
            m.d.sync += wins[index].eq(hits[index] & ~hits[:index].any())
            supplied: Any = Cat(window.shift, window.tc, window.attr, Const(0, 1), window.ecrc)
            chosen.append(supplied & wins[index].replicate(len(supplied)))
        supply: Any = Cat(self.shift, self.tc, self.attr, self.ecrc)
        m.d.comb += [self.claimed.eq(hits.any()), supply.eq(any_of(chosen))]
        m.d.sync += self.changing.eq(self._changes(m))
        return m

    def _changes(self, m: Any) -> Any:
        """Return "some CTRL2 is made in this clock", decoded from the port in two halves of the address."""
        offsets = epbell_regs.offsets("iatu_outbound", windows=self._windows)
        places = [offsets[f"OB{index}_CTRL2"] for index in range(self._windows)]
        address, writes = self.bus.w_addr, self.bus.w_en & self.bus.w_strb.any()
        word: Any = Signal(name="ctrl2_word")
        window: Any = Signal(name="ctrl2_window")
        m.d.sync += [
            word.eq((address[2:_STEP_BITS] == places[0] % (1 << _STEP_BITS) >> 2) & writes),
            window.eq(any_of([address[_STEP_BITS:] == place >> _STEP_BITS for place in places])),
        ]
        return word & window

    def _active(self, m: Any, index: int) -> Any:
        """Return the copy of a window's registers that is in force."""
        window: Any = Signal(_ACTIVE, name=f"window{index}")
        region = f"OB{index}"
        written: Any = Signal(name=f"written{index}")
        # What is being written can be read in the next clock.
        m.d.sync += written.eq(self._block.made(f"{region}_CTRL2").strobes.any())

        # Of the registers in the clock before, in which no other one than CTRL2 was written.
        elsewhere: Any = Signal(3, name=f"elsewhere{index}")
        beyond: Any = Signal(name=f"beyond{index}")
        upper_base = self._value(region, "UPPER_BASE", "BASE")
        m.d.sync += [
            elsewhere[0].eq(
                self._value(region, "CTRL1", "TYPE").any() | self._value(region, "CTRL1", "FUNCTION").any()
            ),
            elsewhere[1:].eq(Cat(upper_base[:16].any(), upper_base[16:].any())),
            beyond.eq(self._value(region, "UPPER_LIMIT", "LIMIT").any()),
        ]
        base = self._value(region, "LOWER_BASE", "BASE")
        target = Cat(self._value(region, "LOWER_TARGET", "TARGET"), self._value(region, "UPPER_TARGET", "TARGET"))
        large = self._value(region, "CTRL1", "INCREASE_REGION_SIZE")
        with m.If(written):
            m.d.sync += [
                window.on.eq(self._value(region, "CTRL2", "ENABLE") & ~elsewhere.any()),
                window.base.eq(base),
                window.limit.eq(self._value(region, "LIMIT", "LIMIT")),
                window.endless.eq(large & beyond),
                window.shift.eq(target - base),
                window.tc.eq(self._value(region, "CTRL1", "TC")),
                window.attr.eq(self._value(region, "CTRL1", "ATTR")),
                window.ecrc.eq(self._value(region, "CTRL1", "TD")),
            ]
        return window

    def _value(self, region: str, register: str, field: str) -> Any:
        return self._block.field(f"{region}_{register}", field).value
