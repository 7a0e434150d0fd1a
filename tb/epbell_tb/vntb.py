"""``make vntb``: pings over pci-epf-vntb on the RTL, with polled doorbells, the Messaging Unit's and the eDMA's.

Both ends run models of Linux's drivers in Linux's own time, scaled by nothing: pci_epf_vntb at the CPU's port,
ntb_hw_epf as the host, ntb_transport and a ping above both. Each ping begins at any time in the period in which polled
doorbells are looked at, the same times for every doorbell. Figures and pictures go to ``sim_build/report``:
``vntb.json``, ``vntb-pings.svg``, ``vntb-timeline.svg``. Exit status: 0, 1 if a goal is missed or a simulation fails, 2
if the command line is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from epbell_models import devicetree
from epbell_tb import figures, progress, runner
from epbell_tb.arguments import number
from epbell_tb.sim_variant import VariantError, build_variant, variant_of
from epbell_tb.vntb_costs import TABLE, per_ping_us
from epbell_tb.vntb_result import Goal, Pings, goals, of_lines
from epbell_tb.vntb_trees import TREES

__all__ = ["main"]

_NAMES = {"polled": "polling", "mu": "mu", "edma": "edma"}
"""Name of a doorbell on the command line -> backend."""

_WIDTHS = (64, 128, 256, 512)
_BENCH = "epbell_tb.benches.endpoint_vntb_ping"
_BARS = "everyday"
_LOOK_S = 0.2
_LIMIT_S = 3600.0
_VERDICTS = {True: "reached", False: "MISSED", None: "open"}


def main(argv: Sequence[str]) -> int:
    """Measure, print, draw and judge.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell vntb``.

    Returns
    -------
    int
        Exit status.
    """
    options = _arguments(argv)
    console = Console(stderr=True)
    begin = time.monotonic()
    plots = importlib.import_module("epbell_tb.vntb_plots")  # loads matplotlib: `--help` need not, a run fails at once
    folder = runner.sim_build() / "report"
    folder.mkdir(parents=True, exist_ok=True)
    with progress.alone(folder / "vntb.lock", console):
        try:
            found = _measure(options, console)
        except (runner.SimulationError, VariantError) as error:
            print(f"epbell: {error}", file=sys.stderr)
            return 1
        judged = goals(found, options.hz)
        result = _result(options, found, judged, time.monotonic() - begin)
        text = json.dumps(result, indent=2) + "\n"
        (folder / "vntb.json").write_text(text, encoding="utf-8")
        pictures = plots.draw(found, folder)
    if options.json:
        print(text, end="")
    else:
        _print(found, judged, pictures, result["seconds"])
    for goal in judged:
        if goal.reached is False:
            print(f"epbell: missed: {goal.text}", file=sys.stderr)
    return 1 if any(goal.reached is False for goal in judged) else 0


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="epbell vntb", description=(__doc__ or "").splitlines()[0].partition(": ")[2], allow_abbrev=False
    )
    add = parser.add_argument
    add("--backend", choices=tuple(_NAMES), action="append", help="one doorbell; may be repeated, default all")
    add("--pings", type=number(1, 1 << 20), default=200, metavar="N", help="pings on each, default 200")
    add("--size", type=number(4, 1024), default=64, metavar="BYTES", help="of a ping, 4 to 1024, default 64")
    add("--seed", type=number(1, (1 << 32) - 1), default=1, metavar="N", help="of the pings' phases, default 1")
    add("--hz", type=number(1, 100_000), metavar="N", help="delays are rounded up to 1/N s, as in Linux; default: not")
    add("--width", type=int, choices=_WIDTHS, default=256, help="of the streams in bits, default 256")
    add("--stalls", action="store_true", help="let the streams pause at random")
    add("--jobs", type=number(1, len(_NAMES)), default=2, metavar="N", help="simulations at a time, default 2")
    add("--json", action="store_true", help="print vntb.json instead of tables")
    return parser.parse_args(argv)


def _measure(options: argparse.Namespace, console: Console) -> list[Pings]:
    """Build the endpoint, and run the pings on each doorbell."""
    names = [name for name in _NAMES if not options.backend or name in options.backend]
    trees = [devicetree.load(_dts(name)) for name in names]
    builds = [
        build_variant(variant_of(tree, options.width, _BARS), at_rest=True, say=lambda text: _say(console, text))
        for tree in trees
    ]
    _say(console, f"seed {options.seed}, {options.width} bits, stalls {'on' if options.stalls else 'off'}")
    return _simulate(options, dict(zip(names, builds, strict=True)), console)


def _simulate(options: argparse.Namespace, builds: Mapping[str, runner.Build], console: Console) -> list[Pings]:
    """Run the pings, as many simulations at a time as there are jobs."""
    pool = ThreadPoolExecutor(options.jobs)
    try:
        with progress.display(console) as shown:
            runs = {name: (_folder(name), pool.submit(_run, options, name, build)) for name, build in builds.items()}
            _follow(runs, options.pings, shown)
            return [run.result() for _, run in runs.values()]
    finally:
        # After an error or Ctrl-C nothing of ours may go on, nor begin.
        pool.shutdown(wait=False, cancel_futures=True)
        runner.cancel()


def _dts(name: str) -> Path:
    return devicetree.builtin(TREES[_NAMES[name]])


def _folder(name: str) -> Path:
    return runner.sim_build() / "report" / "vntb" / name


def _run(options: argparse.Namespace, name: str, build: runner.Build) -> Pings:
    """Run the pings on one doorbell."""
    folder = _folder(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    given = {"pings": options.pings, "size": options.size, "hz": options.hz, "scale": 1.0}
    env = {
        "EPBELL_VNTB": json.dumps(given),
        "EPBELL_DTS": str(_dts(name)),
        "EPBELL_BARS": _BARS,
        "EPBELL_STALLS": str(int(options.stalls)),
        figures.VARIABLE: str(folder / "pings.jsonl"),
    }
    (result,) = runner.run(build, _BENCH, seed=options.seed, env=env, expected=1, results=folder, time_limit_s=_LIMIT_S)
    if not result.passed:
        raise runner.SimulationError(f"{name}: {result.message}; see {folder / 'run.log'}")
    return of_lines(TREES[_NAMES[name]], figures.read(folder / "pings.jsonl"))


def _follow(runs: dict[str, tuple[Path, Future[Pings]]], pings: int, shown: progress.Display) -> None:
    """Show how far each run is, until all are over; the error of the first that fails."""
    waiting, begun = dict(runs), set[str]()
    while waiting:
        time.sleep(_LOOK_S)
        for name, (folder, run) in tuple(waiting.items()):
            if name not in begun and run.running():
                begun.add(name)
                shown.begin(name, pings)
            if run.done():
                del waiting[name]
                ended = run.result()
                shown.end(name, f"{len(ended.times)} pings in {ended.summary['seconds']:.0f} s")
            elif name in begun:
                shown.advance(name, figures.count(folder / "pings.jsonl"))


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False)


def _result(
    options: argparse.Namespace, found: Sequence[Pings], judged: Sequence[Goal], seconds: float
) -> dict[str, Any]:
    """Return what goes to vntb.json."""
    return {
        **{name: getattr(options, name) for name in ("pings", "size", "seed", "hz", "width", "stalls")},
        "seconds": round(seconds, 1),
        "costs_us": {cost.field: cost.microseconds for cost in TABLE},
        "results": [{**pings.entry(), "of_polled": _ratio(found, pings)} for pings in found],
        "goals": [vars(goal) for goal in judged],
    }


def _ratio(found: Sequence[Pings], pings: Pings) -> float | None:
    """Return how many times the median goes into that of the polled doorbells."""
    polled = [other for other in found if other.backend == "polling"]
    return round(polled[0].median / pings.median, 1) if polled else None


# -- what is shown -----------------------------------------------------------------------------------------------------


def _print(found: Sequence[Pings], judged: Sequence[Goal], pictures: Sequence[Path], seconds: float) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(_costs())
    console.print(_times(found))
    for goal in judged:
        _say(console, f"{_VERDICTS[goal.reached]}: {goal.text}")
    simulated = sum(pings.summary["simulated"] for pings in found)
    _say(console, f"{simulated:.1f} s of simulated time in {seconds:.0f} s; {_left_out(found)}")
    for path in pictures:
        _say(console, str(path))


def _left_out(found: Sequence[Pings]) -> str:
    """Return how many clocks were left out in a second of a simulation's, whose other clocks took time, too."""
    clocks = sum(pings.summary["idle"]["clocks"] for pings in found if pings.summary["idle"])
    seconds = sum(pings.summary["seconds"] for pings in found)
    return f"{clocks / 1e6:.0f} million clocks left out, {clocks / seconds / 1e6:.1f} million per second of simulation"


