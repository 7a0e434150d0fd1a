"""``epbell testplan``: what has to be shown, the tests that show it, and what each of them said last.

The plan is ``tests/testplan.toml``. Verdicts come from ``sim_build/report``: ``scenarios.json`` with the cases that
``make sim`` has run, and ``verdicts.json`` with the tests that pytest has. What counts is the latest verdict of each
case, whichever run it is from. Exit status: 0, 1 if a test of a row failed, a row has neither a test nor a reason to
have none, or nothing has run at all, 2 if the command line is wrong or there is no plan.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomli
from rich.console import Console

from epbell_tb import cases, verdicts
from epbell_tb.bar_sets import BAR_SETS
from epbell_tb.verdicts import FAIL, PASS, Verdict

__all__ = [
    "LATER",
    "NEVER",
    "NO_TEST",
    "PARTLY",
    "Entry",
    "Plan",
    "Row",
    "belongs",
    "judge",
    "load",
    "main",
]

NEVER, PARTLY, LATER, NO_TEST = "never run", "partly", "later", "no test"
_COLOURS = {PASS: "green", FAIL: "bold red", NO_TEST: "bold red", NEVER: "yellow", PARTLY: "yellow", LATER: "cyan"}
_WORST_FIRST = (FAIL, NEVER, PARTLY, verdicts.SKIP, PASS)


@dataclass(frozen=True)
class Plan:
    """A row of the plan.

    Attributes
    ----------
    id : str
        Its name.
    intent : str
        What has to be shown, in a sentence.
    source : tuple of str
        Where it is asked for: rows of the conformance list, such as ``"6.1 row 12"``, or words of the requirement.
    scenarios, tests : tuple of str
        Scenarios of ``make sim``; tests of pytest, each a file, a function or one of its parameters.
    models_only : str
        Why tests of the models are enough; empty if hardware takes part.
    later : str
        What is not shown yet, and what it waits for; empty if the row is shown in full.
    """

    id: str
    intent: str
    source: tuple[str, ...]
    scenarios: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    models_only: str = ""
    later: str = ""


@dataclass(frozen=True)
class Entry:
    """A scenario or a test of a row with its last verdict.

    Attributes
    ----------
    kind, name : str
        ``"scenario"`` or ``"test"``, and which.
    verdict : str
        The worst of the last verdicts of its cases; ``"partly"`` if some of them passed and others never ran.
    date : str
        That of the oldest of those verdicts; empty if none of its cases ever ran.
    ran, cases : int
        How many of its cases have run, and how many there are.
    """

    kind: str
    name: str
    verdict: str
    date: str
    ran: int
    cases: int


@dataclass(frozen=True)
class Row:
    """A row of the plan with its verdict, the worst one of its entries, and the date of that."""

    plan: Plan
    entries: tuple[Entry, ...]
    verdict: str
    date: str


def load(path: Path) -> list[Plan]:
    """Read a plan: a TOML file with an array of tables ``plan``.

    Raises
    ------
    ValueError
        If a row has an attribute that there is not, or lacks one.
    """
    plans = []
    for row in tomli.loads(path.read_text(encoding="utf-8")).get("plan", []):
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
        try:
            plans.append(Plan(**values))
        except TypeError as error:
            raise ValueError(f"A row of {path} must have id, intent and source, not {sorted(row)}: {error}") from error
    return plans


def belongs(test: str, name: str) -> bool:
    """Whether the test called `name` is `test`, or one of its functions or parameters."""
    return name == test or name.startswith((f"{test}::", f"{test}["))


def judge(
    plan: Plan, ran: Mapping[str, Verdict], simulated: Mapping[str, Verdict], collected: Collection[str] = ()
) -> Row:
    """Return a row with its last verdict.

    Parameters
    ----------
    plan : Plan
        The row.
    ran : mapping
        Verdicts of tests by their ids.
    simulated : mapping
        Verdicts of ``make sim`` by the keys of its cases.
    collected : collection of str
        Ids of the tests that there are; verdicts of others do not count.
    """
    entries = []
    latest = cases.newest(simulated, {test: ran[test] for test in ran if test in collected})
    for name in plan.scenarios:
        ways = [(bars, msix) for bars in BAR_SETS for msix in cases.MSIX_WAYS]
        known = {key for way in ways for key in cases.cases_of(name, *way)} & set(latest)
        entries.append(_entry("scenario", name, cases.cases_of(name), {key: latest[key] for key in known}))
    for test in plan.tests:
        wanted = [name for name in collected if belongs(test, name)]
        entries.append(_entry("test", test, wanted, {name: ran[name] for name in wanted if name in ran}))
    if not entries:
        return Row(plan, (), LATER if plan.later else NO_TEST, "")
    worst = min(entries, key=lambda entry: _WORST_FIRST.index(entry.verdict))
    return Row(plan, tuple(entries), worst.verdict, worst.date)


def main(argv: Sequence[str]) -> int:
    """Print the plan with its verdicts.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell testplan``.

    Returns
    -------
    int
        Exit status.
    """
    parser = argparse.ArgumentParser(
        prog="epbell testplan", description="Print each row of the test plan with its tests and their last verdict."
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument("--missing", action="store_true", help="only rows that tests that pass do not show in full")
    given = parser.parse_args(argv)
    project = Path.cwd()
    path = project / "tests" / "testplan.toml"
    if not path.is_file():
        complaint = f"run it in a checkout of the project, where tests/testplan.toml is, not in {str(project)!r}"
        print(f"epbell testplan: {complaint}", file=sys.stderr)
        return 2
    folder = verdicts.report_folder(project)
    try:
        plans = load(path)
        ran, simulated = verdicts.read(folder / verdicts.TESTS), verdicts.read(folder / verdicts.SCENARIOS)
        collected = dict.fromkeys(cases.collect(project))
        rows = [judge(plan, ran, simulated, collected) for plan in plans]
    except ValueError as error:
        print(f"epbell testplan: {error}", file=sys.stderr)
        return 1
    shown = [row for row in rows if row.verdict != PASS or row.plan.later] if given.missing else rows
    if given.json:
        print(json.dumps({"rows": [_object(row) for row in shown], "counts": _counts(rows)}, indent=2))
    else:
        _show(shown)
        print(f"{len(rows)} rows: {', '.join(f'{count} {verdict}' for verdict, count in _counts(rows).items())}")
    if not any(entry.ran for row in rows for entry in row.entries):
        print("epbell testplan: none of these has run yet; run `make test` and `make sim`", file=sys.stderr)
        return 1
    return 1 if any(row.verdict in (FAIL, NO_TEST) for row in rows) else 0


def _entry(kind: str, name: str, wanted: Collection[str], found: Mapping[str, Verdict]) -> Entry:
    """Join the verdicts of the cases of a test: a failure of any counts, and a pass only if none of them never ran."""
    missing = set(wanted) - set(found)
    counted = (len(found), len(found) + len(missing))
    for verdict in (FAIL, PASS, verdicts.SKIP):
        dates = [one.date for one in found.values() if one.verdict == verdict]
        if dates:
            return Entry(kind, name, PARTLY if missing and verdict == PASS else verdict, min(dates), *counted)
    return Entry(kind, name, NEVER, "", *counted)


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    counts = Counter(row.verdict for row in rows)
    counts["partly later"] = sum(1 for row in rows if row.entries and row.plan.later)
    return {verdict: counts[verdict] for verdict in (*_COLOURS, verdicts.SKIP, "partly later") if counts[verdict]}


def _object(row: Row) -> dict[str, Any]:
    entries = [asdict(entry) for entry in row.entries]
    return {**asdict(row.plan), "verdict": row.verdict, "date": row.date, "entries": entries}


def _show(rows: Sequence[Row]) -> None:
    console = Console(soft_wrap=True)

    def say(verdict: str, date: str, text: str) -> None:
        console.print(f"{verdict:11}", style=_COLOURS.get(verdict), end="", highlight=False)
        console.print(f"{date[:10]:12} {text}", highlight=False, markup=False)

    for row in rows:
        say(row.verdict, row.date, f"{row.plan.id} ({', '.join(row.plan.source)})")
        say("", "", row.plan.intent)
        for entry in row.entries:
            name = f"make sim SCENARIO={entry.name}" if entry.kind == "scenario" else entry.name
            share = f" ({entry.ran} of {entry.cases} cases)" if entry.verdict == PARTLY else ""
            say("", "", f"  {entry.verdict:9} {entry.date[:10]:10} {name}{share}")
        if row.plan.models_only:
            say("", "", f"  models only: {row.plan.models_only}")
        if row.plan.later:
            say("", "", f"  later: {row.plan.later}")
