"""What ``make cover`` runs: each a command or a bench, with the coverage that it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Protocol, TypeVar

from amaranth.lib import wiring
from filelock import FileLock

from epbell import export
from epbell.edma import Edma, EdmaShape
from epbell_models import devicetree
from epbell_tb import bins, bins_seen, coverage, coverage_constants, runner, sim_variant
from epbell_tb.coverage import Hits, Point
from epbell_tb.mu_probe import MuProbe
from epbell_tb.scenarios import SCENARIOS

__all__ = ["Run", "RunFailed", "Simulated", "Stood", "Unit", "chosen", "runs", "stood"]

_BENCHES = "epbell_tb.benches"
_LAYOUTS = ("imx6sx", "imx7ulp", "imx8ulp")
_SHAPES = {
    **{personality: EdmaShape(personality) for personality in ("unroll", "legacy", "hdma")},
    "few": EdmaShape("unroll", 2, 2, lines=4),
}


_EDMA_OPERATIONS = "400000"
"""Twice as many as the bench does by itself: so that each byte of each register of the legacy page is written alone."""
_PORT_CLOCKS = "40000"

_ENDPOINTS = (("imx8", 64, True, "rq"), ("imx8", 64, True, "port"), ("imx8", 256, False, "rq"))
"""Device tree, width, stalls, way of MSI-X: each has a build of its own."""

_LONG = {"bar_test", "consecutive_bar_test", "subrange_on_every_bar"}
"""Scenarios that fill every BAR, for as long as all others take."""

_BRIDGE = "vntb_"
"""Scenarios of the bridge: the same hardware, between long waits of its drivers."""


class RunFailed(Exception):
    """A run did not end well; the text says where to look."""


@dataclass(frozen=True)
class Stood:
    """What has come of a run.

    Attributes
    ----------
    hits : dict of Point to int
        What was reached.
    never, may, unread : set of Point
        What is constant in its design, what is not, and toggles that nothing there depends on.
    """

    hits: Hits
    never: set[Point]
    may: set[Point]
    unread: set[Point] = field(default_factory=set)


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
    tests : str or None
        Regular expression on the names of the tests to run, as of `runner.run`; None for all.
    """

    name: str
    module: str
    builder: Callable[[], wiring.Component] | None
    benches: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    tests: str | None = None

    def run(self, folder: Path, seeds: int, say: Callable[[str], None], *, measure: bool = True) -> Stood:
        """Build and run, with seeds from 1; without coverage of the RTL unless told to `measure`."""
        build = runner.build(self.module, builder=self.builder, coverage=measure, say=say)
        given = {**self.environment, bins_seen.VARIABLE: str(folder / bins.NAME)}
        parts = []
        for bench in self.benches:
            for seed in range(1, seeds + 1):
                own = folder / f"{bench}-{seed}"
                found = runner.run(build, f"{_BENCHES}.{bench}", tests=self.tests, seed=seed, env=given, results=own)
                bad = [result for result in found if not result.passed]
                if bad:
                    raise RunFailed(f"{self.name}: {bad[0].name} failed with seed {seed}: {bad[0].message}; see {own}")
                if measure:
                    parts.append(coverage.read(own / coverage.NAME))
        if not measure:
            return Stood({}, set(), set())
        builder = self.builder or export.MODULES[self.module]
        return stood(builder, build, parts)


@dataclass(frozen=True)
class Simulated:
    """Scenarios of a device tree at a width: ``epbell sim``, without those that reach nothing more and take long.

    Attributes
    ----------
    tree, width : str, int
        Where.
    stalls : bool
        Whether the streams pause.
    msix : str
        The way of MSI-X.
    """

    tree: str
    width: int
    stalls: bool
    msix: str = "rq"

    @property
    def name(self) -> str:
        """Its name for the user."""
        return f"sim.{self.tree}.{self.width}{'.port' * (self.msix == 'port')}{'.stalls' * self.stalls}"

    @property
    def scenarios(self) -> list[str]:
        """Their names."""
        return [
            one.name
            for one in SCENARIOS
            if self.tree in one.trees
            and self.width in one.widths
            and one.name not in _LONG
            and not one.name.startswith(_BRIDGE)
        ]

    def run(self, folder: Path, seeds: int, say: Callable[[str], None], *, measure: bool = True) -> Stood:
        """Build and run, with seeds from 1; without coverage of the RTL unless told to `measure`."""
        tree = devicetree.load(devicetree.builtin(self.tree))
        variant = sim_variant.variant_of(tree, self.width, "everyday", self.msix)
        build = sim_variant.build_variant(variant, say=say, coverage=measure)
        env = {**os.environ, bins_seen.VARIABLE: str(folder / bins.NAME)}
        parts = []
        for seed in range(1, seeds + 1):
            own = folder / str(seed)
            command = [sys.executable, "-m", "epbell_tb.cli", "sim", "--tree", self.tree, "--width", str(self.width)]
            command += ["--stalls", "on" if self.stalls else "off", "--scenario", ",".join(self.scenarios)]
            command += ["--msix", self.msix, "--no-record"]
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
        return stood(builder, build, parts)


