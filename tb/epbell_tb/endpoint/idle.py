"""Leaves out the clock edges that change nothing, so that idle time costs nothing.

Which those are the design says itself: its output ``at_rest`` (`epbell.export_rest`) is 1 while the next edge changes
no flip-flop and no memory. Only the registers go on by which the endpoint asks for its base address registers
(`ConfigReader`), over and over, a round after the other. The clock stops at the end of a round

- in which the output was 1 all the time: so every other register is what it was at the end of the round before,
- that took as long as the round before it, so that the asking goes on like this,
- while nobody waits for an edge of the clock, and no timer ends within the next round.

Then nothing happens until that timer ends: no input changes, for whoever drives one would have to wake up first, and
so no register changes but those of the asking, which come back every round. The clock starts again after a whole number
of rounds, the last one that ends before the timer does, with the edge that would have come then.

One time in many nothing is left out, but watched: should an output or a register move where it must not, the simulation
fails.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer
from cocotb.utils import get_sim_steps
from cocotbext.pcie.xilinx.us import usp_model

from epbell.export_rest import AT_REST
from epbell_tb.endpoint.clock import PERIOD_NS
from epbell_tb.endpoint.sampling import sampler
from epbell_tb.endpoint.streams import pausing
from epbell_tb.endpoint.timers import Timers, now

__all__ = [
    "Idle",
    "IdleCounts",
    "clocks_of",
]

_FIRST = 4
"""Dword of configuration space with the first base address register."""

_LOW_NS = 3
"""From a rising edge to where the clock is low and everything has settled."""

_WATCHED = 4
"""Rounds that are watched instead of left out; fewer are not worth a stop."""

_NOT_WATCHED = re.compile(r"clk|(m_axis_)?(cc|rq)_+tready")
"""Names, outside and inside, of inputs that change at rest: the clock, and the pauses of the streams."""


@dataclass
class IdleCounts:
    """What was left out: clock edges, and how often the clock stood; how often it was only watched."""

    clocks: int = 0
    stops: int = 0
    watched: int = 0


@contextmanager
def clocks_of(model: Any = usp_model) -> Iterator[list[Clock]]:
    """Collect the clocks that the stock hard block makes in the meantime: it keeps none of them."""
    stock, made = model.Clock, []

    def make(*arguments: Any, **options: Any) -> Clock:
        made.append(stock(*arguments, **options))
        return made[-1]

    model.Clock = make
    try:
        yield made
    finally:
        model.Clock = stock


class Idle:
    """Stops and starts the clock of one endpoint.

    Parameters
    ----------
    dut
        The endpoint, with the output ``at_rest``.
    clock
        Its clock, which runs.
    timers
        All timers.
    watch_every
        One in so many times nothing is left out but watched; 1: always.

    Attributes
    ----------
    counts
        What was left out.
    """

    def __init__(self, dut: Any, clock: Clock, timers: Timers, *, watch_every: int = 32) -> None:
        if not hasattr(dut, AT_REST):
            raise ValueError(f"The design must have the output {AT_REST!r}: build it with at_rest=True")
        if watch_every < 1:
            raise ValueError(f"One in 1 or more stops is watched, not in {watch_every!r}")
        self.counts = IdleCounts()
        self._dut = dut
        self._clock = clock
        self._timers = timers
        self._watch_every = watch_every
        self._rests = sampler(getattr(dut, AT_REST))
        self._edges: tuple[Any, ...] = (dut.clk.rising_edge, dut.clk.falling_edge, dut.clk.value_change)
        self._pins = {pin._name: sampler(pin) for pin in dut if not _NOT_WATCHED.fullmatch(pin._name)}
        self._period = get_sim_steps(PERIOD_NS, "ns")
        self._chances = 0
        self._moved = True
        self._left = 0
        self._seen: dict[str, int] = {}
        cocotb.start_soon(self._follow(), name="rest")
        cocotb.start_soon(self._run(), name="idle clock")

    async def _follow(self) -> None:
        """Note whenever the output falls."""
        fell = FallingEdge(getattr(self._dut, AT_REST))
        while True:
            await fell
            self._moved = True

    async def _run(self) -> None:
        answered, asked = FallingEdge(self._dut.cfg_mgmt_read), sampler(self._dut.cfg_mgmt_addr)
        settled = Timer(_LOW_NS, "ns")
        before, length = now(), 0
        while True:
            await answered
            if asked() != _FIRST:
                continue
            end = now()
            await settled
            last, length, before = length, end - before, end
            quiet = not self._moved and length == last
            self._moved = not self._rests()
            rounds = self._rounds(end, length)
            if self._left:
                self._watch(quiet)
            elif quiet and rounds > _WATCHED and not self._awaited():
                self._chances += 1
                if self._chances % self._watch_every:
                    before += await self._stand(end, length, rounds)
                else:
                    self._left, self._seen = _WATCHED, self._look()

    def _rounds(self, end: int, length: int) -> int:
        """Return how many rounds can be left out until the next timer ends, one clock before it at the latest."""
        following = self._timers.next()
        return 0 if following is None else (following - end - 2 * self._period) // length

    def _awaited(self) -> bool:
        """Whether anybody waits for an edge of the clock; the pauses of streams can wait."""
        return sum(len(edge._callbacks) for edge in self._edges) > pausing(self._dut.clk)

    async def _stand(self, end: int, length: int, rounds: int) -> int:
        """Stop the clock, and start it rounds later; return how long they are."""
        left_out = rounds * length
        self._clock.stop()
        await Timer(end + left_out + self._period - now(), "step")
        self._clock.start()
        self.counts.clocks += left_out // self._period
        self.counts.stops += 1
        return left_out

    # -- what is watched -----------------------------------------------------------------------------------------------

    def _look(self) -> dict[str, int]:
        return {name: sample() for name, sample in self._pins.items()}

    def _watch(self, quiet: bool) -> None:
        """Fail if a round was not like those before it."""
        found = self._look()
        moved = [name for name, value in found.items() if value != self._seen[name]]
        what = ", ".join(moved) or "" if quiet else "a register"
        assert not what, f"at rest, and yet something moves: {what}"
        self._left -= 1
        if not self._left:
            self.counts.watched += 1
