"""The scenarios of ``make sim``: all of them at 256 bits and, with stalls, at 64; some at every other width.

Each group of scenarios is one simulation, in the way of ``make sim``; each scenario is a test of its own.
"""

import json
import os

import pytest
from filelock import FileLock

from epbell_tb import sim
from epbell_tb.scenarios import SCENARIOS

ALL = tuple(scenario.name for scenario in SCENARIOS)
SMOKE = ("enumerate_and_size_bars", "ring_each_vector", "doorbell_test_ten_times", "burst_write")
LONG = ("bar_test", "consecutive_bar_test", "doorbell_test_ten_times")
SEED = os.environ.get("EPBELL_SEED", "1")

# Group: arguments of `epbell sim`, scenarios.
GROUPS = {
    "256-flowing": (("--width", "256", "--stalls", "off"), ALL),
    "64-stalled": (("--width", "64", "--stalls", "on"), ALL),
    "128-flowing": (("--width", "128", "--stalls", "off"), SMOKE),
    "512-stalled": (("--width", "512", "--stalls", "on"), SMOKE),
    "256-wide": (("--width", "256", "--stalls", "on", "--bars", "wide"), (*SMOKE, "wrong_bar", "bar_test")),
    "256-linux": (("--width", "256", "--stalls", "off", "--bars", "linux"), LONG),
}
CASES = [
    pytest.param(group, name, marks=pytest.mark.xdist_group(group), id=f"{group}-{name}")
    for group, (_, names) in GROUPS.items()
    for name in names
]


def simulate(group, folder):
    """Run a group; return its exit status and rows."""
    arguments, names = GROUPS[group]
    status = sim.main([*arguments, "--scenario", ",".join(names), "--seed", SEED, "--report", str(folder)])
    rows = json.loads((folder / "summary.json").read_text())["scenarios"]
    return status, rows


@pytest.fixture
def outcome(group, tmp_path_factory, worker_id):
    """Exit status and rows of a group: the first test that asks runs it, also among several test workers."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    kept = shared / f"{group}.json"
    with FileLock(shared / f"{group}.lock"):
        if not kept.exists():
            kept.write_text(json.dumps(simulate(group, shared / group)))
    return json.loads(kept.read_text())


@pytest.mark.parametrize(("group", "name"), CASES)
def test_scenario(group, name, outcome):
    status, rows = outcome
    row = next(row for row in rows if row["name"] == name)
    assert row["verdict"] == "pass", f"the output of the first test of {group} says why and how to replay it"
    assert row["seed"] == int(SEED)
    assert (status == 0) == all(row["verdict"] == "pass" for row in rows)


def test_every_scenario_is_run_at_both_ends():
    """Nothing to run it: a scenario which is in no group would never be tested."""
    assert len(set(ALL)) == len(ALL)
    assert {*SMOKE, *LONG} <= set(ALL)
    assert GROUPS["256-flowing"][1] == GROUPS["64-stalled"][1] == ALL
