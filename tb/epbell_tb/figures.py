"""How a bench hands a figure or the account of a scenario on to the program that started it: a file of JSON lines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["VARIABLE", "append", "count", "read"]

VARIABLE = "EPBELL_REPORT"
"""Environment variable with the path of the file."""


def append(**line: Any) -> None:
    """Append one line to the file that the environment names; without one, do nothing."""
    path = os.environ.get(VARIABLE)
    if path:
        with Path(path).open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")


def read(path: Path, *, cut: bool = False) -> list[dict[str, Any]]:
    """Return the lines of a file, none if it does not exist.

    Parameters
    ----------
    path : Path
        The file.
    cut : bool
        Whether its writer may have been ended in the middle of a line: an incomplete last line is left out.

    Raises
    ------
    ValueError
        If a line is no JSON object.
    """
    lines = []
    given = _text(path)
    if cut:
        given = given[: given.rfind("\n") + 1]
    for number, text in enumerate(given.splitlines(), 1):
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            line = None
        if not isinstance(line, dict):
            raise ValueError(f"Line {number} of {path} must be a JSON object, not {text[:80]!r}")
        lines.append(line)
    return lines


def count(path: Path) -> int:
    """Count the complete lines of a file that may still be written, or not exist yet or any more."""
    return _text(path).count("\n")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
