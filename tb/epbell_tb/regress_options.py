"""The command line of ``epbell regress``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from epbell_tb.arguments import number
from epbell_tb.regress_groups import RANDOM, SEED, Run, chosen

__all__ = ["Options", "parse"]

_MOST_JOBS = 256
_MOST_SEEDS = 1_000_000
_LARGEST_SEED = 2**31 - 1
_PATIENCE_S = 60


@dataclass(frozen=True)
class Options:
    """What is to be run, and where.

    Attributes
    ----------
    runs : tuple of Run
        The runs that were asked for, in the order in which they begin.
    resume : bool
        Leave out those that have passed on the very same sources.
    failed : bool
        Only those that failed when they last ran.
    scheduler : str or None
        Address of a scheduler of Dask; None: workers on this machine.
    jobs : int or None
        Runs at a time.
    patience : float
        Seconds to wait for a scheduler that is lost, and for a worker.
    list, json : bool
        Print the tests and run none; print what came of the runs as JSON.
    """

    runs: tuple[Run, ...]
    resume: bool
    failed: bool
    scheduler: str | None
    jobs: int | None
    patience: float
    list: bool
    json: bool


def parse(argv: Sequence[str]) -> Options:
    """Read the command line; a wrong one ends the program with status 2 and a sentence that says what to do."""
    parser = _parser()
    given = parser.parse_args(argv)
    patterns = [part for one in given.only for part in one.split(",")]
    if given.first_seed is not None and given.seeds is None:
        parser.error("--first-seed needs --seeds, which says how many there are")
    first = SEED if given.first_seed is None else given.first_seed
    if first + (given.seeds or 1) - 1 > _LARGEST_SEED:
        parser.error(f"argument --first-seed: no seed is larger than {_LARGEST_SEED}, which {first} would lead to")
    try:
        groups = chosen(patterns or ([RANDOM] if given.seeds else []))
    except ValueError as error:
        parser.error(f"argument --only: {error}")
    seeds = range(first, first + (given.seeds or 1))
    # With a seed for every test before the next seed, the first failure of each is soon there.
    if given.coverage and not any(group.counts for group in groups):
        parser.error("--coverage: none of these groups can say what it reaches; sim, port, bars and random can")
    counts = given.coverage
    runs = tuple(
        Run(group, seed, counts and group.counts) for seed in seeds for group in groups if group.seeded or seed == first
    )
    return Options(
        runs, given.resume, given.failed, given.scheduler, given.jobs, float(given.patience), given.list, given.json
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="epbell regress",
        description="Run what is too much for `make test`, which takes hours: every scenario with every value of its"
        " sweeps on every device tree, width and set of BARs, with and without stalls, Linux's selftest on the RTL in"
        " the same places, and the tests marked long. Each part is a group that can be run alone. With --seeds: random"
        " traffic, with as many seeds.",
        allow_abbrev=False,
    )
    add: Any = parser.add_argument
    add(
        "--only", action="append", default=[], metavar="GROUPS",
        help="groups to run: names, kinds (sim, port, bars, selftest, large, random, long) or patterns such as"
        " 'sim.imx8.*', with commas between them; repeats",
    )  # fmt: skip
    add(
        "--seeds", type=number(1, _MOST_SEEDS), metavar="N",
        help="run each test with N seeds; without --only, the random ones alone",
    )  # fmt: skip
    add("--first-seed", type=number(1, _LARGEST_SEED), metavar="K", help=f"the first of them, default {SEED}")
    add("--resume", action="store_true", help="leave out runs that have passed on the very same sources")
    add("--failed", action="store_true", help="of the runs asked for, only those that failed when they last ran")
    add(
        "--jobs",
        type=number(1, _MOST_JOBS),
        metavar="N",
        help="runs at a time, default 2 or, of a scheduler, all it can",
    )
    add(
        "--scheduler", type=_scheduler, metavar="ADDRESS",
        help="run on the workers of a scheduler of Dask distributed, such as tcp://host:8786; default: processes here",
    )  # fmt: skip
    add("--coverage", action="store_true", help="say what of the RTL is reached; slow (sim, port, bars, random)")
    add(
        "--patience", type=number(1, 10**6), default=_PATIENCE_S, metavar="SECONDS",
        help=f"how long to wait for a scheduler that does not answer, or has no worker, default {_PATIENCE_S}",
    )  # fmt: skip
    add("--list", action="store_true", help="print the groups, and what their last runs said, and run none")
    add("--json", action="store_true", help="print what came of each run as a JSON object instead of a table")
    return parser


def _scheduler(text: str) -> str:
    if not re.fullmatch(r"(tcp|tls|ws|wss)://\S+:\d+", text):
        raise argparse.ArgumentTypeError(f"it must be an address such as tcp://host:8786, not {text!r}")
    return text
