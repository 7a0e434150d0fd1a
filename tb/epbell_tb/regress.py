"""``make regress``: everything that is too much for ``make test``, group by group.

Every scenario with every value of its sweeps (``--thorough``) on every device tree, width and set of BARs, with and
without stalls; Linux's selftest on the RTL in the same places, its transfers of a megabyte on each device tree; the
tests that are marked ``long``. The groups are in :mod:`epbell_tb.regress_groups`. What came of each is kept in
``sim_build/report/regress.json`` as soon as it has ended, so a run that was interrupted goes on with ``--resume``.
Exit status: 0, 1 if a group failed or was not run to its end, 2 if the command line is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from epbell_tb import installation, verdicts
from epbell_tb.arguments import number
from epbell_tb.progress import display
from epbell_tb.regress_groups import Ended, Group, chosen, outcome, read, tap
from epbell_tb.verdicts import FAIL, PASS

__all__ = ["FILE", "main", "run_group", "sources"]

FILE = "regress.json"
"""Name of the file with what came of each group."""

_SOURCES = ("rtl", "models", "tb", "tests")
_SUFFIXES = {".py", ".rdl", ".dts", ".toml"}
_MOST_JOBS = 64
_POLL_S = 0.5


def main(argv: Sequence[str]) -> int:
    """Run groups and report.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell regress``.

    Returns
    -------
    int
        Exit status.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        groups = chosen([part for one in given.only for part in one.split(",")])
    except ValueError as error:
        parser.error(f"argument --only: {error}")
    folder = verdicts.report_folder(installation.PROJECT)
    known = read(folder / FILE)
    if given.list:
        _list(groups, known)
        return 0
    now = sources(installation.PROJECT)
    if given.resume:
        done = [group for group in groups if group.name in known and _holds(known[group.name], now)]
        groups = tuple(group for group in groups if group not in done)
    console = Console(stderr=given.json, width=None if sys.stdout.isatty() else 140, soft_wrap=False)
    start = time.monotonic()
    found: dict[str, Ended] = {}
    try:
        _run(groups, folder, now, known, found, given.jobs, console)
    except KeyboardInterrupt:
        _say(console, f"interrupted after {len(found)} of {len(groups)} groups; go on with --resume")
    if given.json:
        print(json.dumps({name: asdict(ended) for name, ended in found.items()}, indent=2))
    else:
        console.print(_table(groups, found))
    bad = [group for group in groups if group.name not in found or found[group.name].verdict != PASS]
    _say(console, *(_failure(folder, group, found[group.name]) for group in bad if group.name in found))
    minutes = (time.monotonic() - start) / 60
    _say(console, f"{len(groups) - len(bad)} of {len(groups)} groups passed in {minutes:.0f} min; {folder / FILE}")
    return 1 if bad else 0


def sources(project: Path) -> str:
    """Return a hash of everything that a verdict depends on: sources, benches and tests of a checkout."""
    files = sorted(path for top in _SOURCES for path in (project / top).rglob("*") if path.suffix in _SUFFIXES)
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path.relative_to(project)}\0".encode() + path.read_bytes() + b"\0")
    return whole.hexdigest()[:16]


def run_group(group: Group, folder: Path, now: str) -> Ended:
    """Run a group in a process of its own; its output goes to ``<folder>/regress/<name>``.

    Parameters
    ----------
    group : Group
        The group.
    folder : Path
        Folder of all reports.
    now : str
        What `sources` says.
    """
    own = folder / "regress" / group.name
    own.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    arguments = list(group.arguments)
    if group.arguments[0] == "sim":
        arguments += ["--report", str(own)]
    if group.arguments[0] == "pytest":
        command = [sys.executable, "-m", *arguments]
    else:
        command = [sys.executable, "-m", "epbell_tb.cli", *arguments]
    expected = tap(_output([sys.executable, "-m", "epbell_tb.cli", *group.models], own / "models")[1])
    status, output = _output(command, own / "output")
    verdict, passed, failed, reason = outcome(group, status, output, expected)
    if (own / verdicts.SCENARIOS).exists():
        verdicts.merge(folder / verdicts.SCENARIOS, verdicts.read(own / verdicts.SCENARIOS))
    return Ended(verdict, passed, failed, round(time.monotonic() - start, 1), verdicts.now(), now, reason)


def _output(command: list[str], path: Path) -> tuple[int, str]:
    """Run a command; return its exit status and its standard output, which also goes to a file, as its errors do."""
    if len(command) <= 3:  # a Python module without arguments: nothing was asked for
        return 0, ""
    env = {name: value for name, value in os.environ.items() if name not in installation.MAKE_VARIABLES}
    with path.open("w", encoding="utf-8") as out, path.with_suffix(".err").open("w", encoding="utf-8") as err:
        status = subprocess.call(command, cwd=installation.PROJECT, env=env, stdout=out, stderr=err)
    return status, path.read_text(encoding="utf-8")


