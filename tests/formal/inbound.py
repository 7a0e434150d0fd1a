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
_FIXED_SMALL = FixedBar(4, 0x5F09_0000)


class _Region:
    """The account of one window: its registers, and what they were when they last took effect."""

    def __init__(self, m: Any, made: Any, index: int, size: Callable[[Any], Any]) -> None:
        self.size = size
        self.registers: dict[int, Any] = {}
        self.shown: dict[int, Any] = {}
        base = _STEP * index + _FIRST
        for offset, (writable, _) in _REGISTERS.items():
            value: Any = Signal(32, name=f"ib{index}_{offset:02x}")
            changed: Any = Cat(made.w_strb[bit // 8] for bit in range(32)) & writable
            with m.If(made.w_en & (made.w_addr[2:] == (base + offset) >> 2)):
                m.d.sync += value.eq((value & ~changed) | (made.w_data & changed))
            self.registers[offset] = value
            self.shown[offset] = Signal(32, name=f"ib{index}_{offset:02x}_shown")
        self.fires = made.w_en & (made.w_addr[2:] == (base + _CONTROL_2) >> 2) & (made.w_strb != 0)
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


class _Made:
    """What is written in this clock: what was at the port in the one before."""

    def __init__(self, checks: Checks, bench: Any) -> None:
        names = ("w_en", "w_addr", "w_strb", "w_data")
        self.w_en, self.w_addr, self.w_strb, self.w_data = (
            checks.past(getattr(bench, name), f"{name}_made") for name in names
        )


class _Windows(Bench):
    """The windows, beside the account of each, and what the account says of the requests in the three stages."""

    def __init__(self, bars: Sequence[Bar | None], fixed: FixedBar | None = None) -> None:
        self.dut = Inbound(bars, _WINDOWS, fixed)
        self.fixed = fixed
        self.bars = bars
        members = {"w_en": 1, "w_addr": 16, "w_data": 32, "w_strb": 4, "r_load": 1, "r_en": 1, "r_addr": 16}
        members |= {"bar": 3, "function": 8, "address": 64, "length": 11}
        super().__init__({name: In(width) for name, width in members.items()})

    def check(self, m: Any, checks: Checks) -> None:
        self.m = m
        self.inside = inside = Inside(self.dut)
        m.submodules.dut = dut = self.dut
        bus: Any = dut.bus
        names = ("w_en", "w_addr", "w_data", "w_strb", "r_load", "r_en", "r_addr")
        m.d.comb += [getattr(bus, name).eq(getattr(self, name)) for name in names]
        m.d.comb += dut.address_again.eq(self.address)
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in ("bar", "function", "address", "length")]
        self.made: Any = _Made(checks, self)
        self.regions = [_Region(m, self.made, index, self.size) for index in range(_WINDOWS)]
        self.claims = []
        for index, region in enumerate(self.regions):
            hit, local = Signal(name=f"spec_hit{index}"), Signal(64, name=f"spec_local{index}")
            claim = region.claim(self.bar, self.function, self.address)
            m.d.comb += [hit.eq(claim[0]), local.eq(claim[1])]
            self.claims.append((hit, local))
        for index, region in enumerate(self.regions):
            self._hold(checks, region, index, inside)
        # What is in each stage, the input before them: whether there is anything since the reset.
        self.there = [Const(1, 1), *self.moves(Const(1, 1), "there")]
        self.state(checks)

    def moves(self, value: Any, name: str) -> list[Any]:
        """Return what a value was of the request in each of the three stages, when it came."""
        found = []
        for stage in range(1, 4):
            after: Any = Signal(len(value), name=f"{name}_{stage}")
            self.m.d.sync += after.eq(value)
            found.append(after)
            value = after
        return found

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
        made = self.dut._block.made(f"IB{index}_CTRL2").strobes.any()
        checks.invariant("a write of a control 2 is made", made == region.fires)
        checks.invariant("registers take effect in the clock after", inside.signal(f"written{index}") == region.due)
        self._decoded(checks, index)
        last = Cat(limit[12:], Mux(control_1[13], limit_high, high))
        aside = Cat(aim[:20] & ~mask[12:], aim[20:])
        on = region.enabled & (control_1[:5] == 0) & (~region.by_bar | (size != 0))
        ways = Cat(window.by_bar, window.by_page) == Cat(on & region.by_bar, on & ~region.by_bar)
        checks.invariant("a window is on if its registers say so", ways)
        prepared = (
            (window.bar == control_2[8:11])
            & (window.match_function == control_2[19])
            & (window.function == control_1[20:25])
            & (window.first == base)
            & (window.last == last)
            & (window.keep == Mux(region.by_bar, mask, (1 << 64) - 1))
            & (window.move.as_value() == Mux(region.by_bar, aside, region.distance))
        )
        checks.invariant("what is in force is what the registers were", ~region.enabled | prepared)
        base, aim = (Cat(region.registers[at][12:], region.registers[at + 4])[:26] for at in (0x08, 0x14))
        borrows = inside.signal(f"borrow{index}") == (aim < base)
        checks.invariant("what the lower half of target minus base borrows", ~region.due | borrows)


    def _decoded(self, checks: Checks, index: int) -> None:
        """Say that what is made in this clock was decoded as such: its row and bytes, its column and word."""
        registers, made = self.inside.within("registers"), self.made
        row = (_STEP * index + _FIRST) >> 6
        for lane in range(4):
            here = made.w_en & (made.w_addr[6:] == row) & made.w_strb[lane]
            checks.invariant("a row is decoded", registers.signal(f"w_row{row:x}_{lane}") == here)
        for _, offset, _ in _FIELDS:
            part = index & 3  # of the rows, one for each window; those of parts 2 and 3 are low when it is so
            column = registers.signal(f"w_column{offset >> 2:x}_{part}") ^ (part >> 1)
            here = made.w_addr[2:6] == offset >> 2
            checks.invariant("a column is decoded", ~made.w_en | (column == here))
        word = registers.signal("w_data_held")
        checks.invariant("with its word", ~self.made.w_en | (word == self.made.w_data))


class _Claims(_Windows):
    """Which window, which address."""

    def state(self, checks: Checks) -> None:
        dut, fixed, there = self.dut, self.fixed, self.there
        asks: list[Any] = [Const(1, 1)] * 4
        hits = [[hit, *self.moves(hit, f"hit{index}")] for index, (hit, _) in enumerate(self.claims)]
        goes = [[local, *self.moves(local, f"goes{index}")] for index, (_, local) in enumerate(self.claims)]
        lows = [self.address[:16], *self.moves(self.address[:16], "low")]
        offset = self.address[:32] & (self.size(self.bar) - 1)[:32]
        shown = [Const(0, 1)] * 4
        if fixed is not None:
            asked = self.bar != fixed.number
            asks = [asked, *self.moves(asked, "asked")]
            shows = ~asked & (offset < 64 << 10)
            shown = [shows, *self.moves(shows, "shown")]
        self._stages(checks, asks, hits, goes, lows, shown)
        free: Any = asks[3]
        for hit, local in zip(hits, goes, strict=True):
            wins = there[3] & free & hit[3]
            checks.forward("the lowest window that matches claims the request", ~wins | dut.claimed)
            checks.forward("a request goes where that window says", ~wins | (dut.local == local[3]))
            free &= ~hit[3]
        free &= there[3]
        checks.backward("nothing claims what no window matches", ~free | ~dut.claimed)
        checks.backward("of what is refused, only the lowest bits are passed on", ~free | (dut.local == lows[3][:7]))
        self._when(checks, asks, hits, goes)
        both = asks[3] & hits[0][3] & hits[1][3]
        checks.cover("both match, with different targets", both & (goes[0][3] != goes[1][3]))
        checks.cover("one claims by address", asks[0] & hits[1][0] & ~self.regions[1].by_bar & (goes[1][0][32:] != 0))
        checks.cover("one that is enabled does not match", free & self.regions[0].enabled & (self.size(self.bar) != 0))
        if fixed is not None:
            offsets = self.moves(offset[:16], "offset")
            kept = (self.size(Const(fixed.number)) - 1)[:16]
            for stage in range(3):
                same = offsets[stage] == (lows[stage + 1] & kept)
                checks.invariant("the offset in it", asks[stage + 1] | ~there[stage + 1] | same)
            checks.forward(
                "a fixed BAR shows its page",
                ~(there[3] & shown[3]) | dut.claimed & (dut.local == (offsets[2] + fixed.page)[:64]),
            )
            checks.backward("a fixed BAR shows nothing else", ~there[3] | asks[3] | shown[3] | ~dut.claimed)
            elsewhere = hits[0][3] & (goes[0][3] != dut.local)
            checks.cover("a window would take the fixed BAR elsewhere", shown[3] & elsewhere)

    def _stages(self, checks: Checks, asks: Any, hits: Any, goes: Any, lows: Any, shown: Any) -> None:
        """Say that the first two stages hold what the account says."""
        get, there = self.inside.signal, self.there
        for index in range(_WINDOWS):
            here = get(f"asked{index}") & get(f"function_ok{index}")
            hit = here & ~get(f"before{index}") & ~get(f"behind{index}")
            went = Cat(get(f"lower{index}"), (get(f"upper{index}") + get(f"carry{index}"))[:26])
            checks.invariant("whether each would claim it", ~there[1] | (hit == hits[index][1]))
            checks.invariant("and to which address", ~there[1] | ~hit | (went == goes[index][1][7:]))
            checks.invariant("which would go there", ~hits[index][1] | (goes[index][1][:7] == lows[1][:7]))
            checks.invariant("which would go there", ~hits[index][2] | (goes[index][2][:7] == lows[2][:7]))
            checks.invariant("which would go there", ~hits[index][3] | (goes[index][3][:7] == lows[3][:7]))
            wins = asks[2] & hits[index][2] & ~Cat(hits[lower][2] for lower in range(index)).any()
            checks.invariant("which one does", ~there[2] | (get(f"chosen{index}") == wins))
            same = get(f"goes{index}") == goes[index][2][7:]
            checks.invariant("where that goes", ~there[2] | ~hits[index][2] | same)
        checks.invariant("the lowest bits", (~there[1] | (get("address1") == lows[1])))
        checks.invariant("the lowest bits", (~there[2] | (get("address2") == lows[2])))
        if self.fixed is not None:
            checks.invariant("not the fixed BAR", ~there[1] | (get("asked") == asks[1]) & (get("shown") == shown[1]))
            checks.invariant("the fixed BAR", ~there[2] | (get(f"chosen{_WINDOWS}") == shown[2]))
            for stage in range(1, 4):
                checks.invariant("one or the other", ~there[stage] | ~(asks[stage] & shown[stage]))

    def _when(self, checks: Checks, asks: Any, hits: Any, goes: Any) -> None:
        """State that a request is looked up in one clock."""
        dut, region = self.dut, self.regions[0]
        due = checks.past(region.due, "due_ago")
        for offset, value in region.registers.items():
            before = checks.past(value, f"ib0_{offset:02x}_ago")
            checks.forward(
                "all registers of a window take effect in one clock", ~due | (region.shown[offset] == before)
            )
        fresh = self.there[3] & self.moves(due, "fresh")[2] & asks[3] & hits[0][3]
        checks.forward(
            "a request of the second clock after a control 2 was written goes where they say then",
            ~fresh | dut.claimed & (dut.local == goes[0][3]),
        )


class _InForce(_Windows):
    """What reads see of the registers."""

    def state(self, checks: Checks) -> None:
        dut = self.dut
        loaded: Any = Signal(reset_less=True, name="loaded")
        at: Any = Signal(16, reset_less=True, name="r_addr_loaded")
        with self.m.If(self.r_load):
            self.m.d.sync += [at.eq(self.r_addr), loaded.eq(1)]
        words: list[Any] = []
        selects = self.dut._block._decoder.selects
        for index, region in enumerate(self.regions):
            for (register, _, _), (offset, (_, ones)) in zip(_FIELDS, _REGISTERS.items(), strict=True):
                here = loaded & (at[2:] == (_STEP * index + _FIRST + offset) >> 2)
                checks.invariant("what is selected was loaded", selects[f"IB{index}_{register}"] == here)
                words.append((region.registers[offset] | ones) & here.replicate(32))
        # What it reads as is there two clocks later: each row of registers first, then all.
        stages: list[Any] = [reduce(or_, words)]
        for clock in range(dut.bus.signature.read_clocks):
            stages.append(Signal(32, reset_less=True, name=f"read{clock}"))
            self.m.d.sync += stages[-1].eq(stages[-2])
        rows = {(_STEP * index + _FIRST) >> 6 for index in range(len(self.regions))}
        groups = [self.inside.within("registers").signal(f"words_of{row:x}_0") for row in rows]
        checks.invariant("each row of them", reduce(or_, groups) == stages[1])
        checks.forward("a register reads what was written to it", ~stages[-1] & dut.bus.r_data == 0)
        checks.backward("everything else reads as zero", stages[-1] & ~dut.bus.r_data == 0)
        checks.cover("a word is read that was written", stages[-1][31])


class _Ends(_Windows):
    """A request ends before the next multiple of 4 KiB, and in its BAR."""

    def state(self, checks: Checks) -> None:
        start: Any = Cat(Const(0, 2), self.address[2:])
        size = self.size(self.bar)
        bytes_: Any = Cat(Const(0, 2), self.length)
        in_page = start[:12] + bytes_ <= 4096
        in_bar = (start[:32] & (size - 1)[:32]) + bytes_ <= size
        fits = in_page & ((size == 0) | in_bar)
        fitting, there = self.moves(fits, "fitting"), self.there
        end, room, second = (self.inside.signal(name) for name in ("end", "room1", "fits2"))
        checks.invariant("both ends", ~there[1] | ((end <= room) == fitting[0]))
        checks.invariant("the nearer one", ~there[2] | (second == fitting[1]))
        checks.forward("a request that ends in its page and in its BAR fits", ~(there[3] & fitting[2]) | self.dut.fits)
        checks.backward("no other fits", ~there[3] | fitting[2] | ~self.dut.fits)
        checks.cover("one dword too many", in_page & ~in_bar & (size != 0) & (bytes_ == 8))
        exact = self.moves(start[:12] + bytes_ == 4096, "exact")[2]
        checks.cover("one that ends at a multiple of 4 KiB", self.dut.fits & exact)


_VARIANTS = {
    "default": (DEFAULT_BARS, None),
    "sizes": (_SMALL_AND_LARGE, None),
    "fixed": (_WITH_FIXED, _FIXED),
    "fixed4k": (_WITH_FIXED, _FIXED_SMALL),
}

PROOFS = [
    Proof(
        f"inbound.{subject}.{variant}",
        summary,
        partial(bench, *_VARIANTS[variant]),
        depth=1,
        cover_depth=14,
        mutant_depth=14,
        wide=True,
    )
    for subject, bench, variants, summary in (
        (
            "claims",
            _Claims,
            _VARIANTS,
            "the lowest window that matches claims a request; where it goes; nothing else does",
        ),
        ("in_force", _InForce, ("default",), "a window's registers read as they were written"),
        ("ends", _Ends, ("sizes",), "what fits: not across 4 KiB, not beyond the BAR"),
    )
    for variant in variants
]
