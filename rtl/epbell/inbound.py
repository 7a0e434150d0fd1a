"""Inbound windows: from a request of the host to an endpoint-local address.

Register-compatible with the inbound regions of the DesignWare iATU in its unroll layout, for memory requests, in
BAR match and in address match.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

import epbell_regs
from epbell import csr
from epbell.address_map import PAGE_BITS
from epbell.bar import MAX_BARS, Bar, FixedBar, check_bars, check_fixed_bar
from epbell.compare import less
from epbell.csr_register import any_of
from epbell.pcie.tlp import BOUNDARY

__all__ = ["Inbound"]

_PAGE = BOUNDARY.bit_length() - 1
"""Windows in address match begin and end on multiples of 4 KiB; these low bits of an address they do not look at."""

_HALF = _PAGE + (64 - _PAGE) // 2
"""Addresses are added in halves, the upper one from this bit on."""

_LEAST_BAR_BITS = 7
"""No BAR is smaller than 128 bytes."""

_ACTIVE = data.StructLayout({
    "by_bar": 1,
    "by_page": 1,
    "bar": 3,
    "match_function": 1,
    "function": 5,
    "first": 64 - _PAGE,
    "last": 64 - _PAGE,
    "keep": 64,
    "move": data.StructLayout({"lower": _HALF - _PAGE, "upper": 64 - _HALF}),
})
"""A window as it is in force.

``by_bar``, ``by_page``
    It takes part, in BAR match or in address match.
``bar``, ``match_function``, ``function``
    What it looks at.
``first``, ``last``
    First and last page of 4 KiB on the PCI bus, in address match.
``keep``
    The bits of the PCI address that count: the offset in the BAR, or all of them.
``move``
    What is added to them, in pages; in halves.
