"""`epbell vntb`: pings on the RTL in Linux's own time, their figures and pictures, and what is said when they fail."""

import json

import pytest

from epbell_tb import runner, vntb
from epbell_tb.endpoint.ping_steps import STEPS
from epbell_tb.vntb_costs import per_ping_us

pytestmark = pytest.mark.xdist_group("at rest")
PERIOD_US = 5000


def run(capsys, *arguments):
    status = vntb.main([*arguments, "--json", "--jobs", "1"])
    printed = capsys.readouterr()
    return status, json.loads(printed.out), printed.err


def test_polled_and_messaging_unit(capsys):
    status, told, progress = run(capsys, "--backend", "polled", "--backend", "mu", "--pings", "4", "--seed", "3")
    assert status == 0
    assert "polled: 4 pings in" in progress
    assert told == json.loads((runner.sim_build() / "report" / "vntb.json").read_text())
    polled, unit = told["results"]
    assert (polled["backend"], unit["backend"]) == ("polling", "mu")
    software = per_ping_us("mu")
    assert all(per_ping_us("polling") < time < PERIOD_US + 100 for time in polled["times"])
    assert all(software < time < software + 5 for time in unit["times"])
    assert all(0 < result["hardware"] < 5 for result in told["results"]), "every cost is charged, and none twice"
    assert unit["of_polled"] == pytest.approx(polled["median"] / unit["median"], rel=0.01)
    assert (polled["of_polled"], len(polled["times"]), len(unit["times"])) == (1, 4, 4)
    for result in told["results"]:
        idle = result["idle"]
        assert idle["clocks"] > 0.95 * result["simulated"] / 4e-9, "nearly all clocks are idle, and left out"
    # Half a second for each command: probe, link and one window.
    assert unit["simulated"] > 1.5
    assert [goal["reached"] for goal in told["goals"]] == [None, True, True, True]
    steps = (runner.sim_build() / "report" / "vntb" / "mu" / "pings.jsonl").read_text().splitlines()
    assert list(STEPS) == sorted(STEPS, key=json.loads(steps[0])["steps"].__getitem__), "steps in their order"
    report = runner.sim_build() / "report"
    assert all((report / name).stat().st_size > 1000 for name in ("vntb-pings.svg", "vntb-timeline.svg"))


def test_jiffies(capsys):
    _, told, _ = run(capsys, "--backend", "polled", "--pings", "6", "--hz", "250")
    (polled,) = told["results"]
    assert polled["period_us"] == 8000
    assert max(polled["times"]) > PERIOD_US + 100, "some ping waits longer than without rounding"
    assert max(polled["times"]) < 8100


def test_missed_goal(capsys, monkeypatch):
    monkeypatch.setattr("epbell_tb.vntb_result._ALLOWANCE_US", -5.0)
    status, told, said = run(capsys, "--backend", "edma", "--pings", "1")
    assert status == 1
    assert "epbell: missed: edma: median" in said
    assert [goal["reached"] for goal in told["goals"]] == [False]


def test_simulation_that_fails(capsys, monkeypatch):
    """Its bench is told of a number of windows that is none."""
    monkeypatch.setenv("EPBELL_WINDOWS", "many")
    assert vntb.main(["--backend", "mu", "--pings", "1"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("epbell: mu: ")
