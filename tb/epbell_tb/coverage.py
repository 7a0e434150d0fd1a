"""Coverage of the RTL: which points there are, and how often each was reached, over any number of runs.

A simulation of a build with coverage leaves Verilator's ``coverage.dat``, in words of the generated SystemVerilog.
`of_simulation` says the same in words of Python, in which what runs of several builds have in common is the same
point; `write`, `read` and `merge` keep it in files and join them.

Points of lines, branches and expressions belong to a module as it was generated: two modules with the same text share
them, such as two instances of a class, and two widths of it do not. Signals toggle as the signals of a class, whatever
its parameters.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from epbell_tb.coverage_source import Listing

__all__ = ["KINDS", "NAME", "CoverageError", "Hits", "Point", "merge", "of_simulation", "read", "write"]

NAME = "coverage.hits"
"""Name of the file that a run leaves beside its log, for `read`."""

KINDS = ("line", "branch", "expression", "toggle")
_KINDS = {"v_line": "line", "v_branch": "branch", "v_expr": "expression", "v_toggle": "toggle"}
_RECORD = re.compile(r"^C '(.*)' (\d+)$")
_TOGGLE = re.compile(r"^(.*?)((?:\[\d+\])*:[01]->[01])$")
_FORMAT = "epbell coverage 1"
_MOST = 0xFFFFFFFF


class CoverageError(Exception):
    """A file holds no coverage; the text names it."""


class Point(NamedTuple):
    """Something that can be reached.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    source : str
        File and line of Python, such as ``epbell/mu.py:120``.
    module : str
        File and line of Python of the module in which it is.
    variant : str
        Digest of the module's text; empty for toggles.
    name : str
        Of a toggle: signal, bit and direction; else where in the module it is, and what.
    """

    kind: str
    source: str
    module: str
    variant: str
    name: str


Hits = dict[Point, int]
"""Points, and how often each was reached."""


def of_simulation(records: Path, source: Path) -> Hits:
    """Return what a simulation reached.

    Parameters
    ----------
    records : Path
        ``coverage.dat`` in the folder of its results.
    source : Path
        SystemVerilog of the build, in its folder.

    Raises
    ------
    CoverageError
        If a file is missing or not what it should be.
    """
    try:
        listing = Listing(source.read_text(encoding="utf-8"))
        lines = records.read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise CoverageError(f"{error.filename} must be there after a run with coverage: {error.strerror}") from error
    found: Hits = {}
    for number, line in enumerate(lines[1:], 2):
        match = _RECORD.match(line)
        if not match:
            raise CoverageError(f"{records}:{number} must be a record of Verilator's coverage, not {line[:80]!r}")
        fields = dict(part.split("\x02", 1) for part in match[1].split("\x01")[1:])
        point = _point(fields, listing)
        if point is not None:
            found[point] = min(found.get(point, 0) + int(match[2]), _MOST)
    return found


def _point(fields: Mapping[str, str], listing: Listing) -> Point | None:
    kind = _KINDS.get(fields["page"].partition("/")[0])
    if kind is None:
        return None
    line = int(fields["l"])
    place = listing.place(line)
    if kind == "toggle":
        signal = _TOGGLE.match(fields["o"])
        if signal is None:
            raise CoverageError(f"A toggle must name a bit and a direction, not {fields['o']!r}")
        return Point(kind, place.source, place.module, "", listing.signal(line) + signal[2])
    name = f"{place.target} {line - place.begin}.{fields['n']} {listing.readable(fields['o'])}".lstrip()
    return Point(kind, place.source or place.module, place.module, place.variant, name)


def merge(*parts: Mapping[Point, int]) -> Hits:
    """Return the sum of what several runs reached."""
    total: Hits = {}
    for part in parts:
        for point, count in part.items():
            total[point] = min(total.get(point, 0) + count, _MOST)
    return total


def write(path: Path, hits: Mapping[Point, int]) -> None:
    """Write a file that `read` reads; it is complete or not there."""
    lines = [json.dumps([_FORMAT]), *(json.dumps([*point, count]) for point, count in sorted(hits.items()))]
    scratch = path.with_name(path.name + ".new")
    scratch.write_bytes(zlib.compress("\n".join(lines).encode()))
    scratch.replace(path)


def read(paths: Path | Iterable[Path]) -> Hits:
    """Return what the runs of one or several files reached.

    Raises
    ------
    CoverageError
        If a file is missing, or was not written by `write`.
    """
    parts = []
    for path in [paths] if isinstance(paths, Path) else paths:
        try:
            head, *lines = zlib.decompress(path.read_bytes()).decode().splitlines()
        except (OSError, zlib.error, ValueError) as error:
            raise CoverageError(f"{path} must be a file of coverage: {error}") from error
        if head != json.dumps([_FORMAT]):
            raise CoverageError(f"{path} must begin with {_FORMAT!r}, not {head[:80]!r}; run again what wrote it")
        parts.append({Point(*point): count for *point, count in map(json.loads, lines)})
    return merge(*parts)
