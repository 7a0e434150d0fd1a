"""``make cover``: how much of the RTL the simulations reach, by block, and what they do not.

Lines, branches, expressions and toggles as Verilator counts them, in the endpoint's scenarios and in the benches of the
Messaging Unit and the eDMA. What cannot change (proven by Yosys) is taken out, and so is what ``tests/waivers.toml``
gives a reason for. Each run leaves a folder in ``sim_build/report/cover``; ``summary.json`` has what is printed. Exit
status: 0, 1 if a block is below its goal, a waiver is wrong or a run fails, 2 if the command line is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.console import Console

from epbell.export import ExportError
from epbell_tb import bins, blocks, cover_bins, coverage, coverage_table, coverage_waivers, runner
from epbell_tb.arguments import number
from epbell_tb.cover_runs import Run, RunFailed, Stood, chosen, runs
from epbell_tb.coverage import CoverageError, Hits, Point
from epbell_tb.installation import PROJECT
from epbell_tb.progress import Display, alone, display
from epbell_tb.regress_worker import sources
from epbell_tb.scenarios import TREES, WIDTHS

__all__ = ["main", "verdict"]

_SHOWN = 40
_MOST = 64
_HITS, _STAMP = coverage.NAME, "sources"
_SETS = ("never", "may", "unread")


def main(argv: Sequence[str]) -> int:
    """Run what is not there yet and report.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell cover``.

    Returns
    -------
    int
        Exit status.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        every: tuple[Run, ...] = (*runs(given.tree, given.width), *cover_bins.traffic())
        wanted = chosen(every, given.only)
    except ValueError as error:
        parser.error(f"argument --only: {error}")
    if given.list:
        print("\n".join(run.name for run in wanted))
        return 0
    console = Console(stderr=given.json, width=None if sys.stdout.isatty() else 140, soft_wrap=False)
    root = runner.sim_build() / "report" / "cover"
    root.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with alone(root / "lock", console):
        stood, failures = _run_all(wanted, root, given, console)
        waivers = coverage_waivers.load(PROJECT / coverage_waivers.LISTING)
        # A waiver may be about what only another tree, width or bench has.
        complete = not (given.only or failures or given.tree or given.width)
        found, wrong = verdict(stood, waivers if stood else ())
        grouped, about_nothing = cover_bins.verdict([root / run.name / bins.NAME for run in wanted])
        path = root / "summary.json"
        summary: dict[str, Any] = {
            "blocks": [row.as_json() for row in found],
            "bins": [row.as_json() for row in grouped],
            "goals": dict(coverage_table.GOALS),
            "missing_bins": [hole for row in grouped for hole in row.holes] if complete else [],
            "wrong_waivers": _wrong(() if given.bins else wrong, about_nothing) if complete else [],
            "failures": failures,
            "seconds": round(time.monotonic() - start),
        }
        path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    if given.json:
        print(path.read_text(encoding="utf-8"), end="")
    else:
        if not given.bins:
            console.print(coverage_table.table(found))
        console.print(cover_bins.table(grouped))
    _tell(console, found, summary, path, given.holes)
    enough = given.bins or (bool(found) and all(row.enough for row in found))
    return 1 if not enough or any(summary[name] for name in ("failures", "wrong_waivers", "missing_bins")) else 0


def _wrong(points: Iterable[tuple[coverage_waivers.Waiver, int]], about: Iterable[bins.Waiver]) -> list[str]:
    told = [f"{one.module}, {one.kind}, {one.name}: {count} holes, of {one.most} at most" for one, count in points]
    return told + [f"{one.cross}, {dict(one.where)}: no hole" for one in about]


def verdict(
    stood: Sequence[Stood], waivers: Sequence[coverage_waivers.Waiver]
) -> tuple[list[coverage_table.Row], list[tuple[coverage_waivers.Waiver, int]]]:
    """Return a row for each block, and the waivers that match no hole or too many, as of `coverage_waivers.apply`.

    Raises
    ------
    CoverageError
        If a bit that is proven constant has risen and fallen, or what cannot be reached was.
    """
    hits: Hits = coverage.merge(*(one.hits for one in stood))
    may: set[Point] = set().union(*(one.may for one in stood))
    unread = set().union(*(one.unread for one in stood)) - may
    constant = set().union(*(one.never for one in stood)) - may - unread
    for point in constant:
        # A constant 1 rises once, from the 0 in which Verilator begins.
        if hits.get(point) and not point.name.endswith("0->1"):
            told = "constant, and fell" if point.kind == "toggle" else "never reached, and was"
            raise CoverageError(f"{point.source}: {point.name} is proven {told} {hits[point]} times")
    # What nothing depends on may be constant in one design and not in another; if it was seen, it counts.
    constant |= {point for point in unread if not hits.get(point)}
    holes = {point for point, count in hits.items() if not count and point not in constant}
    waived, wrong = coverage_waivers.apply(waivers, holes)
    names = coverage_table.block_names(blocks.load(PROJECT / blocks.LISTING).values())
    return coverage_table.rows(hits, names, constant, waived), wrong


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="epbell cover", description="Show how much of the RTL the simulations reach.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--tree", type=_trees, metavar="LIST", help="device trees, instead of those that the usual runs are about")
    add("--width", type=_widths, metavar="LIST", help="of the PCIe streams, in the same way")
    add("--seeds", type=number(1, 1000), default=1, metavar="N", help="run everything with seeds 1 to N, default 1")
    only = "runs to take, such as mu or sim.imx8; --list prints them"
    add("--only", type=_list, default=[], metavar="LIST", help=only)
    add("--bins", action="store_true", help="look at bins of function alone, in builds without coverage of the RTL")
    add("--resume", action="store_true", help="keep what was run on the same sources with the same seeds")
    add("--holes", type=number(0, 10**6), default=_SHOWN, metavar="N", help=f"lines to print, default {_SHOWN}")
    add("--jobs", type=number(1, _MOST), default=2, metavar="N", help="runs at a time, default 2")
    add("--json", action="store_true", help="print summary.json instead of the table")
    add("--list", action="store_true", help="print the names of the runs; run none")
    return parser


