"""What ``make regress`` consists of: groups of runs, each with a name of its own, and what came of one.

Needs no simulator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from epbell_tb.bar_sets import COMMON_SETS
from epbell_tb.cases import EVERYDAY, MSIX_WAYS
from epbell_tb.scenarios import TREES, WIDTHS
from epbell_tb.verdicts import FAIL, PASS

__all__ = [
    "GROUPS",
    "LARGE_SIZES",
    "Ended",
    "Group",
    "chosen",
    "outcome",
    "read",
    "tap",
]

_SMALL_SIZES = (1, 1024, 1025)
LARGE_SIZES = (1024000, 1024001)
"""Bytes of Linux's long transfers: minutes of simulation each, so they run at one width on each device tree."""

_LONG_LIMIT_S = 3600
_ROUNDS = 2  # of the selftest: the second one finds what the first has left
_LARGE_WIDTH = dict(zip(TREES, (256, 64, 128, 512, 256, 64), strict=True))
_NO_TESTS = 5
"""What pytest ends with when no test is marked long."""


@dataclass(frozen=True)
class Group:
    """A part of the regression: one command.

    Attributes
    ----------
    name : str
        Its name, such as ``sim.rk3588.64`` or ``selftest.imx8.256.stalls``.
    arguments : tuple of str
        Arguments of ``epbell``, or of pytest where the first is ``pytest``.
    models : tuple of str
        Of a selftest: arguments of ``epbell`` that run it on the models, which say what it has to print.
    """

    name: str
    arguments: tuple[str, ...]
    models: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``sim``, ``bars``, ``port``, ``selftest``, ``large`` or ``long``."""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Ended:
    """What came of a group.

    Attributes
    ----------
    verdict : str
        ``"pass"`` or ``"fail"``.
    passed, failed : int
        How many scenarios or tests did; of a selftest, how many ended as on the models and how many did not.
    seconds : float
        Wall-clock time, compilations included.
    date : str
        When it ended.
    sources : str
        What it ran on, as `sources` says it.
    reason : str
        Why it failed, in a line.
    """

    verdict: str
    passed: int
    failed: int
    seconds: float
    date: str
    sources: str
    reason: str = ""


def _scenarios(kind: str, tree: str, width: int, *options: str) -> Group:
    places = [kind, *options[1:2], tree, str(width)] if kind == "bars" else [kind, tree, str(width)]
    arguments = ("sim", "--tree", tree, "--width", str(width), "--thorough", "--jobs", "1", "--json", *options)
    return Group(".".join(places), arguments)


def _selftest(kind: str, tree: str, width: int, sizes: Iterable[int], *options: str, stalls: bool = False) -> Group:
    common = ("--tree", tree, "--sizes", ",".join(map(str, sizes)), "--limit", str(_LONG_LIMIT_S), *options)
    place = ("--width", str(width), *(["--stalls"] if stalls else []))
    name = ".".join([kind, tree, str(width), *(["stalls"] if stalls else [])])
    return Group(name, ("selftest", "--target", "sim", *place, *common), ("selftest", *common))


def _groups() -> Iterable[Group]:
    places = [(tree, width) for tree in TREES for width in WIDTHS]
    yield from (_scenarios("sim", *place) for place in places)
    yield from (_scenarios("port", *place, "--msix", MSIX_WAYS[1]) for place in places)
    for bars in COMMON_SETS:
        if bars != EVERYDAY:
            yield from (_scenarios("bars", *place, "--bars", bars) for place in places)
    for place in places:
        common = ("selftest", *place, _SMALL_SIZES, "--rounds", str(_ROUNDS))
        yield from (_selftest(*common, stalls=stalls) for stalls in (False, True))
    yield from (_selftest("large", *place, LARGE_SIZES, "--only", "*.memcpy.*") for place in _LARGE_WIDTH.items())
    yield Group("long", ("pytest", "-q", "-m", "long", "tests"))


GROUPS: tuple[Group, ...] = tuple(_groups())
"""Every group, in the order in which they run."""


def chosen(patterns: Sequence[str]) -> tuple[Group, ...]:
    """Return the groups whose names match one of the patterns, or begin with it up to a dot; all for no pattern.

    Raises
    ------
    ValueError
        If a pattern matches none.
    """
    names = [group.name for group in GROUPS]
    for pattern in patterns:
        if not any(_matches(name, pattern) for name in names):
            kinds = dict.fromkeys(group.kind for group in GROUPS)
            hint = f"a name or a pattern of names such as 'sim.imx8.*', or one of {', '.join(kinds)}"
            raise ValueError(f"it must be {hint}, not {pattern!r}; --list prints every name")
    return tuple(group for group in GROUPS if not patterns or any(_matches(group.name, one) for one in patterns))


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")


def outcome(group: Group, status: int, output: str, expected: Sequence[str] = ()) -> tuple[str, int, int, str]:
    """Return verdict, how many passed, how many failed, and why, from what the command of a group said.

    Parameters
    ----------
    group : Group
        The group.
    status : int
        Exit status.
    output : str
        What it wrote to its standard output.
    expected : sequence of str
        Of a selftest: the TAP of the models for the same tests, without comments.
    """
    if group.kind in ("selftest", "large"):
        return _of_selftest(status, output, expected)
    if group.kind == "long":
        return _of_pytest(status, output)
    return _of_scenarios(status, output)


def _of_scenarios(status: int, output: str) -> tuple[str, int, int, str]:
    try:
        rows: list[Mapping[str, Any]] = json.loads(output)["scenarios"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return FAIL, 0, 0, f"exit status {status} and no summary"
    bad = [row for row in rows if row["verdict"] != PASS]
    if status == 0 and rows and not bad:
        return PASS, len(rows), 0, ""
    return FAIL, len(rows) - len(bad), len(bad), _first([f"{row['name']} {row['verdict']}" for row in bad], status)


def _of_selftest(status: int, output: str, expected: Sequence[str]) -> tuple[str, int, int, str]:
    lines = tap(output)
    results = [line for line in lines if line.startswith(("ok ", "not ok "))]
    wanted = [line for line in expected if line.startswith(("ok ", "not ok "))]
    same = [line for line in results if line in wanted]
    odd = [line for line in wanted if line not in results]
    fails = any(line.startswith("not ok ") for line in results)
    if results and lines == list(expected) and (status != 0) == fails:
        return PASS, len(same), 0, ""
    return FAIL, len(same), len(odd), _first([f"on the models it is: {line}" for line in odd], status)


def tap(output: str) -> list[str]:
    """Return the lines of a TAP that are not comments."""
    return [line for line in output.splitlines() if line and not line.startswith("#")]


def _of_pytest(status: int, output: str) -> tuple[str, int, int, str]:
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?)\b", output)}
    failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    bad = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    if status in (0, _NO_TESTS):
        return PASS, counts.get("passed", 0), 0, "" if status == 0 else "no test is marked long"
    return FAIL, counts.get("passed", 0), failed, _first(bad, status)


def _first(reasons: Sequence[str], status: int) -> str:
    if not reasons:
        return f"exit status {status}"
    return reasons[0] + (f", and {len(reasons) - 1} more" if len(reasons) > 1 else "")


def read(path: Path) -> dict[str, Ended]:
    """Return what earlier runs said, by the names of their groups; nothing if there was none or it cannot be read."""
    try:
        return {name: Ended(**entry) for name, entry in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, json.JSONDecodeError, AttributeError, TypeError):
        return {}
