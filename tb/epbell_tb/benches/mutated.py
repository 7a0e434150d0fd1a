"""The mutants of a module against its tests: each test of each mutant has a fork of the simulator to itself.

Forks begin at time 0, with the input that chooses the mutant; scenarios that share a bring-up have it once for each
mutant. The first test that fails ends a mutant, so those that have noticed most go first. A test that dies, or hangs,
has noticed. :mod:`epbell_tb.mutate_plan` says what to try, in the environment variable `VARIABLE`.
"""

import gc
import importlib
import json
import os
import shutil
import signal
import threading
import time
from dataclasses import replace

import cocotb

from epbell_tb import forks
from epbell_tb.benches.forked import alone, brought_up, fork
from epbell_tb.endpoint.bring_up import bring_up_of
from epbell_tb.mutate_design import INPUT
from epbell_tb.mutate_plan import Plan, Verdict, in_order

_START = "bring-up"
_LONGEST = 300
_PATIENCE = 20.0
"""Wall-clock seconds for each second of processor time that a test may take: the machine may do other things."""


@cocotb.test()
async def mutated(dut):
    """Be the common ancestor of all."""
    assert threading.active_count() == 1, "a fork has one thread only"
    plan = Plan.from_environment()
    tests = {stage.name: _test(stage) for stage in plan.stages}
    gc.collect()
    gc.freeze()  # what is there already is not looked at again, and stays shared
    for mutant in plan.mutants:
        since, failed = time.monotonic(), None
        for bring_up, stages in _groups(in_order(plan.stages, plan.verdicts().values()), tests):
            run = forks.Run(plan.folder / f"mutant-{mutant}", tuple(map(_file, stages)))
            run.folder.mkdir(parents=True, exist_ok=True)
            once = forks.Plan((), (run,), len(stages) * plan.limit_s * _PATIENCE)
            ancestor = fork(once, run, _START)
            if ancestor is None:
                getattr(dut, INPUT).value = mutant
                os.environ.update(stages[0].environment)
                return await _alike(dut, plan, run, bring_up, [(stage, tests[stage.name]) for stage in stages])
            failed = _failed(run, ancestor, stages)
            shutil.rmtree(run.folder)
            if failed is not None:
                break
        stage, reason = failed or ("", "")
        plan.tell(Verdict(mutant, stage, reason[:_LONGEST], round(time.monotonic() - since, 2)))
    return None


async def _alike(dut, plan, run, bring_up, tests):
    """Be the ancestor of the tests that begin alike, of one mutant; end with the first that fails."""
    # Of processor time: nothing else that the machine does may make a test fail.
    signal.setitimer(signal.ITIMER_PROF, plan.limit_s)
    env = None if bring_up is None else await brought_up(dut, bring_up, [test for _, test in tests])
    signal.setitimer(signal.ITIMER_PROF, 0)
    once = forks.Plan((), (run,), plan.limit_s * _PATIENCE)
    for stage, test in tests:
        ended = fork(once, run, _file(stage))
        if ended is None:
            signal.setitimer(signal.ITIMER_PROF, plan.limit_s)
            return await alone(dut, test, env)
        run.tell(ended)
        if not run.outcomes()[-1].passed:
            break
    return None


def _failed(run, ancestor, stages):
    """Return name and reason of the test that failed; None if all passed."""
    names = {_file(stage): stage.name for stage in stages}
    for outcome in run.outcomes():
        if not outcome.passed:
            return names[outcome.name], outcome.message
    start = replace(run, names=(_START,))
    start.tell(ancestor)
    (outcome,) = start.outcomes()
    return None if outcome.passed else (_START, outcome.message)


def _groups(stages, tests):
    """Return the tests that begin alike, in the order in which the first of them comes."""
    found = {}
    for stage in stages:
        bring_up = bring_up_of(tests[stage.name].func)
        alike = repr(bring_up), json.dumps(stage.environment)
        found.setdefault(alike, (bring_up, []))[1].append(stage)
    return list(found.values())


def _test(stage):
    """Return the test of cocotb's."""
    for entry in vars(importlib.import_module(stage.bench)).values():
        if hasattr(entry, "generate_tests"):
            for test in entry.generate_tests():
                if test.name == stage.test:
                    return test
    raise AssertionError(f"a stage names a test of {stage.bench}, not {stage.test!r}")


def _file(stage):
    """Return the name of a test's files."""
    return stage.name.replace("/", "-")
