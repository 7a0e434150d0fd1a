"""Why mutants survive: the reviewed list ``tests/survivors.toml``, and which of its reasons is whose."""

from __future__ import annotations

import fnmatch
import linecache
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli

from epbell_tb.installation import PROJECT
from epbell_tb.mutate_design import Mutation

__all__ = ["FILE", "Reason", "line_of", "load", "reason_of", "stale"]

FILE = Path("tests") / "survivors.toml"
"""Where the list is, from the project's folder."""


@dataclass(frozen=True)
class Reason:
    """Why some mutants survive.

    Attributes
    ----------
    modules : tuple of str
        Patterns of exported modules.
    place : str
        Pattern of what `Mutation.place` says, with ``*`` for what changes from one conversion to the next.
    line : str
        What one of the Python lines says that the mutant comes from; empty: any.
    reason : str
        Why no test notices.
    """

    modules: tuple[str, ...]
    place: str
    reason: str
    line: str = ""

    def fits(self, module: str, mutation: Mutation) -> bool:
        """Return whether it is about a mutant of a module."""
        return (
            any(fnmatch.fnmatchcase(module, one) for one in self.modules)
            and fnmatch.fnmatchcase(mutation.place, self.place.replace("[", "[[]"))
            and (not self.line or any(self.line in line_of(source) for source in mutation.source))
        )


def load(path: Path = PROJECT / FILE) -> list[Reason]:
    """Read the list.

    Raises
    ------
    ValueError
        If an entry gives no reason, or a name is unknown.
    """
    found = []
    for row in tomli.loads(path.read_text(encoding="utf-8")).get("survivor", []):
        try:
            reason = Reason(**{**row, "modules": tuple(row["modules"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"A survivor has modules, place, reason and perhaps line, not {row!r}") from error
        if not reason.reason.strip():
            raise ValueError(f"A survivor must have a reason, not {row!r}")
        found.append(reason)
    return found


def reason_of(reasons: Iterable[Reason], module: str, mutation: Mutation) -> Reason | None:
    """Return the first reason that fits; None: nobody has judged the mutant yet."""
    return next((reason for reason in reasons if reason.fits(module, mutation)), None)


def stale(reasons: Iterable[Reason], modules: Sequence[str], used: Iterable[Reason]) -> list[Reason]:
    """Return the reasons that no survivor has needed, of those whose modules were all tried."""
    needed = list(used)
    return [
        reason
        for reason in reasons
        if reason not in needed
        and all(any(fnmatch.fnmatchcase(name, one) for name in modules) for one in reason.modules)
    ]


def line_of(source: str) -> str:
    """Return the line of Python that ``file:line`` names, without blanks around it; empty if there is none."""
    file, _, number = source.partition(":")
    for folder in ("rtl", "tb"):
        path = PROJECT / folder / file
        if path.is_file():
            return linecache.getline(str(path), int(number)).strip()
    return ""
