"""One simulator process of ``make sim``: the scenarios of a device tree at one width, with and without stalls."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from epbell_tb import figures, forks, records, report, runner
from epbell_tb.progress import Display
from epbell_tb.sim_options import Options
from epbell_tb.sim_trees import Target

__all__ = ["Ended", "Group", "run_groups"]

_THOROUGH_LIMIT_S = 7200.0
_SHARE = 4
"""A scenario that takes more than this part of a group's time is ended alone, lest it takes the others along."""


@dataclass(frozen=True)
class Group:
    """The scenarios of a device tree at a width, with or without stalls.

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

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the scenarios."""
        return tuple(scenario.name for scenario in self.target.scenarios)

    def folder(self, options: Options) -> Path:
        """Folder of the log, the accounts and the waves."""
        other = "" if options.simulator == runner.VERILATOR else f"-{options.simulator}"
        return options.report / f"{self.target.name}-usp{self.width}-stalls-{'on' if self.stalls else 'off'}{other}"

    def accounts(self, options: Options) -> Path:
        """File to which the scenarios append what happened."""
        return self.folder(options) / "scenarios.jsonl"

    def environment(self, options: Options) -> dict[str, str]:
        """Environment variables of the scenarios alone."""
        own = {figures.VARIABLE: str(self.accounts(options)), "EPBELL_STALLS": str(int(self.stalls))}
        return {**own, records.VARIABLE: str(self.folder(options))} if options.record else own

    def run(self, options: Options) -> forks.Run:
        """Return what is to run in forks."""
        return forks.Run(self.folder(options), self.names, self.environment(options))


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


def run_groups(options: Options, groups: Sequence[Group], build: runner.Build, shown: Display) -> list[Ended]:
    """Run the scenarios of groups that differ in the stalls only, and join their verdicts with their accounts.

    They are forks of one simulation or, where that cannot be, each group is a simulation in which they follow each
    other.
    """
    for group in groups:
        shutil.rmtree(group.folder(options), ignore_errors=True)
        group.folder(options).mkdir(parents=True)
    if options.fork and any(len(group.names) > 1 for group in groups):
        return _run_forked(options, groups, build, shown)
    return [_run_alone(options, group, build, shown) for group in groups]


def _run_forked(options: Options, groups: Sequence[Group], build: runner.Build, shown: Display) -> list[Ended]:
    start = time.monotonic()
    for group in groups:
        shown.begin(group.title, len(group.names))
    runs = [group.run(options) for group in groups]
    plan = forks.Plan(_modules(groups[0]), tuple(runs), _limit_s(options) / _SHARE)
    trouble = tail = ""
    try:
        env = {**_environment(options, groups[0]), **plan.environment()}
        limit_s = len(groups) * _limit_s(options)
        (root,) = runner.run(build, forks.BENCH, env=env, expected=1, **_how(options, groups[0], limit_s))
        if not root.passed:
            log = groups[0].folder(options) / "run.log"
            raise runner.SimulationError(f"nothing was forked: {root.message}; see {log}")
    except runner.SimulationError as error:
        trouble, _, tail = str(error).partition("\n")
        for run in runs:  # what processes have left that nobody waited for: their parents were ended before them
            run.gather(run.names)
    ended = [
        _ended(options, group, run.outcomes(), trouble, start, shown)
        for group, run in zip(groups, runs, strict=True)
    ]  # fmt: skip
    last = ended[-1]
    return [*ended[:-1], replace(last, trouble=f"{last.trouble}\n{tail}")] if tail else ended


def _run_alone(options: Options, group: Group, build: runner.Build, shown: Display) -> Ended:
    start = time.monotonic()
    shown.begin(group.title, len(group.names))
    results: list[runner.Result] = []
    trouble = ""
    try:
        env = {**_environment(options, group), **group.environment(options)}
        tests = rf"\.({'|'.join(map(re.escape, group.names))})$"
        results = runner.run(build, _modules(group), tests=tests, env=env, **_how(options, group, _limit_s(options)))
    except runner.SimulationError as error:
        trouble = str(error)
    return _ended(options, group, results, trouble, start, shown)


def _ended(
    options: Options, group: Group, results: Sequence[runner.Result], trouble: str, start: float, shown: Display
) -> Ended:
    outcomes = {result.name: report.Outcome(result.passed, result.message) for result in results}
    accounts = figures.read(group.accounts(options), cut=True)
    place = (group.target.name, group.width, group.stalls)
    told = trouble and f"{group.title}: {trouble}"
    found = report.rows(group.names, *place, options.seed, outcomes, accounts, told.partition("\n")[0])
    shown.end(group.title, f"{report.tally(found)} in {time.monotonic() - start:.0f} s")
    return Ended(group, found, list(accounts), told)


def _modules(group: Group) -> tuple[str, ...]:
    return tuple(sorted({scenario.bench for scenario in group.target.scenarios}))


def _limit_s(options: Options) -> float:
    limit_s = _THOROUGH_LIMIT_S if options.thorough else runner.TIME_LIMIT_S
    limit_s *= runner.COVERAGE_SLOWDOWN if options.coverage else 1
    return limit_s * (runner.ICARUS_SLOWDOWN if options.simulator == runner.ICARUS else 1)


def _how(options: Options, group: Group, limit_s: float) -> dict[str, Any]:
    return {"seed": options.seed, "results": group.folder(options), "time_limit_s": limit_s}


def _environment(options: Options, group: Group) -> dict[str, str]:
    return {
        "EPBELL_BARS": options.bars,
        "EPBELL_MSIX": options.msix,
        "EPBELL_THOROUGH": str(int(options.thorough)),
        "EPBELL_DTS": str(group.target.path),
        # The folder of each group is told at the end of the bring-up; but what keeps a record is there before.
        records.VARIABLE: str(group.folder(options)) if options.record else "",
    }
