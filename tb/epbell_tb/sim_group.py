"""One simulator process of ``make sim``: the scenarios of a device tree at one width, with or without stalls."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from epbell_tb import figures, forks, report, runner
from epbell_tb.progress import Display
from epbell_tb.sim_options import Options
from epbell_tb.sim_trees import Target

__all__ = ["Ended", "Group", "run_group"]

_THOROUGH_LIMIT_S = 7200.0
_SHARE = 4
"""A scenario that takes more than this part of a group's time is ended alone, lest it takes the others along."""


@dataclass(frozen=True)
class Group:
    """The scenarios of one simulator process.

    Attributes
    ----------
    target : Target
        Device tree and scenarios.
    width, stalls : int, bool
        Where they run.
    """

    target: Target
    width: int
    stalls: bool

    @property
    def title(self) -> str:
        """What the user sees."""
        return f"{self.target.name}, {self.width} bits, stalls {'on' if self.stalls else 'off'}"

    def folder(self, options: Options) -> Path:
        """Folder of the log, the accounts and the waves."""
        return options.report / f"{self.target.name}-usp{self.width}-stalls-{'on' if self.stalls else 'off'}"

    def accounts(self, options: Options) -> Path:
        """File to which the scenarios append what happened."""
        return self.folder(options) / "scenarios.jsonl"


@dataclass(frozen=True)
class Ended:
    """What came of a group.

    Attributes
    ----------
    group : Group
        The group.
    rows : list of Row
        One for each scenario.
    accounts : list of mapping
        What the scenarios told.
    trouble : str
        The text to print when the run as a whole went wrong.
    """

    group: Group
    rows: list[report.Row]
    accounts: list[Mapping[str, Any]] = field(default_factory=list)
    trouble: str = ""


def run_group(options: Options, group: Group, build: runner.Build, shown: Display) -> Ended:
    """Run a group's scenarios in a simulator of their own and join their verdicts with their accounts."""
    scenarios = group.target.scenarios
    names = [scenario.name for scenario in scenarios]
    shutil.rmtree(group.folder(options), ignore_errors=True)
    start = time.monotonic()
    shown.begin(group.title, len(names))
    trouble = ""
    try:
        results = _run(options, group, build)
    except runner.SimulationError as error:
        trouble = f"{group.title}: {error}"
        plan = forks.Plan(group.folder(options), (), tuple(names))
        plan.gather(plan.folder / "run.log")
        results = forks.results(plan.folder, names)
    outcomes = {result.name: report.Outcome(result.passed, result.message) for result in results}
    accounts = figures.read(group.accounts(options), cut=True)
    reason = trouble.partition("\n")[0]
    place = (group.target.name, group.width, group.stalls)
    found = report.rows(names, *place, options.seed, outcomes, accounts, reason)
    shown.end(group.title, f"{report.tally(found)} in {time.monotonic() - start:.0f} s")
    return Ended(group, found, list(accounts), trouble)


def _run(options: Options, group: Group, build: runner.Build) -> list[runner.Result]:
    """Run the scenarios in forks of one simulation or, where that cannot be, one after the other in it."""
    folder = group.folder(options)
    names = [scenario.name for scenario in group.target.scenarios]
    modules = sorted({scenario.bench for scenario in group.target.scenarios})
    limit_s = _THOROUGH_LIMIT_S if options.thorough else runner.TIME_LIMIT_S
    how = {
        "seed": options.seed,
        "results": folder,
        "time_limit_s": limit_s,
    }
    env = _environment(options, group)
    if not options.fork or len(names) == 1:
        return runner.run(build, modules, tests=rf"\.({'|'.join(map(re.escape, names))})$", env=env, **how)
    plan = forks.Plan(folder, tuple(modules), tuple(names), limit_s / _SHARE)
    (root,) = runner.run(build, forks.BENCH, env={**env, **plan.environment()}, expected=1, **how)
    if not root.passed:
        raise runner.SimulationError(f"nothing was forked: {root.message}; see {folder / 'run.log'}")
    return forks.results(folder, names)


def _environment(options: Options, group: Group) -> dict[str, str]:
    return {
        figures.VARIABLE: str(group.accounts(options)),
        "EPBELL_STALLS": str(int(group.stalls)),
        "EPBELL_BARS": options.bars,
        "EPBELL_MSIX": options.msix,
        "EPBELL_THOROUGH": str(int(options.thorough)),
        "EPBELL_DTS": str(group.target.path),
    }
