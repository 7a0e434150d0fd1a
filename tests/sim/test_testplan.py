"""The test plan says what there is, and all of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli

from epbell_tb.scenarios import SCENARIOS

TESTS = Path(__file__).parent.parent
# What has to be shown, in the words of the requirement.
REQUIRED = (
    "enumerate and size BARs",
    "BAR test",
    "consecutive BAR test",
    "ring each vector",
    "DOORBELL test ten times",
    "payload before the ring",
    "ring masked, then unmask",
    "1000 rings back to back",
    "ring in every cycle around the ack",
    "wrong offset",
    "wrong BAR",
    "byte and half-word writes",
    "8-byte and burst writes",
    "reads of the doorbells",
    "ring before enable and after disable",
    "reset while pending",
)
PLAN = tomli.loads((TESTS / "testplan.toml").read_text())["plan"]


@pytest.fixture(scope="module")
def collected():
    """Every test that pytest finds."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ended = subprocess.run(command, cwd=TESTS.parent, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [line for line in ended.stdout.splitlines() if "::" in line]


def exists(test, collected):
    """Whether `test` is a file, a function or one of its parameters among those that were collected."""
    return any(name == test or name.startswith((f"{test}::", f"{test}[")) for name in collected)


def test_every_requirement_is_planned():
    titles = [plan["title"] for plan in PLAN]
    assert len(set(titles)) == len(titles)
    assert set(REQUIRED) <= set(titles)
    shown_by_scenarios = {plan["title"] for plan in PLAN if plan["scenarios"]}
    assert set(REQUIRED) <= shown_by_scenarios


@pytest.mark.parametrize("plan", PLAN, ids=lambda plan: plan["title"])
def test_form(plan):
    assert plan.keys() == {"title", "intent", "scenarios", "tests"}
    assert plan["intent"].endswith(".")
    assert plan["scenarios"] or plan["tests"]


def test_scenarios_both_ways():
    planned = [name for plan in PLAN for name in plan["scenarios"]]
    assert sorted(planned) == sorted(scenario.name for scenario in SCENARIOS)


def test_scenarios_are_run_by_pytest(collected):
    for scenario in SCENARIOS:
        for group in ("256-flowing", "64-stalled"):
            assert exists(f"tests/sim/test_scenarios.py::test_scenario[{group}-{scenario.name}]", collected)


def test_planned_tests_exist(collected):
    missing = [test for plan in PLAN for test in plan["tests"] if not exists(test, collected)]
    assert not missing


def test_a_misspelt_test_is_noticed(collected):
    assert not exists("tests/sim/test_scenarios.py::test_scenari", collected)
    assert not exists("tests/sim/test_scenarios.py::test_scenario[256-flowing-ring]", collected)