def stood(builder: Callable[[], wiring.Component], build: runner.Build, parts: Sequence[Hits]) -> Stood:
    """Return what has come of simulations of a build, and what is constant in its design."""
    hits = coverage.merge(*parts)
    bits = _constants(builder, build)
    text = (build.folder / f"{build.module}.sv").read_text(encoding="utf-8")
    return Stood(hits, *coverage_constants.constants_of(text, build.module, bits, hits))


def _constants(builder: Callable[[], wiring.Component], build: runner.Build) -> dict[str, str]:
    """Return the constants of a design, which takes half a minute for an endpoint: kept beside its build."""
    kept = build.folder / f"constants-{coverage_constants.METHOD}.json"
    with FileLock(kept.with_suffix(".lock")):
        if not kept.exists():
            scratch = kept.with_suffix(".new")
            scratch.write_text(json.dumps(coverage_constants.constants(builder, build.module)), encoding="utf-8")
            scratch.replace(kept)
    return json.loads(kept.read_text(encoding="utf-8"))


def _units() -> Iterable[Unit]:
    given = {"EPBELL_DTS": str(devicetree.builtin("imx8")), "EPBELL_BARS": "everyday", "EPBELL_MSIX": "rq"}
    given |= {"EPBELL_THOROUGH": "0", "EPBELL_STALLS": "0"}
    # Which do not depend on the width.
    yield Unit("counters", "epbell_endpoint_usp64", None, ("endpoint_presets",), given, r"\.counters_anywhere$")
    for layout in _LAYOUTS:
        given = {"EPBELL_MU_LAYOUT": layout}
        yield Unit(f"mu.{layout}", f"epbell_mu_{layout}", None, ("mu_lockstep",), given)
    given = {"EPBELL_MU_LAYOUT": "imx8ulp"}
    probe = partial(MuProbe, "imx8ulp")
    yield Unit("mu.imx8ulp.async", "mu_probe_imx8ulp", probe, ("mu_crossing", "mu_resets"), given)
    for name, shape in _SHAPES.items():
        channels = f"{shape.write_channels},{shape.read_channels}"
        given = {"EPBELL_EDMA_PERSONALITY": shape.personality, "EPBELL_EDMA_CHANNELS": channels}
        given["EPBELL_EDMA_OPERATIONS"] = _EDMA_OPERATIONS
        yield Unit(f"edma.{name}", f"edma_{name}", partial(Edma, shape), ("edma_lockstep",), given)
    for layout in _LAYOUTS:
        given = {"EPBELL_MU_LAYOUT": layout, "EPBELL_AXIL_CLOCKS": _PORT_CLOCKS}
        yield Unit(f"mu.{layout}.port", f"epbell_mu_{layout}", None, ("axil_lockstep",), given, r"\.messaging_unit$")
    given = {"EPBELL_AXIL_CLOCKS": _PORT_CLOCKS}
    yield Unit("edma.port", "epbell_edma", None, ("axil_lockstep",), given, r"\.edma$")


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


def runs(trees: Sequence[str] | None, widths: Sequence[int] | None) -> tuple[Simulated | Unit, ...]:
    """Return what there is to run, the longest first: of these device trees and widths, None for the usual ones."""
    if trees is None and widths is None:
        return (*(Simulated(*one) for one in _ENDPOINTS), *_units())
    trees = trees or tuple(dict.fromkeys(tree for tree, *_ in _ENDPOINTS))
    widths = widths or tuple(dict.fromkeys(width for _, width, *_ in _ENDPOINTS))
    places = product(widths, trees, (False, True))
    return (*(Simulated(tree, width, stalls) for width, tree, stalls in places), *_units())


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
