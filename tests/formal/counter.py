"""Proofs of the counters that keep the accounts: exact up to their largest value, where they stay."""

from functools import partial
from typing import Any

from amaranth.hdl import Mux
from amaranth.lib.wiring import In

from epbell.counter import Counter
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_MOST = 2


class _Exact(Bench):
    """The count is what came since the last clear, or the largest value."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__({"event": In(range(_MOST + 1)), "clear": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = Counter(self.width, most=_MOST)
        m.d.comb += [dut.event.eq(self.event), dut.clear.eq(self.clear)]
        largest = (1 << self.width) - 1
        before = checks.past(Mux(self.clear, 0, dut.count), "before")
        # An event is in the count two clocks later: a clear in the clock between takes it as well.
        came = checks.past(Mux(self.clear, 0, checks.past(self.event, "event_before")), "came")
        checks.forward(
            "each event counts, also in the clock of a clear", (before + came > largest) | (dut.count == before + came)
        )
        checks.forward("at the largest value it stays", (before + came <= largest) | (dut.count == largest))
        checks.backward("the count falls only by a clear", (dut.count >= before) & (dut.count <= before + came))
        checks.cover(
            "events in the clock of a clear",
            checks.past(checks.past(self.clear & (self.event == _MOST), "met"), "met_before") & (dut.count == _MOST),
        )
        if self.width <= 4:
            checks.cover("more events at the largest value", (before == largest) & (came != 0))


PROOFS = [
    Proof(
        f"counter.exact.{width}",
        "each event counts once; at the largest value the count stays",
        partial(_Exact, width),
        depth=4,
        cover_depth=12,
        mutant_depth=12,
    )
    for width in (4, 32)
]
