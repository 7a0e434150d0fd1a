"""The command line of ``epbell sim``, and the command that replays one of its rows."""

from __future__ import annotations

import argparse
import difflib
import importlib.metadata
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from epbell_tb import runner, toolchain
from epbell_tb.arguments import device_tree_file, number
from epbell_tb.bar_sets import BAR_SETS
from epbell_tb.cases import MSIX_WAYS
from epbell_tb.installation import PROJECT
from epbell_tb.scenarios import SCENARIOS, TREES, WIDTHS, Scenario

__all__ = ["DEFAULT_SEED", "Options", "parse", "versions"]

DEFAULT_SEED = 1
_STALLS = {"on": (True,), "off": (False,), "both": (False, True)}
_MOST_JOBS = 64
_SIMULATORS = (runner.VERILATOR, runner.ICARUS)


@dataclass(frozen=True)
class Options:
    """What is to be run, and how.

    Attributes
    ----------
    scenarios, widths, stalls : tuple
        What to run, in this order.
    trees : tuple of str
        Names of shipped device trees to run it on; each scenario runs on those of its own.
    seed : int
        Seed of every scenario.
    bars : str
        Name of a set of BARs.
    msix : str
        How MSI-X messages leave, one of `MSIX_WAYS`.
    dts : Path or None
        Device tree instead of the shipped ones.
    waves : bool
        Leave a VCD.
    thorough : bool
        Let each sweep take every value, not only those at its boundaries.
    coverage : bool
        Count what of the RTL is reached; each simulation leaves it in the folder of its log.
    record : bool
        Keep what the pins showed of each scenario, for the ladders of the report.
    fork : bool
        Run the scenarios of a simulation in forks of it, which share the bring-up; never with waves.
    jobs : int
        Builds and simulations at a time.
    json : bool
        Print summary.json.
    report : Path
        Folder of summary.json and of the logs.
    list : bool
        Print what there is to run, and run nothing.
    simulator : str
        `runner.VERILATOR` or `runner.ICARUS`.
    """

    scenarios: tuple[Scenario, ...]
    widths: tuple[int, ...]
    stalls: tuple[bool, ...]
    trees: tuple[str, ...]
    seed: int
    bars: str
    msix: str
    dts: Path | None
    waves: bool
    thorough: bool
    coverage: bool
    record: bool
    fork: bool
    jobs: int
    json: bool
    report: Path
    list: bool
    simulator: str = runner.VERILATOR

    def replay(self, name: str, tree: str, width: int, stalls: bool) -> str:
        """Return the command that runs one scenario again as it was run here."""
        settings = {
            "SIM": "" if self.simulator == runner.VERILATOR else self.simulator,
            "SEED": str(self.seed),
            "WIDTH": str(width),
            "SCENARIO": name,
            "STALLS": "on" if stalls else "off",
            "TREE": "" if self.dts else tree,
            "DTS": str(self.dts) if self.dts else "",
        }
        given = {name: shlex.quote(value) for name, value in settings.items() if value}
        rest = [] if self.bars == "everyday" else [f"--bars {self.bars}"]
        rest += [] if self.msix == MSIX_WAYS[0] else [f"--msix {self.msix}"]
        rest += ["--thorough"] if self.thorough else []
        if Path.cwd() == PROJECT:
            words = ["make sim", *(f"{name}={value}" for name, value in given.items())]
            return " ".join([*words, *([f"ARGS='{' '.join(rest)}'"] if rest else [])])
        words = ["epbell sim", *(f"--{name.lower()} {value}" for name, value in given.items())]
        return " ".join([*words, *rest])


