"""Mutants of a tiny module, from Yosys to the verdict: tests that look notice, blind ones do not."""

import os
from pathlib import Path

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rich.console import Console

from epbell_tb import formal_tools, mutate, runner
from epbell_tb.mutate_design import Mutation, design
from epbell_tb.mutate_plan import Stage
from epbell_tb.mutate_proofs import BOUNDED, DIFFERENT, EQUIVALENT, OPEN, compare
from epbell_tb.mutate_run import Subject, try_all
from epbell_tb.progress import display

HERE = Path(__file__).parent
TOOLS = formal_tools.find()
pytestmark = pytest.mark.skipif(TOOLS is None, reason="the prover is not installed; `make mutate` installs it")


class Gate(wiring.Component):
    """``o`` is ``a & b`` of the clock before; a counter that stays 0 could change it, but never does."""

    a: In(3)
    b: In(3)
    o: Out(3)

    def elaborate(self, platform):
        m = Module()
        idle = Signal(2)
        m.d.sync += [idle.eq(idle << 1), self.o.eq(self.a & self.b ^ (idle == 2))]
        return m


class Late(wiring.Component):
    """``o`` is 1 from the twentieth clock on."""

    o: Out(1)

    def elaborate(self, platform):
        m = Module()
        clocks = Signal(5)
        m.d.sync += clocks.eq(clocks + (clocks < 20))
        m.d.comb += self.o.eq(clocks == 20)
        return m


class Tied(wiring.Component):
    """A `Gate` that never has both of its inputs; ``sum`` never matters either."""

    b: In(3)
    o: Out(3)

    def elaborate(self, platform):
        m = Module()
        m.submodules.gate = gate = Gate()
        sum_ = Signal(3, name="sum")
        m.d.comb += [gate.a.eq(~self.b), gate.b.eq(self.b), sum_.eq(self.b + 3)]
        m.d.comb += self.o.eq(Mux(self.b != ~self.b, gate.o, sum_))
        return m


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    return design("gate", Gate, 8, 1, tmp_path_factory.mktemp("gate"), TOOLS)


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    return design("tied", Tied, 4, 1, tmp_path_factory.mktemp("tied"), TOOLS)


def try_on(made, test, monkeypatch, *, resume=False):
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
    with display(Console(quiet=True)) as shown:
        subject = Subject(made, (Stage("mutate_bench", test),), clocks=1, limit_s=20.0)
        return try_all(subject, 1, TOOLS, shown, resume=resume)


def test_sharp_tests_notice_and_blind_ones_are_below_the_goal(gate, monkeypatch):
    assert len(gate.mutations) == 8
    sharp = try_on(gate, "sharp", monkeypatch)
    assert mutate.score(sharp) == 100.0
    assert sum(outcome.killed for outcome in sharp) >= 4
    assert all("step" in outcome.detail for outcome in sharp if outcome.killed)
    blind = try_on(gate, "blind", monkeypatch)
    assert mutate.score(blind) < mutate.GOAL
    assert {outcome.mutation for outcome in blind if outcome.equivalent} == {
        outcome.mutation for outcome in sharp if outcome.equivalent
    }
    # What was found is kept: nothing runs any more.
    monkeypatch.setattr(runner, "run", None)
    assert try_on(gate, "blind", monkeypatch, resume=True) == blind


def test_test_that_fails_by_itself_is_no_test(gate, monkeypatch):
    with pytest.raises(runner.SimulationError, match="fails without any mutant: wrong: planted on purpose"):
        try_on(gate, "wrong", monkeypatch)


def test_mutant_zero_is_the_module(gate):
    assert "input [3:0] mutant" in gate.text or "input wire [3:0] mutant" in gate.text


def verdict_of(made, kind, port, bit, clocks=1, module="", deepest=9):
    """Compare a module with itself, but with a bit of the one cell of a kind held at 0."""
    lines = (made.folder / "whole.il").read_text().splitlines()
    (cell,) = (line.split()[2] for line in lines if line.strip().startswith(f"cell {kind} "))
    mutation = Mutation(1, "const0", module, cell, port, bit)
    return compare(made.name, mutation, made.folder, TOOLS, clocks=clocks, deepest=deepest).verdict


def test_comparison_with_the_original(gate):
    assert verdict_of(gate, "$and", "Y", 1) == DIFFERENT
    # `idle` is never 2, which only its initial value says: so no proof with more than one clock.
    assert verdict_of(gate, "$eq", "A", 1) == EQUIVALENT
    assert verdict_of(gate, "$eq", "A", 1, clocks=2) == OPEN


def test_difference_within_a_module_says_nothing_of_what_is_around_it(tied):
    assert verdict_of(tied, "$and", "Y", 1, module="gate", deepest=1) == OPEN
    assert verdict_of(tied, "$and", "Y", 1, module="gate") == EQUIVALENT
    assert verdict_of(tied, "$eq", "A", 1, module="gate", deepest=1) == EQUIVALENT


def test_names_of_signals_are_no_outputs(tied):
    # Without induction too.
    assert verdict_of(tied, "$add", "Y", 0, clocks=2) == EQUIVALENT


def test_difference_that_comes_late_is_no_proof(tmp_path):
    late = design("late", Late, 4, 1, tmp_path, TOOLS)
    assert verdict_of(late, "$eq", "Y", 0) == BOUNDED
