"""``make sim``: run the scenarios of the endpoint on Verilator and show what happened.

Each width is built once; each pair of width and stall mode is a simulation of its own that runs all the scenarios.
Writes ``sim_build/report/summary.json``. Exit status: 0, 1 if a scenario fails or is missing or a tool fails, 2 if the
command line is wrong.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import re
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console

from epbell_models import devicetree
from epbell_tb import figures, report, runner, sim_options
from epbell_tb.progress import Display, display
from epbell_tb.sim_options import Options
from epbell_tb.sim_variant import VariantError, build_variant

__all__ = ["main"]

_POLL_S = 0.3
_WAVES = "dump.vcd"


@dataclasses.dataclass(frozen=True)
class _Group:
    """The scenarios of one simulator process."""

    width: int
    stalls: bool

    @property
    def title(self) -> str:
        """What the user sees."""
        return f"{self.width:3} bits, stalls {'on' if self.stalls else 'off'}"

    def folder(self, options: Options) -> Path:
        """Folder of the log, the accounts and the waves."""
        return options.report / f"usp{self.width}-stalls-{'on' if self.stalls else 'off'}"

    def accounts(self, options: Options) -> Path:
        """File to which the scenarios append what happened."""
        return self.folder(options) / "scenarios.jsonl"


@dataclasses.dataclass(frozen=True)
class _Ended:
    """What came of a group: its rows, and the text to print when the run as a whole went wrong."""

    group: _Group
    rows: list[report.Row]
    trouble: str = ""


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
    """
    options = sim_options.parse(argv)
    console = Console(stderr=options.json, width=None if sys.stdout.isatty() else 120, soft_wrap=False)
    try:
        tree = devicetree.load(options.dts or devicetree.builtin())
    except devicetree.DeviceTreeError as error:
        print("\n".join(error.complaints), file=sys.stderr)
        return 1
    options.report.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    try:
        with _alone(options.report, console):
            ended = _simulate(options, tree, console)
            found = _ordered(options, [row for part in ended for row in part.rows])
            report.write_summary(options.report / "summary.json", found, sim_options.versions())
    except (runner.SimulationError, VariantError) as error:
        print(f"epbell: {error}", file=sys.stderr)
        return 1
    _show(options, found, ended, time.monotonic() - start, console)
    return 0 if found and all(row.verdict == report.PASS for row in found) else 1


def _alone(folder: Path, console: Console) -> AbstractContextManager[object]:
    """Lock the folder of the report, since its files have fixed names."""
    lock = FileLock(folder / "lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        console.print(f"waiting for another run that writes to {folder}", highlight=False)
        return lock.acquire()


def _simulate(options: Options, tree: devicetree.DeviceTree, console: Console) -> list[_Ended]:
    """Build the widths and run their groups, as many at a time as there are jobs; a group starts with its build."""
    pool = concurrent.futures.ThreadPoolExecutor(options.jobs)
    ended: list[_Ended] = []
    try:
        with display(console) as shown:
            builds = {pool.submit(_build, options, tree, width, shown): width for width in options.widths}
            running: dict[concurrent.futures.Future[_Ended], _Group] = {}
            while builds or running:
                under_way: list[concurrent.futures.Future[Any]] = [*builds, *running]
                done, _ = concurrent.futures.wait(under_way, _POLL_S, concurrent.futures.FIRST_COMPLETED)
                for future in [future for future in builds if future in done]:
                    width = builds.pop(future)
                    for group in (_Group(width, stalls) for stalls in options.stalls):
                        running[pool.submit(_run, options, group, future.result(), shown)] = group
                for future in [future for future in running if future in done]:
                    del running[future]
                    ended.append(future.result())
                for group in running.values():
                    shown.advance(group.title, figures.count(group.accounts(options)))
    finally:
        # After an error or Ctrl-C nothing of ours may go on.
        pool.shutdown(wait=False, cancel_futures=True)
        runner.cancel()
    return ended


def _build(options: Options, tree: devicetree.DeviceTree, width: int, shown: Display) -> runner.Build:
    job = f"{width:3} bits"

    def say(_: str) -> None:
        shown.begin(f"{job}: compiling")

    build = build_variant(tree, width, options.bars, waves=options.waves, say=say)
    if build.seconds:
        shown.end(f"{job}: compiling", f"{build.seconds:.0f} s")
    return build


def _run(options: Options, group: _Group, build: runner.Build, shown: Display) -> _Ended:
    """Run a group's scenarios in a simulator of their own and join their verdicts with their accounts."""
    names = [scenario.name for scenario in options.scenarios]
    shutil.rmtree(group.folder(options), ignore_errors=True)
    start = time.monotonic()
    shown.begin(group.title, len(names))
    outcomes: dict[str, report.Outcome] = {}
    trouble = ""
    try:
        results = runner.run(
            build,
            sorted({scenario.bench for scenario in options.scenarios}),
            tests=rf"\.({'|'.join(map(re.escape, names))})$",
            seed=options.seed,
            env=_environment(options, group),
            results=group.folder(options),
        )
        outcomes = {result.name: report.Outcome(result.passed, result.message) for result in results}
    except runner.SimulationError as error:
        trouble = f"{group.title}: {error}"
    accounts = figures.read(group.accounts(options))
    reason = trouble.partition("\n")[0]
    found = report.rows(names, group.width, group.stalls, options.seed, outcomes, accounts, reason)
    shown.end(group.title, f"{report.tally(found)} in {time.monotonic() - start:.0f} s")
    return _Ended(group, found, trouble)


def _environment(options: Options, group: _Group) -> dict[str, str]:
    settings = {
        figures.VARIABLE: str(group.accounts(options)),
        "EPBELL_STALLS": str(int(group.stalls)),
        "EPBELL_BARS": options.bars,
    }
    if options.dts:
        settings["EPBELL_DTS"] = str(options.dts)
    return settings


def _ordered(options: Options, found: list[report.Row]) -> list[report.Row]:
    """Sort rows as the scenarios stand, then by width and stalls; the groups end in any order."""
    position = {scenario.name: number for number, scenario in enumerate(options.scenarios)}
    return sorted(found, key=lambda row: (position[row.name], row.width, row.stalls))


def _show(options: Options, found: list[report.Row], ended: list[_Ended], seconds: float, console: Console) -> None:
    summary = options.report / "summary.json"
    if options.json:
        print(summary.read_text(encoding="utf-8"), end="")
    else:
        console.print(report.table(found))

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    for part in ended:
        if part.trouble:
            say(part.trouble)
    for row in found:
        if row.verdict != report.PASS:
            say(f"{row.name}, {row.width} bits, stalls {'on' if row.stalls else 'off'}: {row.verdict}: {row.reason}")
            say(f"    replay: {options.replay(row.name, row.width, row.stalls)}")
    if options.waves:
        for part in ended:
            say(f"waves: {part.group.folder(options) / _WAVES}")
    say(f"{report.tally(found)} in {seconds:.0f} s, seed {options.seed}; {_short(summary)}")


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
