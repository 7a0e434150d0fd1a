"""Scenarios in forks of one simulation: each is alone, and says the same as in a simulation of its own."""

import json
import os
from pathlib import Path

import pytest

from epbell_tb import figures, forks, runner, sim, sim_group, sim_options
from epbell_tb.scenarios import SCENARIOS, Scenario

HERE = Path(__file__).parent
PLANTED = (
    *("leaves_a_mark", "finds_no_mark", "fails", "fails_beside", "never_ends", "dies", "leaves", "lies"),
    *("passes_alone", "has_no_bring_up", "never_comes_up"),
)
OTHERS = ("draws", "hangs", "hangs_before", "takes_all_along", "slashed/it")
REAL = ("ring_each_vector", "wrong_offset", "intx_follows_its_level", "windows_at_their_edges")
GROUP = "imx8-usp256-stalls-on"
pytestmark = pytest.mark.xdist_group("256-flowing-imx8")


def simulate(folder, names, *options, stalls="on"):
    place = ("--tree", "imx8", "--width", "256", "--stalls", stalls, "--scenario", ",".join(names))
    status = sim.main([*place, *options, "--report", str(folder)])
    return status, json.loads((folder / "summary.json").read_text())["scenarios"]


def verdict(said, name):
    """Return what was said about a scenario."""
    (line,) = (line for line in said.splitlines() if line.startswith(f"{name}, imx8, 256 bits, stalls on: "))
    return line


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
    fakes = tuple(Scenario(name, "forked_bench", "") for name in (*PLANTED, *OTHERS))
    monkeypatch.setattr(sim_options, "SCENARIOS", (*SCENARIOS, *fakes))


def test_each_is_alone(planted, tmp_path, capfd):
    status, rows = simulate(tmp_path, PLANTED)
    said = capfd.readouterr().out
    assert status == 1
    passed = ["leaves_a_mark", "finds_no_mark", "passes_alone"]
    assert [row["name"] for row in rows if row["verdict"] == "pass"] == passed
    assert [row["name"] for row in rows if row["verdict"] == "fail"] == [n for n in PLANTED if n not in passed]
    for name, reason in {
        "fails": "planted on purpose",
        "fails_beside": "a monitor complains",
        "never_ends": "fail: not ended after 2 us",
        "dies": "its simulator ended without a verdict: Segmentation fault",
        "leaves": "its simulator ended without a verdict: exit status 3",
        "lies": "its simulator failed: an assertion of the RTL failed",
        "has_no_bring_up": "the bring-up failed: ",
        "never_comes_up": "the bring-up failed: not ended after 3 us",
    }.items():
        assert reason in verdict(said, name)
    ended = {line["name"]: line for line in figures.read(tmp_path / GROUP / "forks.jsonl")}
    assert ended.keys() == set(PLANTED)
    log = (tmp_path / GROUP / "run.log").read_text()
    assert log.count("AssertionError: planted on purpose") == 1, "what was in a buffer when it forked is there twice"
    assert log.count("Initialized cocotb") == 1
    assert log.count("coming up") == 1


