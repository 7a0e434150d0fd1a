"""``make mutate``: let Yosys break the RTL at random, bit by bit, and count what the tests notice.

Each exported module gets mutants, 200 by default, drawn from a seed: one bit of one port of one cell of its netlist is
inverted, held, or inverted now and then. All of them are compiled at once; an input chooses one. Each meets the fast
tests of its module until one fails. What all let live is compared with the original by a SAT solver: a mutant that is
proven to change nothing is none. The rest meets the other tests; who survives those too is listed, with the line of
Python and the reason that ``tests/survivors.toml`` gives.

`make mutants` is the other one: defects written by hand, each with the tests that have to notice it. They say that
known mistakes cannot come back; this says how much nobody thought of.

Files are kept in ``sim_build/mutate``. Exit status: 0; 1 if a module is below the goal, a survivor lacks a reason or a
reason its survivor (in a run with the default seed and number), or a test fails without any mutant; 2 if the command
line is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from epbell.export import MODULES, ExportError
from epbell_tb import formal_tools, mutate_survivors
from epbell_tb.arguments import number
from epbell_tb.formal_proofs import chosen
from epbell_tb.mutate_design import design
from epbell_tb.mutate_modules import clocks_of, deepest_of, like, limit_of, prepare, proof_of, stages_of
from epbell_tb.mutate_run import Outcome, Subject, try_all
from epbell_tb.mutate_survivors import Reason
from epbell_tb.progress import alone, display
from epbell_tb.runner import SimulationError, sim_build

__all__ = ["GOAL", "MUTANTS", "SEED", "main", "score"]

GOAL = 90.0
"""Per cent of the mutants that are not equivalent which have to be noticed, of each module."""

MUTANTS, SEED = 200, 1
"""Mutants of each module, and the seed that decides which, unless the user says otherwise."""

_MOST, _MOST_JOBS = 5000, 64
Found = Mapping[str, Sequence[Outcome]]


def main(argv: Sequence[str]) -> int:
    """Try the mutants and report.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell mutate``.

    Returns
    -------
    int
        Exit status.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        names = chosen(list(MODULES), given.only) if given.only else list(MODULES)
    except ValueError as error:
        parser.error(f"argument --only: {error}")
    if given.list:
        for name in names:
            print(f"{name}: {', '.join(stage.name for stage in stages_of(name))}")
        return 0
    console = Console(stderr=given.json, width=None if sys.stdout.isatty() else 140, soft_wrap=False)
    reasons = mutate_survivors.load()
    tools = formal_tools.install()
    _say(console, "Yosys gets ready (a minute when it first runs on a machine) ...")
    tools.prepare()
    start = time.monotonic()
    root = sim_build() / "mutate"
    root.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Outcome]] = {}
    trouble = ""
    with alone(root / "lock", console):
        for name in names:
            try:
                found[name] = _module(name, given, tools, console)
            except (SimulationError, ExportError) as error:
                trouble = str(error)
                break
    standard = (given.mutants, given.seed, given.first) == (MUTANTS, SEED, None)
    bad = _report(found, reasons, console, as_json=given.json, standard=standard)
    _say(console, *([f"epbell: {trouble}"] if trouble else []))
    _say(console, f"{sum(map(len, found.values()))} mutants in {time.monotonic() - start:.0f} s, seed {given.seed}")
    return 1 if bad or trouble else 0


def score(outcomes: Sequence[Outcome]) -> float:
    """Return how many mutants that change something were noticed, in per cent; 100 if there are none."""
    killed = sum(outcome.killed for outcome in outcomes)
    real = sum(not outcome.equivalent for outcome in outcomes)
    return 100.0 * killed / real if real else 100.0


def _module(name: str, given: argparse.Namespace, tools: formal_tools.Tools, console: Console) -> list[Outcome]:
    with display(console) as shown:
        job = f"{name}: making mutants"
        shown.begin(job)
        folder = sim_build() / "mutate" / f"{name}-{given.mutants}-{given.seed}"
        other = like(name)
        known = (other, MODULES[other]) if other else None
        made = design(name, MODULES[name], given.mutants, given.seed, folder, tools, like=known)
        shown.end(job, f"{len(made.mutations)}")
        prepare(name)
        made = replace(made, mutations=made.mutations[: given.first])
        subject = Subject(made, stages_of(name), clocks_of(name), limit_of(name), deepest_of(name), *proof_of(name))
        return try_all(subject, given.jobs, tools, shown, resume=given.resume)


