"""`epbell faults`: faults of a family in some states, the table of what came of them, and what is said of a bad one."""

import json
import threading
import time
from dataclasses import replace

import pytest
from filelock import FileLock

from epbell_tb import faults, faults_report
from epbell_tb.faults_plan import FAMILIES, STATES
from epbell_tb.faults_report import Outcome

pytestmark = pytest.mark.xdist_group("faults")
GOOD = {"fault": "one", "survived": True, "lost": 0, "invented": 0, "recovery": 90, "bound": 100, "why": ""}
BAD = {**GOOD, "fault": "two", "survived": False, "why": "it hangs\nmore"}


def run(capsys, *arguments):
    status = faults.main([*arguments, "--width", "64", "--jobs", "1", "--json"])
    printed = capsys.readouterr()
    return status, json.loads(printed.out), printed.err


def test_a_family_in_two_states(capsys):
    status, told, said = run(capsys, "--family", "poisoned", "--state", "idle,full", "--stalls", "off", "--seed", "3")
    assert status == 0
    assert [(one["family"], one["state"]) for one in told] == [("poisoned", "idle"), ("poisoned", "full")]
    for one in told:
        assert len(one["rows"]) == FAMILIES["poisoned"].fewest
        assert all(row["survived"] and 0 < row["recovery"] <= row["bound"] for row in one["rows"])
    assert "24 faults tried, 24 survived, lost doorbells 0, invented doorbells 0" in said


def test_fewer_faults_than_declared(capsys, monkeypatch):
    more = replace(FAMILIES["headers"], fewest=FAMILIES["headers"].fewest + 1)
    monkeypatch.setitem(FAMILIES, "headers", more)
    status, (told,), said = run(capsys, "--family", "headers", "--state", "idle", "--stalls", "off")
    assert status == 1
    assert all(row["survived"] for row in told["rows"])
    assert f"{len(told['rows'])} faults were tried, fewer than {more.fewest}" in said
    assert "again: epbell faults --family headers --state 'idle' --width 64 --stalls off --seed 1" in said


@pytest.mark.parametrize(
    ("rows", "why", "said"),
    [
        ((GOOD,), "", "1 faults were tried, fewer than 2"),
        ((GOOD, BAD), "x", "idle, 64 bits, stalls on: two: it hangs"),
        ((GOOD, GOOD), "its simulator ended", "its simulator ended"),
        ((), "", "0 faults were tried, fewer than 2"),
    ],
)
def test_bad_outcomes(rows, why, said):
    outcome = Outcome("poisoned", "idle", 64, True, 2, rows, why)
    assert not outcome.good
    assert said in "\n".join(faults_report.troubles([outcome], 7))
    assert "--seed 7" in "\n".join(faults_report.troubles([outcome], 7))


def test_a_good_outcome():
    outcome = Outcome("poisoned", "idle", 64, True, 2, (GOOD, {**GOOD, "recovery": 95}), "")
    assert outcome.good
    assert (outcome.survived, outcome.longest, outcome.bound) == (2, 95, 100)
    assert not list(faults_report.troubles([outcome], 1))


def test_list(capsys):
    assert faults.main(["--list"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}: " in said for name in (*FAMILIES, *STATES))


@pytest.mark.parametrize("option", ["--family", "--state", "--width"])
def test_unknown_names(option, capsys):
    with pytest.raises(SystemExit, match="2"):
        faults.main([option, "nothing"])
    assert "not 'nothing'" in capsys.readouterr().err


def test_a_state_that_no_family_has(capsys):
    with pytest.raises(SystemExit, match="2"):
        faults.main(["--family", "poisoned", "--state", "1:1"])
    assert "none of these families is tried in it" in capsys.readouterr().err


def test_two_campaigns_wait_for_each_other(monkeypatch, capsys, tmp_path):
    """They write to the same folders."""
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    folder = tmp_path / "report" / "faults"
    folder.mkdir(parents=True)
    taken, over = threading.Event(), threading.Event()

    def other():
        with FileLock(folder / "lock"):
            taken.set()
            time.sleep(0.5)
            over.set()

    threading.Thread(target=other).start()
    taken.wait()
    seen = []
    monkeypatch.setattr(faults, "_run", lambda *_: seen.append(over.is_set()) or [])
    assert faults.main(["--family", "poisoned"]) == 1
    assert seen == [True]
    assert f"waiting for another run that writes to {folder}" in "".join(capsys.readouterr().out.split("\n"))


def test_clocks_stop_at_one_place_and_streams_are_at_the_others(monkeypatch):
    tried = []

    def clocks(ratios, seed):
        tried.append((faults.CLOCKS, 0, ratios))
        return []

    def place(at, chosen, seed):
        tried.extend((family, at.width, states) for family, states in chosen.items())
        return []

    monkeypatch.setattr(faults, "run_clocks", clocks)
    monkeypatch.setattr(faults, "run_place", place)
    faults.main(["--width", "64,256", "--stalls", "off", "--jobs", "1"])
    assert sorted(tried) == sorted(
        (family.name, width, family.states)
        for family in FAMILIES.values()
        for width in ((0,) if family.name == faults.CLOCKS else (64, 256))
    )
