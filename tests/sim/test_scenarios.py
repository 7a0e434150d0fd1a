"""The scenarios of ``make sim`` on each of their device trees: all of them at 256 bits and, with stalls, at 64.

Some run at every other width, and with other BARs. Each group of scenarios is one simulation, in the way of ``make
sim``; each scenario is a test of its own.
"""

import json
import os

import pytest
from filelock import FileLock

from epbell_tb import sim
from epbell_tb.cases import Case
from epbell_tb.scenarios import SCENARIOS, TREES

ALL = {tree: tuple(one.name for one in SCENARIOS if tree in one.trees) for tree in TREES}
SMOKE = {
    "imx8": ("enumerate_and_size_bars", "ring_each_vector", "doorbell_test_ten_times", "burst_write"),
    "imx8-edma": ("doorbell_test_on_each_backend", "edma_rings_back_to_back", "edma_ring_in_every_cycle_around_ack"),
}
WIDE = (*SMOKE["imx8"], "wrong_bar", "bar_test")
LONG = ("bar_test", "consecutive_bar_test", "doorbell_test_ten_times")
EDMA = (
    *("doorbell_test_on_each_backend", "edma_doorbell_test_ten_times", "edma_any_data_any_bytes"),
    *("edma_ring_after_disable", "edma_rest_of_the_page", "edma_wrong_bar"),
)
MSIX = (
    *("every_interrupt_type", "msix_held_back", "msix_pending_words"),
    *("interrupts_queue_up", "interrupts_follow_their_writes"),
)
SEED = os.environ.get("EPBELL_SEED", "1")


def groups():
    """Group: arguments of `epbell sim`, scenarios."""
    ends = [(tree, ALL[tree], *place) for place in ((256, False), (64, True)) for tree in TREES]
    middle = [(tree, some, *place) for place in ((128, False), (512, True)) for tree, some in SMOKE.items()]
    bars = [
        *(("imx8", WIDE, 256, True, "wide"), ("imx8", LONG, 256, False, "linux")),
        *(("imx8-edma", EDMA, 256, True, "wide"), ("imx8-edma", EDMA, 256, False, "linux")),
    ]
    port = [("imx8", MSIX, 64, True, "everyday", "port")]
    found = {}
    for tree, names, width, stalls, *of in [*ends, *middle, *bars, *port]:
        arguments = ["--tree", tree, "--width", str(width), "--stalls", "on" if stalls else "off"]
        for option, value in zip(("--bars", "--msix"), of, strict=False):
            arguments += [option, value]
        found[Case("", tree, width, stalls, *of).group] = (arguments, names)
    return found


GROUPS = groups()
CASES = [
    pytest.param(group, name, marks=pytest.mark.xdist_group(group), id=f"{group}-{name}")
    for group, (_, names) in GROUPS.items()
    for name in names
]


def simulate(name, folder):
    """Run a group; return its exit status and rows."""
    arguments, names = GROUPS[name]
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
    assert (row["tree"], row["seed"]) == (GROUPS[group][0][1], int(SEED))
    assert (status == 0) == all(row["verdict"] == "pass" for row in rows)


def test_every_scenario_is_run_at_both_ends():
    """Nothing to run it: a scenario which is in no group would never be tested."""
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    for end in ("256-flowing", "64-stalled"):
        run = {(name, tree) for tree in TREES for name in GROUPS[f"{end}-{tree}"][1]}
        assert run == {(scenario.name, tree) for scenario in SCENARIOS for tree in scenario.trees}


def test_every_group_has_scenarios_of_its_tree():
    for (_, tree, *_), names in GROUPS.values():
        assert names
        assert set(names) <= set(ALL[tree])
