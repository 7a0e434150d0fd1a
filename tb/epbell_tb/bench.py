"""``make bench``: measure latency and throughput of the exported modules on Verilator, against their goals.

The benches :mod:`epbell_tb.benches.endpoint_speed`, :mod:`epbell_tb.benches.mu_speed` and
:mod:`epbell_tb.benches.edma_speed` count clocks at the pins; this builds, runs them, judges and prints. Then it
compares the speeds of the simulation, :mod:`epbell_tb.bench_tiers`. Figures go to ``sim_build/report/bench.json``
too. Exit status: 0, 1 if a goal is missed or a bench fails, 2 if the command line is wrong.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from epbell.mu import LAYOUTS
from epbell_tb import bench_tiers, figures, runner, toolchain
from epbell_tb.arguments import number

__all__ = [
    "FIGURES",
    "Figure",
    "Measurement",
    "judge",
    "main",
]

WIDTHS = (64, 128, 256, 512)
_WHAT = ("clocks", "tiers")


@dataclass(frozen=True)
class Figure:
    """Something that is measured.

    Attributes
    ----------
    name : str
        What the bench calls it.
    title : str
        What the table calls it.
    unit : str
        ``"clocks"``, ``"bytes/clock"``, or ``"1/s"`` of wall-clock time.
    goals : dict
        Most clocks that each subject (a width, a layout, or ``"edma"``) may take; empty where there is only something
        to report.
    """

    name: str
    title: str
    unit: str
    goals: dict[str, float]

    @property
    def subjects(self) -> tuple[str, ...]:
        """What it is measured on: without goals every width."""
        return tuple(self.goals) or tuple(map(str, WIDTHS))


@dataclass(frozen=True)
class Measurement:
    """A figure as measured on one subject: worst value where there is a goal, else the median."""

    figure: str
    subject: str
    value: float
    minimum: float
    maximum: float
    samples: int
    goal: float | None
    verdict: str


def _widths(*goals: float) -> dict[str, float]:
    return dict(zip(map(str, WIDTHS), goals, strict=True))


FIGURES: tuple[Figure, ...] = (
    Figure("host_write_to_irq", "first CQ beat to irq_mu", "clocks", _widths(4, 3, 2, 2)),
    Figure("doorbells_sustained", "from doorbell to doorbell", "clocks", _widths(3, 2, 1, 1)),
    Figure("host_write_to_irq_edma", "first CQ beat to irq_edma", "clocks", _widths(4, 3, 2, 2)),
    Figure("edma_doorbells_sustained", "from eDMA doorbell to doorbell", "clocks", _widths(3, 2, 1, 1)),
    Figure("read_round_trip", "read, first CQ to first CC beat", "clocks", {}),
    Figure("read_256", "256 bytes read, first CQ to last CC", "clocks", {}),
    Figure("read_4096", "4 KiB read, first CQ to last CC", "clocks", {}),
    Figure("raise_to_rq", "MSIX_RAISE written to first RQ beat", "clocks", {}),
    Figure("raise_to_msi_port", "MSI_RAISE written to MSI port", "clocks", {}),
    Figure("mu_write_to_irq", "write handshake to a_irq", "clocks", dict.fromkeys(LAYOUTS, 1)),
    Figure("mu_doorbells_sustained", "from doorbell to doorbell", "clocks", dict.fromkeys(LAYOUTS, 1)),
    Figure("edma_write_to_irq", "write handshake to irq", "clocks", {"edma": 1}),
    Figure("edma_writes_sustained", "from doorbell to doorbell", "clocks", {"edma": 1}),
    Figure("read_bytes_per_clock", "reads of 4 KiB back to back", "bytes/clock", {}),
    Figure("cycles_per_second", "idle clocks", "1/s", {}),
    Figure("doorbells_per_second", "doorbells, driven at the pins", "1/s", {}),
)
"""Everything that is measured, with its goals."""


_TABLES = (
    ("endpoint, in clocks", tuple(map(str, WIDTHS)), "clocks"),
    ("endpoint, in bytes per clock", tuple(map(str, WIDTHS)), "bytes/clock"),
    ("Messaging Unit, in clocks", tuple(LAYOUTS), "clocks"),
    ("eDMA page, in clocks", ("edma",), "clocks"),
    ("simulation, in thousands per second", tuple(map(str, WIDTHS)), "1/s"),
)


@dataclass(frozen=True)
class _Job:
    module: str
    bench: str
    subject: str
    env: dict[str, str]
    expected: int


def main(argv: Sequence[str]) -> int:
    """Measure, print and judge.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell bench``.

    Returns
    -------
    int
        Exit status.
    """
    options = _arguments(argv)
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(text, highlight=False)

    folder = runner.sim_build() / "report"
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Measurement] = []
    tiers: list[bench_tiers.TierFigure] = []
    failures: list[str] = []
    try:
        if "clocks" in options.what:
            found, failures = _measure(options, folder, say)
        if "tiers" in options.what:
            tiers = bench_tiers.measure(options.repeats, say)
    except runner.SimulationError as error:
        failures.append(str(error))
    _write(folder / "bench.json", found, tiers, failures)
    if options.json:
        print((folder / "bench.json").read_text(encoding="utf-8"), end="")
    else:
        shown = Console(width=None if sys.stdout.isatty() else 120)
        _print(found, shown)
        if tiers:
            shown.print(bench_tiers.table(tiers))
    for failure in failures:
        print(f"epbell: {failure}", file=sys.stderr)
    return 1 if failures or any(item.verdict == "MISSED" for item in (*found, *tiers)) else 0


def _measure(
    options: argparse.Namespace, folder: Path, say: Callable[[str], None]
) -> tuple[list[Measurement], list[str]]:
    """Run the benches at the pins; return what they found, and what failed."""
    jobs = _jobs(options.width)
    builds = _build(jobs, say)
    lines: list[tuple[str, dict[str, Any]]] = []
    failures: list[str] = []
    # One after the other: they are also measured with the wall clock.
    for job in jobs:
        say(f"measuring {job.module}")
        report = folder / f"bench-{job.module}.jsonl"
        report.unlink(missing_ok=True)
        failures += _run(builds[job.module], job, report, options.repeats)
        lines += [(job.subject, line) for line in figures.read(report)]
    found = [_measurement(subject, line) for subject, line in lines]
    return found, failures + _missing(found, jobs)


def judge(value: float, goal: float | None) -> str:
    """Return ``"pass"`` or ``"MISSED"``, nothing without a goal."""
    if goal is None:
        return ""
    return "pass" if value <= goal else "MISSED"


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="epbell bench", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument(
        "--what", type=_what, default=_WHAT, metavar="LIST",
        help="clocks: at the pins of each module; tiers: the speeds of the simulation; both by default",
    )  # fmt: skip
    parser.add_argument("--width", type=_width_list, default=WIDTHS, metavar="LIST", help="64,128,256,512 by default")
    parser.add_argument(
        "--repeats", type=number(1, 100), default=5, metavar="N", help="of wall-clock measurements, default 5"
    )
    parser.add_argument("--json", action="store_true", help="print bench.json instead of tables")
    return parser.parse_args(argv)


def _what(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(","))
    wrong = [part for part in parts if part not in _WHAT]
    if wrong:
        raise argparse.ArgumentTypeError(f"it must be some of {', '.join(_WHAT)}, not {wrong[0]!r}")
    return parts


def _width_list(text: str) -> tuple[int, ...]:
    known = {str(width): width for width in WIDTHS}
    wrong = [part for part in text.split(",") if part.strip() not in known]
    if wrong:
        raise argparse.ArgumentTypeError(f"a width must be one of {', '.join(known)}, not {wrong[0]!r}")
    return tuple(dict.fromkeys(known[part.strip()] for part in text.split(",")))


def _jobs(widths: Iterable[int]) -> list[_Job]:
    benches = "epbell_tb.benches"
    units = [
        _Job(f"epbell_mu_{layout}", f"{benches}.mu_speed", layout, {"EPBELL_MU_LAYOUT": layout}, 2)
        for layout in LAYOUTS
    ]
    endpoints = [_Job(f"epbell_endpoint_usp{w}", f"{benches}.endpoint_speed", str(w), {}, 9) for w in widths]
    return [*endpoints, *units, _Job("epbell_edma", f"{benches}.edma_speed", "edma", {}, 2)]


def _build(jobs: list[_Job], say: Callable[[str], None]) -> dict[str, runner.Build]:
    with ThreadPoolExecutor(2) as pool:
        return {build.module: build for build in pool.map(lambda job: runner.build(job.module, say=say), jobs)}


def _run(build: runner.Build, job: _Job, report: Path, repeats: int) -> list[str]:
    env = {figures.VARIABLE: str(report), "EPBELL_BENCH_REPEATS": str(repeats), **job.env}
    try:
        results = runner.run(build, job.bench, env=env, expected=job.expected)
    except runner.SimulationError as error:
        return [f"{job.module}: {error}"]
    return [f"{job.module}: {result.name} failed: {result.message}" for result in results if not result.passed]


def _measurement(subject: str, line: dict[str, Any]) -> Measurement:
    name, values = line["figure"], line["values"]
    figure = next(item for item in FIGURES if item.name == name)
    goal = figure.goals.get(subject)
    value = statistics.median(values) if goal is None else max(values)
    return Measurement(
        figure=name,
        subject=subject,
        value=round(value, 3),
        minimum=round(min(values), 3),
        maximum=round(max(values), 3),
        samples=len(values),
        goal=goal,
        verdict=judge(round(value, 3), goal),
    )


def _missing(found: list[Measurement], jobs: list[_Job]) -> list[str]:
    there = {(item.figure, item.subject) for item in found}
    subjects = {job.subject for job in jobs}
    return [
        f"{figure.name} was not measured for {subject}"
        for figure in FIGURES
        for subject in figure.subjects
        if subject in subjects and (figure.name, subject) not in there
    ]


def _write(
    path: Path, found: list[Measurement], tiers: list[bench_tiers.TierFigure], failures: list[str]
) -> None:
    content = {
        "figures": [asdict(item) for item in found],
        "tiers": [asdict(item) for item in tiers],
        "failures": failures,
        "versions": toolchain.versions(),
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _print(found: list[Measurement], console: Console) -> None:
    for title, subjects, unit in _TABLES:
        of_table = [item for item in found if item.subject in subjects and _unit(item.figure) == unit]
        shown = [subject for subject in subjects if any(item.subject == subject for item in of_table)]
        if shown:
            console.print(_table(title, of_table, shown))


def _unit(name: str) -> str:
    return next(figure.unit for figure in FIGURES if figure.name == name)


def _table(title: str, found: list[Measurement], subjects: list[str]) -> Table:
    table = Table()
    table.add_column(title, no_wrap=True)
    for subject in subjects:
        table.add_column(f"{subject} bit" if subject.isdecimal() else subject, justify="right")
    judged = any(item.verdict for item in found)
    if judged:
        table.add_column("goal", justify="right")
        table.add_column("verdict")
    for figure in FIGURES:
        cells = [next((i for i in found if (i.figure, i.subject) == (figure.name, s)), None) for s in subjects]
        if not any(cells):
            continue
        goals = [f"{figure.goals[subject]:g}" for subject in subjects if subject in figure.goals]
        verdicts = {item.verdict for item in cells if item}
        verdict = "MISSED" if "MISSED" in verdicts else "pass" if "pass" in verdicts else ""
        colour = {"MISSED": "bold red", "pass": "green"}.get(verdict, "")
        goal = " / ".join(goals if len(set(goals)) > 1 else goals[:1])
        judgement = [goal, f"[{colour}]{verdict}[/]" if colour else ""] if judged else []
        table.add_row(figure.title, *map(_cell, cells), *judgement)
    return table


def _cell(item: Measurement | None) -> str:
    if item is None:
        return "-"
    if _unit(item.figure) != "1/s":
        return f"{item.value:g}"
    return f"{item.value / 1000:.1f} ({item.minimum / 1000:.1f}-{item.maximum / 1000:.1f})"
