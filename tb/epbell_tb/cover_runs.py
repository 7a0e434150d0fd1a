"""What ``make cover`` runs: each a command or a bench, with the coverage that it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from amaranth.lib import wiring

from epbell import export
from epbell.edma import Edma, EdmaShape
from epbell_models import devicetree
from epbell_tb import bins, bins_seen, coverage, coverage_constants, runner, sim_variant
from epbell_tb.coverage import Hits, Point
from epbell_tb.mu_probe import MuProbe

__all__ = ["Run", "RunFailed", "Simulated", "Stood", "Unit", "chosen", "runs"]

_BENCHES = "epbell_tb.benches"
_LAYOUTS = ("imx6sx", "imx7ulp", "imx8ulp")
_SHAPES = {
    **{personality: EdmaShape(personality) for personality in ("unroll", "legacy", "hdma")},
    "few": EdmaShape("unroll", 2, 2, lines=4),
}


class RunFailed(Exception):
    """A run did not end well; the text says where to look."""


@dataclass(frozen=True)
class Stood:
    """What has come of a run: what was reached, and toggles that are constant, and not, in its design."""

    hits: Hits
    never: set[Point]
    may: set[Point]


@dataclass(frozen=True)
class Unit:
    """A block alone, in benches of its own.

    Attributes
    ----------
    name : str
        Its name for the user.
    module : str
        Name of the top level.
    builder : callable or None
        Makes it; None if it is exported.
    benches : tuple of str
        Benches, each a simulation.
    environment : dict of str to str
        Their environment variables.
    """

    name: str
    module: str
    builder: Callable[[], wiring.Component] | None
    benches: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, folder: Path, seeds: int, say: Callable[[str], None], *, measure: bool = True) -> Stood:
        """Build and run, with seeds from 1; without coverage of the RTL unless told to `measure`."""
        build = runner.build(self.module, builder=self.builder, coverage=measure, say=say)
        given = {**self.environment, bins_seen.VARIABLE: str(folder / bins.NAME)}
        parts = []
        for bench in self.benches:
            for seed in range(1, seeds + 1):
                own = folder / f"{bench}-{seed}"
                found = runner.run(build, f"{_BENCHES}.{bench}", seed=seed, env=given, results=own)
                bad = [result for result in found if not result.passed]
                if bad:
                    raise RunFailed(f"{self.name}: {bad[0].name} failed with seed {seed}: {bad[0].message}; see {own}")
                if measure:
                    parts.append(coverage.read(own / coverage.NAME))
        if not measure:
            return Stood({}, set(), set())
        builder = self.builder or export.MODULES[self.module]
        return _stood(builder, build, parts)


@dataclass(frozen=True)
class Simulated:
    """The scenarios of a device tree at a width, with and without stalls: ``epbell sim``."""

    tree: str
    width: int

    @property
    def name(self) -> str:
        """Its name for the user."""
        return f"sim.{self.tree}.{self.width}"

    def run(self, folder: Path, seeds: int, say: Callable[[str], None], *, measure: bool = True) -> Stood:
        """Build and run, with seeds from 1; without coverage of the RTL unless told to `measure`."""
        tree = devicetree.load(devicetree.builtin(self.tree))
        variant = sim_variant.variant_of(tree, self.width, "everyday")
        build = sim_variant.build_variant(variant, say=say, coverage=measure)
        env = {**os.environ, bins_seen.VARIABLE: str(folder / bins.NAME)}
        parts = []
        for seed in range(1, seeds + 1):
            own = folder / str(seed)
            command = [sys.executable, "-m", "epbell_tb.cli", "sim", "--tree", self.tree, "--width", str(self.width)]
            command += ["--coverage"] * measure + ["--jobs", "1", "--seed", str(seed), "--report", str(own)]
            own.mkdir(parents=True, exist_ok=True)
            with (own / "output.log").open("wb") as log:
                ended = subprocess.run(command, stdout=log, stderr=log, env=env, check=False)
            if ended.returncode != 0:
                raise RunFailed(f"{self.name} failed with seed {seed}; see {own / 'output.log'}")
            parts += [coverage.read(path) for path in sorted(own.rglob(coverage.NAME))]
        if not measure:
            return Stood({}, set(), set())
        builder = partial(sim_variant.Endpoint, variant.width, **dict(variant.parameters))
        return _stood(builder, build, parts)


def _stood(builder: Callable[[], wiring.Component], build: runner.Build, parts: Sequence[Hits]) -> Stood:
    hits = coverage.merge(*parts)
    bits = _constants(builder, build)
    text = (build.folder / f"{build.module}.sv").read_text(encoding="utf-8")
    return Stood(hits, *coverage_constants.constants_of(text, build.module, bits, hits))


def _constants(builder: Callable[[], wiring.Component], build: runner.Build) -> dict[str, str]:
    """Return the constants of a design, which takes half a minute for an endpoint: kept beside its build."""
    kept = build.folder / f"constants-{coverage_constants.METHOD}.json"
    if not kept.exists():
        scratch = kept.with_suffix(".new")
        scratch.write_text(json.dumps(coverage_constants.constants(builder, build.module)), encoding="utf-8")
        scratch.replace(kept)
    return json.loads(kept.read_text(encoding="utf-8"))


def _units() -> Iterable[Unit]:
    for layout in _LAYOUTS:
        given = {"EPBELL_MU_LAYOUT": layout}
        yield Unit(f"mu.{layout}", f"epbell_mu_{layout}", None, ("mu_lockstep",), given)
    given = {"EPBELL_MU_LAYOUT": "imx8ulp"}
    probe = partial(MuProbe, "imx8ulp")
    yield Unit("mu.imx8ulp.async", "mu_probe_imx8ulp", probe, ("mu_crossing", "mu_resets"), given)
    for name, shape in _SHAPES.items():
        channels = f"{shape.write_channels},{shape.read_channels}"
        given = {"EPBELL_EDMA_PERSONALITY": shape.personality, "EPBELL_EDMA_CHANNELS": channels}
        yield Unit(f"edma.{name}", f"edma_{name}", partial(Edma, shape), ("edma_lockstep",), given)


class Run(Protocol):
    """Something to run."""

    @property
    def name(self) -> str:
        """Its name for the user."""
        ...

    def run(self, folder: Path, seeds: int, say: Callable[[str], None], *, measure: bool = True) -> Stood:
        """Build and run, with seeds from 1; without coverage of the RTL unless told to `measure`."""
        ...


AnyRun = TypeVar("AnyRun", bound=Run)


def runs(trees: Sequence[str], widths: Sequence[int]) -> tuple[Simulated | Unit, ...]:
    """Return what there is to run, the longest first."""
    return (*(Simulated(tree, width) for width in widths for tree in trees), *_units())


def chosen(found: Iterable[AnyRun], patterns: Sequence[str]) -> tuple[AnyRun, ...]:
    """Return those whose name is one of the patterns, or begins with it up to a dot; all for no pattern.

    Raises
    ------
    ValueError
        If a pattern matches none.
    """
    every = tuple(found)
    for pattern in patterns:
        if not any(f"{run.name}.".startswith(f"{pattern}.") for run in every):
            raise ValueError(
                f"it must be (the beginning of) one of {', '.join(run.name for run in every)}, not {pattern!r}"
            )
    if not patterns:
        return every
    return tuple(run for run in every if any(f"{run.name}.".startswith(f"{one}.") for one in patterns))