"""


class Inbound(wiring.Component):
    """Registers of the windows, and the translation of one request per clock.

    A window takes part while CTRL2.ENABLE is set and CTRL1.TYPE is memory. In BAR match it claims the requests to the
    BAR of CTRL2; the local address is ``(target & ~(BAR size - 1)) | offset``. In address match it claims requests to
    any BAR for PCI addresses from its base to its limit, so that several windows can share a BAR; the local address is
    ``target + (address - base)``, modulo 2**64. UPPER_LIMIT counts only with INCREASE_REGION_SIZE, otherwise the upper
    half of the limit is that of the base; a limit below the base claims nothing. With FUNCTION_MATCH a window claims
    requests to the function of CTRL1 only. Where several claim a request, the one with the lowest number does.

    A request never crosses a multiple of 4 KiB, and only there windows begin and end: what claims the first dword
    claims the last one. Local addresses have 64 bits, none of which is ever dropped.

    The registers of a window take effect together, two clocks after any write to its CTRL2 is made: a window that is
    aimed elsewhere by writing the other registers and CTRL2, in that order, shows its old or its new target and no
    third one.

    A request goes through three stages, a clock each: whether each window would claim it, and where that would send it;
    which window claims it; where it goes. The windows are looked at in the first of them alone, as they are in the
    clock in which the request is at the ports.

    A fixed BAR shows its page whatever the windows say: they are not asked. Beyond the page's 64 KiB there is nothing.

    Parameters
    ----------
    bars : sequence of Bar or None
        The endpoint's BARs.
    windows : int
        Number of windows, 1 to 16.
    fixed : FixedBar, optional
        BAR that shows a page for ever.

    Attributes
    ----------
    bus : In(csr.PAGE)
        Registers, map ``iatu``.
    bar, function, address, length : In(3), In(8), In(64), In(11)
        The request: BAR number, function number, PCI address, dwords.
    address_again : In(64)
        ``address`` once more, for every other window: out of flip-flops of its own, so that each drives fewer.
    claimed : Out(1)
        A window or the fixed BAR claims the request of three clocks before. Flip-flops, as the next two.
    local : Out(64)
        Local address; if nothing claims the request, bits 6:0 of its PCI address.
    fits : Out(1)
        The request ends where it must: before the next multiple of 4 KiB, and before the end of its BAR.

    Raises
    ------
    ValueError
        If the BARs are not possible ones, `windows` is out of range, or the fixed BAR is none of the BARs.
    """

    bus: Any
    bar: Any
    function: Any
    address: Any
    address_again: Any
    length: Any
    claimed: Any
    local: Any
    fits: Any

    def __init__(self, bars: Sequence[Bar | None], windows: int = 6, fixed: FixedBar | None = None) -> None:
        self._bars = check_bars(bars)
        self._windows = windows
        self._fixed = fixed
        if fixed is not None:
            check_fixed_bar(self._bars, fixed.number)
        tree = epbell_regs.load("iatu", windows=windows)
        self._block = csr.Block(tree, decode="sync", read_clocks=csr.PAGE.read_clocks)
        super().__init__({
            "bus": In(csr.PAGE),
            "bar": In(3),
            "function": In(8),
            "address": In(64),
            "address_again": In(64),
            "length": In(11),
            "claimed": Out(1),
            "local": Out(64),
            "fits": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Build the stages: each window for itself, the lowest one that matches, its address."""
        m: Any = Module()
        m.submodules.registers = self._block
        wiring.connect(m, wiring.flipped(self.bus), self._block.bus)

        mask = self._mask(m, self.bar, "request")
        windows = [self._window(m, index, mask) for index in range(self._windows)]
        low, fits = self._stage(m, address1=self.address[:PAGE_BITS]), self._check_end(m)

        hits = [hit for hit, _ in windows]
        claims: list[Any] = []
        for index, hit in enumerate(hits):
            wins: Any = Signal(name=f"wins{index}")
            free = ~any_of(hits[:index]) if index else 1
            m.d.comb += wins.eq(hit & free)
            claims.append(wins)
        if self._fixed is not None:
            asked, shown = self._fixed_bar(m, self._fixed, mask)
            claims = [*(wins & asked for wins in claims), shown]
        chosen = [self._stage(m, **{f"chosen{index}": wins}) for index, wins in enumerate(claims)]
        uppers = [self._stage(m, **{f"goes{index}": upper}) for index, (_, upper) in enumerate(windows)]
        low = self._stage(m, address2=low)
        if self._fixed is not None:
            offset = low & (_size(self._bars[self._fixed.number]) - 1)
            uppers.append(Cat(offset[_LEAST_BAR_BITS:PAGE_BITS], Const(self._fixed.page >> PAGE_BITS, 64 - PAGE_BITS)))

        # The lowest bits are the request's in any BAR; a refusal is answered with them.
        upper = any_of([upper & wins.replicate(len(upper)) for upper, wins in zip(uppers, chosen, strict=True)])
        m.d.sync += [
            self.claimed.eq(any_of(chosen)),
            self.local.eq(Cat(low[:_LEAST_BAR_BITS], upper)),
            self.fits.eq(fits),
        ]
        return m

    def _stage(self, m: Any, **value: Any) -> Any:
        """Return flip-flops of that name, which take the value in each clock."""
        ((name, now),) = value.items()
        held: Any = Signal(len(now), name=name, reset_less=True)
        m.d.sync += held.eq(now)
        return held

    def _window(self, m: Any, index: int, mask: Any) -> tuple[Any, Any]:
        """Return whether a window would claim the request, and to which address but for its lowest bits."""
        window = self._active(m, index)
        address = self.address_again if index % 2 else self.address
        page = address[_PAGE:]
        here = (window.by_bar & (window.bar == self.bar)) | (window.by_page & mask.any())
        function_ok = ~window.match_function | (self.function == window.function)
        kept = address & window.keep
        lower, upper = kept[_PAGE:_HALF] + window.move.lower, kept[_HALF:] + window.move.upper
        found = {
            "asked": here,
            "function_ok": function_ok,
            # In BAR match a page is neither: what it is compared with as if it had a bit more.
            "before": less(Cat(page, window.by_bar), window.first),
            "behind": less(Cat(window.last, window.by_bar), page),
            "lower": Cat(kept[_LEAST_BAR_BITS:_PAGE], lower[:-1]),
            "carry": lower[-1],
            "upper": upper[:-1],
        }
        asked, function_ok, before, behind, lower, carry, upper = (
            self._stage(m, **{f"{name}{index}": value}) for name, value in found.items()
        )
        return asked & function_ok & ~before & ~behind, Cat(lower, (upper + carry)[: 64 - _HALF])

    def _fixed_bar(self, m: Any, fixed: FixedBar, mask: Any) -> tuple[Any, Any]:
        """Whether the windows are asked, and whether the fixed BAR shows its page."""
        here: Any = self.bar == fixed.number
        beyond = (self.address[PAGE_BITS:32] & mask[PAGE_BITS:]).any()
        return self._stage(m, asked=~here), self._stage(m, shown=here & ~beyond)

    def _active(self, m: Any, index: int) -> Any:
        """Copy of a window's registers that is in force."""
        window: Any = Signal(_ACTIVE, name=f"window{index}")
        region = f"IB{index}"
        written: Any = Signal(name=f"written{index}")
        # What is being written can be read in the next clock.
        m.d.sync += written.eq(self._block.made(f"{region}_CTRL2").strobes.any())

        bar = self._value(region, "CTRL2", "BAR")
        by_bar = self._value(region, "CTRL2", "BAR_MATCH")
        mask = self._mask(m, bar, f"window{index}")
        on = self._value(region, "CTRL2", "ENABLE") & ~self._value(region, "CTRL1", "TYPE").any()
        upper_base = self._value(region, "UPPER_BASE", "BASE")
        grows = self._value(region, "CTRL1", "INCREASE_REGION_SIZE")
        upper_limit = Mux(grows, self._value(region, "UPPER_LIMIT", "LIMIT"), upper_base)
        base: Any = Cat(self._value(region, "LOWER_BASE", "BASE"), upper_base)
        target: Any = Cat(self._value(region, "LOWER_TARGET", "TARGET"), self._value(region, "UPPER_TARGET", "TARGET"))
        half = _HALF - _PAGE
        # Of the registers in the clock before, in which no other one than CTRL2 was written.
        borrow = self._stage(m, **{f"borrow{index}": less(target[:half], base[:half])})
        upper: Any = Cat(Const(0, 1), target[half:])
        upper -= Cat(borrow, base[half:])
        distance = Cat((target[:half] - base[:half])[:half], upper[1 : 1 + 64 - _HALF])
        with m.If(written):
            m.d.sync += [
                window.by_bar.eq(on & by_bar & mask.any()),
                window.by_page.eq(on & ~by_bar),
                window.bar.eq(bar),
                window.match_function.eq(self._value(region, "CTRL2", "FUNCTION_MATCH")),
                window.function.eq(self._value(region, "CTRL1", "FUNCTION")),
                window.first.eq(base),
                window.last.eq(Cat(self._value(region, "LIMIT", "LIMIT"), upper_limit)),
                window.keep.eq(mask | (~by_bar).replicate(64)),
                window.move.eq(Mux(by_bar, target & ~(mask[_PAGE:] | Const(0, 64 - _PAGE)), distance)),
            ]
        return window

    def _value(self, region: str, register: str, field: str) -> Any:
        return self._block.field(f"{region}_{register}", field).value

    def _mask(self, m: Any, bar: Any, name: str) -> Any:
        """Size of a BAR minus one; zero for a BAR that does not exist."""
        mask: Any = Signal(32, name=f"{name}_mask")
        with m.Switch(bar):
            for number in range(MAX_BARS):
                with m.Case(number):
                    size = _size(self._bars[number])
                    m.d.comb += mask.eq(size - 1 if size else 0)
        return mask

    def _check_end(self, m: Any) -> Any:
        """Compare the request's last dword with the nearer of the two ends; return the result behind two stages."""
        begin: Any = Signal(10)
        room: Any = Signal(11)
        m.d.comb += [room.eq(BOUNDARY // 4), begin.eq(self.address[2:12])]
        with m.Switch(self.bar):
            for number in range(MAX_BARS):
                size = _size(self._bars[number])
                if 0 < size < BOUNDARY:
                    with m.Case(number):
                        words = (size // 4).bit_length() - 1
                        m.d.comb += [room.eq(size // 4), begin.eq(self.address[2 : 2 + words])]
        end = self._stage(m, end=begin + self.length)
        return self._stage(m, fits2=end <= self._stage(m, room1=room))


def _size(bar: Bar | None) -> int:
    return bar.size if bar is not None else 0