def _report(found: Found, reasons: Sequence[Reason], console: Console, *, as_json: bool, standard: bool) -> bool:
    """Print what came of it; return whether something is not as it has to be."""
    why = {
        (name, outcome.mutation.number): mutate_survivors.reason_of(reasons, name, outcome.mutation)
        for name, outcomes in found.items()
        for outcome in outcomes
        if outcome.survived
    }
    if as_json:
        print(json.dumps({name: _entry(name, outcomes, why) for name, outcomes in found.items()}, indent=1))
    else:
        _show(found, why, console)
    below = [name for name, outcomes in found.items() if score(outcomes) < GOAL]
    _say(console, *(f"{name}: {score(found[name]):.1f} % are noticed, less than {GOAL:.0f} %" for name in below))
    if not standard:
        return bool(below)
    unjudged = sum(reason is None for reason in why.values())
    if unjudged:
        _say(console, f"{unjudged} survivors need a reason in {mutate_survivors.FILE}, or a test that notices them")
    used = [reason for reason in why.values() if reason is not None]
    left = mutate_survivors.stale(reasons, list(found), used)
    _say(console, *(f"{mutate_survivors.FILE}: nothing survives that fits {reason.place!r}" for reason in left))
    return bool(below or unjudged or left)


def _entry(name: str, outcomes: Sequence[Outcome], why: Mapping[tuple[str, int], Reason | None]) -> dict[str, object]:
    rows = []
    for outcome in outcomes:
        reason = why.get((name, outcome.mutation.number))
        row = {**asdict(outcome), "verdict": _verdict(outcome), "reason": reason.reason if reason else ""}
        rows.append(row)
    return {"score": round(score(outcomes), 1), "goal": GOAL, "mutants": rows}


def _verdict(outcome: Outcome) -> str:
    return "killed" if outcome.killed else "equivalent" if outcome.equivalent else "survived"


def _show(found: Found, why: Mapping[tuple[str, int], Reason | None], console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("module", no_wrap=True)
    for column in ("mutants", "killed", "equivalent", "survived", "score"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("noticed by", overflow="fold")
    for name, outcomes in found.items():
        counts = Counter(map(_verdict, outcomes))
        by = Counter(outcome.stage for outcome in outcomes if outcome.killed)
        most = ", ".join(f"{stage} {count}" for stage, count in by.most_common(4))
        rest = sum(by.values()) - sum(count for _, count in by.most_common(4))
        shown = Text(f"{score(outcomes):.1f} %", "green" if score(outcomes) >= GOAL else "bold red")
        numbers = (str(counts[verdict]) for verdict in ("killed", "equivalent", "survived"))
        table.add_row(name, str(len(outcomes)), *numbers, shown, most + (f", others {rest}" if rest else ""))
    console.print(table)
    for name, outcomes in found.items():
        for outcome in outcomes:
            if outcome.survived:
                reason = why[name, outcome.mutation.number]
                told = outcome.answer.verdict if outcome.answer else "not compared"
                _say(console, f"{name} {outcome.mutation.number}: {outcome.mutation.place}; {told}")
                for source in outcome.mutation.source:
                    _say(console, f"    {source}: {mutate_survivors.line_of(source)}")
                _say(console, f"    {reason.reason if reason else 'no reason yet'}")


def _say(console: Console, *texts: str) -> None:
    for text in texts:
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="epbell mutate",
        description="Let Yosys break the exported modules at random, bit by bit, and count what tests notice. "
        "`epbell mutants` tries defects that were written by hand instead.",
        epilog="Exit status: 0 every module reaches its goal, 1 not, 2 the command line is wrong.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--only", metavar="PATTERN[,...]", help="modules by name, * and ? allowed, as in epbell_mu_* (default: all)"
    )
    parser.add_argument(
        "--mutants", type=number(1, _MOST), default=MUTANTS, metavar="N", help=f"of each module (default: {MUTANTS})"
    )
    parser.add_argument(
        "--seed", type=number(0, 2**31 - 1), default=SEED, metavar="N", help=f"decides which (default: {SEED})"
    )
    parser.add_argument(
        "--first",
        type=number(1, _MOST),
        metavar="N",
        help="try only the first N of them, a sample; --resume without this goes on with the others",
    )
    parser.add_argument(
        "--jobs",
        type=number(1, _MOST_JOBS),
        default=max(1, min(_MOST_JOBS, os.cpu_count() or 1)),
        metavar="N",
        help="simulators or provers at a time (default: one for each processor)",
    )
    parser.add_argument("--resume", action="store_true", help="keep what was found before on the very same sources")
    parser.add_argument("--list", action="store_true", help="print the modules and the tests of each; run none")
    parser.add_argument("--json", action="store_true", help="print everything about every mutant as JSON")
    return parser
