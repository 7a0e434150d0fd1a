"""Function-level reset and power state of function 0, as the hard block tells of them (AMD PG213)."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell.compare import less

__all__ = [
    "DEFAULT_FLR_TIMEOUT",
    "Function",
]

DEFAULT_FLR_TIMEOUT = 1 << 20
"""Clocks: 4 ms at 250 MHz. A host may use the function 100 ms after it has asked for the reset (section 6.6.2)."""

_LONGEST = 1 << 24  # 67 ms at 250 MHz


class Function(wiring.Component):
    """Resets what is on its way to the host, and says when that is over (PCI Express Base 6.0, section 6.6.2).

    The hard block holds ``in_process`` until ``done``. ``reset`` is high from the second clock of ``in_process`` to the
    second one after its last; should the hard block take it back before everything is quiet, until everything is.
    ``done`` comes three clocks after ``in_process`` or later, after the first clock in which everything is quiet, and
    falls two clocks after ``in_process``. It waits for `timeout` clocks at most: should a stream stand still or an
    answer be missing for so long, the reset is done all the same. Functions 1 to 3 do not exist: they are done in the
    next clock.

    A function in another state than D0 makes no requests (PCI Express Base 6.0, section 5.3.1).

    Parameters
    ----------
    timeout : int
        Clocks from the first one of ``reset`` to ``done`` at most, 2 to 2 ** 24.

    Attributes
    ----------
    in_process, done : In(4), Out(4)
        ``cfg_flr_in_process`` and ``cfg_flr_done`` of the hard block.
    power_state : In(12)
        ``cfg_function_power_state``; of function 0 0 and 1 are D0 before and after its first configuration, 4 is D3hot.
    quiet : In(1)
        Nothing can leave any more, unless it comes anew. Looked at from the second clock of ``reset`` on.
    begins : Out(1)
        The clock after the first one of ``in_process``.
    reset : Out(1)
        What the host was to be told is to be forgotten, and nothing new is taken for it. A flip-flop.
    serves : Out(1)
        The opposite of ``reset``, another flip-flop: for the interrupts, 200 of whose flip-flops it clears.
    awake : Out(1)
        The function is in D0.

    Raises
    ------
    ValueError
        If `timeout` is out of its range.
    """

    in_process: Any
    done: Any
    power_state: Any
    quiet: Any
    begins: Any
    reset: Any
    serves: Any
    awake: Any

    def __init__(self, timeout: int = DEFAULT_FLR_TIMEOUT) -> None:
        if not isinstance(timeout, int) or not 2 <= timeout <= _LONGEST:
            raise ValueError(f"A function-level reset must be done after 2 to {_LONGEST} clocks, not {timeout!r}")
        self._timeout = timeout
        super().__init__({
            "in_process": In(4),
            "done": Out(4),
            "power_state": In(12),
            "quiet": In(1),
            "begins": Out(1),
            "reset": Out(1),
            "serves": Out(1, init=1),
            "awake": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Remember that a reset is under way."""
        m: Any = Module()
        asked: Any = Signal()  # in the clock before
        was_asked: Any = Signal()
        under_way: Any = Signal()  # since the clock before, or longer
        done: Any = Signal()
        others: Any = Signal(3)
        patience: Any = Signal(range(max(2, self._timeout - 1)))  # clocks left to wait for quiet
        expired: Any = Signal(init=1)  # there are none
        over = under_way & (self.quiet | expired | done)
        resets = self.in_process[0] | asked | (under_way & ~over)
        m.d.comb += [
            self.begins.eq(asked & ~was_asked),
            self.awake.eq(~self.power_state[1:3].any()),
            self.done.eq(Cat(done, others)),
        ]
        m.d.sync += [
            asked.eq(self.in_process[0]),
            was_asked.eq(asked),
            under_way.eq(asked | (under_way & ~over)),
            self.reset.eq(resets),
            self.serves.eq(~resets),
            done.eq(asked & (done | over)),
            others.eq(self.in_process[1:]),
            patience.eq(Mux(self.begins, self._timeout - 2, patience - (under_way & ~expired))),
            expired.eq(Mux(self.begins, self._timeout == 2, expired | less(patience, 2))),
        ]
        return m
