"""What `make cover` says of the bins of function, and the runs that it makes for their sake."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich import box
from rich.table import Table

from epbell_models import devicetree
from epbell_tb import bins, bins_seen, coverage, sim_variant
from epbell_tb.cover_runs import RunFailed, Stood, stood
from epbell_tb.installation import PROJECT
from epbell_tb.random_places import Place

__all__ = ["Traffic", "table", "traffic", "verdict"]

_SEEDS = 3
"""Seeds of each place for one of the command's: what is rare needs more traffic than a simulation with coverage has."""

_MEASURED = (
    Place("imx8", 64),
    Place("imx8", 256),
    Place("imx8", 64, stalls=True, msix="port", about="interrupts"),
)
"""Where it counts coverage of the RTL, too, in the builds that the scenarios have."""

_KINDS = ((64, "rq", "everyday"), (128, "port", "everyday"), (256, "rq", "everyday"), (512, "rq", "wide"))
"""Width, way of MSI-X and BARs: each width, both ways, and BARs above 4 GiB."""

_BINS = (
    *(Place("imx8", width, stalls, *more) for stalls in (True, False) for width, *more in _KINDS),
    Place("rk3588", 64),
)
"""Where it is for bins alone, unless it is measured: each kind with and without pauses, and a fixed BAR."""


@dataclass(frozen=True)
class Traffic:
    """Random traffic at a place, after each class of operation in turn.

    Attributes
    ----------
    place : Place
        Where.
    measured : bool
        Whether it counts coverage of the RTL; else it leaves bins alone, in the build that `make random` uses.
    """

    place: Place
    measured: bool = False

    @property
    def name(self) -> str:
        """Its name for the user."""
        return self.place.name

    def run(self, folder: Path, seeds: int, say: Callable[[str], None], *, measure: bool = True) -> Stood:
        """Build and run each class of operation, then seeds from 1."""
        place, counts = self.place, measure and self.measured
        command = [sys.executable, "-m", "epbell_tb.cli", "random", "--tree", place.tree, "--width", str(place.width)]
        command += ["--msix", place.msix, "--bars", place.bars, "--about", place.about, "--json"]
        command += ["--stalls"] * place.stalls + ["--coverage"] * counts
        env = {**os.environ, bins_seen.VARIABLE: str(folder / bins.NAME)}
        parts = []
        for seed in range((1 if counts else _SEEDS) * seeds + 1):
            log = folder / f"output-{seed}.log"
            how = ["--seed", str(seed)] if seed else ["--sweep"]
            with log.open("wb") as out:
                own = [*command, *how, "--report", str(folder)]
                ended = subprocess.run(own, stdout=out, stderr=out, env=env, check=False)
            if ended.returncode != 0:
                raise RunFailed(f"{self.name} failed with {' '.join(how)}; see {log}")
            if counts:
                parts.append(coverage.read(folder / f"{place.name}-{seed or 1}" / coverage.NAME))
        if not counts:
            return Stood({}, set(), set())
        tree = devicetree.load(devicetree.builtin(place.tree))
        variant = sim_variant.variant_of(tree, place.width, place.bars, place.msix)
        build = sim_variant.build_variant(variant, say=say, coverage=True)
        return stood(partial(sim_variant.Endpoint, variant.width, **dict(variant.parameters)), build, parts)


def traffic() -> Iterable[Traffic]:
    """Return where random traffic runs, the longest first."""
    return (
        *(Traffic(place, measured=True) for place in _MEASURED),
        *(Traffic(one) for one in _BINS if one not in _MEASURED),
    )


def verdict(files: Sequence[Path], project: Path = PROJECT) -> tuple[list[bins.Row], list[bins.Waiver]]:
    """Return a row for each group of bins, and the waivers that match no hole.

    Parameters
    ----------
    files : sequence of Path
        What the runs have left; those that are not there have seen nothing.
    project : Path
        Where the declaration is.

    Raises
    ------
    BinsError
        If a run has seen what cannot be.
    """
    crosses = bins.load(project / bins.LISTING)
    return bins.judge(crosses, bins.merge(crosses, files), bins.waivers(project / "tests" / "waivers.toml", crosses))


def table(rows: Iterable[bins.Row]) -> Table:
    """Return the table for the terminal."""
    shown = Table(box=box.SIMPLE_HEAD)
    for name in ("bins of", "declared", "hit", "waived", ""):
        shown.add_column(name, justify="left" if name == "bins of" else "right")
    for row in rows:
        missing = f"{len(row.holes)} missing" if row.holes else "ok"
        shown.add_row(row.group, str(row.declared), str(row.hit), str(row.waived), missing)
    return shown