def parse(argv: Sequence[str]) -> Options:
    """Read the command line; a wrong one ends the program with status 2 and a sentence that says what to do."""
    parser = argparse.ArgumentParser(
        prog="epbell sim", description="Run the scenarios of the endpoint on a simulator.", allow_abbrev=False
    )
    add = parser.add_argument
    add(
        "--seed",
        type=number(0, 2**31 - 1),
        default=DEFAULT_SEED,
        metavar="N",
        help=f"default {DEFAULT_SEED}; the same one gives the same run",
    )
    add(
        "--width",
        type=_widths,
        default=WIDTHS,
        metavar="LIST",
        help=f"of the PCIe streams, default {','.join(map(str, WIDTHS))}",
    )
    add(
        "--scenario",
        type=_scenarios,
        default=tuple(SCENARIOS),
        metavar="LIST",
        help="names, or parts of names; --list prints them",
    )
    add(
        "--stalls",
        type=_stalls,
        default=_STALLS["both"],
        metavar="MODE",
        help="streams that pause at random: on, off or both (default)",
    )
    add(
        "--bars",
        type=_bars,
        default="everyday",
        metavar="SET",
        help=f"sizes of the BARs: {', '.join(BAR_SETS)}; default everyday",
    )
    add(
        "--sim",
        choices=_SIMULATORS,
        default=runner.VERILATOR,
        help="simulator; default verilator. Icarus is the system's, version 11 or newer, and many times slower",
    )
    add("--msix", choices=MSIX_WAYS, default="rq", help="MSI-X as memory writes on RQ (default) or by the block's port")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--tree", type=_trees, default=TREES, metavar="LIST", help=f"default {','.join(TREES)}")
    which.add_argument(
        "--dts", type=device_tree_file, metavar="FILE", help="your device tree instead of the shipped ones"
    )
    add("--thorough", action="store_true", help="every value of each sweep, which takes long, as in `make regress`")
    add("--waves", action="store_true", help="leave a VCD of each simulation and say where")
    add("--coverage", action="store_true", help="count what of the RTL is reached, as `epbell cover` does; slow")
    add("--no-record", action="store_false", dest="record", help="keep no packets: the report has no ladders then")
    add(
        "--no-fork",
        action="store_false",
        dest="fork",
        help="bring the endpoint up for each scenario again, in one process",
    )
    add("--jobs", type=number(1, _MOST_JOBS), default=2, metavar="N", help="simulations at a time, default 2")
    add("--json", action="store_true", help="print summary.json instead of a table")
    add("--list", action="store_true", help="print each scenario with its device trees and what it shows; run none")
    add("--report", type=Path, metavar="FOLDER", help="default sim_build/report")
    given = parser.parse_args(argv)
    if given.coverage and given.sim != runner.VERILATOR:
        parser.error("--coverage needs --sim verilator: Icarus counts nothing")
    folder = (given.report or runner.sim_build() / "report").absolute()
    if not given.dts and not any(set(scenario.trees) & set(given.tree) for scenario in given.scenario):
        used = sorted({tree for scenario in given.scenario for tree in scenario.trees}, key=TREES.index)
        parser.error(f"none of these scenarios runs on {', '.join(given.tree)}; they run on {', '.join(used)}")
    if not any(set(scenario.widths) & set(given.width) for scenario in given.scenario):
        used = sorted({width for scenario in given.scenario for width in scenario.widths})
        widths = ", ".join(map(str, given.width))
        parser.error(f"none of these scenarios runs at {widths} bits; they run at {', '.join(map(str, used))}")
    return Options(
        scenarios=given.scenario, widths=given.width, stalls=given.stalls, trees=given.tree, seed=given.seed,
        bars=given.bars, msix=given.msix, dts=given.dts, waves=given.waves, thorough=given.thorough,
        coverage=given.coverage, record=given.record, fork=given.fork and not given.waves, jobs=given.jobs,
        json=given.json, report=folder, list=given.list, simulator=given.sim,
    )  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of the project and of its tools."""
    try:
        own = importlib.metadata.version("epbell")
    except importlib.metadata.PackageNotFoundError:
        own = "not installed"
    return {"epbell": own, **toolchain.versions()}


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _widths(text: str) -> tuple[int, ...]:
    known = {str(width): width for width in WIDTHS}
    wrong = [part for part in _list(text) or [text] if part not in known]
    if wrong:
        raise argparse.ArgumentTypeError(f"a width must be one of {', '.join(known)}, not {wrong[0]!r}")
    return tuple(sorted({known[part] for part in _list(text)}))


def _trees(text: str) -> tuple[str, ...]:
    wrong = [part for part in _list(text) or [text] if part not in TREES]
    if wrong:
        hint = f"it must be one of {', '.join(TREES)}; a file of your own goes to --dts"
        raise argparse.ArgumentTypeError(f"no device tree is called {wrong[0]!r}; {hint}")
    return tuple(tree for tree in TREES if tree in _list(text))


def _scenarios(text: str) -> tuple[Scenario, ...]:
    names = [scenario.name for scenario in SCENARIOS]
    chosen: set[str] = set()
    for part in _list(text) or [text]:
        found = [part] if part in names else [name for name in names if part and part in name]
        if not found:
            close = difflib.get_close_matches(part, names, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it must be (a part of) one of {', '.join(names)}"
            raise argparse.ArgumentTypeError(f"no scenario is called {part!r}; {hint}")
        chosen |= set(found)
    return tuple(scenario for scenario in SCENARIOS if scenario.name in chosen)


def _stalls(text: str) -> tuple[bool, ...]:
    if text not in _STALLS:
        raise argparse.ArgumentTypeError(f"it must be on, off or both, not {text!r}")
    return _STALLS[text]


def _bars(text: str) -> str:
    if text not in BAR_SETS:
        raise argparse.ArgumentTypeError(f"it must be one of {', '.join(BAR_SETS)}, not {text!r}")
    return text
