"""One module's mutants: made, compiled once, tried on the fast tests, compared with the original, tried on the rest."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from epbell_tb import figures, runner
from epbell_tb.formal_tools import Tools
from epbell_tb.installation import PROJECT
from epbell_tb.mutate_design import Design, Mutation
from epbell_tb.mutate_plan import BENCH, Plan, Stage, Verdict
from epbell_tb.mutate_proofs import EQUIVALENT, Answer, compare
from epbell_tb.progress import Display

__all__ = ["Outcome", "Subject", "try_all"]

_POLL_S = 0.5
_BATCHES = 4
"""Simulators for each job, one after the other: what has been learned of the order counts from the next on."""
_TIME_LIMIT_S = 6 * 3600.0
_ANSWERS = "answers.jsonl"


@dataclass(frozen=True)
class Subject:
    """What is tried.

    Attributes
    ----------
    design : Design
        The module and its mutants.
    stages : tuple of Stage
        Its tests.
    clocks : int
        How many clocks it has.
    limit_s : float
        Seconds of processor time that a test may take.
    deepest : int
        How many modules to compare, from a mutant's own outwards.
    proof_s : int
        Seconds of processor time that a question to the prover may take.
    induction : bool
        Whether the prover looks further than at one clock, and at all of the module.
    """

    design: Design
    stages: tuple[Stage, ...]
    clocks: int
    limit_s: float
    deepest: int = 9
    proof_s: int = 40
    induction: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of a mutant.

    Attributes
    ----------
    mutation : Mutation
        The mutant.
    stage : str
        The test that noticed it; empty: none.
    detail : str
        How that failed.
    answer : Answer or None
        What the comparison with the original said, if it came to that.
    """

    mutation: Mutation
    stage: str = ""
    detail: str = ""
    answer: Answer | None = None

    @property
    def killed(self) -> bool:
        """Whether a test noticed."""
        return bool(self.stage)

    @property
    def equivalent(self) -> bool:
        """Whether it is proven to change nothing."""
        return not self.killed and self.answer is not None and self.answer.verdict == EQUIVALENT

    @property
    def survived(self) -> bool:
        """Whether it changes something, as far as is known, that nothing noticed."""
        return not self.killed and not self.equivalent


def try_all(subject: Subject, jobs: int, tools: Tools, shown: Display, *, resume: bool) -> list[Outcome]:
    """Try every mutant of a module.

    Parameters
    ----------
    subject : Subject
        The module.
    jobs : int
        Simulators, or provers, at a time.
    tools : Tools
        The prover.
    shown : Display
        Where progress is shown.
    resume : bool
        Whether to keep what was found on the very same sources before.

    Raises
    ------
    SimulationError
        If a test fails without any mutant.
    """
    design = subject.design
    job = f"{design.name}: compiling"
    build = runner.build(design.name, mutated=design.text, say=lambda _: shown.begin(job))
    if build.seconds:
        shown.end(job, f"{build.seconds:.0f} s")
    folder = _folder(subject, resume=resume)
    numbers = [mutation.number for mutation in design.mutations]
    early, late = (tuple(stage for stage in subject.stages if stage.late is later) for later in (False, True))
    plan = Plan(folder / "early", (), early, subject.limit_s)
    found = _simulate(design, build, plan, numbers, jobs, shown, "tests")
    left = [number for number in numbers if not found[number].killed]
    answers = _prove(subject, folder, left, jobs, tools, shown)
    if late:
        left = [number for number in left if answers[number].verdict != EQUIVALENT]
        plan = Plan(folder / "late", (), late, subject.limit_s)
        found.update(_simulate(design, build, plan, left, jobs, shown, "other tests"))
    return [
        Outcome(one, found[one.number].stage, found[one.number].reason, answers.get(one.number))
        for one in design.mutations
    ]


def _folder(subject: Subject, *, resume: bool) -> Path:
    """Return the folder of the verdicts, which are kept if they are about the very same thing."""
    folder = subject.design.folder / "verdicts"
    key = hashlib.sha256(json.dumps([asdict(stage) for stage in subject.stages]).encode())
    key.update(subject.design.text.encode())
    for path in sorted(path for top in ("tb", "models") for path in (PROJECT / top).rglob("*.py")):
        key.update(path.read_bytes())
    stamp = folder / "key"
    if not (resume and stamp.exists() and stamp.read_text(encoding="utf-8") == key.hexdigest()):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        stamp.write_text(key.hexdigest(), encoding="utf-8")
    return folder


