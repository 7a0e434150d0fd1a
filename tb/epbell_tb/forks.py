"""Run scenarios in forks of one simulation: what is to run, on the way there, and what came of it, on the way back.

The other side is `epbell_tb.benches.forked`. Everything lies in the folder of a run: ``forks.jsonl`` with a line for
each process that has ended, ``<name>.xml`` with cocotb's results of it, if it came that far, and ``run.log``.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from epbell_tb import figures, runner

__all__ = ["BENCH", "VARIABLE", "Ended", "Plan", "Run"]

BENCH = "epbell_tb.benches.forked"
VARIABLE = "EPBELL_FORKS"
"""Environment variable with the plan."""

_ENDED = "forks.jsonl"


@dataclass(frozen=True)
class Ended:
    """A process that has ended.

    Attributes
    ----------
    name : str
        Of the scenario.
    status : int
        Exit status; below 0: the signal.
    seconds : float
        Wall-clock time that it took.
    born_ns : float
        Simulated time of the fork.
    errors : bool
        Whether an assertion of the RTL failed.
    heir_of : str
        File of the results that count, if they are another process's: the bring-up's, which failed before the fork.
    """

    name: str
    status: int
    seconds: float
    born_ns: float
    errors: bool = False
    heir_of: str = ""


@dataclass(frozen=True)
class Run:
    """Scenarios that run in the same circumstances.

    Attributes
    ----------
    folder : Path
        Folder of what comes of them.
    names : tuple of str
        Names of the scenarios.
    environment : dict of str to str
        Environment variables that they have to themselves, from the end of the bring-up on.
    """

    folder: Path
    names: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def results(self, name: str) -> Path:
        """File of cocotb's results of a process."""
        return self.folder / f"{name}.xml"

    def log(self, name: str) -> Path:
        """File of the output of a process that is running."""
        return self.folder / f"{name}.log"

    def counters(self, name: str) -> Path:
        """File of the coverage that a process hands on to its parent."""
        return self.folder / f"{name}.counters"

    def tell(self, ended: Ended) -> None:
        """Hand on that a process has ended."""
        with (self.folder / _ENDED).open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(ended)) + "\n")

    def ended(self) -> dict[str, Ended]:
        """Return what has been handed on, by name."""
        return {line["name"]: Ended(**line) for line in figures.read(self.folder / _ENDED, cut=True)}

    def gather(self, names: Sequence[str]) -> bytes:
        """Move the output of processes to ``run.log``, each in one piece; return it."""
        said = b""
        for path in map(self.log, names):
            if path.exists():
                said += path.read_bytes()
                path.unlink()
        with (self.folder / "run.log").open("ab") as out:
            out.write(said)
        return said

    def outcomes(self) -> list[runner.Result]:
        """Return what came of the scenarios: one result for each whose process has ended.

        A process that died or that left no results has failed, and so has one whose exit status is not 0, whatever its
        results say.
        """
        ended = self.ended()
        return [_result(self, ended[name]) for name in self.names if name in ended]


@dataclass(frozen=True)
class Plan:
    """What one simulation is to run.

    Attributes
    ----------
    modules : tuple of str
        Python modules with the scenarios.
    runs : tuple of Run
        The scenarios. All of them share the bring-up with those that begin alike.
    limit_s : float
        Wall-clock seconds after which a scenario, or a bring-up, is ended.
    """

    modules: tuple[str, ...]
    runs: tuple[Run, ...]
    limit_s: float = 150.0

    @classmethod
    def from_environment(cls) -> Plan:
        """Return the plan that the environment holds."""
        given = json.loads(os.environ[VARIABLE])
        runs = [Run(Path(run["folder"]), tuple(run["names"]), run["environment"]) for run in given["runs"]]
        return cls(tuple(given["modules"]), tuple(runs), given["limit_s"])

    def environment(self) -> dict[str, str]:
        """Return the environment variables that hold the plan."""
        return {VARIABLE: json.dumps(asdict(self), default=str)}


def _result(run: Run, ended: Ended) -> runner.Result:
    found = runner.read_results(Path(ended.heir_of) if ended.heir_of else run.results(ended.name))
    how = f"exit status {ended.status}" if ended.status >= 0 else signal.strsignal(-ended.status)
    if ended.status == -signal.SIGALRM:
        how = f"ended after {ended.seconds:.0f} s of wall-clock time"
    if len(found) != 1:
        return runner.Result(ended.name, False, 0.0, ended.seconds, f"its simulator ended without a verdict: {how}")
    one = replace(found[0], name=ended.name, seconds=ended.seconds, sim_ns=found[0].sim_ns - ended.born_ns)
    if ended.heir_of:
        return replace(one, passed=False, sim_ns=0.0, message=f"the bring-up failed: {one.message or how}")
    if one.passed and (ended.errors or ended.status):
        how = "an assertion of the RTL failed" if ended.errors else how
        return replace(one, passed=False, message=f"its simulator failed: {how}")
    return one
