"""Holes of the coverage that stay, each with its reason: ``tests/waivers.toml``, which is reviewed like code."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import tomli

from epbell_tb.coverage import KINDS, Point

__all__ = ["LISTING", "Waiver", "apply", "load"]

LISTING = Path("tests") / "waivers.toml"


@dataclass(frozen=True)
class Waiver:
    """Points that need not be reached.

    Attributes
    ----------
    module : str
        File of Python in which the points are, such as ``epbell/mu.py``, as a pattern of `fnmatch`.
    kind : str
        One of `KINDS`.
    name : str
        Pattern of their names, or of the file and line of Python where they are.
    most : int
        How many holes it may be about; if there are more, one of them is another than those that were looked at.
    reason : str
        Why nothing reaches them.
    """

    module: str
    kind: str
    name: str
    most: int
    reason: str

    def matches(self, point: Point) -> bool:
        """Return whether a point is one of them."""
        if point.kind != self.kind or not fnmatchcase(point.module.partition(":")[0], self.module):
            return False
        # Bits of a vector are in brackets, which are no pattern here.
        name = self.name.replace("[", "[[]")
        return fnmatchcase(point.name, name) or fnmatchcase(point.source, name)


def load(path: Path) -> tuple[Waiver, ...]:
    """Read the waivers of a file.

    Raises
    ------
    ValueError
        If one of them is incomplete or of no kind.
    """
    rows = tomli.loads(path.read_text(encoding="utf-8")).get("waiver", [])
    for number, row in enumerate(rows, 1):
        fields = {"module", "kind", "name", "most", "reason"}
        right = row.keys() == fields and row["kind"] in KINDS and bool(row["reason"].strip()) and row["most"] > 0
        if not right:
            wanted = f"{', '.join(sorted(fields))}, a kind of {', '.join(KINDS)} and a reason"
            raise ValueError(f"{path}: waiver {number} must have {wanted}, not {row!r}")
    return tuple(Waiver(**row) for row in rows)


def apply(waivers: Iterable[Waiver], holes: Collection[Point]) -> tuple[set[Point], list[tuple[Waiver, int]]]:
    """Return the holes that are waived, and the waivers that are wrong, with the number of holes that they match.

    One that matches none is wrong: what it is about is covered, or gone. So is one that matches more than it may; it
    waives nothing.
    """
    waived: set[Point] = set()
    wrong = []
    for waiver in waivers:
        found = {point for point in holes if waiver.matches(point)}
        if 0 < len(found) <= waiver.most:
            waived |= found
        else:
            wrong.append((waiver, len(found)))
    return waived, wrong
