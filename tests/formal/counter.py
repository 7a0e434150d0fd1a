"""Proofs of the counters that keep the accounts: exact up to their largest value, where they stay."""

from functools import partial
from typing import Any

from amaranth.hdl import Mux, ResetSignal, Signal
from amaranth.lib.wiring import In

from epbell.counter import Counter
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_MOST = 2


class _Exact(Bench):
    """The count is what came since the last clear, or the largest value; events and clears come out of flip-flops."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__({"event": In(range(_MOST + 1)), "clear": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = Counter(self.width, most=_MOST)
        # A reset does not reach the count, but what clears it is 1 then.
        clear, event = Signal(init=1, name="clears"), Signal(range(_MOST + 1), name="events")
        m.d.sync += [clear.eq(self.clear), event.eq(self.event)]
        m.d.comb += [dut.event.eq(event), dut.clear.eq(clear)]
        largest = (1 << self.width) - 1
        before = _through_resets(m, Mux(clear, 0, dut.count), "before")
        # An event is in the count three clocks later: a clear in the clocks between takes it as well.
        taken = _through_resets(m, event, "event_before")
        added = _through_resets(m, Mux(clear, 0, taken), "event_added")
        came = _through_resets(m, Mux(clear, 0, added), "came")
        reset = _through_resets(m, _through_resets(m, ResetSignal(), "reset_before"), "reset_then")
        checks.forward("a reset zeroes it, a clock later than a flip-flop", ~reset | (dut.count == 0))
        checks.forward(
            "each event counts, also in the clock of a clear", (before + came > largest) | (dut.count == before + came)
        )
        checks.forward("at the largest value it stays", (before + came <= largest) | (dut.count == largest))
        checks.backward("the count falls only by a clear", (dut.count >= before) & (dut.count <= before + came))
        checks.cover(
            "events in the clock of a clear",
            checks.past(checks.past(checks.past(clear & (event == _MOST), "met"), "met_before"), "met_then")
            & (dut.count == _MOST),
        )
        if self.width <= 4:
            checks.cover("more events at the largest value", (before == largest) & (came != 0))


def _through_resets(m: Any, value: Any, name: str) -> Any:
    """Return what `value` was a clock ago, whatever is reset."""
    before: Any = Signal(len(value), name=name, reset_less=True)
    m.d.sync += before.eq(value)
    return before


PROOFS = [
    Proof(
        f"counter.exact.{width}",
        "each event counts once; at the largest value the count stays",
        partial(_Exact, width),
        depth=5,
        cover_depth=12,
        mutant_depth=12,
    )
    for width in (4, 32)
]
