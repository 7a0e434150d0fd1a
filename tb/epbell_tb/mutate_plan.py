"""Which tests the mutants of a module meet, on the way to the simulator, and what came of each, on the way back.

The other side is `epbell_tb.benches.mutated`. What has been found out stands in ``verdicts.jsonl``, a line for each
mutant, to which several simulators add; so a run goes on where it was interrupted, and what has killed most goes first.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from epbell_tb import figures

__all__ = ["BENCH", "VARIABLE", "Plan", "Stage", "Verdict", "in_order"]

BENCH = "epbell_tb.benches.mutated"
VARIABLE = "EPBELL_MUTANTS"
"""Environment variable with the plan."""

_VERDICTS = "verdicts.jsonl"


@dataclass(frozen=True)
class Stage:
    """One test that a mutant may meet.

    Attributes
    ----------
    bench : str
        Python module of the cocotb test.
    test : str
        Its name.
    label : str
        What the table calls it; empty: as the test.
    environment : dict of str to str
        Environment variables that it has to itself.
    late : bool
        Whether it is for those mutants only that all others have let live, and no proof says that they change nothing.
    """

    bench: str
    test: str
    label: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    late: bool = False

    @property
    def name(self) -> str:
        """What the table calls it; no other stage of a module has that name."""
        return self.label or self.test


@dataclass(frozen=True)
class Verdict:
    """What the tests said of a mutant.

    Attributes
    ----------
    mutant : int
        Its number; 0: the module as it is.
    stage : str
        Name of the test that noticed it; empty: none did.
    reason : str
        How that failed.
    seconds : float
        Seconds that all its tests took.
    """

    mutant: int
    stage: str
    reason: str
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether a test noticed."""
        return bool(self.stage)


@dataclass(frozen=True)
class Plan:
    """What one simulation is to try.

    Attributes
    ----------
    folder : Path
        Folder of the module's verdicts.
    mutants : tuple of int
        Which mutants.
    stages : tuple of Stage
        The tests, those that are expected to notice most first.
    limit_s : float
        Seconds of processor time after which a test is ended, which counts as noticed.
    """

    folder: Path
    mutants: tuple[int, ...]
    stages: tuple[Stage, ...]
    limit_s: float = 60.0

    @classmethod
    def from_environment(cls) -> Plan:
        """Return the plan that the environment holds."""
        given = json.loads(os.environ[VARIABLE])
        stages = tuple(Stage(**stage) for stage in given["stages"])
        return cls(Path(given["folder"]), tuple(given["mutants"]), stages, given["limit_s"])

    def environment(self) -> dict[str, str]:
        """Return the environment variables that hold the plan."""
        return {VARIABLE: json.dumps(asdict(self), default=str)}

    def tell(self, verdict: Verdict) -> None:
        """Hand on what came of a mutant."""
        with (self.folder / _VERDICTS).open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(verdict)) + "\n")

    def verdicts(self) -> dict[int, Verdict]:
        """Return what has been handed on, by the numbers of the mutants."""
        return {line["mutant"]: Verdict(**line) for line in figures.read(self.folder / _VERDICTS, cut=True)}


def in_order(stages: Sequence[Stage], verdicts: Iterable[Verdict]) -> list[Stage]:
    """Sort tests: first those that have noticed most mutants."""
    kills = Counter(verdict.stage for verdict in verdicts)
    return sorted(stages, key=lambda stage: -kills[stage.name])
