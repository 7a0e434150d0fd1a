"""Write the pages of a run: ``index.html`` with verdicts and latencies, ``ladder.html`` with what the pins showed.

They are plain files, which a browser opens without server and network. What a ladder shows comes from the records that
the scenarios have left (`epbell_tb.records`); nothing is simulated again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

import epbell_regs
from epbell_tb import records, report
from epbell_tb.endpoint.clock import PERIOD_NS
from epbell_tb.run_report import histogram

__all__ = [
    "INDEX",
    "LADDER",
    "Run",
    "found",
    "write",
]

INDEX, LADDER = "index.html", "ladder.html"

_BLOCKS = {
    "controller": ("controller",),
    "iatu": ("iatu", "iatu_outbound"),
    "unroll": ("edma",),
    "hdma": ("hdma",),
}
"""Register maps whose names the ladder shows, by the place or, of an eDMA page, by its personality."""

_WAVES = ("dump.vcd", "dump.fst")
"""What Verilator and Icarus write into the folder of a run."""

_ORDER = (report.FAIL, report.MISSING, report.PASS)


@dataclass(frozen=True)
class Run:
    """One scenario on one device tree, at one width, with or without stalls.

    Attributes
    ----------
    row : Row
        What `make sim` says of it.
    folder : str
        Folder of its files, relative to the report's.
    replay : str
        Command that runs it again.
    latencies : mapping
        For each kind of interrupt, how often it took how many clocks.
    record, waves, log : str
        Its files, relative to the report's folder; empty if there is none.
    """

    row: report.Row
    folder: str
    replay: str
    latencies: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    record: str = ""
    waves: str = ""
    log: str = ""

    @property
    def key(self) -> str:
        """What the ladder page calls it."""
        return f"{self.folder}/{self.row.name}"


def found(folder: Path, group: str, row: report.Row, replay: str, account: Mapping[str, Any]) -> Run:
    """Return a run with those of its files that are there.

    Parameters
    ----------
    folder : Path
        Folder of the report.
    group : str
        Name of the folder in it with the run's files.
    row, replay : Row, str
        What `make sim` says of it, and the command that runs it again.
    account : mapping
        What the scenario said; empty if it said nothing.
    """
    latencies = {
        kind: {int(clocks): times for clocks, times in spread.items()}
        for kind, spread in account.get("latencies", {}).items()
    }
    paths = {"record": records.file_of(folder / group, row.name), "log": folder / group / "run.log"}
    paths["waves"] = next(filter(Path.exists, (folder / group / name for name in _WAVES)), folder / group / _WAVES[0])
    files = {name: f"{group}/{path.name}" if path.exists() else "" for name, path in paths.items()}
    return Run(row, group, replay, latencies, **files)


def write(folder: Path, runs: Sequence[Run], *, date: str, versions: Mapping[str, str]) -> Path:
    """Write the pages; those of an earlier run are replaced.

    Parameters
    ----------
    folder : Path
        Where they go: that of the records and of ``summary.json``.
    runs : sequence of Run
        What ran; what failed comes first.
    date : str
        When.
    versions : mapping
        Versions of the project and of its tools.

    Returns
    -------
    Path
        The page to begin with.
    """
    ordered = sorted(runs, key=lambda run: _ORDER.index(run.row.verdict))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("epbell_tb.run_report", "site"), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    shown = {
        "runs": ordered,
        "charts": histogram.charts([(run.row.stalls, run.latencies) for run in ordered]),
        "tally": report.tally(run.row for run in ordered),
        "date": date,
        "period_ns": PERIOD_NS,
        "versions": versions,
        "names": {run.key: _told(run) for run in ordered},
        "registers": {place: _names(blocks) for place, blocks in _BLOCKS.items()},
    }
    for name in (LADDER, INDEX):
        path = folder / name
        scratch = path.with_suffix(".tmp")
        scratch.write_text(environment.get_template(f"{name}.j2").render(shown), encoding="utf-8")
        scratch.replace(path)
    return folder / INDEX


def _told(run: Run) -> dict[str, Any]:
    """Return what the ladder page has to know of a run besides its record."""
    known = {"verdict": run.row.verdict, "record": run.record, "waves": run.waves, "log": run.log}
    return known if run.row.verdict == report.PASS else {**known, "reason": run.row.reason, "replay": run.replay}


def _names(blocks: Sequence[str]) -> dict[int, str]:
    return {offset: name for block in blocks for name, offset in epbell_regs.offsets(block).items()}
