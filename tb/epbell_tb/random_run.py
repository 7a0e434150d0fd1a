"""``make random``: random traffic on the whole endpoint, every failure of which can be replayed and shrunk.

A run draws its operations in advance: requests of the host, good and bad, accesses of the CPU, windows, BARs,
interrupts, resets, and how both ends answer. Then they are done, at the same place always in the same way. Exit status:
0, 1 if a run fails, 2 if the command line is wrong.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from epbell_tb import progress, runner
from epbell_tb.arguments import number
from epbell_tb.bar_sets import COMMON_SETS
from epbell_tb.cases import MSIX_WAYS
from epbell_tb.random_place import OPERATIONS, Drawn, Ended, VariantError, run
from epbell_tb.random_places import Place, places
from epbell_tb.random_shrink import shrink
from epbell_tb.scenarios import TREES, WIDTHS
from epbell_tb.traffic.draw import ABOUT

__all__ = ["Place", "main", "places"]

_MOST_SEED = (1 << 32) - 1


def main(argv: Sequence[str]) -> int:
    """Run, print, keep what failed.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell random``.

    Returns
    -------
    int
        Exit status.
    """
    options = _arguments(argv)
    console = Console(stderr=True)
    if options.list:
        print("\n".join(place.name for place in places()))
        return 0
    try:
        if options.replay is not None:
            return _one(options, Drawn.load(options.replay), console)
        if options.sweep:
            return _one(options, Drawn.all_classes(_place(options), options.seed), console)
        return _rounds(options, console)
    except ValueError as error:
        print(f"epbell: {error}", file=sys.stderr)
        return 2
    except (runner.SimulationError, VariantError) as error:
        print(f"epbell: {error}", file=sys.stderr)
        return 1


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="epbell random", description=(__doc__ or "").splitlines()[0].partition(": ")[2], allow_abbrev=False
    )
    add = parser.add_argument
    names = [place.name for place in places()]
    add("--place", choices=names, metavar="NAME", help="one of --list, instead of the six options that follow")
    add("--tree", choices=TREES, default="imx8", help="device tree, default imx8")
    add("--width", type=int, choices=WIDTHS, default=256, help="of the streams in bits, default 256")
    add("--stalls", action="store_true", help="let the streams pause at random")
    add("--msix", choices=MSIX_WAYS, default=MSIX_WAYS[0], help="the way of MSI-X, default rq")
    add("--bars", choices=COMMON_SETS, default=COMMON_SETS[0], help="the set of BARs, default everyday")
    add("--about", choices=tuple(ABOUT), default="all", help="what most operations are about, default all")
    add("--seed", type=number(1, _MOST_SEED), default=1, metavar="N", help="default 1")
    add("--ops", type=number(1, 1 << 20), metavar="N", help=f"operations of a run, default {OPERATIONS}")
    add("--sweep", action="store_true", help="each class of operation in turn, instead of random ones")
    add("--minutes", type=number(1, 100_000), metavar="N", help="go on with the next seeds until that time is over")
    add("--replay", type=Path, metavar="FILE", help="do the operations of that file, at its place")
    add("--shrink", action="store_true", help="if it fails: leave out what it fails without, and keep the rest")
    add("--coverage", action="store_true", help="count what of the RTL is reached, as `epbell cover` does; slow")
    add("--json", action="store_true", help="print an object of JSON instead of tables")
    add("--report", type=Path, metavar="FOLDER", help="where its folder goes, default sim_build/report/random")
    add("--list", action="store_true", help="print the names of the places, and run nothing")
    options = parser.parse_args(argv)
    if options.replay is not None:
        drawn = ("minutes", "ops", "place", "seed", "tree", "width", "stalls", "msix", "bars", "about")
        given = [f"--{name}" for name in drawn if getattr(options, name) != parser.get_default(name)]
        if given:
            parser.error(f"--replay takes operations, place and seed from its file: leave {', '.join(given)} out")
    if options.sweep and (options.minutes or options.ops or options.replay):
        parser.error("--sweep says what is done: leave --ops, --minutes and --replay out")
    if options.minutes and options.json:
        parser.error("--json is about one run: leave --minutes out")
    return options


def _place(options: argparse.Namespace) -> Place:
    if options.place:
        return next(place for place in places() if place.name == options.place)
    return Place(options.tree, options.width, options.stalls, options.msix, options.bars, options.about)


def _rounds(options: argparse.Namespace, console: Console) -> int:
    """Run one seed, or one after the other as long as there is time and none fails."""
    end = time.monotonic() + 60 * (options.minutes or 0)
    seed = options.seed
    while True:
        status = _one(options, Drawn.of(_place(options), seed, options.ops or OPERATIONS), console)
        if status or time.monotonic() >= end:
            return status
        seed += 1


def _one(options: argparse.Namespace, drawn: Drawn, console: Console) -> int:
    place, count = drawn.place, len(drawn.operations)
    parent = options.report or runner.sim_build() / "report" / "random"
    folder = parent / f"{place.name}-{drawn.seed}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with progress.alone(folder.parent / f"{folder.name}.lock", console), progress.display(console) as shown:
        title = f"{place.name}, seed {drawn.seed}"
        shown.begin(f"{title}: {count} operations")
        ended = run(drawn, folder, lambda text: console.print(text, highlight=False), coverage=options.coverage)
        shown.end(f"{title}: {count} operations", _summary(ended))
        told = _told(options, drawn, ended, folder)
        if not ended.passed and options.shrink:
            shortest = shrink(drawn, ended, folder / "shrink", shown, best=folder / "shortest.json")
            told["shortest"] = str(folder / "shortest.json")
            told["shortest_operations"] = len(shortest.operations)
    (folder / "random.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        _print(told)
    return 0 if ended.passed else 1


def _summary(ended: Ended) -> str:
    figures = ended.figures
    cycles = figures.get("cycles", 0)
    verdict = "pass" if ended.passed else f"FAIL: {ended.reason}"
    return f"{verdict} in {ended.seconds:.1f} s, {cycles} clocks"


def _told(options: argparse.Namespace, drawn: Drawn, ended: Ended, folder: Path) -> dict[str, Any]:
    """Return what ``--json`` prints; of it `epbell regress` reads verdict, cycles, seconds, reason, replay."""
    kept = folder / "operations.json"
    return {
        "place": drawn.place.name, "seed": drawn.seed, "verdict": "pass" if ended.passed else "fail",
        "cycles": ended.figures.get("cycles", 0), "seconds": round(ended.seconds, 2), "reason": ended.reason,
        "operations": len(drawn.operations), "max_payload": drawn.max_payload,
        "replay": _replay(options, drawn), "file": str(kept), "log": str(ended.log),
        "kinds": dict(Counter(type(one).__name__ for one in drawn.operations)), "figures": dict(ended.figures),
    }  # fmt: skip


def _replay(options: argparse.Namespace, drawn: Drawn) -> str:
    """Return the command that does the same again."""
    if options.replay is not None:
        return f"epbell random --replay {shlex.quote(str(options.replay))}"
    place = drawn.place
    known = place in places()
    words = ["--place", place.name] if known else ["--tree", place.tree, "--width", str(place.width)]
    if not known:
        words += ["--stalls"] * place.stalls + ["--msix", place.msix, "--bars", place.bars, "--about", place.about]
    more = ["--ops", str(options.ops)] if options.ops else ["--sweep"] * options.sweep
    return " ".join(["epbell random", *words, "--seed", str(drawn.seed), *more])


def _print(told: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    figures = told["figures"]
    table = Table(title=f"{told['place']}, seed {told['seed']}, payloads up to {told['max_payload']}", box=box.SIMPLE)
    for column in ("operation", "done", "drawn"):
        table.add_column(column, justify="left" if column == "operation" else "right")
    done = figures.get("done", {})
    for kind, count in sorted(told["kinds"].items()):
        table.add_row(kind, str(done.get(kind, 0)), str(count))
    console.print(table)
    counts = figures.get("counts", {})
    names = ("requests", "completions", "rings", "kicks", "irqs", "msis", "msix", "to_host_writes", "to_host_reads")
    seen = ", ".join(f"{counts.get(name, 0)} {name}" for name in names)
    console.print(f"seen: {seen}", highlight=False, soft_wrap=True)
    console.print(f"{told['verdict']} in {told['seconds']} s, {told['cycles']} clocks", highlight=False)
    if told["verdict"] != "pass":
        console.print(f"    {told['reason']}", highlight=False, markup=False, soft_wrap=True)
        console.print(f"    replay: {told['replay']}", highlight=False, soft_wrap=True)
        console.print(f"    operations: {told['file']}; log: {told['log']}", highlight=False, soft_wrap=True)
    if "shortest" in told:
        text = f"    {told['shortest_operations']} operations fail alone: epbell random --replay {told['shortest']}"
        console.print(text, highlight=False, soft_wrap=True)