def _costs() -> Table:
    """Return what the software is given time for."""
    polled, interrupts = per_ping_us("polling"), per_ping_us("mu")
    title = f"software: {polled:.0f} us of a ping when doorbells are polled, {interrupts:.0f} us when they interrupt"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for column in ("cost", "us", "polled", "interrupts", "what", "source"):
        table.add_column(column, justify="left" if column in ("cost", "what", "source") else "right")
    for cost in TABLE:
        times = f"x {cost.polled}", f"x {cost.interrupts}"
        table.add_row(cost.field, f"{cost.microseconds:.0f}", *times, cost.what, cost.source)
    return table


def _times(found: Sequence[Pings]) -> Table:
    """Return the times of the pings."""
    table = Table(title="ping, there and back, in microseconds", box=box.SIMPLE_HEAD)
    table.add_column("doorbell", no_wrap=True)
    table.add_column("device tree", no_wrap=True)
    for column in ("pings", "min", "median", "p95", "max", "path", "less software", "polled / this"):
        table.add_column(column, justify="right", no_wrap=True)
    for pings in found:
        ratio = _ratio(found, pings)
        values = (min(pings.times), pings.median, pings.p95, max(pings.times), pings.path, pings.hardware)
        table.add_row(
            pings.backend, pings.tree, str(len(pings.times)), *(f"{value:.1f}" for value in values),
            "-" if ratio is None else f"{ratio:.1f}",
        )  # fmt: skip
    return table
