"""The test plan says what there is, and all of it."""

from pathlib import Path

import pytest

from epbell_tb.cases import Case, case_of_test, cases_of, collect
from epbell_tb.scenarios import SCENARIOS
from epbell_tb.testplan import belongs, load

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
    "ring with data 0, 1, 2, 0xffffffff and every byte-enable pattern",
    "masks all ones and engines disabled: still asserts",
    "N rings give 1..N interrupts and the handler's last run sees the last",
    "a ring in each cycle around the ack",
    "DONE in the same cycle as a ring, as an ack; INT_CLEAR=0 leaves DONE alone",
    "INT_CLEAR of a channel drops the emulated latch and no doorbell is lost",
    "no handler registered: the ack path keeps the line from storming",
    "ring between irq request and virq creation",
    "host writes to the rest of the eDMA page and to the iATU are refused and counted",
    "MU and eDMA rung together",
    "four-line variant: sum of handler runs >= 1 per ring burst, no line stuck",
    "unaligned aux resource -> -EINVAL",
    "second enable -> -EBUSY; disable without enable",
    "which backend each took and why, with Linux's own reason",
)
TABLES = [
    *(f"6.1 row {row}" for row in range(1, 36)),
    *(f"6.2 row {row}" for row in range(36, 64)),
    *(f"6.3 row {row}" for row in range(64, 81)),
]
PLANS = load(TESTS / "testplan.toml")


@pytest.fixture(scope="module")
def collected():
    """Every test that pytest finds."""
    return collect(TESTS.parent)


def exists(test, collected):
    """Whether `test` is a file, a function or one of its parameters among those that were collected."""
    return any(belongs(test, name) for name in collected)


def test_every_id_is_unique():
    ids = [plan.id for plan in PLANS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("source", [*REQUIRED, *TABLES])
def test_every_requirement_is_planned(source):
    plans = [plan for plan in PLANS if source in plan.source]
    assert plans
    if source in REQUIRED or source.startswith("6.3 "):
        assert any(plan.scenarios for plan in plans), "models alone do not show it"
    if source.startswith("6.3 "):
        assert not any(plan.later for plan in plans)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.id)
def test_form(plan):
    assert plan.id.isidentifier()
    assert plan.intent.endswith(".")
    assert plan.source
    assert plan.scenarios or plan.tests or plan.later
    of_the_flow = any(source.startswith("6.1 ") for source in plan.source)
    if of_the_flow and not plan.scenarios and all(test.startswith("tests/models/") for test in plan.tests):
        assert plan.models_only or plan.later, "a row of the host's tests runs on the RTL, or says why not"
    if plan.models_only:
        assert not plan.scenarios
        assert plan.tests
        assert all(test.startswith("tests/models/") for test in plan.tests)
    unknown = [source for source in plan.source if source.startswith("6.") and source not in TABLES]
    assert not unknown


def test_scenarios_both_ways():
    planned = {name for plan in PLANS for name in plan.scenarios}
    assert planned == {scenario.name for scenario in SCENARIOS}


def test_scenarios_are_run_by_pytest(collected):
    for scenario in SCENARIOS:
        for tree in scenario.trees:
            for width, stalls in ((256, False), (64, True)):
                assert Case(scenario.name, tree, width, stalls).test in collected


def test_every_test_of_a_scenario_is_a_case_of_it(collected):
    """What pytest says of a scenario counts for it: its id has to be understood."""
    run = [case_of_test(test) for test in collected if test.startswith("tests/sim/test_scenarios.py::test_scenario[")]
    assert len(run) > len(SCENARIOS)
    assert all(case is not None and case.key in cases_of(case.name, case.bars, case.msix) for case in run)


def test_planned_tests_exist(collected):
    missing = [test for plan in PLANS for test in plan.tests if not exists(test, collected)]
    assert not missing


def test_a_misspelt_test_is_noticed(collected):
    assert not exists("tests/sim/test_scenarios.py::test_scenari", collected)
    assert not exists("tests/sim/test_scenarios.py::test_scenario[256-flowing-imx8-ring]", collected)
