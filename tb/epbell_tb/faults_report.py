"""What came of a campaign of faults: its table, what went wrong, and the command that shows it again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from epbell_tb.faults_plan import PROBE, STATES, Family

__all__ = ["Outcome", "listing", "table", "total", "troubles"]


@dataclass(frozen=True)
class Outcome:
    """What came of a family in a state, at a place.

    Attributes
    ----------
    family, state : str
        Names.
    width, stalls : int, bool
        The place.
    fewest : int
        How many faults have to be tried.
    rows : tuple of mapping
        One for each fault that was tried: ``fault survived lost invented recovery bound why``.
    why : str
        Why the simulation failed; empty if it did not.
    """

    family: str
    state: str
    width: int
    stalls: bool
    fewest: int
    rows: tuple[Mapping[str, Any], ...]
    why: str

    @property
    def survived(self) -> int:
        """How many faults survived."""
        return sum(bool(row["survived"]) for row in self.rows)

    @property
    def good(self) -> bool:
        """Whether enough were tried, and all survived."""
        return not self.why and len(self.rows) == self.survived >= self.fewest

    def sum(self, name: str) -> int:
        """Return the sum of a figure."""
        return sum(row[name] for row in self.rows)

    @property
    def longest(self) -> int:
        """Clocks that the longest recovery took."""
        return max((row["recovery"] or 0 for row in self.rows), default=0)

    @property
    def bound(self) -> int:
        """The bound of these."""
        return max((row["bound"] for row in self.rows), default=0)


def table(outcomes: Sequence[Outcome]) -> Table:
    """Return the table: a row for each family and state, over all places."""
    shown = Table(box=box.HORIZONTALS, title="Faults, and what came of them", min_width=100)
    for column in ("family", "state"):
        shown.add_column(column, no_wrap=True)
    for column in ("tried", "survived", "lost", "invented", "longest recovery", "bound (clocks)"):
        shown.add_column(column, justify="right", no_wrap=True)
    cells: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        cells.setdefault((outcome.family, outcome.state), []).append(outcome)
    for (family, state), some in cells.items():
        good = all(outcome.good for outcome in some)
        shown.add_row(
            family, state, str(_tried(some)), Text(str(_survived(some)), "green" if good else "bold red"),
            *(str(sum(outcome.sum(name) for outcome in some)) for name in ("lost", "invented")),
            str(max(outcome.longest for outcome in some)), str(max(outcome.bound for outcome in some)),
        )  # fmt: skip
    return shown


def total(outcomes: Sequence[Outcome]) -> str:
    """Return the sums in a line."""
    lost, invented = (sum(outcome.sum(name) for outcome in outcomes) for name in ("lost", "invented"))
    longest = max((outcome.longest for outcome in outcomes), default=0)
    return (
        f"{_tried(outcomes)} faults tried, {_survived(outcomes)} survived, lost doorbells {lost}, invented doorbells"
        f" {invented}, longest recovery {longest} clocks"
    )


def troubles(outcomes: Sequence[Outcome], seed: int) -> Iterator[str]:
    """Say what went wrong, and how to see it again."""
    for outcome in outcomes:
        if outcome.good:
            continue
        bad = next((row for row in outcome.rows if not row["survived"]), None)
        where = f"{outcome.family}, {outcome.state}"
        if outcome.width:
            where += f", {outcome.width} bits, stalls {'on' if outcome.stalls else 'off'}"
        if bad is not None:
            yield f"{where}: {bad['fault']}: {_first_line(bad['why'])}"
        elif outcome.why:
            yield f"{where}: {_first_line(outcome.why)}"
        else:
            yield f"{where}: {len(outcome.rows)} faults were tried, fewer than {outcome.fewest}"
        yield f"    again: {_again(outcome, seed)}"


def _again(outcome: Outcome, seed: int) -> str:
    stalls = "on" if outcome.stalls else "off"
    where = f"--width {outcome.width} --stalls {stalls} " if outcome.width else ""
    return f"epbell faults --family {outcome.family} --state '{outcome.state}' {where}--seed {seed}"


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _tried(outcomes: Sequence[Outcome]) -> int:
    return sum(len(outcome.rows) for outcome in outcomes)


def _survived(outcomes: Sequence[Outcome]) -> int:
    return sum(outcome.survived for outcome in outcomes)


def listing(families: Sequence[Family], *, as_json: bool) -> None:
    """Print families, states and bounds."""
    if as_json:
        states = [asdict(state) for state in STATES.values()]
        print(json.dumps({"families": [asdict(one) for one in families], "states": states, "probe": PROBE}, indent=2))
        return
    for family in families:
        print(f"{family.name}: {family.summary}")
        print(f"    in each state {family.fewest} or more; bound {family.bound} clocks: {family.source}")
        print(f"    states: {', '.join(family.states)}")
    print("\nstates; their bound is added to the family's:")
    for state in STATES.values():
        print(f"{state.name}: {state.summary}; {state.bound} clocks: {state.source}")
    print(f"\ngood accesses afterwards: {PROBE} clocks more")