def _run(
    groups: Sequence[Group],
    folder: Path,
    now: str,
    known: Mapping[str, Ended],
    found: dict[str, Ended],
    jobs: int,
    console: Console,
) -> None:
    """Run groups, as many at a time as there are jobs; keep what came of each as soon as it has ended."""
    waiting = list(groups)
    running: dict[Future[Ended], Group] = {}
    with ThreadPoolExecutor(jobs) as pool, display(console) as shown:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    group = waiting.pop(0)
                    shown.begin(group.name)
                    running[pool.submit(run_group, group, folder, now)] = group
                for future in wait(running, _POLL_S, FIRST_COMPLETED).done:
                    group = running.pop(future)
                    ended = found[group.name] = future.result()
                    _keep(folder / FILE, group, ended)
                    left = [*waiting, *running.values()]
                    shown.end(group.name, f"{_account(ended)}; {_left(left, {**known, **found}, len(found), jobs)}")
        except KeyboardInterrupt:
            # Ctrl-C goes to the processes of the groups as well: they end, and the pool with them.
            waiting.clear()
            raise


def _keep(path: Path, group: Group, ended: Ended) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        kept = {name: asdict(one) for name, one in {**read(path), group.name: ended}.items()}
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        scratch.replace(path)


def _holds(ended: Ended, now: str) -> bool:
    return ended.verdict == PASS and ended.sources == now


def _account(ended: Ended) -> str:
    failed = f", {ended.failed} failed" if ended.failed else ""
    return f"{ended.verdict}, {ended.passed} passed{failed} in {_time(ended.seconds)}"


def _left(groups: Sequence[Group], known: Mapping[str, Ended], done: int, jobs: int) -> str:
    """Say how much is left, by what earlier groups took: the same one, or else the median of its kind."""
    if not groups:
        return f"{done} done, none left"
    seconds = [_expected(group, known) for group in groups]
    guess = [one for one in seconds if one is not None]
    about = f", about {_time(sum(guess) * len(groups) / len(guess) / min(jobs, len(groups)))}" if guess else ""
    return f"{done} done, {len(groups)} left{about}"


def _expected(group: Group, known: Mapping[str, Ended]) -> float | None:
    if group.name in known:
        return known[group.name].seconds
    alike = sorted(ended.seconds for name, ended in known.items() if name.partition(".")[0] == group.kind)
    return alike[len(alike) // 2] if alike else None


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _table(groups: Sequence[Group], found: Mapping[str, Ended]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    shown.add_column("group", no_wrap=True)
    for title in ("passed", "failed", "seconds"):
        shown.add_column(title, justify="right", no_wrap=True)
    shown.add_column("verdict", no_wrap=True)
    colours = {PASS: "green", FAIL: "bold red"}
    for group in groups:
        ended = found.get(group.name)
        if ended is None:
            shown.add_row(group.name, "-", "-", "-", Text("not run", style="yellow"))
            continue
        figures = (str(ended.passed), str(ended.failed), f"{ended.seconds:.0f}")
        shown.add_row(group.name, *figures, Text(ended.verdict, style=colours[ended.verdict]))
    shown.add_section()
    total = [sum(getattr(ended, figure) for ended in found.values()) for figure in ("passed", "failed", "seconds")]
    shown.add_row(f"{len(found)} groups", *(f"{one:.0f}" for one in total), "")
    return shown


def _failure(folder: Path, group: Group, ended: Ended) -> str:
    where = folder / "regress" / group.name
    return f"{group.name}: {ended.reason}; {where}\n    again: epbell regress --only {group.name}"


def _list(groups: Sequence[Group], known: Mapping[str, Ended]) -> None:
    for group in groups:
        ended = known.get(group.name)
        print(f"{group.name:32} {f'{_account(ended)}, {ended.date[:10]}' if ended else ''}".rstrip())


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="epbell regress",
        description="Run what is too much for `make test`, which takes hours: every scenario with every value of its"
        " sweeps on every device tree, width and set of BARs, with and without stalls, Linux's selftest on the RTL in"
        " the same places, and the tests marked long. Each part is a group that can be run alone.",
        allow_abbrev=False,
    )
    add: Any = parser.add_argument
    add(
        "--only", action="append", default=[], metavar="GROUPS",
        help="groups to run: names, kinds (sim, port, bars, selftest, large, long) or patterns such as 'sim.imx8.*',"
        " with commas between them; repeats",
    )  # fmt: skip
    add("--resume", action="store_true", help="leave out groups that have passed on the very same sources")
    add("--jobs", type=number(1, _MOST_JOBS), default=2, metavar="N", help="groups at a time, default 2")
    add("--list", action="store_true", help="print the groups, and what their last runs said, and run none")
    add("--json", action="store_true", help="print what came of each group as a JSON object instead of a table")
    return parser
