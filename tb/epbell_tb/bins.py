"""Bins of function: what has to meet what, said in ``tests/coverage_bins.toml``, and whether the runs have seen it.

A cross has axes; a bin is one value of each. Values that cannot meet are left out where the cross is declared, and a
run that sees one of those all the same is an error of the declaration. What a run has seen is in files of lines that
`epbell_tb.bins_seen` writes.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli

from epbell_tb import figures

__all__ = ["LISTING", "NAME", "BinsError", "Cross", "Waiver", "judge", "load", "merge", "waivers"]

LISTING = Path("tests") / "coverage_bins.toml"
NAME = "bins.jsonl"
"""Name of the file that a run leaves."""

Values = tuple[str, ...]
Seen = Counter[tuple[str, Values]]
"""How often each bin was seen, by the name of its cross and its values."""

_FIELDS = {"name", "group", "rows", "axes"}


class BinsError(ValueError):
    """A declaration contradicts itself, or what was seen; the text says which bin."""


@dataclass(frozen=True)
class Cross:
    """Values that meet.

    Attributes
    ----------
    name, group : str
        Its own name; what the table joins it with.
    rows : tuple of str
        Rows of ``tests/testplan.toml`` that it belongs to.
    axes : dict of str to tuple of str
        The values of each axis. Axes that the run has, such as ``width``, are not counted by who sees a bin.
    without : tuple of dict
        What cannot be: for each, axes and their values; what is of these values on all of them is no bin.
    """

    name: str
    group: str
    rows: tuple[str, ...]
    axes: Mapping[str, Values]
    without: tuple[Mapping[str, Values], ...] = ()

    def bins(self) -> Iterator[Values]:
        """Every bin."""
        return (values for values in itertools.product(*self.axes.values()) if not self.excludes(values))

    def excludes(self, values: Values) -> bool:
        """Return whether values are declared not to meet."""
        return any(self.of(values, part) for part in self.without)

    def of(self, values: Values, part: Mapping[str, Values]) -> bool:
        """Return whether values are of these on the axes that are named."""
        given = dict(zip(self.axes, values, strict=True))
        return all(given[axis] in some for axis, some in part.items())

    def text(self, values: Values) -> str:
        """Name of a bin for the user."""
        return f"{self.name}: {', '.join(f'{axis} {value}' for axis, value in zip(self.axes, values, strict=True))}"


@dataclass(frozen=True)
class Waiver:
    """Bins that need not be seen: of a cross, by values of some of its axes; and why."""

    cross: str
    where: Mapping[str, Values]
    reason: str


@dataclass
class Row:
    """What the table says of a group."""

    group: str
    declared: int = 0
    hit: int = 0
    waived: int = 0
    holes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return dict(vars(self))


def load(path: Path) -> dict[str, Cross]:
    """Read a declaration: a TOML file with an array of tables ``cross``.

    Raises
    ------
    BinsError
        If one of them is incomplete, is there twice, or leaves out what it does not have.
    """
    found: dict[str, Cross] = {}
    for row in tomli.loads(path.read_text(encoding="utf-8")).get("cross", []):
        name = row.get("name", "one without a name")
        if not _FIELDS <= row.keys() <= _FIELDS | {"without"} or name in found or not row["rows"]:
            raise BinsError(f"{path}: a cross must have {', '.join(sorted(_FIELDS))}, and once, not {name}")
        axes = {axis: tuple(map(str, values)) for axis, values in row["axes"].items()}
        without = tuple(_part(part, axes, f"{path}: {name}") for part in row.get("without", []))
        found[name] = Cross(name, row["group"], tuple(row["rows"]), axes, without)
    return found


def waivers(path: Path, crosses: Mapping[str, Cross]) -> list[Waiver]:
    """Read the waivers of bins: the array of tables ``bins`` of a TOML file.

    Raises
    ------
    BinsError
        If one of them has no reason, or is about no cross.
    """
    found = []
    for row in tomli.loads(path.read_text(encoding="utf-8")).get("bins", []):
        if row.keys() != {"cross", "where", "reason"} or not row["reason"].strip() or row["cross"] not in crosses:
            raise BinsError(f"{path}: a waiver of bins must have cross, where and reason, not {row!r}")
        where = _part(row["where"], crosses[row["cross"]].axes, f"{path}: {row['cross']}")
        found.append(Waiver(row["cross"], where, row["reason"]))
    return found


def _part(given: Mapping[str, Any], axes: Mapping[str, Values], what: str) -> dict[str, Values]:
    part = {}
    for axis, values in given.items():
        part[axis] = tuple(map(str, values if isinstance(values, list) else [values]))
        if axis not in axes or not set(part[axis]) <= set(axes[axis]):
            raise BinsError(f"{what} has no {axis} {', '.join(part[axis])}")
    return part


def merge(crosses: Mapping[str, Cross], paths: Iterable[Path]) -> Seen:
    """Return what the runs have seen that left these files.

    Raises
    ------
    BinsError
        If a run has seen what is not declared.
    """
    seen: Seen = Counter()
    for path in paths:
        for line in figures.read(path, cut=True):
            for name, values, times in line["seen"]:
                cross = crosses.get(name)
                if cross is None:
                    raise BinsError(f"{path}: there is no cross {name}")
                rest = iter(map(str, values))
                whole = tuple(line["place"].get(axis) or next(rest, "?") for axis in cross.axes)
                wrong = [axis for axis, value in zip(cross.axes, whole, strict=True) if value not in cross.axes[axis]]
                if wrong or list(rest) or cross.excludes(whole):
                    raise BinsError(f"{path}: what cannot be has been seen, {cross.text(whole)}")
                seen[name, whole] += times
    return seen


def judge(
    crosses: Mapping[str, Cross], seen: Mapping[tuple[str, Values], int], given: Sequence[Waiver]
) -> tuple[list[Row], list[Waiver]]:
    """Return a row for each group, and the waivers that match no hole."""
    rows: dict[str, Row] = {}
    idle = list(given)
    for cross in crosses.values():
        row = rows.setdefault(cross.group, Row(cross.group))
        for values in cross.bins():
            row.declared += 1
            if seen.get((cross.name, values)):
                row.hit += 1
                continue
            about = [one for one in given if one.cross == cross.name and cross.of(values, one.where)]
            idle = [one for one in idle if one not in about]
            row.waived += bool(about)
            if not about:
                row.holes.append(f"{cross.text(values)}  ({', '.join(cross.rows)})")
    return list(rows.values()), idle