def _simulate(
    design: Design, build: runner.Build, plan: Plan, numbers: Sequence[int], jobs: int, shown: Display, what: str
) -> dict[int, Verdict]:
    """Try mutants on tests, the module as it is among them, which has to pass."""
    plan.folder.mkdir(exist_ok=True)
    known = plan.verdicts()
    left = [number for number in (0, *numbers) if number not in known]
    if not left:
        return known
    title = f"{design.name}: {what}"

    def run(some: Sequence[int]) -> None:
        part = Plan(plan.folder, tuple(some), plan.stages, plan.limit_s)
        results = plan.folder / f"run-{some[0]}"
        (root,) = runner.run(
            build, BENCH, env=part.environment(), expected=1, results=results, time_limit_s=_TIME_LIMIT_S
        )  # fmt: skip
        if not root.passed:
            log = results / "run.log"
            raise runner.SimulationError(f"{design.name}: nothing was forked: {root.message}; see {log}")

    size = max(1, -(-len(left) // (jobs * _BATCHES)))
    batches = [left[at : at + size] for at in range(0, len(left), size)]
    shown.begin(title, len(left))
    start = _Clock()
    _each(run, batches, jobs, lambda: shown.advance(title, len(plan.verdicts()) - len(known)))
    found = plan.verdicts()
    if found[0].killed:
        raise runner.SimulationError(f"{design.name} fails without any mutant: {found[0].stage}: {found[0].reason}")
    killed = sum(found[number].killed for number in numbers)
    shown.end(title, f"{killed} of {len(numbers)} noticed in {start}")
    return found


def _prove(
    subject: Subject, folder: Path, numbers: Sequence[int], jobs: int, tools: Tools, shown: Display
) -> dict[int, Answer]:
    """Compare mutants with the original."""
    design, path = subject.design, folder / _ANSWERS
    mutations = {mutation.number: mutation for mutation in design.mutations}
    known = {line["mutant"]: Answer(**line) for line in figures.read(path, cut=True)}
    left = [number for number in numbers if number not in known]
    if not left:
        return known
    title = f"{design.name}: proofs"

    def run(number: int) -> None:
        answer = compare(
            design.name, mutations[number], design.folder, tools, clocks=subject.clocks, deepest=subject.deepest,
            limit_s=subject.proof_s, induction=subject.induction,
        )  # fmt: skip
        with path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(answer)) + "\n")

    shown.begin(title, len(left))
    start = _Clock()
    _each(run, left, jobs, lambda: shown.advance(title, figures.count(path) - len(known)))
    found = {line["mutant"]: Answer(**line) for line in figures.read(path)}
    equal = sum(answer.verdict == EQUIVALENT for answer in found.values())
    shown.end(title, f"{equal} of {len(found)} change nothing, in {start}")
    return found


class _Clock:
    """The time since it was made, and the processor time of the processes that have ended since."""

    def __init__(self) -> None:
        self._start = time.monotonic(), self._processors()

    def __str__(self) -> str:
        since, spent = self._start
        return f"{time.monotonic() - since:.0f} s ({self._processors() - spent:.0f} s of processor time)"

    @staticmethod
    def _processors() -> float:
        times = os.times()
        return times.children_user + times.children_system


def _each(run: Callable[..., None], parts: Sequence[object], jobs: int, look: Callable[[], None]) -> None:
    """Run something on each part, so many at a time, and look at how far it is meanwhile."""
    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    try:
        running = {pool.submit(run, part) for part in parts}
        while running:
            done, running = concurrent.futures.wait(running, _POLL_S, concurrent.futures.FIRST_COMPLETED)
            for future in done:
                future.result()
            look()
    finally:
        # After an error or Ctrl-C nothing of ours may go on.
        pool.shutdown(wait=False, cancel_futures=True)
        runner.cancel()
