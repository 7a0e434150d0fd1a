"""What ``make regress`` consists of: groups, each a test with a name of its own, their runs, and what came of one.

Needs no simulator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from epbell_tb.bar_sets import COMMON_SETS
from epbell_tb.cases import EVERYDAY, MSIX_WAYS
from epbell_tb.random_places import places
from epbell_tb.scenarios import TREES, WIDTHS
from epbell_tb.verdicts import FAIL, PASS

__all__ = [
    "GROUPS",
    "LARGE_SIZES",
    "RANDOM",
    "SEED",
    "Group",
    "Outcome",
    "Run",
    "chosen",
    "outcome",
    "tap",
]

_SMALL_SIZES = (1, 1024, 1025)
LARGE_SIZES = (1024000, 1024001)
"""Bytes of Linux's long transfers: minutes of simulation each, so they run at one width on each device tree."""

SEED = 1
"""The seed of a run for which none was asked."""

RANDOM = "random"
"""The kind of groups that many seeds are for."""

_LONG_LIMIT_S = 3600
_LIMIT_S = 6 * 3600.0  # of a whole group: the longest takes an hour
_RANDOM_LIMIT_S = 1800.0  # a compilation on a busy machine included; the run itself takes seconds
_ROUNDS = 2  # of the selftest: the second one finds what the first has left
_LARGE_WIDTH = dict(zip(TREES, (256, 64, 128, 512, 256, 64), strict=True))
_PYTEST = "pytest"
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
        Arguments of its command.
    models : tuple of str
        Of a selftest: arguments of ``epbell`` that run it on the models, which say what it has to print.
    module : str
        Python's module whose command that is.
    """

    name: str
    arguments: tuple[str, ...]
    models: tuple[str, ...] = ()
    module: str = "epbell_tb.cli"

    @property
    def kind(self) -> str:
        """``sim``, ``bars``, ``port``, ``selftest``, ``large``, ``random`` or ``long``."""
        return self.name.partition(".")[0]

    @property
    def seeded(self) -> bool:
        """Whether anything in it depends on a seed."""
        return self.module != _PYTEST

    @property
    def reports(self) -> bool:
        """Whether its command leaves its files in a folder that it is told."""
        return self.arguments[0] in ("sim", "random")

    @property
    def counts(self) -> bool:
        """Whether its command can say what of the RTL it reaches."""
        return self.arguments[0] in ("sim", "random")

    @property
    def limit(self) -> float:
        """Seconds that a run may take."""
        return _RANDOM_LIMIT_S if self.kind == RANDOM else _LIMIT_S


@dataclass(frozen=True)
class Run:
    """A group with one seed, which may have to say what of the RTL it reaches."""

    group: Group
    seed: int = SEED
    coverage: bool = False

    @property
    def name(self) -> str:
        """Its name, such as ``sim.rk3588.64-7``, also that of its folder."""
        return f"{self.group.name}-{self.seed}" if self.group.seeded else self.group.name

    @property
    def key(self) -> tuple[str, int]:
        """Group and seed."""
        return self.group.name, self.seed

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments of its command."""
        seed = ("--seed", str(self.seed)) if self.group.seeded else ()
        return (*self.group.arguments, *seed, *(("--coverage",) if self.coverage else ()))

    @property
    def again(self) -> str:
        """The command that runs it again, and nothing else."""
        seed = f" --seeds 1 --first-seed {self.seed}" if self.seed != SEED else ""
        return f"epbell regress --only {self.group.name}{seed}"


class Outcome(NamedTuple):
    """What the command of a run said.

    Attributes
    ----------
    verdict : str
        ``"pass"`` or ``"fail"``.
    passed, failed : int
        How many scenarios or tests did.
    reason : str
        Why it failed.
    cycles : int or None
        Clocks that were simulated, where it says that.
    replay : str
        Command that runs what failed again, where it says one.
    """

    verdict: str
    passed: int
    failed: int
    reason: str
    cycles: int | None = None
    replay: str = ""


def _scenarios(kind: str, tree: str, width: int, *options: str) -> Group:
    places = [kind, *options[1:2], tree, str(width)] if kind == "bars" else [kind, tree, str(width)]
    arguments = ("sim", "--tree", tree, "--width", str(width), "--thorough", "--jobs", "1", "--json", "--no-record")
    arguments += options
    return Group(".".join(places), arguments)


