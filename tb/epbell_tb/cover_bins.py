"""What `make cover` says of the bins of function, and the runs that it makes for their sake."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.table import Table

from epbell_tb import bins, bins_seen
from epbell_tb.cover_runs import RunFailed, Stood
from epbell_tb.installation import PROJECT
from epbell_tb.random_places import Place, places

__all__ = ["Traffic", "table", "traffic", "verdict"]

_SEEDS = 3
"""Seeds of each place for one of the command's: what is rare needs more traffic than a simulation with coverage has."""

_MORE = (
    Place("imx8", 64, stalls=True),
    Place("imx8", 128),
    Place("imx8", 512, stalls=True),
    Place("rk3588", 128, msix="port"),
    Place("rk3588", 512),
)
"""Where each width has a Messaging Unit, an eDMA that rings and a fixed BAR, with and without stalls."""


@dataclass(frozen=True)
class Traffic:
    """Random traffic at a place, in the build that `make random` uses: it leaves bins alone.

    Attributes
    ----------
    place : Place
        Where.
    """

    place: Place

    @property
    def name(self) -> str:
        """Its name for the user."""
        return self.place.name

    def run(self, folder: Path, seeds: int, say: Callable[[str], None], *, measure: bool = True) -> Stood:
        """Build and run each class of operation, if the streams flow, then seeds from 1."""
        place = self.place
        command = [sys.executable, "-m", "epbell_tb.cli", "random", "--tree", place.tree, "--width", str(place.width)]
        command += ["--stalls"] * place.stalls + ["--msix", place.msix, "--bars", place.bars, "--json"]
        env = {**os.environ, bins_seen.VARIABLE: str(folder / bins.NAME)}
        for seed in range(int(place.stalls), _SEEDS * seeds + 1):
            log = folder / f"output-{seed}.log"
            how = ["--seed", str(seed)] if seed else ["--sweep"]
            with log.open("wb") as out:
                own = [*command, *how, "--report", str(folder)]
                ended = subprocess.run(own, stdout=out, stderr=out, env=env, check=False)
            if ended.returncode != 0:
                raise RunFailed(f"{self.name} failed with {' '.join(how)}; see {log}")
        return Stood({}, set(), set())


def traffic() -> Iterable[Traffic]:
    """Return the places of the regression, and those that bins need besides."""
    return map(Traffic, (*places(), *_MORE))


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