def _run_all(
    wanted: Sequence[Run], root: Path, given: argparse.Namespace, console: Console
) -> tuple[list[Stood], list[str]]:
    """Run side by side; return what came of it, and sentences about what failed."""
    stamp = f"{sources(PROJECT)} {given.seeds}{' bins' * given.bins}"
    stood, failures = [], []
    pool = ThreadPoolExecutor(given.jobs)
    try:
        with display(console) as shown:
            jobs = {pool.submit(_one, run, root / run.name, stamp, given, shown): run for run in wanted}
            for job in as_completed(jobs):
                try:
                    stood.append(job.result())
                except (RunFailed, runner.SimulationError, CoverageError, ExportError) as error:
                    failures.append(f"{jobs[job].name}: {error}")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        runner.cancel()
    return stood, failures


def _one(run: Run, folder: Path, stamp: str, given: argparse.Namespace, shown: Display) -> Stood:
    if given.resume and (folder / _STAMP).exists() and (folder / _STAMP).read_text(encoding="utf-8") == stamp:
        return Stood(coverage.read(folder / _HITS), *(set(coverage.read(folder / f"{name}.hits")) for name in _SETS))
    folder.mkdir(parents=True, exist_ok=True)
    for name in (_STAMP, bins.NAME):
        (folder / name).unlink(missing_ok=True)
    start = time.monotonic()
    shown.begin(run.name)
    text = "failed"
    try:
        stood = run.run(folder, given.seeds, lambda _: None, measure=not given.bins)
        text = f"{sum(map(bool, stood.hits.values()))} of {len(stood.hits)} points" if stood.hits else "bins"
    finally:
        shown.end(run.name, f"{text} in {time.monotonic() - start:.0f} s")
    coverage.write(folder / _HITS, stood.hits)
    for name in _SETS:
        coverage.write(folder / f"{name}.hits", dict.fromkeys(getattr(stood, name), 0))
    (folder / _STAMP).write_text(stamp, encoding="utf-8")
    return stood


def _tell(
    console: Console, found: Sequence[coverage_table.Row], summary: Mapping[str, Any], path: Path, most: int
) -> None:
    lines = [line for row in found for line in coverage_table.missed(row)]
    for line in lines[:most]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if len(lines) > most:
        console.print(f"and {len(lines) - most} more (--holes, or {path})", highlight=False, soft_wrap=True)
    told = {"missing_bins": "never seen", "wrong_waivers": "waiver", "failures": "run"}
    for name, what in told.items():
        texts = summary[name]
        for text in texts[:most] if name == "missing_bins" else texts:
            console.print(f"{what}: {text}", highlight=False, markup=False, soft_wrap=True)
    if not found:
        console.print(f"bins alone, after {summary['seconds']} s; {path}", highlight=False, soft_wrap=True)
        return
    below = [row.block for row in found if not row.enough]
    goals = ", ".join(f"{kind} {goal:.0f} %" for kind, goal in coverage_table.GOALS.items())
    verdict = f"{len(below)} of {len(found)} blocks below" if below else "every block meets"
    console.print(
        f"{verdict} the goals ({goals}) after {summary['seconds']} s; {path}", highlight=False, soft_wrap=True
    )


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _trees(text: str) -> tuple[str, ...]:
    return _known(text, TREES)


def _widths(text: str) -> tuple[int, ...]:
    return tuple(map(int, _known(text, [str(width) for width in WIDTHS])))


def _known(text: str, known: Sequence[str]) -> tuple[str, ...]:
    wrong = [part for part in _list(text) or [text] if part not in known]
    if wrong:
        raise argparse.ArgumentTypeError(f"it must be of {', '.join(known)}, not {wrong[0]!r}")
    return tuple(one for one in known if one in _list(text))
