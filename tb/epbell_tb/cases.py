"""The cases of a scenario and of a test: what has to have run before either may count as passed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from epbell_tb.bar_sets import BAR_SETS
from epbell_tb.scenarios import SCENARIOS, TREES
from epbell_tb.verdicts import Verdict

__all__ = [
    "MSIX_WAYS",
    "Case",
    "case_of_test",
    "cases_of",
    "collect",
    "newest",
]

EVERYDAY = "everyday"
MSIX_WAYS = ("rq", "port")
"""How MSI-X messages leave, the usual way first."""
_FLOW = {False: "flowing", True: "stalled"}
_TREES = "|".join(sorted(TREES, key=len, reverse=True))
_SETS = "|".join(BAR_SETS)
_PLACE = re.compile(rf"(\d+)-({'|'.join(_FLOW.values())})-({_TREES})(?:-({_SETS}))?(?:-msix-(port))?-(\w+)")
_SCENARIO_TEST = "tests/sim/test_scenarios.py::test_scenario["
_COLLECT_S = 300
_ALL = "long or not long"


@dataclass(frozen=True)
class Case:
    """A scenario on one device tree, at one width, with or without stalls, on a set of BARs, with one way of MSI-X."""

    name: str
    tree: str
    width: int
    stalls: bool
    bars: str = EVERYDAY
    msix: str = MSIX_WAYS[0]

    @property
    def group(self) -> str:
        """The simulation that it is part of, such as ``64-stalled-imx8`` or ``256-flowing-imx8-edma-linux``."""
        words = [str(self.width), _FLOW[self.stalls], self.tree, *([] if self.bars == EVERYDAY else [self.bars])]
        words += [] if self.msix == MSIX_WAYS[0] else [f"msix-{self.msix}"]
        return "-".join(words)

    @property
    def key(self) -> str:
        """Its name in a file of verdicts."""
        return f"{self.name}[{self.group}]"

    @property
    def test(self) -> str:
        """The id that it has, or would have, among the tests of pytest."""
        return f"{_SCENARIO_TEST}{self.group}-{self.name}]"


def case_of_test(test: str) -> Case | None:
    """Return the case of a scenario that a test of pytest runs, if it does."""
    if not test.startswith(_SCENARIO_TEST):
        return None
    found = _PLACE.fullmatch(test.removeprefix(_SCENARIO_TEST).removesuffix("]"))
    if found is None:
        return None
    width, flow, tree, bars, msix, name = found.groups()
    return Case(name, tree, int(width), flow == _FLOW[True], bars or EVERYDAY, msix or MSIX_WAYS[0])


def cases_of(name: str, bars: str = EVERYDAY, msix: str = MSIX_WAYS[0]) -> frozenset[str]:
    """Return the keys of the cases of a scenario in a full ``make sim``; none if there is no such scenario."""
    return frozenset(
        Case(name, tree, width, stalls, bars, msix).key
        for scenario in SCENARIOS
        if scenario.name == name
        for tree in scenario.trees
        for width in scenario.widths
        for stalls in _FLOW
    )


def newest(simulated: Mapping[str, Verdict], ran: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """Return the latest verdict of each case of each scenario.

    Parameters
    ----------
    simulated : mapping
        Verdicts of ``make sim`` by keys of cases.
    ran : mapping
        Verdicts of tests by their ids; those that run a scenario are taken.
    """
    found = dict(simulated)
    for test, verdict in ran.items():
        case = case_of_test(test)
        if case is not None and (case.key not in found or found[case.key].date < verdict.date):
            found[case.key] = verdict
    return found


def collect(project: Path) -> list[str]:
    """Return the ids of the tests that pytest finds in a checkout, long ones among them.

    Raises
    ------
    ValueError
        If it cannot collect them.
    """
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", _ALL, "tests"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ended = subprocess.run(
        command, cwd=project, env=env, capture_output=True, text=True, check=False, timeout=_COLLECT_S
    )
    if ended.returncode not in (0, 5):  # 5: there are none
        said = (ended.stdout + ended.stderr)[-3000:]
        raise ValueError(f"pytest must be able to collect the tests of {project}:\n{said}")
    return [line for line in ended.stdout.splitlines() if "::" in line]
