"""``make formal``: prove the RTL, and see that each proof refutes deliberate defects.

The proofs are in ``tests/formal``: each states what a component promises in every clock, for whatever its inputs do,
and is proven for all time by k-induction with z3. What it covers shows that it is not true of nothing. Each has to
refute the defects that ``tests/formal/mutants.toml`` names for it, two at least, by what it promises alone.

Files of the prover are kept in ``sim_build/formal``, a folder for each proof and defect; a counterexample's ``.vcd`` is
among them. Exit status: 0, 1 if a proof does not hold, covers what cannot happen, or lets a defect pass, 2 if the
command line is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from epbell_tb import formal_proofs, formal_tools
from epbell_tb.arguments import number
from epbell_tb.formal_checks import Proof
from epbell_tb.formal_job import BMC, Job, Result, run
from epbell_tb.installation import PROJECT
from epbell_tb.mutants import Mutant
from epbell_tb.progress import Display, display
from epbell_tb.runner import sim_build

__all__ = ["FEWEST_MUTANTS", "jobs_of", "main"]

FEWEST_MUTANTS = 2
"""Defects that each proof has to refute, at least."""

_MOST_JOBS = 64


def main(argv: Sequence[str]) -> int:
    """Run proofs and report.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell formal``.

    Returns
    -------
    int
        Exit status.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    proofs = formal_proofs.load()
    try:
        names = formal_proofs.chosen(list(proofs), given.only) if given.only else list(proofs)
    except ValueError as error:
        parser.error(f"argument --only: {error}")
    defects = formal_proofs.mutants(names)
    console = Console(stderr=given.json, width=None if sys.stdout.isatty() else 160, soft_wrap=False)
    if given.list:
        _list([proofs[name] for name in names], defects, as_json=given.json)
        return 0
    few = [name for name, count in _counts(names, defects).items() if count < FEWEST_MUTANTS]
    if few:
        print(f"epbell formal: {few[0]} needs {FEWEST_MUTANTS} defects or more in mutants.toml", file=sys.stderr)
        return 1
    tools = formal_tools.install()
    _say(console, "the prover gets ready (a minute when it first runs on a machine) ...")
    tools.prepare()
    start = time.monotonic()
    jobs = jobs_of([proofs[name] for name in names], [] if given.no_mutants else defects)
    results = _run(jobs, tools, given.jobs, console)
    if given.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        console.print(_table(results))
    bad = [result for result in results if not result.good]
    for result in bad:
        what = f"{result.proof}{' / ' if result.mutant else ''}{result.mutant}"
        _say(console, f"{what}: {result.kind}: {result.verdict}" + (f": {result.detail}" if result.detail else ""))
        if result.trace:
            _say(console, f"    counterexample: {os.path.relpath(result.trace)}")
    _say(console, _total(results, time.monotonic() - start))
    return 1 if bad else 0


def jobs_of(proofs: Sequence[Proof], defects: Sequence[tuple[Mutant, str]]) -> list[Job]:
    """Return a job for each proof and for each defect of it, in the order of the table."""
    return [
        job
        for proof in proofs
        for job in (Job(proof), *(Job(proof, mutant) for mutant, name in defects if name == proof.name))
    ]


def _run(jobs: list[Job], tools: formal_tools.Tools, at_a_time: int, console: Console) -> list[Result]:
    folder = sim_build() / "formal"
    found: dict[Job, list[Result]] = {}
    with display(console) as shown, ThreadPoolExecutor(at_a_time) as pool:
        futures = {pool.submit(_one, job, folder, tools, shown): job for job in jobs}
        try:
            for future in as_completed(futures):
                found[futures[future]] = future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [result for job in jobs for result in found[job]]


def _one(job: Job, folder: Path, tools: formal_tools.Tools, shown: Display) -> list[Result]:
    shown.begin(job.name)
    results = run(job, PROJECT, folder / job.name.replace(" / ", "/"), tools)
    seconds = sum(result.seconds for result in results)
    shown.end(job.name, ", ".join(result.verdict for result in results) + f" in {seconds:.0f} s")
    return results


def _counts(names: Sequence[str], defects: Sequence[tuple[Mutant, str]]) -> dict[str, int]:
    counted = Counter(name for _, name in defects)
    return {name: counted[name] for name in names}


def _list(proofs: Sequence[Proof], defects: Sequence[tuple[Mutant, str]], *, as_json: bool) -> None:
    of = {proof.name: [mutant for mutant, name in defects if name == proof.name] for proof in proofs}
    if as_json:
        rows = [
            {
                "proof": proof.name,
                "summary": proof.summary,
                "depth": proof.depth,
                "mutants": [mutant.name for mutant in of[proof.name]],
            }
            for proof in proofs
        ]
        print(json.dumps(rows, indent=2))
        return
    for proof in proofs:
        print(f"{proof.name}: {proof.summary}")
        for mutant in of[proof.name]:
            print(f"    refutes {mutant.name}: {mutant.why}")


def _table(results: Sequence[Result]) -> Table:
    table = Table(box=box.HORIZONTALS, title="Proofs, what they cover, and the defects that they refute", min_width=100)
    for column in ("proof", "defect", "kind"):
        table.add_column(column, no_wrap=True)
    for column in ("depth", "properties", "s"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for result in results:
        verdict = Text(result.verdict, "green" if result.good else "bold red")
        if result.kind == BMC and result.good:
            verdict.append(f": {result.detail.partition('; ')[0]}", "dim")
        table.add_row(
            result.proof,
            result.mutant,
            result.kind,
            str(result.depth),
            str(result.properties),
            f"{result.seconds:.1f}",
            verdict,
        )
    return table


def _total(results: Sequence[Result], seconds: float) -> str:
    good = Counter(result.kind for result in results if result.good)
    whole = Counter(result.kind for result in results)
    words = {"k-induction": "proofs hold", "cover": "cover all", BMC: "defects refuted"}
    parts = [f"{good[kind]} of {number} {words[kind]}" for kind, number in whole.items()]
    return f"{', '.join(parts)}; {seconds:.0f} s, {sum(result.seconds for result in results):.0f} s of runs"


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="epbell formal",
        description="Prove the RTL by k-induction with z3, and see that each proof refutes deliberate defects.",
        epilog="Exit status: 0 all is proven, 1 something is not, 2 the command line is wrong.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--only", metavar="PATTERN[,...]", help="proofs by name, * and ? allowed, as in mu.doorbell.* (default: all)"
    )
    parser.add_argument("--list", action="store_true", help="print the proofs and their defects; run none")
    parser.add_argument("--no-mutants", action="store_true", help="run the proofs alone, without the defects")
    parser.add_argument(
        "--jobs",
        type=number(1, _MOST_JOBS),
        default=max(1, min(_MOST_JOBS, os.cpu_count() or 1)),
        metavar="N",
        help="proofs and defects at a time (default: one for each processor)",
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser
