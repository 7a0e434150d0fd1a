"""Proofs of the inbound windows: which window claims a request, where it goes, and when registers take effect.

No input is restricted: any access to the registers in any clock, beside any request, possible or not. Offsets and bits
are typed in from docs/endpoint.md and the public map of the iATU, unroll layout. The account keeps what the registers
were when they last took effect, and decides each request anew from that, with whole addresses of 64 bits.
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In
from inside import Inside

from epbell.bar import DEFAULT_BARS, Bar, FixedBar
from epbell.inbound import _ACTIVE, Inbound
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_WINDOWS = 2
_FIRST, _STEP = 0x100, 0x200

# Offset in the region -> bits that can be written, bits that read as ones.
_REGISTERS = {
    0x00: (0x01F0_211F, 0),  # control 1
    0x04: (0xD048_0700, 0),  # control 2
    0x08: (0xFFFF_F000, 0),  # base
    0x0C: (0xFFFF_FFFF, 0),
    0x10: (0xFFFF_F000, 0xFFF),  # limit
    0x14: (0xFFFF_F000, 0),  # target
    0x18: (0xFFFF_FFFF, 0),
    0x20: (0xFFFF_FFFF, 0),  # upper limit
}
_CONTROL_2 = 0x04
_FIELDS = (
    ("CTRL1", 0x00, {"TYPE": (0, 4), "TD": (8, 8), "INCREASE_REGION_SIZE": (13, 13), "FUNCTION": (20, 24)}),
    (
        "CTRL2",
        0x04,
        {
            "BAR": (8, 10),
            "FUNCTION_MATCH": (19, 19),
            "INHIBIT_PAYLOAD": (22, 22),
            "CFG_SHIFT": (28, 28),
            "BAR_MATCH": (30, 30),
            "ENABLE": (31, 31),
        },
    ),
    ("LOWER_BASE", 0x08, {"BASE": (12, 31)}),
    ("UPPER_BASE", 0x0C, {"BASE": (0, 31)}),
    ("LIMIT", 0x10, {"LIMIT": (12, 31)}),
    ("LOWER_TARGET", 0x14, {"TARGET": (12, 31)}),
    ("UPPER_TARGET", 0x18, {"TARGET": (0, 31)}),
    ("UPPER_LIMIT", 0x20, {"LIMIT": (0, 31)}),
)

_SMALL_AND_LARGE = (Bar(128), Bar(4096), Bar(2 << 30, wide=True), None, Bar(2048), None)
_WITH_FIXED = (Bar(64 << 10), None, Bar(256 << 10, wide=True), None, Bar(4096), None)
_FIXED = FixedBar(2, 0x5F09_0000)


class _Region:
    """The account of one window: its registers, and what they were when they last took effect."""

    def __init__(self, m: Any, bus: Any, index: int, size: Callable[[Any], Any]) -> None:
        self.size = size
        self.registers: dict[int, Any] = {}
        self.shown: dict[int, Any] = {}
        base = _STEP * index + _FIRST
        for offset, (writable, _) in _REGISTERS.items():
            value: Any = Signal(32, name=f"ib{index}_{offset:02x}")
            changed: Any = Cat(bus.w_strb[bit // 8] for bit in range(32)) & writable
            with m.If(bus.w_en & (bus.w_addr[2:] == (base + offset) >> 2)):
                m.d.sync += value.eq((value & ~changed) | (bus.w_data & changed))
            self.registers[offset] = value
            self.shown[offset] = Signal(32, name=f"ib{index}_{offset:02x}_shown")
        self.fires = bus.w_en & (bus.w_addr[2:] == (base + _CONTROL_2) >> 2) & (bus.w_strb != 0)
        self.due: Any = Signal(name=f"ib{index}_due")
        m.d.sync += self.due.eq(self.fires)
        # What is added to an address in address match: target minus base, in pages.
        low, high, _, target, target_high = [*self.registers.values()][2:7]
        self.distance: Any = Signal(52, name=f"ib{index}_distance")
        with m.If(self.due):
            m.d.sync += self.distance.eq(Cat(target[12:], target_high) - Cat(low[12:], high))
            m.d.sync += [self.shown[offset].eq(value) for offset, value in self.registers.items()]

    @property
    def enabled(self) -> Any:
        """The window is enabled, by its register alone."""
        return self.shown[_CONTROL_2][31]

    @property
    def by_bar(self) -> Any:
        """It looks at the BAR, not at the address."""
        return self.shown[_CONTROL_2][30]

    def claim(self, bar: Any, function: Any, address: Any) -> tuple[Any, Any]:
        """Whether the window would claim a request, and where it would go."""
        control_1, control_2, low, high, limit, target, target_high, limit_high = self.shown.values()
        size = self.size(bar)
        inside = (size - 1)[:32]
        base: Any = Cat(low, high)
        end: Any = Cat(Const(0xFFF, 12), limit[12:], Mux(control_1[13], limit_high, high))
        aim: Any = Cat(target, target_high)
        function_ok = ~control_2[19] | (control_1[20:25] == function)
        here = Mux(self.by_bar, control_2[8:11] == bar, (base <= address) & (address <= end))
        # Beyond the size of the BAR the target counts, below it the offset.
        by_bar: Any = Cat((aim[:32] & ~inside) | (address[:32] & inside), aim[32:])
        moved: Any = Cat(address[:12], (address[12:] + self.distance)[:52])
        local = Mux(self.by_bar, by_bar, moved)
        return self.enabled & (control_1[:5] == 0) & (size != 0) & function_ok & here, local


class _Windows(Bench):
    """The windows, beside the account of each."""

    def __init__(self, bars: Sequence[Bar | None], fixed: FixedBar | None = None) -> None:
        self.dut = Inbound(bars, _WINDOWS, fixed)
        self.fixed = fixed
        self.bars = bars
        members = {"w_en": 1, "w_addr": 16, "w_data": 32, "w_strb": 4, "r_en": 1, "r_addr": 16}
        members |= {"bar": 3, "function": 8, "address": 64, "length": 11}
        super().__init__({name: In(width) for name, width in members.items()})

    def check(self, m: Any, checks: Checks) -> None:
        inside = Inside(self.dut)
        m.submodules.dut = dut = self.dut
        bus: Any = dut.bus
        names = ("w_en", "w_addr", "w_data", "w_strb", "r_en", "r_addr")
        m.d.comb += [getattr(bus, name).eq(getattr(self, name)) for name in names]
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in ("bar", "function", "address", "length")]
        self.regions = [_Region(m, self, index, self.size) for index in range(_WINDOWS)]
        self.claims = []
        for index, region in enumerate(self.regions):
            hit, local = Signal(name=f"spec_hit{index}"), Signal(64, name=f"spec_local{index}")
            claim = region.claim(self.bar, self.function, self.address)
            m.d.comb += [hit.eq(claim[0]), local.eq(claim[1])]
            self.claims.append((hit, local))
        self.asked: Any = Const(1, 1) if self.fixed is None else self.bar != self.fixed.number
        for index, region in enumerate(self.regions):
            self._hold(checks, region, index, inside)
        self.state(checks)

    def size(self, number: Any) -> Any:
        """Size of a BAR in bytes; 0 if there is none."""
        sizes = [Mux(number == index, Const(bar.size if bar else 0, 33), 0) for index, bar in enumerate(self.bars)]
        return reduce(or_, sizes)

    def state(self, checks: Checks) -> None:
        """State the properties."""
        raise NotImplementedError

    def _hold(self, checks: Checks, region: _Region, index: int, inside: Inside) -> None:
        for values in (region.registers, region.shown):
            for offset, (writable, _) in _REGISTERS.items():
                checks.invariant("no register has a bit that cannot be written", (values[offset] & ~writable) == 0)
        for register, offset, fields in _FIELDS:
            for name, (low, high) in fields.items():
                value = self.dut._block.field(f"IB{index}_{register}", name).value
                wanted = region.registers[offset][low : high + 1]
                checks.invariant("registers are as written", value == wanted)
        control_1, control_2, low, high, limit, target, target_high, limit_high = region.shown.values()
        size = self.size(control_2[8:11])
        mask = Mux(size == 0, 0, (size - 1)[:32])
        window: Any = data.View(_ACTIVE, inside.signal(f"window{index}"))
        base, aim = Cat(low[12:], high), Cat(target[12:], target_high)
        checks.invariant("registers take effect in the next clock", inside.signal(f"written{index}") == region.due)
        last = Cat(limit[12:], Mux(control_1[13], limit_high, high))
        aside = Cat(aim[:20] & ~mask[12:], aim[20:])
        on = region.enabled & (control_1[:5] == 0) & (~region.by_bar | (size != 0))
        checks.invariant("a window is on if its registers say so", window.on == on)
        prepared = (
            (window.by_bar == region.by_bar)
            & (window.bar == control_2[8:11])
            & (window.match_function == control_2[19])
            & (window.function == control_1[20:25])
            & (window.first == base)
            & (window.last == last)
            & (window.keep == Mux(region.by_bar, mask, (1 << 64) - 1))
            & (window.move == Mux(region.by_bar, aside, region.distance))
        )
        checks.invariant("what is in force is what the registers were", ~region.enabled | prepared)


class _Claims(_Windows):
    """Which window, which address."""

    def state(self, checks: Checks) -> None:
        later = checks.later
        dut, fixed = self.dut, self.fixed
        free: Any = self.asked
        for hit, local in self.claims:
            checks.forward("the lowest window that matches claims the request", later(~(free & hit) | dut.claimed))
            checks.forward("a request goes where that window says", later(~(free & hit) | (dut.local == local)))
            free &= ~hit
        checks.backward("nothing claims what no window matches", later(~free | ~dut.claimed))
        checks.backward("of what is refused, only the lowest bits are passed on", later(~free | (dut.local < 128)))
        (hit, local), (other, elsewhere) = self.claims
        checks.cover("both match, with different targets", self.asked & hit & other & (local != elsewhere))
        checks.cover("one claims by address", self.asked & other & ~self.regions[1].by_bar & (elsewhere[32:] != 0))
        checks.cover("one that is enabled does not match", free & self.regions[0].enabled & (self.size(self.bar) != 0))
        if fixed is not None:
            offset = self.address[:32] & (self.size(fixed.number) - 1)[:32]
            shown = ~self.asked & (offset < 64 << 10)
            checks.forward(
                "a fixed BAR shows its page", later(~shown | dut.claimed & (dut.local == (offset + fixed.page)[:64]))
            )
            checks.backward("a fixed BAR shows nothing else", later(self.asked | shown | ~dut.claimed))
            checks.cover("a window would take the fixed BAR elsewhere", shown & hit & (local != dut.local))


class _InForce(_Windows):
    """When registers take effect; what reads see of them."""

    def state(self, checks: Checks) -> None:
        dut, later = self.dut, checks.later
        mapped: Any = Const(0, 1)
        for index, region in enumerate(self.regions):
            for offset, (_, ones) in _REGISTERS.items():
                reads = self.r_en & (self.r_addr[2:] == (_STEP * index + _FIRST + offset) >> 2)
                mapped |= reads
                wanted = region.registers[offset] | ones
                checks.forward("a register reads what was written to it", ~reads | (dut.bus.r_data == wanted))
        checks.backward("everything else reads as zero", mapped | ~self.r_en | (dut.bus.r_data == 0))
        two = checks.past(Cat(region.due for region in self.regions).any(), "fired_two_ago")
        begun = checks.past(Const(1, 1), "begun")
        request = Cat(self.bar, self.function, self.address)
        same = begun & (checks.past(request, "request_before") == request)
        answer = Cat(dut.claimed, dut.local)
        kept = checks.past(answer, "answer_before") == answer
        checks.backward(
            "windows change in the second clock after a write of a control 2, and only then", ~same | two | kept
        )
        (hit, local), _ = self.claims
        region = self.regions[0]
        due = checks.past(region.due, "due_ago")
        for offset, value in region.registers.items():
            before = checks.past(value, f"ib0_{offset:02x}_ago")
            checks.forward(
                "all registers of a window take effect in one clock", ~due | (region.shown[offset] == before)
            )
        matches = self.asked & hit
        checks.forward("what they were then decides", later(~(due & matches) | dut.claimed & (dut.local == local)))
        checks.cover("a window is aimed elsewhere", same & due & hit & ~kept)
        checks.cover("a window is disabled", same & due & ~dut.claimed & ~kept)


class _Ends(_Windows):
    """A request ends before the next multiple of 4 KiB, and in its BAR."""

    def state(self, checks: Checks) -> None:
        start: Any = Cat(Const(0, 2), self.address[2:])
        size = self.size(self.bar)
        bytes_: Any = Cat(Const(0, 2), self.length)
        in_page = start[:12] + bytes_ <= 4096
        in_bar = (start[:32] & (size - 1)[:32]) + bytes_ <= size
        fits = in_page & ((size == 0) | in_bar)
        checks.forward("a request that ends in its page and in its BAR fits", ~fits | self.dut.fits)
        checks.backward("no other fits", fits | ~self.dut.fits)
        checks.cover("one dword too many", in_page & ~in_bar & (size != 0) & (bytes_ == 8))
        checks.cover("one that ends at a multiple of 4 KiB", self.dut.fits & (start[:12] + bytes_ == 4096))


_VARIANTS = {
    "default": (DEFAULT_BARS, None),
    "sizes": (_SMALL_AND_LARGE, None),
    "fixed": (_WITH_FIXED, _FIXED),
}

PROOFS = [
    Proof(f"inbound.{subject}.{variant}", summary, partial(bench, *_VARIANTS[variant]), depth=1, wide=True)
    for subject, bench, variants, summary in (
        (
            "claims",
            _Claims,
            _VARIANTS,
            "the lowest window that matches claims a request; where it goes; nothing else does",
        ),
        ("in_force", _InForce, ("default",), "a window's registers take effect together, two clocks after CTRL2"),
        ("ends", _Ends, ("sizes",), "what fits: not across 4 KiB, not beyond the BAR"),
    )
    for variant in variants
]
