"""Proof of the ages: a request's is the clocks since it began, as far as that can be shown, however long it stays."""

from functools import partial
from typing import Any

from amaranth.hdl import Mux, Signal
from amaranth.lib.wiring import In
from inside import Inside

from epbell.pcie.age import LATENCY_BITS, REQUESTS, AgeClock, shown
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]


class _Ages(Bench):
    """The clock, beside any one of the requests, until it leaves."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"begins": In(1), "chosen": In(1), "leaves": In(1), "rests": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        bits = self.bits
        period = 1 << bits
        dut: Any = AgeClock(bits)
        get = Inside(dut).signal
        m.submodules.dut = dut
        m.d.comb += [dut.begins.eq(self.begins), dut.rests.eq(self.rests)]
        time, stands, began = dut.time, get("stands"), get("began")
        low, runs = time[:bits], self.begins | ~(stands | self.rests)
        there, came = Signal(name="there"), Signal(name="came")  # the one that was chosen; any at all
        at: Any = Signal.like(time, name="at")  # its time
        since: Any = Signal(bits + 1, name="since")  # clocks since it began; `period` if there are more
        after: Any = Signal(range(REQUESTS + 1), name="after")  # requests that began later
        went: Any = Signal(len(time) + 1, name="went")  # by how much time got on since then
        lately: Any = Signal(len(time) + 1, name="lately")  # and since the last one began
        with m.If(~there & self.begins & self.chosen):
            m.d.sync += [there.eq(1), at.eq(time), since.eq(1), went.eq(1), after.eq(0)]
        with m.Elif(self.leaves):
            m.d.sync += there.eq(0)
        with m.Elif(there):
            m.d.sync += [after.eq(after + self.begins), went.eq(went + runs)]
            m.d.sync += since.eq(Mux(since == period, since, since + 1))
        m.d.sync += [came.eq(came | self.begins), lately.eq(Mux(self.begins, 1, lately + runs))]
        checks.assume("what rests has nothing on the way", ~(there & self.rests))
        checks.assume(
            "so many requests are on the way at most: that is how many the stages and the FIFO have room for",
            ~(there & self.begins) | (after != REQUESTS - 1),
        )
        checks.invariant("the last one of all", ~there | came)
        checks.invariant("what time has shown", ~there | ((time - at)[: len(time)] == went))
        checks.invariant("a multiple is known ahead", get("ends") == low.all())
        checks.invariant("it stands at a multiple", ~stands | (low == 0))
        checks.invariant("it stands when none has begun for long", ~(came & stands) | (lately >= period))
        checks.invariant("none since the last multiple", ~came | began | (lately > low))
        checks.invariant("one since then", ~came | ~began | (lately <= low + 1) & ~stands)
        most = Mux(stands, 2 * period + 1, low + period + 1)
        checks.invariant("never much more", ~came | began | (lately <= most))
        checks.invariant("the last one is no older", ~there | (lately <= went))
        checks.invariant("from one to the next", ~there | (went <= after * (2 * period + 1) + lately))
        checks.invariant("few on the way", after < REQUESTS)
        beyond = since == period
        checks.invariant("what time has counted", ~there | Mux(beyond, went >= period, went == since))
        age = shown((time - at)[: len(time)], bits)
        wanted = Mux(beyond, period - 1, since)
        checks.forward("the age of a request is the clocks since it began, or all ones", ~there | (age >= wanted))
        checks.backward("it is no more", ~there | (age <= wanted))
        checks.cover("the first age", there & (age == 1))
        if bits < 8:
            checks.cover("one begins when time stands", stands & there & self.begins)
            checks.cover("an old one when another has begun since", there & beyond & ~stands & (after == 2))


PROOFS = [
    Proof(
        f"age.since.{bits}",
        "a request's age is the clocks since it began, as far as that can be shown, however long it stays",
        partial(_Ages, bits),
        depth=1,
        cover_depth=48,
        mutant_depth=24,
        wide=bits > 8,
    )
    for bits in (4, LATENCY_BITS)
]
