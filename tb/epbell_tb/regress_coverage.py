"""What the runs of a regression have covered: a file for each run, and one for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from epbell_tb import coverage

__all__ = ["gather", "whole"]


def gather(own: Path) -> Path | None:
    """Join what the simulations of a run have left below its folder; return the file, or None if there is nothing."""
    path = own / coverage.NAME
    parts = sorted(own.rglob(coverage.NAME))
    if not parts:
        return None
    coverage.write(path, coverage.read(parts))
    return path


def whole(folder: Path, paths: Iterable[str]) -> str:
    """Join the files of runs, whose paths begin in the folder of the reports, and say in a line what they reached."""
    hits = coverage.read([folder / path for path in paths])
    target = folder / "regress" / coverage.NAME
    coverage.write(target, hits)
    return f"{sum(1 for count in hits.values() if count)} of {len(hits)} points reached; {target}"
