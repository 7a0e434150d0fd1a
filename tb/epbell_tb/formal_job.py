"""One run of the prover: SymbiYosys (sby) with z3, on one proof, whole or with a deliberate defect in the RTL.

Three kinds of runs: ``k-induction`` proves the properties for all time, ``cover`` finds a way from reset to everything
that is said to happen, and ``bmc`` searches from reset for a property that a defect breaks. Invariants take no part in
the last: what a user is promised has to show the defect.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from epbell_tb.formal_checks import Proof, Statement
from epbell_tb.formal_tools import Tools
from epbell_tb.mutants import Mutant, shadow

__all__ = ["BMC", "COVER", "GOALS", "INDUCTION", "Job", "Result", "convert", "main", "run"]

INDUCTION, COVER, BMC = "k-induction", "cover", "bmc"
GOALS = {INDUCTION: "proven", COVER: "reached", BMC: "refuted"}
"""Kind of run -> the verdict that is wanted."""

TIME_LIMIT_S = 600
"""Seconds after which one run of the prover is given up."""

_MODES = {INDUCTION: "prove", COVER: "cover", BMC: "bmc"}
_OPEN = "induction failed"
_TOP, _STATEMENTS = "top.il", "statements.json"
# The second asks about each step anew: z3 then takes its whole machinery to it, which arithmetic on wide words needs.
_ENGINES = {False: "smtbmc --nopresat z3", True: "smtbmc --nopresat --unroll z3 -- --noincr"}
_SCRIPT = """\
[options]
mode {mode}
depth {depth}
timeout {limit}
vcd {traces}
[engines]
{engine}
[script]
read_rtlil {top}
proc -norom
prep -flatten -top top
[files]
{top}
"""


@dataclass(frozen=True)
class Job:
    """What to run: a proof and what it covers, or a proof against a defect.

    Attributes
    ----------
    proof : Proof
        Which.
    mutant : Mutant or None
        The defect; None: the RTL as it is.
    """

    proof: Proof
    mutant: Mutant | None = None

    @property
    def name(self) -> str:
        """Proof, and defect if there is one."""
        return self.proof.name if self.mutant is None else f"{self.proof.name} / {self.mutant.name}"

    @property
    def runs(self) -> tuple[tuple[str, int], ...]:
        """Kind and depth of each of its runs."""
        if self.mutant is not None:
            return ((BMC, self.proof.mutant_depth),)
        return (INDUCTION, self.proof.depth), (COVER, self.proof.cover_depth)


@dataclass(frozen=True)
class Result:
    """What came of one run.

    Attributes
    ----------
    proof, kind, mutant : str
        What was run; ``mutant`` is empty for the RTL as it is.
    depth : int
        Clocks.
    properties : int
        How many properties there are, invariants among them; how many statements to cover in a run of that kind.
    seconds : float
        How long it took, conversion included.
    verdict : str
        ``"proven"``, ``"reached"`` or ``"refuted"`` if it is as it has to be; else what happened.
    detail : str
        The properties that failed, or what was not reached, or what the prover complained of.
    trace : str
        Where the counterexample is; empty if there is none.
    """

    proof: str
    kind: str
    mutant: str
    depth: int
    properties: int
    seconds: float
    verdict: str
    detail: str = ""
    trace: str = ""

    @property
    def good(self) -> bool:
        """Whether the verdict is the wanted one."""
        return self.verdict == GOALS[self.kind]


def convert(proof: Proof, folder: Path, *, invariants: bool) -> list[Statement]:
    """Write the RTLIL of a proof and what it states into `folder`; return the statements.

    Raises
    ------
    ValueError
        If it states no property or covers nothing: that would hold of anything.
    """
    text, statements = proof.convert(invariants=invariants)
    kinds = {statement.kind for statement in statements}
    missing = [kind for kind in ("forward", "backward", "cover") if kind not in kinds]
    if missing:
        raise ValueError(f"A proof must state something of each kind; {proof.name} has nothing {missing[0]!r}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _TOP).write_text(text)
    (folder / _STATEMENTS).write_text(json.dumps([vars(statement) for statement in statements]))
    return statements


def run(job: Job, project: Path, folder: Path, tools: Tools) -> list[Result]:
    """Convert the proof in a process of its own, and run the prover on it.

    Where the induction fails, a counterexample from reset is looked for; if there is none near, that of the induction
    is what is reported.

    Parameters
    ----------
    job : Job
        What to run.
    project : Path
        The checkout.
    folder : Path
        For the prover's files; kept, traces among them.
    tools : Tools
        The prover.
    """
    start = time.monotonic()
    complaint = _convert_apart(job, project, folder)
    if complaint:
        kind, depth = job.runs[0]
        mutant = job.mutant.name if job.mutant else ""
        return [Result(job.proof.name, kind, mutant, depth, 0, time.monotonic() - start, "not elaborated", complaint)]
    return _runs(job, folder, tools, start)


def _runs(job: Job, folder: Path, tools: Tools, start: float) -> list[Result]:
    rows = json.loads((folder / _STATEMENTS).read_text())
    statements = {row["line"]: Statement(**row) for row in rows}
    results = []
    for kind, depth in job.runs:
        result = _prove(job, kind, depth, folder, tools, statements, start)
        if result.verdict == _OPEN:
            # The induction begins in states that may be out of reach: look for a way there from reset.
            search = _prove(job, BMC, job.proof.mutant_depth, folder, tools, statements, start)
            if search.good:
                result = replace(result, verdict="REFUTED", detail=search.detail, trace=search.trace)
        results.append(result)
        start = time.monotonic()
    return results


def _convert_apart(job: Job, project: Path, folder: Path) -> str:
    """Elaborate in a process of its own, so that it may have sources of its own; return its complaint."""
    with tempfile.TemporaryDirectory(prefix="epbell-formal-") as scratch:
        env = dict(os.environ)
        arguments = [job.proof.name, str(folder)]
        if job.mutant is not None:
            sources = [str(path) for path in shadow(job.mutant, project, Path(scratch))]
            env["PYTHONPATH"] = os.pathsep.join([*sources, *filter(None, [env.get("PYTHONPATH")])])
            arguments.append("--mutant")
        command = [sys.executable, "-m", "epbell_tb.formal_job", *arguments]
        done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)
    return done.stderr.strip().rpartition("\n")[2] or "no reason given" if done.returncode else ""


def main(arguments: Sequence[str]) -> int:
    """Write the RTLIL of a proof: ``PROOF FOLDER [--mutant]``, for `run` in a process of its own."""
    from epbell_tb.formal_proofs import load

    name, folder, *rest = arguments
    convert(load()[name], Path(folder), invariants="--mutant" not in rest)
    return 0


def _prove(
    job: Job, kind: str, depth: int, folder: Path, tools: Tools, statements: dict[str, Statement], start: float
) -> Result:
    mode = _MODES[kind]
    script = folder / f"{mode}.sby"
    # What is covered is reached, and that is all: its traces would take longer to write than to find.
    traces = "off" if kind == COVER else "on"
    engine = _ENGINES[job.proof.wide]
    script.write_text(
        _SCRIPT.format(mode=mode, depth=depth, limit=TIME_LIMIT_S, top=_TOP, traces=traces, engine=engine)
    )
    done = subprocess.run(
        [*tools.command, "-f", script.name], cwd=folder, env=tools.environment, capture_output=True, text=True
    )
    status = _status(folder / mode) if done.returncode in (0, 1, 2, 4, 8, 16) else "ERROR"
    verdict, detail = _judge(kind, status, done.stdout, statements)
    if status == "ERROR":
        detail = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
    counterexamples = sorted((folder / mode / "engine_0").glob("trace*.vcd")) if status != "PASS" else []
    wanted = ("cover",) if kind == COVER else ("forward", "backward", "invariant")
    if kind == BMC:
        wanted = ("forward", "backward")
    number = sum(statement.kind in wanted for statement in statements.values())
    return Result(
        proof=job.proof.name,
        kind=kind,
        mutant=job.mutant.name if job.mutant else "",
        depth=depth,
        properties=number,
        seconds=round(time.monotonic() - start, 1),
        verdict=verdict,
        detail=detail,
        trace=str(counterexamples[0]) if counterexamples else "",
    )


def _status(folder: Path) -> str:
    try:
        return (folder / "status").read_text().split()[0]
    except (OSError, IndexError):
        return "ERROR"


def _judge(kind: str, status: str, log: str, statements: dict[str, Statement]) -> tuple[str, str]:
    """Return verdict and detail of what the prover said."""
    failed = _named(r"(?:failed assertion|Assert failed in) .*", log, statements)
    if kind == COVER:
        missed = _named(r"Unreached cover statement .*", log, statements)
        verdicts = {"PASS": ("reached", ""), "FAIL": ("not reached", missed)}
    elif kind == BMC:
        verdicts = {"PASS": ("SURVIVED", ""), "FAIL": ("refuted", failed)}
    else:
        verdicts = {"PASS": ("proven", ""), "FAIL": ("REFUTED", failed), "UNKNOWN": (_OPEN, failed)}
    others = {"TIMEOUT": "gave up", "ERROR": "no verdict"}
    return verdicts.get(status, (others.get(status, status), ""))


def _named(pattern: str, log: str, statements: dict[str, Statement]) -> str:
    """Return the names of the statements in lines of the log that match, each once."""
    names: dict[str, None] = {}
    for line in re.findall(pattern, log):
        place = re.search(r"([^\s/]+\.py:\d+)", line)
        if place is not None:
            statement = statements.get(place[1])
            names[statement.name if statement else place[1]] = None
    return "; ".join(names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
