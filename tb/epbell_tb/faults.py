"""``make faults``: every fault in every state, and that the endpoint gets over each of them.

A fault survives if nothing hangs longer than its bound, no ring is lost, none is invented, the counters tell exactly
what happened, and good accesses work afterwards. Families, states and bounds are in `epbell_tb.faults_plan`. Exit
status: 0; 1 if a fault does not survive or is not tried; 2 if the command line is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from epbell_models import devicetree
from epbell_tb import faults_report, figures, forks, runner
from epbell_tb.arguments import number
from epbell_tb.faults_plan import FAMILIES, RATIOS, STATES, Family
from epbell_tb.faults_report import Outcome
from epbell_tb.mu_probe import MuProbe
from epbell_tb.progress import Display, alone, display
from epbell_tb.scenarios import WIDTHS
from epbell_tb.sim_variant import build_variant, variant_of

__all__ = ["TWO_CLOCKS", "Place", "main", "run_place", "tried_at"]

CLOCKS = "stopped_clock"
"""The family that needs it."""

_DEFAULT_WIDTHS = (64, 256)
_MOST_JOBS = 64
_LIMIT_S = 1800.0
_FORK_LIMIT_S = 300.0


@dataclass(frozen=True)
class Place:
    """Where faults are tried: width of the streams in bits, 0 without streams, and whether they pause at random."""

    width: int
    stalls: bool

    @property
    def name(self) -> str:
        """What the user sees."""
        return f"{self.width} bits, stalls {'on' if self.stalls else 'off'}" if self.width else "two clocks"


TWO_CLOCKS = Place(0, stalls=False)
"""The Messaging Unit alone."""


def main(argv: Sequence[str]) -> int:
    """Run the campaign and report.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell faults``.

    Returns
    -------
    int
        Exit status.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        families = [FAMILIES[name] for name in _names("--family", given.family, FAMILIES)]
        states = _names("--state", given.state, [*dict.fromkeys(s for f in FAMILIES.values() for s in f.states)])
        widths = [int(width) for width in _names("--width", given.width, [str(width) for width in WIDTHS])]
    except ValueError as error:
        parser.error(str(error))
    if given.width is None:
        widths = list(_DEFAULT_WIDTHS)
    console = Console(stderr=given.json, width=None if sys.stdout.isatty() else 160, soft_wrap=False)
    if given.list:
        faults_report.listing(families, as_json=given.json)
        return 0
    stalls = {"on": [True], "off": [False], "both": [False, True]}[given.stalls]
    chosen = {family.name: tuple(state for state in family.states if state in states) for family in families}
    if not any(chosen.values()):
        parser.error("argument --state: none of these families is tried in it; --list says which states each has")
    places = [TWO_CLOCKS] if chosen.get(CLOCKS) else []
    if any(names for family, names in chosen.items() if family != CLOCKS):
        places += [Place(width, stalled) for width in widths for stalled in stalls]
    start = time.monotonic()
    lock = runner.sim_build() / "report" / "faults" / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with alone(lock, console):
        outcomes = _run(places, chosen, given.seed, given.jobs, console)
    if given.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    else:
        console.print(faults_report.table(outcomes))
    for line in faults_report.troubles(outcomes, given.seed):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    total = f"{faults_report.total(outcomes)}; {time.monotonic() - start:.0f} s"
    console.print(total, highlight=False, markup=False, soft_wrap=True)
    return 0 if outcomes and all(outcome.good for outcome in outcomes) else 1


def _run(
    places: Sequence[Place], chosen: dict[str, tuple[str, ...]], seed: int, jobs: int, console: Console
) -> list[Outcome]:
    found: dict[Place, list[Outcome]] = {}
    with display(console) as shown, ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(_shown, place, chosen, seed, shown): place for place in places}
        try:
            for future in as_completed(futures):
                found[futures[future]] = future.result()
        except BaseException:
            runner.cancel()
            pool.shutdown(cancel_futures=True)
            raise
    return [outcome for place in places for outcome in found[place]]


def run_clocks(ratios: Sequence[str], seed: int) -> list[Outcome]:
    """Stop the clocks of the two-clock Messaging Unit, at some of their ratios; parameters as of `run_place`."""
    family = FAMILIES[CLOCKS]
    folder = _folder(TWO_CLOCKS)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    build = runner.build("mu_probe_imx8ulp", builder=partial(MuProbe, "imx8ulp"))
    accounts, trouble = folder / "faults.jsonl", ""
    results: dict[str, runner.Result] = {}
    try:
        env = {figures.VARIABLE: str(accounts), "EPBELL_MU_LAYOUT": "imx8ulp"}
        tests = rf"ratio=({'|'.join(str(RATIOS.index(ratio)) for ratio in ratios)})$"  # cocotb numbers them
        bench = f"epbell_tb.benches.{family.bench}"
        ended = runner.run(build, bench, tests=tests, env=env, seed=seed, results=folder, expected=len(ratios))
        results = {RATIOS[int(result.name.partition("ratio=")[2])]: result for result in ended}
    except runner.SimulationError as error:
        trouble = str(error).partition("\n")[0]
    told = {line["name"]: line["faults"] for line in figures.read(accounts, cut=True)}
    outcomes = []
    for ratio in ratios:
        result = results.get(ratio)
        why = trouble or "it did not run" if result is None else "" if result.passed else result.message
        outcomes.append(Outcome(family.name, ratio, 0, False, family.fewest, tuple(told.get(ratio, ())), why))
    return outcomes


