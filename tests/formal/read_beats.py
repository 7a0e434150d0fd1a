"""Proof of the read engine's line: each beat leaves when its data are there, with every dword in its lane.

The account are the steps of the last clocks, and what pages have given meanwhile. What the steps
are, `reads.series` shows.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In
from inside import Inside
from read_spec import HEAD

from epbell import registers
from epbell.pcie.read_beats import ReadBeats, step_layout
from epbell.ram import READ_CLOCKS
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]


class _Line(Bench):
    """The steps of the last clocks, and what has come of pages meanwhile."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(
            {
                "step": In(step_layout(lanes)),
                "bus_data": In(32),
                "repeats": In(1),
                "repeated": In(data.ArrayLayout(32, lanes)),
            }
        )

    def check(self, m: Any, checks: Checks) -> None:
        lanes, step = self.lanes, self.step
        dut: Any = ReadBeats(lanes)
        self.inside = inside = Inside(dut)
        m.submodules.dut = dut
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in ("step", "bus_data", "repeats", "repeated")]
        checks.assume(
            "what is said of a beat is said in a step, since reads.series says so",
            ~(step.first | step.second) | step.beat | step.word,
        )
        checks.assume(
            "a refusal's beat goes when nothing is under way, and is one, since reads.series says so",
            ~self.repeats | dut.clear & step.beat & ~step.word,
        )
        # Steps of 1, 2, ... clocks ago: flags are forgotten in a reset, what goes with them counts with flags only.
        ago: list[Any] = [step]
        for clock in range(1, READ_CLOCKS + 1):
            then: Any = Signal(step_layout(lanes), name=f"step_{clock}_ago")
            m.d.sync += then.eq(ago[-1])
            ago.append(then)
        under_way = Cat(one.beat | one.word for one in ago[1:-1])
        due, was = ago[-1], ago[-2]
        beat = dut.beat
        checks.forward("a beat leaves when the RAM's data are there", ~due.beat | dut.beat_valid)
        checks.backward("nothing else leaves", ~dut.beat_valid | due.beat)
        for name in ("first", "last", "count"):
            checks.forward("as it was said to be", ~due.beat | (beat[name] == due[name]))
        checks.backward("the last one of an answer is announced", dut.answered == (due.beat & due.final))
        checks.backward("clear only without a step", ~dut.clear | ~under_way.any())
        quiet = checks.past(under_way.any() | step.beat | step.word, "disturbed")
        checks.forward("clear a clock after the last step", quiet | under_way.any() | dut.clear)
        descriptor = due.descriptor
        for lane in range(lanes):
            heads = [(due.first, lane), (due.second, lane + lanes)]
            covered = Cat(flag for flag, place in heads if place < HEAD).any()
            from_ram = due.ram & ~covered
            checks.backward("of the RAM is what no descriptor covers", ~due.beat | (beat.from_ram[lane] == from_ram))
            for flag, place in heads:
                if place < HEAD:
                    alone = flag & ~(due.first & due.second) & ~(due.word & (due.lane == lane))
                    checks.forward(
                        "the descriptor is over the first dwords of a packet",
                        ~(due.beat & alone) | (beat.words[lane] == descriptor.word_select(place, 32)),
                    )
            self._word(m, checks, dut, lane, ago)
        for clock in range(1, READ_CLOCKS):
            flags: Any = Value.cast(inside.signal(f"flags_{clock}"))
            rest: Any = data.View(step_layout(lanes), inside.signal(f"step_{clock}"))
            then = ago[clock]
            checks.invariant("flags", flags == Cat(then.beat, then.word, then.first, then.second))
            for name in ("lane", "last", "final", "ram", "count", "descriptor"):
                checks.invariant("and what goes with them", ~flags[:2].any() | (rest[name] == then[name]))
        checks.invariant("has been quiet", ~inside.signal("quiet") | ~Cat(one.beat | one.word for one in ago[2:]).any())
        held = checks.past(Cat(one.beat | one.word for one in ago[1:-1]).any(), "held")
        checks.invariant("quiet", inside.signal("quiet") == ~held)
        for one in ago[1:]:
            checks.invariant("marks are those of steps", ~(one.first | one.second) | one.beat | one.word)
        checks.cover("two beats one after the other", dut.beat_valid & was.beat & due.first)

    def _word(self, m: Any, checks: Checks, dut: Any, lane: int, ago: list[Any]) -> None:
        """State that a dword of a page, or of a refusal, is in its lane until its beat leaves."""
        was, due = ago[-2], ago[-1]
        # What the page gave for the step that is to be READ_CLOCKS old in the next clock.
        arrived: Any = self.bus_data
        for clock in range(READ_CLOCKS - 1 - registers.READ_CLOCKS):
            then: Any = Signal(32, name=f"bus_data_{clock}_for_{lane}", reset_less=True)
            m.d.sync += then.eq(arrived)
            arrived = then
            checks.invariant("what a page gave waits", self.inside.signal(f"bus_data_{clock}") == arrived)
        covers: Any = Cat(was[flag] for flag, place in (("first", lane), ("second", lane + self.lanes)) if place < HEAD)
        mine = was.word & (was.lane == lane)
        word: Any = Signal(32, name=f"word_{lane}")
        known: Any = Signal(name=f"known_{lane}")
        with m.If(self.repeats):
            m.d.sync += [word.eq(self.repeated[lane]), known.eq(1)]
        with m.Elif(covers.any()):
            m.d.sync += known.eq(0)
        with m.Elif(mine):
            m.d.sync += [word.eq(arrived), known.eq(1)]
        checks.forward("a dword stays in its lane", ~(due.beat & known) | (dut.beat.words[lane] == word))
        checks.invariant("dwords are kept", ~known | (dut.beat.words[lane] == word))


PROOFS = [
    Proof(
        f"reads.beats.{32 * lanes}",
        "each beat leaves when its data are there, with the descriptor, dwords of pages and refusals in their lanes",
        partial(_Line, lanes),
        depth=1,
        cover_depth=12,
        mutant_depth=12,
    )
    for lanes in (2,)
]
