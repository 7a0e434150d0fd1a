"""What a proof consists of: a component under test, the properties that have to hold in every clock, and its name.

A file of ``tests/formal`` instantiates an unchanged component of the RTL in a wrapper, leaves the component's inputs
free, and states the properties with :class:`Checks`. ``rst`` is an input like any other: it may come in any clock, and
the wrapper's own memory is reset with the component.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Cover, Module, Signal, Value
from amaranth.lib import wiring

__all__ = [
    "Bench",
    "Checks",
    "Proof",
    "Statement",
]


@dataclass(frozen=True)
class Statement:
    """One thing that a proof states.

    Attributes
    ----------
    kind : str
        ``"forward"`` (a cause has its effect), ``"backward"`` (an effect has its cause), ``"invariant"`` (helps the
        induction, and is proven with the rest), ``"assume"`` or ``"cover"``.
    name : str
        What it says, in words; an assumption's ends in its reason.
    line : str
        Where it is, ``file:line``. The solver's answer names it.
    """

    kind: str
    name: str
    line: str


class Checks:
    """Collects the statements of one proof into its module.

    Conditions hold, or not, in every clock: they are looked at while the inputs of a clock are stable, before its edge.

    Parameters
    ----------
    m : Module
        The wrapper's module.
    invariants : bool
        Whether to take invariants in. A defect has to be seen by the properties alone.

    Attributes
    ----------
    statements : list of Statement
        All of them, each once.
    """

    def __init__(self, m: Any, *, invariants: bool = True) -> None:
        self._m = m
        self._invariants = invariants
        self.statements: list[Statement] = []

    def forward(self, name: str, condition: Any) -> None:
        """Demand that a cause has its effect."""
        self._m.d.comb += Assert(condition, src_loc_at=1)
        self._note("forward", name)

    def backward(self, name: str, condition: Any) -> None:
        """Demand that an effect has its cause."""
        self._m.d.comb += Assert(condition, src_loc_at=1)
        self._note("backward", name)

    def invariant(self, name: str, condition: Any) -> None:
        """Demand something about the inside of the component, without which the induction would not get on."""
        if self._invariants:
            self._m.d.comb += Assert(condition, src_loc_at=1)
        self._note("invariant", name)

    def assume(self, name: str, condition: Any) -> None:
        """Look only at inputs for which this holds."""
        self._m.d.comb += Assume(condition, src_loc_at=1)
        self._note("assume", name)

    def search(self, condition: Any) -> None:
        """Look for the effect of a defect only where this holds, so as to be quick; a proof is not restricted by it."""
        if not self._invariants:
            self._m.d.comb += Assume(condition, src_loc_at=1)

    def cover(self, name: str, condition: Any) -> None:
        """Demand that this can happen."""
        self._m.d.comb += Cover(condition, src_loc_at=1)
        self._note("cover", name)

    def past(self, value: Any, name: str) -> Any:
        """Return what `value` was a clock ago; 0 in the first clock and after a reset."""
        value = Value.cast(value)
        before: Any = Signal(len(value), name=name)
        self._m.d.sync += before.eq(value)
        return before

    def later(self, condition: Any) -> Any:
        """Return the same condition, stated a clock later, across a reset too.

        An induction of depth 1 then has what the invariants say of the clock itself to build on.
        """
        broken: Any = Signal(reset_less=True, name="broken")
        self._m.d.sync += broken.eq(~Value.cast(condition).bool())
        return ~broken

    def _note(self, kind: str, name: str) -> None:
        frame = sys._getframe(2)
        statement = Statement(kind, name, f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        if statement not in self.statements:
            self.statements.append(statement)


class Bench(wiring.Component):
    """A wrapper around a component under test.

    Subclasses declare ports, all of them free inputs of the proof, and implement :meth:`check`.

    Attributes
    ----------
    invariants : bool
        Whether invariants are stated, too; see :class:`Checks`.
    checks : Checks
        What was stated, after elaboration.
    """

    invariants = True
    checks: Checks

    def check(self, m: Any, checks: Checks) -> None:
        """Instantiate the component and state its properties."""
        raise NotImplementedError

    def elaborate(self, platform: object) -> Module:
        """State everything."""
        m: Any = Module()
        self.checks = Checks(m, invariants=self.invariants)
        self.check(m, self.checks)
        return m


@dataclass(frozen=True)
class Proof:
    """One proof.

    Attributes
    ----------
    name : str
        Block, subject and variant with dots between them, as in ``mu.doorbell.imx6sx``.
    summary : str
        What it shows, in one line.
    build : callable
        Returns a fresh :class:`Bench`.
    depth : int
        Clocks of the induction's hypothesis, and of the search from reset.
    cover_depth : int
        Clocks from reset within which everything covered happens.
    mutant_depth : int
        Clocks from reset within which each of its deliberate defects shows.
    wide : bool
        Whether it is about arithmetic on wide words: these take the prover another way.
    """

    name: str
    summary: str
    build: Callable[[], Bench]
    depth: int = 2
    cover_depth: int = 8
    mutant_depth: int = 7
    wide: bool = False

    def convert(self, *, invariants: bool = True) -> tuple[str, list[Statement]]:
        """Return the RTLIL text of the module ``top`` and what it states."""
        bench = self.build()
        bench.invariants = invariants
        text = rtlil.convert(bench, name="top")
        return text, bench.checks.statements