def _shown(place: Place, chosen: dict[str, tuple[str, ...]], seed: int, shown: Display) -> list[Outcome]:
    start = time.monotonic()
    here = tried_at(place, chosen)
    shown.begin(place.name, sum(map(len, here.values())))
    outcomes = run_clocks(here[CLOCKS], seed) if place == TWO_CLOCKS else run_place(place, here, seed)
    shown.end(place.name, f"{faults_report.total(outcomes)} in {time.monotonic() - start:.0f} s")
    return outcomes


def tried_at(place: Place, chosen: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return those of the chosen families, with their states, that are tried at a place: clocks stop at one only."""
    return {family: states for family, states in chosen.items() if (family == CLOCKS) == (place == TWO_CLOCKS)}


def run_place(place: Place, chosen: dict[str, tuple[str, ...]], seed: int) -> list[Outcome]:
    """Try families in some of their states at one place: forks of one simulation.

    Parameters
    ----------
    place : Place
        Where.
    chosen : dict of str to tuple of str
        Name of a family -> names of states.
    seed : int
        Of everything random.
    """
    cases = [(FAMILIES[family], state) for family, states in chosen.items() for state in states]
    folder = _folder(place)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    dts = devicetree.builtin("imx8")
    build = build_variant(variant_of(devicetree.load(dts), place.width, "everyday"))
    accounts = folder / "faults.jsonl"
    names = tuple(_test(family, state) for family, state in cases)
    own = {figures.VARIABLE: str(accounts), "EPBELL_STALLS": str(int(place.stalls))}
    run = forks.Run(folder, names, own)
    modules = tuple(sorted({f"epbell_tb.benches.{family.bench}" for family, _ in cases}))
    plan = forks.Plan(modules, (run,), _FORK_LIMIT_S)
    trouble = ""
    try:
        env = {"EPBELL_DTS": str(dts), "EPBELL_THOROUGH": "0", **plan.environment()}
        (root,) = runner.run(
            build, forks.BENCH, env=env, seed=seed, expected=1, results=folder, time_limit_s=_LIMIT_S
        )  # fmt: skip
        if not root.passed:
            trouble = f"nothing was forked: {root.message}"
    except runner.SimulationError as error:
        trouble = str(error).partition("\n")[0]
        run.gather(run.names)
    results = {result.name: result for result in run.outcomes()}
    told = {line["name"]: line for line in figures.read(accounts, cut=True)}
    outcomes = []
    for family, state in cases:
        name = _test(family, state)
        result = results.get(name)
        why = trouble if result is None else "" if result.passed else result.message
        rows = told.get(name, {}).get("faults", [])
        outcomes.append(Outcome(family.name, state, place.width, place.stalls, family.fewest, tuple(rows), why))
    return outcomes


def _test(family: Family, state: str) -> str:
    return f"{family.name}_{state}"


def _folder(place: Place) -> Path:
    return runner.sim_build() / "report" / "faults" / f"usp{place.width}-stalls-{'on' if place.stalls else 'off'}"


def _names(option: str, given: str | None, known: Collection[str]) -> list[str]:
    """Return the names that an option lists, all of them if it is not there."""
    if given is None:
        return list(known)
    names = [name.strip() for name in given.split(",")]
    for name in names:
        if name not in known:
            raise ValueError(f"argument {option}: it must be some of {', '.join(known)}, not {name!r}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="epbell faults",
        description="Try every fault of a host, a link, a CPU or a clock in every state, and see the RTL survive it.",
        epilog="Exit status: 0 all survived, 1 one did not or was not tried, 2 the command line is wrong."
        " A host that rings ten million doorbells is `epbell soak`.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--family", metavar="NAME[,...]", help=f"some families of faults (default: all): {', '.join(FAMILIES)}")
    add("--state", metavar="NAME[,...]", help=f"some states (default: all): {', '.join(STATES)}, and those of --list")
    add("--width", metavar="BITS[,...]", help="64, 128, 256, 512 (default: 64,256)")
    add("--stalls", choices=("on", "off", "both"), default="both", help="whether the streams pause (default: both)")
    add("--seed", type=number(0, 1 << 32), default=1, metavar="N", help="seed of everything random (default: 1)")
    add(
        "--jobs",
        type=number(1, _MOST_JOBS),
        default=max(1, min(_MOST_JOBS, os.cpu_count() or 1)),
        metavar="N",
        help="simulations at a time (default: one for each processor)",
    )
    add("--list", action="store_true", help="print families, states and bounds; try nothing")
    add("--json", action="store_true", help="print the results as JSON")
    return parser
