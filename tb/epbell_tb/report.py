"""What ``make sim`` shows at its end: a row for each scenario, device tree, width and stall mode.

As a table, and as summary.json.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from epbell_tb.backends import Backend

__all__ = [
    "FAIL",
    "MISSING",
    "PASS",
    "Outcome",
    "Row",
    "rows",
    "table",
    "tally",
    "write_summary",
]

PASS, FAIL, MISSING = "pass", "fail", "missing"
_COLOURS = {PASS: "green", FAIL: "bold red", MISSING: "bold magenta"}
_FIGURES = ("rings", "irqs", "merged", "cycles_to_irq_min", "cycles_to_irq_max")


@dataclass(frozen=True)
class Outcome:
    """What the simulator says about one test: whether it passed, and why not."""

    passed: bool
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One scenario on one device tree, at one width, with or without stalls.

    Attributes
    ----------
    name, tree, width, stalls : str, str, int, bool
        What was run.
    verdict : str
        ``"pass"``, ``"fail"`` or ``"missing"``.
    rings, irqs, merged : int or None
        Doorbells rung, interrupts raised, rings that found their word still unread; None where the scenario did not
        come to its end.
    cycles_to_irq_min, cycles_to_irq_max : int or None
        Clocks from the first CQ beat of a ring to its interrupt line; None where no ring raised the line alone.
    seed : int
        Seed of the run.
    reason : str
        Why it did not pass.
    """

    name: str
    tree: str
    width: int
    stalls: bool
    verdict: str
    rings: int | None
    irqs: int | None
    merged: int | None
    cycles_to_irq_min: int | None
    cycles_to_irq_max: int | None
    seed: int
    reason: str = ""

    def entry(self) -> dict[str, Any]:
        """Return the row as it stands in summary.json."""
        return {
            "name": self.name,
            "tree": self.tree,
            "width": self.width,
            "stalls": self.stalls,
            "verdict": self.verdict,
            "rings": self.rings,
            "irqs": self.irqs,
            "merged": self.merged,
            "cycles_to_irq_min": self.cycles_to_irq_min,
            "cycles_to_irq_max": self.cycles_to_irq_max,
            "seed": self.seed,
        }


def rows(
    names: Iterable[str],
    tree: str,
    width: int,
    stalls: bool,
    seed: int,
    outcomes: Mapping[str, Outcome],
    accounts: Iterable[Mapping[str, Any]],
    trouble: str = "",
) -> list[Row]:
    """Join what was asked for with what the simulator and the scenarios say.

    Parameters
    ----------
    names : iterable of str
        The scenarios that should have run.
    tree, width, stalls, seed : str, int, bool, int
        How they should have run.
    outcomes : mapping
        Verdicts of the simulator, by name.
    accounts : iterable of mapping
        The lines that the scenarios handed on.
    trouble : str
        What is wrong with the run as a whole.

    Returns
    -------
    list of Row
        One for each name. A scenario without a verdict is missing; one that passes without an account failed, since
        nothing shows that it did anything.
    """
    by_name = {account["name"]: account for account in accounts}
    found = []
    for name in names:
        account = by_name.get(name)
        verdict, reason = _verdict(outcomes.get(name), account is not None, trouble)
        figures = {figure: (account or {}).get(figure) for figure in _FIGURES}
        found.append(
            Row(name=name, tree=tree, width=width, stalls=stalls, verdict=verdict, seed=seed, reason=reason, **figures)
        )
    return found


def _verdict(outcome: Outcome | None, told: bool, trouble: str) -> tuple[str, str]:
    if outcome is None:
        return MISSING, trouble or "it did not run"
    if not outcome.passed:
        return FAIL, outcome.reason or "failed without a reason"
    return (PASS, "") if told else (FAIL, "it passed without saying what happened")


def table(found: Sequence[Row]) -> Table:
    """Return the rows as a table for a terminal, scenario by scenario."""
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    shown.add_column("scenario", no_wrap=True)
    shown.add_column("device tree", no_wrap=True)
    for title in ("width", "stalls", "rings", "interrupts", "merged", "cycles to irq"):
        shown.add_column(title, justify="right", no_wrap=True)
    shown.add_column("verdict", no_wrap=True)
    for row in found:
        shown.add_row(
            row.name,
            row.tree,
            str(row.width),
            "on" if row.stalls else "off",
            *(_number(value) for value in (row.rings, row.irqs, row.merged)),
            _span(row.cycles_to_irq_min, row.cycles_to_irq_max),
            Text(row.verdict, style=_COLOURS[row.verdict]),
        )
    return shown


def tally(found: Iterable[Row]) -> str:
    """Count the verdicts, in words."""
    counts = Counter(row.verdict for row in found)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in (PASS, FAIL, MISSING) if counts[verdict])


def write_summary(
    path: Path, found: Iterable[Row], backends: Iterable[Backend], versions: Mapping[str, str], date: str
) -> None:
    """Write summary.json, at once: a reader sees the old one or the new one."""
    content = {
        "date": date,
        "scenarios": [row.entry() for row in found],
        "trees": [asdict(backend) for backend in backends],
        "versions": dict(versions),
    }
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    scratch.replace(path)


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _span(low: int | None, high: int | None) -> str:
    if low is None or high is None:
        return "-"
    return str(low) if low == high else f"{low} - {high}"