def test_what_hangs_is_ended_alone(planted, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(sim_group, "_SHARE", runner.TIME_LIMIT_S / 2)
    status, rows = simulate(tmp_path, ["hangs", "hangs_before", "passes_alone"])
    said = capfd.readouterr().out
    assert status == 1
    assert {row["name"]: row["verdict"] for row in rows} == {
        "hangs": "fail", "hangs_before": "fail", "passes_alone": "pass",
    }  # fmt: skip
    assert "without a verdict: ended after 2 s of wall-clock time" in verdict(said, "hangs")
    assert "without a verdict: ended after 2 s of wall-clock time" in verdict(said, "hangs_before")
    assert "coming up" in (tmp_path / GROUP / "run.log").read_text()


def test_what_was_said_outlives_the_simulation(planted, tmp_path, capfd):
    """The second mode has not even begun: each says so under its own name, and the log's end is there once."""
    status, rows = simulate(tmp_path, ["passes_alone", "takes_all_along"], "--jobs", "1", stalls="both")
    said = capfd.readouterr().out
    assert status == 1
    verdicts = {(row["name"], row["stalls"]): row["verdict"] for row in rows}
    assert verdicts.pop(("passes_alone", False)) == "pass"
    assert set(verdicts.values()) == {"missing"}
    first = tmp_path / "imx8-usp256-stalls-off"
    assert "about to end all" in (first / "run.log").read_text()
    assert not (first / "takes_all_along.log").exists()
    for mode in ("off", "on"):
        assert f"takes_all_along, imx8, 256 bits, stalls {mode}: missing: imx8, 256 bits, stalls {mode}: exit " in said
    assert said.count("Initialized cocotb") <= 1


def test_idle_processors_take_one_mode_each(planted, tmp_path):
    simulate(tmp_path, ["passes_alone", "draws"], "--jobs", "2", stalls="both")
    logs = [tmp_path / f"imx8-usp256-stalls-{mode}" / "run.log" for mode in ("off", "on")]
    assert [log.read_text().count("Initialized cocotb") for log in logs] == [1, 1]


def test_a_name_is_that_of_a_file(planted, tmp_path, capfd):
    status, rows = simulate(tmp_path, ["passes_alone", "slashed/it"])
    assert status == 1
    assert [row["verdict"] for row in rows] == ["missing", "missing"]
    assert "has no slash: forked_bench.slashed/it" in capfd.readouterr().out


def test_same_with_and_without_forks(planted, tmp_path):
    forked, alone = tmp_path / "forked", tmp_path / "alone"
    names = (*REAL, "draws")
    assert simulate(forked, names) == simulate(alone, names, "--no-fork")
    accounts = [
        sorted(figures.read(folder / GROUP / "scenarios.jsonl"), key=lambda line: line["name"])
        for folder in (forked, alone)
    ]
    assert accounts[0] == accounts[1]
    assert {line["name"] for line in accounts[0]} == set(names)
    assert (forked / GROUP / "forks.jsonl").exists()
    assert not (alone / GROUP / "forks.jsonl").exists()


def test_with_and_without_stalls_share_the_bring_up(planted, tmp_path):
    """They are told apart from there on: what each does and says, and that a bring-up fails is told of both."""
    modes = {False: tmp_path / "imx8-usp256-stalls-off", True: tmp_path / GROUP}
    status, rows = simulate(tmp_path, ["ring_each_vector", "fails", "never_comes_up"], "--jobs", "1", stalls="both")
    assert status == 1
    verdicts = {(row["name"], row["stalls"]): row["verdict"] for row in rows}
    assert verdicts == {
        **{("ring_each_vector", stalls): "pass" for stalls in modes},
        **{(name, stalls): "fail" for name in ("fails", "never_comes_up") for stalls in modes},
    }
    logs = [(folder / "run.log").read_text() for folder in modes.values()]
    assert [log.count("coming up") for log in logs] == [1, 0]
    for (stalls, folder), log in zip(modes.items(), logs, strict=True):
        assert log.count("AssertionError: planted on purpose") == 1
        told = {line["name"]: line["stalls"] for line in figures.read(folder / "scenarios.jsonl")}
        assert told == {"ring_each_vector": stalls, "fails": stalls}


def test_one_alone_and_waves_need_no_fork():
    assert sim_options.parse([]).fork
    assert not sim_options.parse(["--no-fork"]).fork
    assert not sim_options.parse(["--waves"]).fork


@pytest.mark.parametrize(
    ("ended", "passed", "message"),
    [
        (forks.Ended("one", 0, 1.0, 8.0), True, ""),
        (forks.Ended("one", 1, 1.0, 8.0), False, "its simulator failed: exit status 1"),
        (forks.Ended("one", -9, 1.0, 8.0), False, "its simulator failed: Killed"),
        (forks.Ended("one", -14, 1.0, 8.0), False, "its simulator failed: ended after 1 s of wall-clock time"),
        (forks.Ended("one", 0, 1.0, 8.0, errors=True), False, "its simulator failed: an assertion of the RTL failed"),
        (forks.Ended("one", 1, 1.0, 8.0, heir_of="no/such.xml"), False, "its simulator ended without a verdict"),
    ],
)
def test_verdict(ended, passed, message, tmp_path):
    run = forks.Run(tmp_path, ("one", "two"))
    run.tell(ended)
    run.results("one").write_text(
        "<testsuites><testsuite><testcase name='forked' time='2'><properties>"
        "<property name='sim_time_duration' value='20.0'/></properties></testcase></testsuite></testsuites>"
    )
    (result,) = run.outcomes()
    assert (result.name, result.passed) == ("one", passed)
    assert message in result.message
    assert result.seconds == 1.0
    assert not passed or result.sim_ns == 12.0
    assert isinstance(result, runner.Result)


def test_heirs_of_a_bring_up_that_passed_have_failed(tmp_path):
    """It ended before its time, whatever it says of itself."""
    run = forks.Run(tmp_path, ("one",))
    run.results("bring-up").write_text("<testsuites><testsuite><testcase name='forked'/></testsuite></testsuites>")
    run.tell(forks.Ended("one", 0, 1.0, 8.0, heir_of=str(run.results("bring-up"))))
    (result,) = run.outcomes()
    assert not result.passed
    assert result.message == "the bring-up failed: exit status 0"
