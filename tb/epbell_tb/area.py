"""``make area``: how large each exported module is in an ECP5 FPGA, and how fast.

Each is synthesized with Yosys, and placed and routed with nextpnr once for each seed, alone (`area_design` says how).
Files are kept in ``sim_build/area``, a folder for each module, and what is there of the same RTL, tools and seeds is
not done again: an interrupted run goes on where it was. Exit status: 0, 1 if a goal is not reached or a program fails,
2 if the command line is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fnmatch
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from epbell_tb import synthesis
from epbell_tb.area_design import convert
from epbell_tb.area_measure import Measurement, measure, versions
from epbell_tb.area_modules import TARGETS, Target
from epbell_tb.area_page import update
from epbell_tb.arguments import number
from epbell_tb.progress import Display, alone, display
from epbell_tb.runner import sim_build

__all__ = ["chosen", "main", "report"]

_SEEDS = 5
_MOST_SEEDS = 100


def main(argv: Sequence[str]) -> int:
    """Measure modules and report.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell area``.

    Returns
    -------
    int
        Exit status.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        targets = chosen(given.only) if given.only else list(TARGETS.values())
    except ValueError as error:
        parser.error(f"argument --only: {error}")
    console = Console(stderr=given.json, width=None if sys.stdout.isatty() else 160, soft_wrap=False)
    if given.list:
        for target in targets:
            print(f"{target.name}: {_wanted(target) or 'no goal'}{target.note and f' ({target.note})'}")
        return 0
    tools = synthesis.install()
    used = versions(tools)
    folder = sim_build() / "area"
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Measurement] = []
    with alone(folder / "lock", console), display(console) as shown:
        for target in targets:
            with _shown(shown, target, given.seeds) as done:
                seeds = list(range(1, given.seeds + 1))
                found.append(measure(target, convert(target), seeds, tools, folder / target.name, done))
    today = datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
    if given.json:
        print(json.dumps(report(found, used, today), indent=2))
    else:
        console.print(_table(found))
        by = ", ".join(f"{name} {version}" for name, version in used.items())
        _say(console, f"{today}, LFE5U-85F, speed grade 6; {by}")
    if given.page is not None:
        update(given.page, found, used, today)
    bad = [one for one in found if one.missed()]
    for one in bad:
        _say(console, f"{one.target.name}: {'; '.join(one.missed())}. The path of seed {one.median.seed}, in ns:")
        for step in one.median.path:
            _say(console, f"    {step}")
    goals = [one for one in found if one.target.goal is not None]
    _say(console, f"{len(goals) - len(bad)} of {len(goals)} goals reached; {_seconds(found):.0f} s of processor time")
    return 1 if bad else 0


def chosen(patterns: str) -> list[Target]:
    """Return the targets whose names match one of some patterns, in the order of the table.

    Parameters
    ----------
    patterns : str
        Patterns with ``*`` and ``?``, separated by commas.

    Raises
    ------
    ValueError
        If a pattern matches none.
    """
    names: set[str] = set()
    for pattern in patterns.split(","):
        matching = fnmatch.filter(TARGETS, pattern.strip())
        if not matching:
            raise ValueError(f"{pattern.strip()!r} matches none of {', '.join(TARGETS)}")
        names.update(matching)
    return [target for name, target in TARGETS.items() if name in names]


def report(found: Sequence[Measurement], used: dict[str, str], date: str) -> dict[str, object]:
    """Return what ``--json`` prints: the device, the date, the versions of the programs, and each module's figures."""
    modules = [
        {
            "name": one.target.name,
            "configuration": one.target.note,
            "lut4": one.netlist.lut4,
            "ff": one.netlist.ff,
            "block_ram": one.netlist.ram,
            "mhz": dict(zip(("min", "median", "max"), one.mhz, strict=True)),
            "seeds": {str(routed.seed): routed.mhz for routed in one.routed},
            "goal": None if one.target.goal is None else vars(one.target.goal),
            "missed": one.missed(),
            "path": one.median.path,
            "seconds": _seconds([one]),
        }
        for one in found
    ]
    return {"device": "LFE5U-85F-6", "date": date, "versions": used, "modules": modules}


@contextlib.contextmanager
def _shown(shown: Display, target: Target, seeds: int) -> Iterator[Callable[[int], None]]:
    shown.begin(target.name, 1 + seeds)
    try:
        yield lambda steps: shown.advance(target.name, steps)
    except BaseException:
        shown.end(target.name, "not measured")
        raise
    shown.end(target.name, "measured")


def _table(found: Sequence[Measurement]) -> Table:
    table = Table(box=box.HORIZONTALS, title="Area and speed", min_width=100)
    table.add_column("module", no_wrap=True)
    for column in ("LUT4", "FF", "block RAM", "MHz min", "median", "max"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    for one in found:
        sizes = (one.netlist.lut4, one.netlist.ff, one.netlist.ram)
        verdict = Text(_wanted(one.target), "bold red" if one.missed() else "green")
        table.add_row(one.target.name, *map(str, sizes), *(f"{mhz:.0f}" for mhz in one.mhz), verdict)
    return table


def _wanted(target: Target) -> str:
    goal = target.goal
    if goal is None:
        return ""
    return (f"{goal.lut4} LUT4, " if goal.lut4 else "") + f"{goal.mhz:.0f} MHz"


def _seconds(found: Sequence[Measurement]) -> float:
    return sum(one.netlist.seconds + sum(routed.seconds for routed in one.routed) for one in found)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="epbell area",
        description="Synthesize the exported modules for an ECP5 FPGA (LFE5U-85F, speed grade 6), place and route each"
        " with several seeds, and print how large and how fast they are.",
        epilog="Exit status: 0 every goal is reached, 1 one is not, 2 the command line is wrong.",
        allow_abbrev=False,
    )
    parser.add_argument("--only", metavar="PATTERN[,...]", help="modules by name, * and ? allowed (default: all)")
    parser.add_argument(
        "--seeds", type=number(1, _MOST_SEEDS), default=_SEEDS, metavar="N", help=f"seeds 1 to N (default: {_SEEDS})"
    )
    parser.add_argument("--list", action="store_true", help="print the modules and their goals; measure none")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the table into this page, as docs/area.md")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser
