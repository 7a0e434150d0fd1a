"""What ``make regress`` shows: a row for each test with all its seeds, and how much is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from epbell_tb.regress_groups import Run
from epbell_tb.regress_store import Ended
from epbell_tb.verdicts import FAIL, PASS

__all__ = [
    "Total",
    "account",
    "left",
    "table",
    "totals",
]

_COLOURS = {PASS: "green", FAIL: "bold red"}
_NOT_RUN = "not run"


@dataclass(frozen=True)
class Total:
    """A test with all its seeds.

    Attributes
    ----------
    test : str
        Its name.
    seeds : int
        How many were asked for.
    passed, failed : int
        With how many it did.
    checks : int
        Scenarios or tests that passed in all of them.
    first_failing : int or None
        The lowest seed with which it failed.
    cycles : int or None
        Clocks that were simulated, where it says that.
    seconds : float
        Wall-clock time of all runs.
    """

    test: str
    seeds: int
    passed: int
    failed: int
    checks: int
    first_failing: int | None
    cycles: int | None
    seconds: float

    @property
    def verdict(self) -> str:
        """``"fail"`` if one failed, ``"pass"`` if all passed."""
        return FAIL if self.failed else PASS if self.passed == self.seeds else _NOT_RUN

    @property
    def speed(self) -> float | None:
        """Clocks per second."""
        return self.cycles / self.seconds if self.cycles is not None and self.seconds else None


def totals(runs: Sequence[Run], found: Mapping[tuple[str, int], Ended]) -> list[Total]:
    """Return a total for each test of `runs`, in their order."""
    rows = []
    for test in dict.fromkeys(run.group.name for run in runs):
        seeds = [run.key for run in runs if run.group.name == test]
        ended = [found[key] for key in seeds if key in found]
        bad = [one.seed for one in ended if one.verdict != PASS]
        cycles = [one.cycles for one in ended if one.cycles is not None]
        rows.append(
            Total(
                test, len(seeds), len(ended) - len(bad), len(bad), sum(one.passed for one in ended),
                min(bad, default=None), sum(cycles) if cycles else None, sum(one.seconds for one in ended),
            )
        )  # fmt: skip
    return rows


def table(rows: Iterable[Total]) -> Table:
    """Return the table that is the end of a regression."""
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    shown.add_column("test", no_wrap=True)
    titles = ("seeds", "passed", "failed", "first failing", "checks", "cycles", "seconds", "cycles/s")
    for title in titles:
        shown.add_column(title, justify="right", no_wrap=True)
    shown.add_column("verdict", no_wrap=True)
    rows = list(rows)
    for row in rows:
        verdict = Text(row.verdict, style=_COLOURS.get(row.verdict, "yellow"))
        shown.add_row(row.test, *_figures(row), verdict)
    shown.add_section()
    cycles = [row.cycles for row in rows if row.cycles is not None]
    names = ("seeds", "passed", "failed", "checks")
    sums = {name: sum(getattr(row, name) for row in rows) for name in names}
    whole = Total(
        f"{len(rows)} tests", **sums, first_failing=None, cycles=sum(cycles) if cycles else None,
        seconds=sum(row.seconds for row in rows),
    )  # fmt: skip
    shown.add_row(whole.test, *_figures(whole, speed=False), "")
    return shown


def account(ended: Ended) -> str:
    """Return what came of a run in a few words."""
    failed = f", {ended.failed} failed" if ended.failed else ""
    retries = f", begun {ended.retries + 1} times" if ended.retries else ""
    return f"{ended.verdict}, {ended.passed} passed{failed} in {_time(ended.seconds)}{retries}"


def left(runs: Sequence[Run], known: Mapping[tuple[str, int], Ended], done: int, jobs: int) -> str:
    """Say how much is left, by what earlier runs took: of the same test, or else of its kind.

    Parameters
    ----------
    runs : sequence of Run
        Those that have not ended.
    known : mapping
        What came of earlier ones.
    done : int
        How many have ended.
    jobs : int
        Runs at a time.
    """
    if not runs:
        return f"{done} done, none left"
    by_test: dict[str, list[float]] = {}
    by_kind: dict[str, list[float]] = {}
    for (test, _), ended in known.items():
        by_test.setdefault(test, []).append(ended.seconds)
        by_kind.setdefault(test.partition(".")[0], []).append(ended.seconds)
    seconds = [by_test.get(run.group.name) or by_kind.get(run.group.kind) for run in runs]
    guess = [_median(one) for one in seconds if one]
    about = sum(guess) * len(runs) / len(guess) / max(1, min(jobs, len(runs))) if guess else None
    return f"{done} done, {len(runs)} left" + (f", about {_time(about)}" if about is not None else "")


def _figures(row: Total, *, speed: bool = True) -> tuple[str, ...]:
    counts = (row.seeds, row.passed, row.failed, row.first_failing, row.checks, row.cycles)
    rate = row.speed if speed else None
    shown = ["-" if one is None else f"{one:,}" for one in counts]
    return (*shown, f"{row.seconds:,.0f}", "-" if rate is None else f"{rate:,.0f}")


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
