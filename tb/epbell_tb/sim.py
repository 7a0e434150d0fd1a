"""``make sim``: run the scenarios of the endpoint on a simulator and show what happened.

Each width is built once for all the device trees that need the same RTL; each combination of device tree and width is a
simulation of its own that runs the scenarios of that tree, with and without stalls (two, where one
would be most of the work). Writes ``summary.json`` and the pages of the run in
``sim_build/report`` and adds to ``scenarios.json`` there.
Exit status: 0, 1 if a scenario fails or is missing or a tool fails, 2 if the command line is wrong.
"""

from __future__ import annotations

import concurrent.futures
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console

from epbell_models.devicetree import DeviceTreeError
from epbell_tb import backends, figures, icarus, report, runner, sim_options, toolchain, verdicts
from epbell_tb.cases import Case
from epbell_tb.progress import Display, alone, display
from epbell_tb.run_report import pages
from epbell_tb.scenarios import WIDTHS
from epbell_tb.sim_group import Ended, Group, run_groups
from epbell_tb.sim_options import Options
from epbell_tb.sim_trees import Target, targets
from epbell_tb.sim_variant import Variant, VariantError, build_variant, variant_of

__all__ = ["keep_verdicts", "main"]

_POLL_S = 0.3
_WAVES = {runner.VERILATOR: "dump.vcd", runner.ICARUS: icarus.WAVES}


def main(argv: Sequence[str]) -> int:
    """Run scenarios and report.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell sim``.

    Returns
    -------
    int
        Exit status.

    Raises
    ------
    ToolError
        If the simulator that was asked for is missing.
    """
    options = sim_options.parse(argv)
    if options.list:
        for scenario in options.scenarios:
            places = ", ".join(scenario.trees)
            if scenario.widths != WIDTHS:
                places += f"; {' and '.join(map(str, scenario.widths))} bits"
            print(f"{scenario.name} ({places})\n    {scenario.intent}")
        return 0
    if options.simulator == runner.ICARUS:
        toolchain.find_icarus()  # what is missing is said before anything is converted
    console = Console(stderr=options.json, width=None if sys.stdout.isatty() else 140, soft_wrap=False)
    try:
        run_on = targets(options)
    except DeviceTreeError as error:
        print("\n".join(error.complaints), file=sys.stderr)
        return 1
    if not run_on:
        print(f"epbell: none of these scenarios runs on a device tree like {options.dts}", file=sys.stderr)
        return 2
    options.report.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    try:
        with alone(options.report / "lock", console):
            ended = _simulate(options, _variants(options, run_on), console)
            found = _ordered(options, run_on, [row for part in ended for row in part.rows])
            told = _told(run_on, ended)
            path = options.report / "summary.json"
            date = verdicts.now()
            report.write_summary(path, found, told, sim_options.versions(), date)
            keep_verdicts(options, found, date)
            pages.write(options.report, _runs(options, found, ended), date=date, versions=sim_options.versions())
    except (runner.SimulationError, VariantError) as error:
        print(f"epbell: {error}", file=sys.stderr)
        return 1
    _show(options, found, told, console)
    _say(console, *(part.trouble for part in ended if part.trouble))
    _say(console, *_failures(options, found))
    if options.waves:
        _say(console, *(f"waves: {part.group.folder(options) / _WAVES[options.simulator]}" for part in ended))
    _say(console, f"to look at: {_short(options.report / pages.INDEX)}")
    seconds = time.monotonic() - start
    summary = _short(options.report / "summary.json")
    _say(console, f"{report.tally(found)} in {seconds:.0f} s, seed {options.seed}; {summary}")
    return 0 if found and all(row.verdict == report.PASS for row in found) else 1


def _variants(options: Options, run_on: Sequence[Target]) -> dict[Variant, list[Target]]:
    """Return what has to be built, and the device trees that use it; those with most scenarios first."""
    found: dict[Variant, list[Target]] = {}
    for target in sorted(run_on, key=lambda target: -len(target.scenarios)):
        for width in options.widths:
            here = target.at(width)
            if here.scenarios:
                found.setdefault(variant_of(target.tree, width, options.bars, options.msix), []).append(here)
    return found


