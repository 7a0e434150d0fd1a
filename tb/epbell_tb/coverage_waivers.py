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
    reason : str
        Why nothing reaches them.
    """

    module: str
    kind: str
    name: str
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
        fields = {"module", "kind", "name", "reason"}
        if row.keys() != fields or row["kind"] not in KINDS or not row["reason"].strip():
            wanted = f"{', '.join(sorted(fields))}, a kind of {', '.join(KINDS)} and a reason"
            raise ValueError(f"{path}: waiver {number} must have {wanted}, not {row!r}")
    return tuple(Waiver(**row) for row in rows)


def apply(waivers: Iterable[Waiver], holes: Collection[Point]) -> tuple[set[Point], list[Waiver]]:
    """Return the holes that are waived, and the waivers that match none: what they are about is covered, or gone."""
    waived: set[Point] = set()
    idle = []
    for waiver in waivers:
        found = {point for point in holes if waiver.matches(point)}
        waived |= found
        if not found:
            idle.append(waiver)
    return waived, idle
