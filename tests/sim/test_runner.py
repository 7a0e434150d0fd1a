"""The runner of builds and benches: a verdict is never better than what happened."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell_tb import figures, runner

HERE = Path(__file__).parent
PATH = {"PYTHONPATH": str(HERE)}
pytestmark = pytest.mark.xdist_group("tiny")


class Tiny(wiring.Component):
    """One flip-flop; with a polarity, so that there are two of them."""

    def __init__(self, invert=False):
        self._invert = invert
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(~self.i if self._invert else self.i)
        return m


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("EPBELL_SIM_BUILD", str(tmp_path_factory.mktemp("sim_build")))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def tiny(folder):
    return runner.build("tiny", builder=Tiny)


def run(build, tests, tmp_path, **more):
    return runner.run(build, "tiny_bench", tests=rf"\.({tests})$", env=PATH, results=tmp_path, **more)


def test_pass_and_failure_are_told_apart(tiny, tmp_path):
    good, bad = run(tiny, "passes|fails", tmp_path, expected=2)
    assert (good.name, good.passed, good.message) == ("passes", True, "")
    assert good.sim_ns == 8
    assert (bad.name, bad.passed) == ("fails", False)
    assert "it is planted" in bad.message


def test_no_test_at_all_is_refused(tiny, tmp_path):
    with pytest.raises(runner.SimulationError, match="must run at least 1 tests, not 0"):
        run(tiny, "nothing_of_that_name", tmp_path)


def test_another_number_of_tests_is_refused(tiny, tmp_path):
    with pytest.raises(runner.SimulationError, match="must run 2 tests, not 1"):
        run(tiny, "passes", tmp_path, expected=2)


def test_hang_is_ended(tiny, tmp_path):
    with pytest.raises(runner.SimulationError, match="ended after 5 s"):
        run(tiny, "hangs", tmp_path, time_limit_s=5)
    # A killed process is still listed until the kernel has taken it down.
    for _ in range(50):
        left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        if str(tiny.folder) not in left:
            return
        time.sleep(0.2)
    pytest.fail("the simulator is still there after 10 s")


def test_death_without_results(tiny, tmp_path):
    (tmp_path / "results.xml").write_text("of an earlier run")
    with pytest.raises(runner.SimulationError, match="without results"):
        run(tiny, "dies", tmp_path)


def test_module_of_the_bench_must_exist(tiny, tmp_path):
    with pytest.raises(runner.SimulationError, match="no_such_bench"):
        runner.run(tiny, "no_such_bench", results=tmp_path)


def test_seed_and_environment_arrive(tiny, tmp_path, monkeypatch):
    told = tmp_path / "told.jsonl"
    # What make exports of its command line must not overrule the call.
    monkeypatch.setenv("WAVES", "1")
    monkeypatch.setenv("COCOTB_TEST_FILTER", "fails")
    env = {**PATH, "EPBELL_TOLD": "a word", figures.VARIABLE: str(told)}
    runner.run(tiny, "tiny_bench", tests=r"\.passes$", seed=77, env=env, expected=1, results=tmp_path)
    assert figures.read(told) == [{"seed": "77", "told": "a word"}]
    assert not (tmp_path / "dump.vcd").exists()


def test_unchanged_is_not_built_again(tiny):
    again = runner.build("tiny", builder=Tiny)
    assert again.folder == tiny.folder
    assert again.seconds == 0
    assert tiny.seconds > 0


def test_changed_is_built_again_with_the_library_of_the_first(tiny, tmp_path):
    said = []
    other = runner.build("tiny", builder=lambda: Tiny(invert=True), say=said.append)
    assert other.folder != tiny.folder
    assert said == ["compiling tiny"]
    assert " -o verilated.o" not in (other.folder / "build.log").read_text()
    (result,) = run(other, "passes", tmp_path)
    assert not result.passed, "it ran on the binary of the other design"


def test_compiler_cache_is_used_if_there_is_one(folder, tmp_path, monkeypatch):
    """Another name of the same design has other sources, but its library's objects are there already."""
    calls, cache = tmp_path / "calls", tmp_path / "ccache"
    cache.write_text(f'#!/bin/sh\necho "$*" >> {calls}\nexec "$@"\n')
    cache.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    build = runner.build("cached", builder=Tiny)
    assert "Vtop__ALL.cpp" in calls.read_text()
    run(build, "passes", tmp_path, expected=1)


def test_waves(folder, tmp_path):
    build = runner.build("tiny", builder=Tiny, waves=True)
    run(build, "passes", tmp_path, expected=1)
    assert "$enddefinitions" in (tmp_path / "dump.vcd").read_text()


def test_two_processes_build_once(folder):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_runner import Tiny; from epbell_tb import runner\n"
        "print(runner.build('twice', builder=Tiny).seconds > 0)"
    )
    command = [sys.executable, "-c", code, str(HERE)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) for _ in range(2)]
    assert sorted(process.communicate(timeout=300)[0].strip() for process in both) == ["False", "True"]


def test_source_that_verilator_refuses(folder, monkeypatch):
    monkeypatch.setattr(runner.export, "to_systemverilog", lambda component, name, edit: f"module {name}; nonsense")
    with pytest.raises(runner.SimulationError, match=r"nonsense|syntax error"):
        runner.build("broken", builder=lambda: Tiny())


@pytest.mark.parametrize("call", [runner.build, runner.source])
def test_unknown_module(call):
    with pytest.raises(ValueError, match=r"must be one of epbell_mu_imx6sx, .*, not 'epbell_mu'"):
        call("epbell_mu")
