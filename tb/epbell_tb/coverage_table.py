"""What the coverage of a run comes to: a row for each block of the RTL, what is missing, and whether that is enough."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich import box
from rich.table import Table

from epbell_tb.blocks import Block
from epbell_tb.coverage import KINDS, Hits, Point

__all__ = ["GOALS", "LIBRARY", "Row", "block_names", "missed", "rows", "table"]

GOALS: Mapping[str, float] = {"line": 100.0, "branch": 100.0, "toggle": 95.0}
"""Percent of the points that are neither proven constant nor waived; expressions are shown and have no goal."""

LIBRARY = "library"
"""Row of what is Amaranth's own, such as its FIFO; no goal is about it."""


@dataclass
class Row:
    """A block.

    Attributes
    ----------
    block : str
        Its name in ``tests/blocks.toml``.
    reached, points : dict of str to int
        By kind: how many points were reached, of how many that could be and are not waived.
    waived, constant : int
        Holes that are waived, and points that are proven constant.
    holes : list of Point
        What is missing.
    """

    block: str
    reached: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    points: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    waived: int = 0
    constant: int = 0
    holes: list[Point] = field(default_factory=list)

    def percent(self, kind: str) -> float:
        """Return how much of a kind was reached; what has no points is complete."""
        return 100.0 * self.reached[kind] / self.points[kind] if self.points[kind] else 100.0

    @property
    def enough(self) -> bool:
        """Whether the goals are met."""
        return self.block == LIBRARY or all(self.percent(kind) >= goal for kind, goal in GOALS.items())

    def as_json(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {**asdict(self), "holes": [point._asdict() for point in self.holes], "enough": self.enough}


def block_names(blocks: Iterable[Block]) -> dict[str, str]:
    """Return the block of each file of Python, as the generated files name it."""
    return {file.removeprefix("rtl/"): block.name for block in blocks for file in block.files}


def rows(hits: Hits, names: Mapping[str, str], constant: Collection[Point], waived: Collection[Point]) -> list[Row]:
    """Return a row for each block that has points, sorted by its name.

    Parameters
    ----------
    hits : dict of Point to int
        What was reached.
    names : mapping
        What `block_names` says. Of our own files each must be there.
    constant, waived : collection of Point
        What is proven constant, and which holes are waived.
    """
    found: dict[str, Row] = {}
    for point, count in sorted(hits.items()):
        file = point.module.partition(":")[0]
        if not file or file.startswith("epbell_tb/"):  # what a bench has put around it
            continue
        block = LIBRARY if file.startswith("amaranth/") else names.get(file, file)
        row = found.setdefault(block, Row(block))
        if point in constant:
            row.constant += 1
        elif not count and point in waived:
            row.waived += 1
        else:
            row.points[point.kind] += 1
            row.reached[point.kind] += bool(count)
            if not count:
                row.holes.append(point)
    return [found[name] for name in sorted(found, key=lambda name: (name == LIBRARY, name))]


def missed(row: Row) -> list[str]:
    """Return the holes of a block that are against its goals, in lines for the user."""
    short = [kind for kind, goal in GOALS.items() if row.percent(kind) < goal]
    return [
        f"{row.block}: {point.kind} {point.source} {point.name}  (in {point.module})"
        for point in row.holes
        if point.kind in short and row.block != LIBRARY
    ]


def table(found: Iterable[Row]) -> Table:
    """Return the table for the terminal."""
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("block")
    for name in (*(f"{kind} %" for kind in KINDS), "waived", "proven constant", ""):
        shown.add_column(name, justify="right")
    for row in found:
        percents = [f"{row.percent(kind):.1f}" if row.points[kind] else "-" for kind in KINDS]
        verdict = "no goal" if row.block == LIBRARY else "ok" if row.enough else "below goal"
        shown.add_row(row.block, *percents, str(row.waived), str(row.constant), verdict)
    return shown