def _selftest(kind: str, tree: str, width: int, sizes: Iterable[int], *options: str, stalls: bool = False) -> Group:
    common = ("--tree", tree, "--sizes", ",".join(map(str, sizes)), "--limit", str(_LONG_LIMIT_S), *options)
    place = ("--width", str(width), *(["--stalls"] if stalls else []))
    name = ".".join([kind, tree, str(width), *(["stalls"] if stalls else [])])
    return Group(name, ("selftest", "--target", "sim", *place, *common), ("selftest", *common))


def _groups() -> Iterable[Group]:
    pairs = [(tree, width) for tree in TREES for width in WIDTHS]
    yield from (_scenarios("sim", *place) for place in pairs)
    yield from (_scenarios("port", *place, "--msix", MSIX_WAYS[1]) for place in pairs)
    for bars in COMMON_SETS:
        if bars != EVERYDAY:
            yield from (_scenarios("bars", *place, "--bars", bars) for place in pairs)
    for place in pairs:
        common = ("selftest", *place, _SMALL_SIZES, "--rounds", str(_ROUNDS))
        yield from (_selftest(*common, stalls=stalls) for stalls in (False, True))
    yield from (_selftest("large", *place, LARGE_SIZES, "--only", "*.memcpy.*") for place in _LARGE_WIDTH.items())
    for place in places():
        yield Group(place.name, ("random", "--place", place.name, "--json"))
    yield Group("long", ("-q", "-m", "long", "tests"), module=_PYTEST)


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


def outcome(group: Group, status: int, output: str, expected: Sequence[str] = ()) -> Outcome:
    """Return what came of a group, from what its command said.

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
    if group.kind == RANDOM:
        return _of_random(status, output)
    return _of_scenarios(status, output)


def _of_scenarios(status: int, output: str) -> Outcome:
    try:
        rows: list[Mapping[str, Any]] = json.loads(output)["scenarios"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return Outcome(FAIL, 0, 0, f"exit status {status} and no summary")
    bad = [row for row in rows if row["verdict"] != PASS]
    if status == 0 and rows and not bad:
        return Outcome(PASS, len(rows), 0, "")
    return Outcome(
        FAIL, len(rows) - len(bad), len(bad), _first([f"{row['name']} {row['verdict']}" for row in bad], status)
    )


def _of_random(status: int, output: str) -> Outcome:
    try:
        said: Mapping[str, Any] = json.loads(output)
        verdict, cycles, reason, replay = (said[name] for name in ("verdict", "cycles", "reason", "replay"))
    except (json.JSONDecodeError, KeyError, TypeError):
        return Outcome(FAIL, 0, 1, f"exit status {status} and no summary")
    if status == 0 and verdict == PASS:
        return Outcome(PASS, 1, 0, "", cycles, replay)
    return Outcome(FAIL, 0, 1, reason or f"exit status {status}", cycles, replay)


def _of_selftest(status: int, output: str, expected: Sequence[str]) -> Outcome:
    lines = tap(output)
    results = [line for line in lines if line.startswith(("ok ", "not ok "))]
    wanted = [line for line in expected if line.startswith(("ok ", "not ok "))]
    same = [line for line in results if line in wanted]
    odd = [line for line in wanted if line not in results]
    fails = any(line.startswith("not ok ") for line in results)
    if results and lines == list(expected) and (status != 0) == fails:
        return Outcome(PASS, len(same), 0, "")
    return Outcome(FAIL, len(same), len(odd), _first([f"on the models it is: {line}" for line in odd], status))


def tap(output: str) -> list[str]:
    """Return the lines of a TAP that are not comments."""
    return [line for line in output.splitlines() if line and not line.startswith("#")]


def _of_pytest(status: int, output: str) -> Outcome:
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?)\b", output)}
    failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    bad = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    if status in (0, _NO_TESTS):
        return Outcome(PASS, counts.get("passed", 0), 0, "" if status == 0 else "no test is marked long")
    return Outcome(FAIL, counts.get("passed", 0), failed, _first(bad, status))


def _first(reasons: Sequence[str], status: int) -> str:
    if not reasons:
        return f"exit status {status}"
    return reasons[0] + (f", and {len(reasons) - 1} more" if len(reasons) > 1 else "")
