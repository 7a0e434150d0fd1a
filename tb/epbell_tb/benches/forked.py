"""Scenarios that share a simulation up to the end of the bring-up: from there on each has a fork of it to itself.

The simulator forks for each way of bringing the endpoint up (`BringUp`), and that process, when the endpoint is up,
forks for each scenario. What is forked is an ordinary run of cocotb: it ends by itself, writes its own results and
leaves with its own exit status, so a scenario that takes its simulator along fails alone. :mod:`epbell_tb.forks` says
what to run, in the environment variable `VARIABLE`, and reads what came of it.
"""

import atexit
import ctypes
import gc
import hashlib
import importlib
import logging
import os
import random
import signal
import sys
import threading
import time
from dataclasses import replace
from itertools import groupby

import cocotb
from cocotb.triggers import SimTimeoutError, Timer
from cocotb.utils import get_sim_steps, get_sim_time

from epbell_tb import bins_seen
from epbell_tb.benches import fork_coverage
from epbell_tb.endpoint.bring_up import bring_up_of, settled
from epbell_tb.forks import Ended, Plan

_ERROR = b"%Error"
"""What Verilator says when an assertion of the RTL fails."""


@cocotb.test()
async def forked(dut):
    """Be the common ancestor of all."""
    assert threading.active_count() == 1, "a fork has one thread only"
    plan = Plan.from_environment()
    await settled()
    logging.getLogger("cocotb.regression").setLevel(logging.WARNING)
    chosen = sorted(_chosen(plan), key=lambda test: repr(bring_up_of(test.func)))
    for bring_up, alike in groupby(chosen, lambda test: bring_up_of(test.func)):
        tests = list(alike)
        home, name = plan.runs[0], f"bring-up-{tests[0].name}"
        ancestor = fork(plan, home, name, alone=False)
        if ancestor is None:
            return await _alike(dut, plan, bring_up, tests)
        for run in plan.runs:
            told = run.ended()
            for test in tests:
                if test.name in run.names and test.name not in told:
                    run.tell(replace(ancestor, name=test.name, heir_of=str(home.results(name))))
    return None


async def _alike(dut, plan, bring_up, tests):
    """Be the ancestor of the scenarios that begin alike."""
    env = None if bring_up is None else await brought_up(dut, bring_up, tests)
    _limit(0)  # the rest is waiting for scenarios, each of which has a limit of its own
    gc.collect()
    gc.freeze()  # what is there already is not looked at again, and stays shared
    for run in plan.runs:
        for test in tests:
            if test.name not in run.names:
                continue
            ended = fork(plan, run, test.name)
            if ended is None:
                os.environ.update(run.environment)
                return await alone(dut, test, env)
            run.tell(ended)
    return None


async def brought_up(dut, bring_up, tests):
    """Return the environment; it may take as much simulated time as the most patient of the scenarios."""
    limits = [test.timeout for test in tests if test.timeout is not None]
    if not limits:
        return await bring_up.environment(dut)
    longest = max(limits, key=lambda limit: get_sim_steps(*limit))
    limit = cocotb.start_soon(_expire(*longest), name="time limit")
    env = await bring_up.environment(dut)
    limit.cancel()
    return env


async def alone(dut, test, env):
    """Be one scenario, with the random numbers that cocotb gives it where nothing is forked."""
    seed = int(os.environ["COCOTB_RANDOM_SEED"]) + int(hashlib.sha1(test.fullname.encode()).hexdigest(), 16)
    random.seed(seed)
    cocotb.RANDOM_SEED = seed
    if test.timeout is not None:
        cocotb.start_soon(_expire(*test.timeout), name="time limit")
    await test.func(dut, *test.args, *(() if env is None else (env,)), **test.kwargs)


async def _expire(after, unit):
    await Timer(after, unit=unit)
    raise SimTimeoutError(f"not ended after {after} {unit}")


def _chosen(plan):
    """Return the tests of the modules that the plan names."""
    found, names = [], {name for run in plan.runs for name in run.names}
    for module in map(importlib.import_module, plan.modules):
        for entry in vars(module).values():
            if hasattr(entry, "generate_tests"):
                found += [test for test in entry.generate_tests() if test.name in names]
    for test in found:
        judged = test.skip or test.expect_fail or test.expect_error
        assert not judged, f"a scenario passes or fails, and is not skipped or expected to fail: {test.fullname}"
        assert "/" not in test.name, f"a scenario's name is that of its files, and has no slash: {test.fullname}"
    return found


def fork(plan, run, name, alone=True):
    """Fork; return None in the child, and what came of it in its parent when it has ended.

    The child has a wall-clock limit. A scenario is `alone`: its output goes to a file of its own, and from there to
    the run's log in one piece. A bring-up writes to ours, which meanwhile nobody else does.
    """
    _flush()
    since, born_ns = time.monotonic(), get_sim_time("ns")
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        fork_coverage.take_over(run.counters(name))
        said = run.gather([name])
        code = os.waitstatus_to_exitcode(status)
        return Ended(name, code, time.monotonic() - since, born_ns, errors=_ERROR in said)
    bins_seen.forget()
    atexit.register(_leave, run.counters(name))
    os.environ["COCOTB_RESULTS_FILE"] = str(run.results(name))
    _limit(plan.limit_s)
    if alone:
        out = os.open(run.log(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        for stream in (1, 2):
            os.dup2(out, stream)
        os.close(out)
    return None


def _limit(seconds):
    """Have the kernel end this process after so many seconds, whatever it hangs in; 0: never."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _flush():
    """Write out what Python and C still have in their buffers, lest both processes write it."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)


def _leave(counters):
    """End this process, now that its results are written: nothing of what it shares is worth taking down.

    Verilator's destructors would even wait for idle threads that a fork does not have. The status says only that it
    came this far, not what the simulator would have ended with: the verdict is in the results, and an assertion of the
    RTL that failed is in the output (`_ERROR`).
    """
    fork_coverage.hand_on(counters)
    bins_seen.save()
    _flush()
    os._exit(0)
