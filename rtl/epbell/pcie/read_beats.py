"""What is under way beside the memories' latency: the beats of completions whose data have been asked for."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell import ram, registers
from epbell.csr_register import any_of
from epbell.pcie.completion import beat_layout
from epbell.pcie.read_layout import DESCRIPTOR

__all__ = ["ReadBeats", "step_layout"]

_FLAGS = ("beat", "word", "first", "second")


def step_layout(lanes: int) -> data.StructLayout:
    """Layout of what is done in one clock for a completion.

    Parameters
    ----------
    lanes : int
        Dwords in one beat.

    Attributes
    ----------
    beat : 1
        A beat is complete.
    word, lane : 1, range(lanes)
        A dword of a page, for this lane, is read or passed over.
    first, second : 1
        Which beat of its packet it belongs to; only with ``beat`` or ``word``.
    last, final : 1
        Of a complete beat: the last of its packet, the last of the whole answer.
    ram : 1
        The beat's data come from the RAM.
    count : range(lanes + 1)
        Valid dwords of a complete beat.
    descriptor : 96
        The packet's descriptor.
    """
    return data.StructLayout({
        **dict.fromkeys(_FLAGS, 1),
        "lane": range(lanes),
        "last": 1,
        "final": 1,
        "ram": 1,
        "count": range(lanes + 1),
        "descriptor": 96,
    })


class ReadBeats(wiring.Component):
    """Delays each step until its data are there, and lays the descriptor and dwords of pages in their lanes.

    A beat leaves :data:`epbell.ram.READ_CLOCKS` clocks after the step that has completed it. The words of a refusal are
    laid at once: they stay until then if nothing else is under way.

    Parameters
    ----------
    lanes : int
        Dwords per beat.

    Attributes
    ----------
    step : In(step_layout(lanes))
        What is done in this clock.
    bus_data : In(32)
        The page's dword of the step :data:`epbell.registers.READ_CLOCKS` clocks ago.
    repeats, repeated : In(1), In(array of dwords)
        Lay these words now.
    clear : Out(1)
        No step of an earlier clock is under way; a beat that leaves in this clock is not. It may rise a clock late.
    beat_valid, beat : Out(1), Out(beat_layout(lanes))
        A beat leaves; the RAM's data are those of this clock.
    answered : Out(1)
        It is the last beat of the answer to a request.
    """

    step: Any
    bus_data: Any
    repeats: Any
    repeated: Any
    clear: Any
    beat_valid: Any
    beat: Any
    answered: Any

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        super().__init__({
            "step": In(step_layout(lanes)),
            "bus_data": In(32),
            "repeats": In(1),
            "repeated": In(data.ArrayLayout(32, lanes)),
            "clear": Out(1),
            "beat_valid": Out(1),
            "beat": Out(beat_layout(lanes)),
            "answered": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Build the line, and the words at its end."""
        m: Any = Module()
        step, busy = self.step, []
        for clock in range(1, ram.READ_CLOCKS):
            after: Any = Signal(step_layout(self._lanes), name=f"step_{clock}", reset_less=True)
            flags: Any = Signal(data.StructLayout(dict.fromkeys(_FLAGS, 1)), name=f"flags_{clock}")
            m.d.sync += [flags[name].eq(step[name]) for name in _FLAGS]
            m.d.sync += [after[name].eq(step[name]) for name in ("lane", "last", "final", "ram", "count", "descriptor")]
            step = {name: (flags if name in _FLAGS else after)[name] for name in step_layout(self._lanes).members}
            busy.append(flags.beat | flags.word)
        quiet: Any = Signal(init=1)
        m.d.sync += quiet.eq(~any_of(busy))
        m.d.comb += self.clear.eq(quiet & ~busy[0])
        self._lay(m, step, self._dword(m))
        m.d.sync += [
            self.beat_valid.eq(step["beat"]),
            self.answered.eq(step["beat"] & step["final"]),
            *(self.beat[name].eq(step[name]) for name in ("first", "last", "count")),
        ]
        for lane in range(self._lanes):
            covered: Any = step["first"] if lane < DESCRIPTOR else 0
            if lane + self._lanes < DESCRIPTOR:
                covered |= step["second"]
            m.d.sync += self.beat.from_ram[lane].eq(step["ram"] & ~covered)
        return m

    def _dword(self, m: Any) -> Any:
        """Return the page's dword of the step at the end of the line, which is a clock ahead of the RAM's data."""
        dword = self.bus_data
        for clock in range(ram.READ_CLOCKS - 1 - registers.READ_CLOCKS):
            later: Any = Signal(32, name=f"bus_data_{clock}", reset_less=True)
            m.d.sync += later.eq(dword)
            dword = later
        return dword

    def _lay(self, m: Any, step: dict[str, Any], dword: Any) -> None:
        """Put every word in its lane, to be there in the next clock."""
        lanes, descriptor = self._lanes, step["descriptor"]
        for lane in range(lanes):
            sources = [(self.repeats, self.repeated[lane]), (step["word"] & (step["lane"] == lane), dword)]
            for place, flag in ((lane, "first"), (lane + lanes, "second")):
                if place < DESCRIPTOR:
                    sources.append((step[flag], descriptor.word_select(place, 32)))
            with m.If(any_of([chosen for chosen, _ in sources])):
                m.d.sync += self.beat.words[lane].eq(any_of([chosen.replicate(32) & word for chosen, word in sources]))
