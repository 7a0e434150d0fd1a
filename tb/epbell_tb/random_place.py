"""A run of random traffic at a place: what is to be done, and what came of it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from epbell_models import devicetree
from epbell_tb import figures, runner
from epbell_tb.random_places import Place
from epbell_tb.sim_variant import VariantError, build_variant, variant_of
from epbell_tb.traffic.draw import draw
from epbell_tb.traffic.ground import Ground
from epbell_tb.traffic.operations import Operation, as_json, from_json
from epbell_tb.traffic.sweep import MAX_PAYLOAD, sweep

__all__ = ["OPERATIONS", "Drawn", "Ended", "VariantError", "run"]

OPERATIONS = 1000
"""Operations of a run, unless it is told otherwise."""

BENCH = "epbell_tb.benches.endpoint_random"
_LIMIT_S = 600.0
_PAYLOADS = (128, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Drawn:
    """What is to be done: all that a run depends on, but for the sources.

    Attributes
    ----------
    place : Place
        Where.
    seed : int
        Of the operations, of the streams' pauses, and of the accesses at the end.
    max_payload : int
        Bytes of the longest write, and of the longest completion.
    operations : list of Operation
        What happens.
    """

    place: Place
    seed: int
    max_payload: int
    operations: Sequence[Operation]

    @staticmethod
    def of(place: Place, seed: int, count: int) -> Drawn:
        """Draw so many operations."""
        source = Random(f"{seed} {place.name}")
        payload = source.choice(_PAYLOADS)
        ground = Ground.of(devicetree.load(devicetree.builtin(place.tree)), place.bars)
        return Drawn(place, seed, payload, draw(ground, source, count, payload, place.about))

    @staticmethod
    def all_classes(place: Place, seed: int) -> Drawn:
        """Take each class of operation in turn."""
        ground = Ground.of(devicetree.load(devicetree.builtin(place.tree)), place.bars)
        return Drawn(place, seed, MAX_PAYLOAD, sweep(ground, Random(f"{seed} {place.name}")))

    @staticmethod
    def load(path: Path) -> Drawn:
        """Read what `save` has written.

        Raises
        ------
        ValueError
            If it is no such file.
        """
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
            place = Place(**given["place"])
            return Drawn(place, given["seed"], given["max_payload"], from_json(given["operations"]))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} must be a file of operations that `epbell random` has written: {error}") from None

    def save(self, path: Path) -> None:
        """Write it as JSON, an operation a line."""
        lines = ",\n".join(json.dumps(one) for one in as_json(self.operations))
        head = json.dumps({"place": asdict(self.place), "seed": self.seed, "max_payload": self.max_payload})
        path.write_text(f'{head[:-1]}, "operations": [\n{lines}\n]}}\n', encoding="utf-8")


@dataclass(frozen=True)
class Ended:
    """What came of a run.

    Attributes
    ----------
    passed : bool
        Whether every check was content.
    reason : str
        Why not, in a line.
    seconds : float
        Wall-clock time, without the compilation.
    figures : mapping
        What the bench tells: ``cycles begun done counts ...``; empty if the simulator died.
    log : Path
        What the simulator said.
    """

    passed: bool
    reason: str
    seconds: float
    log: Path
    figures: Mapping[str, Any] = field(default_factory=dict)


def run(
    drawn: Drawn,
    folder: Path,
    say: Callable[[str], None] | None = None,
    *,
    bench: str | None = None,
    coverage: bool = False,
) -> Ended:
    """Build the endpoint, unless it is there, and do the operations.

    Parameters
    ----------
    drawn : Drawn
        What is to be done.
    folder : Path
        Where ``operations.json``, figures and log go; what is in it is removed.
    say : callable, optional
        Told in a sentence when a compilation starts.
    bench : str, optional
        Another bench that does them.
    coverage : bool
        Count what is reached, as of `runner.build`.

    Raises
    ------
    VariantError, SimulationError
        If the endpoint cannot be built.
    """
    place = drawn.place
    tree = devicetree.load(devicetree.builtin(place.tree))
    build = build_variant(variant_of(tree, place.width, place.bars, place.msix), say=say, coverage=coverage)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    drawn.save(folder / "operations.json")
    told = folder / "figures.jsonl"
    env = {
        "EPBELL_RANDOM": str((folder / "operations.json").absolute()),
        "EPBELL_DTS": str(devicetree.builtin(place.tree)),
        "EPBELL_BARS": place.bars,
        "EPBELL_MSIX": place.msix,
        "EPBELL_STALLS": str(int(place.stalls)),
        figures.VARIABLE: str(told.absolute()),
    }
    begin = time.monotonic()
    limit_s = runner.COVERAGE_SLOWDOWN * _LIMIT_S if coverage else _LIMIT_S
    how = {"seed": drawn.seed, "env": env, "expected": 1, "results": folder, "time_limit_s": limit_s}
    try:
        (result,) = runner.run(build, bench or BENCH, **how)
        passed, reason = result.passed, result.message
    except runner.SimulationError as error:
        passed, reason = False, _cause(str(error))
    lines = figures.read(told, cut=True)
    told_last = lines[-1] if lines else {}
    seconds = time.monotonic() - begin
    return Ended(passed, "" if passed else _line(reason), seconds, folder / "run.log", told_last)


def _cause(text: str) -> str:
    """Return the sentence of an assertion of the RTL, if that ended the simulator."""
    found = [line for line in text.splitlines() if "%Error" in line or "Assertion failed" in line]
    return found[0] if found else text


def _line(text: str) -> str:
    return " ".join(text.split())[:400]