def _simulate(options: Options, variants: Mapping[Variant, Sequence[Target]], console: Console) -> list[Ended]:
    """Build and run, as much at a time as there are jobs; a group starts when its build is there."""
    pool = concurrent.futures.ThreadPoolExecutor(options.jobs)
    runs = sum(len(target.scenarios) for run_on in variants.values() for target in run_on) * len(options.stalls)
    most = runs / (2 * options.jobs) if options.jobs > 1 else runs
    ended: list[Ended] = []
    try:
        with display(console) as shown:
            builds = {pool.submit(_build, options, variant, shown): variant for variant in variants}
            running: dict[concurrent.futures.Future[list[Ended]], list[Group]] = {}
            while builds or running:
                under_way: list[concurrent.futures.Future[Any]] = [*builds, *running]
                done, _ = concurrent.futures.wait(under_way, _POLL_S, concurrent.futures.FIRST_COMPLETED)
                for future in [future for future in builds if future in done]:
                    variant = builds.pop(future)
                    for groups in _groups(options, variant, variants[variant], most):
                        running[pool.submit(run_groups, options, groups, future.result(), shown)] = groups
                for future in [future for future in running if future in done]:
                    del running[future]
                    ended += future.result()
                for group in chain(*running.values()):
                    shown.advance(group.title, figures.count(group.accounts(options)))
    finally:
        # After an error or Ctrl-C nothing of ours may go on.
        pool.shutdown(wait=False, cancel_futures=True)
        runner.cancel()
    return ended


def _groups(options: Options, variant: Variant, run_on: Sequence[Target], most: float) -> list[list[Group]]:
    """Return the groups; those of a list run in one simulator: both stall modes, but at most so many scenarios.

    Else the last simulator of all would run while other processors are idle.
    """
    lists: list[list[Group]] = []
    for target in run_on:
        groups = [Group(target, variant.width, stalls) for stalls in options.stalls]
        together = len(groups) * len(target.scenarios) <= most
        lists += [groups] if together else [[group] for group in groups]
    return lists


def _build(options: Options, variant: Variant, shown: Display) -> runner.Build:
    job = f"{variant.name}: compiling"

    def say(_: str) -> None:
        shown.begin(job)

    build = build_variant(
        variant, waves=options.waves, say=say, coverage=options.coverage, simulator=options.simulator
    )
    if build.seconds:
        shown.end(job, f"{build.seconds:.0f} s")
    return build


def _ordered(options: Options, run_on: Sequence[Target], found: list[report.Row]) -> list[report.Row]:
    """Sort rows as the scenarios stand, then by device tree, width and stalls; the groups end in any order."""
    names = {scenario.name: number for number, scenario in enumerate(options.scenarios)}
    trees = {target.name: number for number, target in enumerate(run_on)}
    return sorted(found, key=lambda row: (names[row.name], trees[row.tree], row.width, row.stalls))


def _runs(options: Options, found: Sequence[report.Row], ended: Sequence[Ended]) -> list[pages.Run]:
    """Return what the pages are about."""
    folders = {(part.group.target.name, part.group.width, part.group.stalls): part.group for part in ended}
    told = {
        (part.group, account["name"]): account for part in ended for account in part.accounts if "name" in account
    }
    runs = []
    for row in found:
        group = folders[row.tree, row.width, row.stalls]
        replay = options.replay(row.name, row.tree, row.width, row.stalls)
        name = group.folder(options).name
        runs.append(pages.found(options.report, name, row, replay, told.get((group, row.name), {})))
    return runs


def keep_verdicts(options: Options, found: Sequence[report.Row], date: str) -> None:
    """Add the verdict of each case to those of earlier runs, for the test plan.

    Parameters
    ----------
    options : Options
        What was asked for; of a user's own device tree and of Icarus nothing is kept, for the plan is not about them.
    found : sequence of Row
        What came of it. What is missing failed.
    date : str
        When.
    """
    if options.dts is not None or options.simulator != runner.VERILATOR:
        return
    kept = {}
    for row in found:
        case = Case(row.name, row.tree, row.width, row.stalls, options.bars, options.msix)
        kept[case.key] = verdicts.Verdict(verdicts.PASS if row.verdict == report.PASS else verdicts.FAIL, date)
    verdicts.merge(options.report / verdicts.SCENARIOS, kept)


def _told(run_on: Sequence[Target], ended: Sequence[Ended]) -> list[backends.Backend]:
    accounts = [(part.group.target.name, account) for part in ended for account in part.accounts]
    return backends.backends([target.name for target in run_on], accounts)


def _show(options: Options, found: list[report.Row], told: list[backends.Backend], console: Console) -> None:
    if options.json:
        print((options.report / "summary.json").read_text(encoding="utf-8"), end="")
        return
    console.print(report.table(found))
    _say(console, *backends.lines(told), "")


def _failures(options: Options, found: list[report.Row]) -> list[str]:
    lines = []
    for row in found:
        if row.verdict != report.PASS:
            where = f"{row.tree}, {row.width} bits, stalls {'on' if row.stalls else 'off'}"
            lines.append(f"{row.name}, {where}: {row.verdict}: {row.reason}")
            lines.append(f"    replay: {options.replay(row.name, row.tree, row.width, row.stalls)}")
    return lines


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
