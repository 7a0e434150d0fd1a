"""``make soak``: millions of doorbells at the RTL's own speed: none lost, none invented, each merge counted.

The metal tier (:mod:`epbell_tb.native.metal`) sends random rings of the Messaging Unit and of the eDMA with random
gaps, answers interrupts after random delays, and aims the windows elsewhere and back while rings are on their way.
Figures go to ``sim_build/report/soak.json``. Exit status: 0, 1 if a ring was lost or anything else is wrong, 2 if the
command line is wrong. The same options give the same run, clock by clock.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from epbell_tb import progress, runner, toolchain
from epbell_tb.arguments import number
from epbell_tb.native.metal import Counts, Metal, rings

__all__ = ["main"]

_WIDTHS = (64, 128, 256, 512)
_GAPS = (0, 1, 3, 7, 15, 31, 63, 127, 255)
_BATCH = 100_000
_ROWS = (
    ("rings", "requests"), ("to the Messaging Unit", "rung"), ("to the eDMA", "kicked"),
    ("to a window aimed at nothing", "refused"), ("on their way in a re-target", "moving"), ("re-targets", "retargets"),
    ("words taken by the CPU", "delivered"), ("merged into a later word", "merged"),
    ("eDMA doorbells acknowledged", "acknowledged"), ("merged into one of them", "edma_merged"),
    ("interrupts of the Messaging Unit", "interrupts"), ("interrupts of the eDMA", "edma_interrupts"),
    ("lost", "lost"), ("invented", "invented"), ("line late", "late"), ("otherwise wrong", "wrong"),
)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Run, print and judge.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell soak``.

    Returns
    -------
    int
        Exit status.
    """
    options = _arguments(argv)
    console = Console(stderr=True)
    try:
        found, seconds = _run(options, console)
    except runner.SimulationError as error:
        print(f"epbell: {error}", file=sys.stderr)
        return 1
    result = _result(options, found, seconds)
    folder = runner.sim_build() / "report"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2) + "\n"
    (folder / "soak.json").write_text(text, encoding="utf-8")
    if options.json:
        print(text, end="")
    else:
        _print(found, result)
    if not found.good:
        print(f"epbell: {found.complaint}", file=sys.stderr)
    return 0 if found.good else 1


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="epbell soak", description=(__doc__ or "").splitlines()[0].partition(": ")[2], allow_abbrev=False
    )
    parser.add_argument("--rings", type=number(1, 1 << 31), default=10_000_000, metavar="N", help="default 10000000")
    parser.add_argument("--width", type=int, choices=_WIDTHS, default=256, help="of the streams in bits, default 256")
    parser.add_argument("--seed", type=number(1, (1 << 32) - 1), default=1, help="of rings, gaps and delays, default 1")
    parser.add_argument("--gap", type=int, choices=_GAPS, default=15, help="most clocks between two rings, default 15")
    parser.add_argument(
        "--ack-delay", type=number(0, 100_000), default=63, metavar="N",
        help="most clocks from an interrupt to its handler, default 63",
    )  # fmt: skip
    parser.add_argument(
        "--aim-every", type=number(0, 1 << 31), default=1000, metavar="N",
        help="rings of a window between two re-targets, default 1000; 0: none",
    )  # fmt: skip
    parser.add_argument(
        "--lose", type=number(0, 1 << 31), default=0, metavar="N",
        help="plant a defect that swallows one ring in N, to see that it is found",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print soak.json instead of a table")
    return parser.parse_args(argv)


def _run(options: argparse.Namespace, console: Console) -> tuple[Counts, float]:
    """Run all batches; return what was counted, and the seconds that it took."""
    metal = Metal(
        options.width,
        seed=options.seed,
        ack_delay=options.ack_delay,
        aim_every=options.aim_every,
        lose=options.lose,
        say=lambda text: console.print(text, highlight=False),
    )
    with metal, progress.display(console) as shown:
        job = f"soak, {options.width} bits"
        shown.begin(job, options.rings)
        begin, left, found = time.perf_counter(), options.rings, metal.counts()
        while left and found.good:
            count = min(left, _BATCH)
            left -= count
            found = metal.run(rings(count, seed=options.seed << 32 | left, gap=options.gap))
            shown.advance(job, options.rings - left)
        seconds = time.perf_counter() - begin
        shown.end(job, f"{found.requests} rings in {seconds:.1f} s")
    return found, seconds


def _result(options: argparse.Namespace, found: Counts, seconds: float) -> dict[str, Any]:
    return {
        "options": {name: value for name, value in vars(options).items() if name != "json"},
        "counts": asdict(found),
        "good": found.good,
        "seconds": round(seconds, 3),
        "rings_per_second": round(found.requests / seconds),
        "clocks_per_second": round(found.clocks / seconds),
        "versions": toolchain.versions(),
    }


def _print(found: Counts, result: dict[str, Any]) -> None:
    table = Table()
    table.add_column("soak", no_wrap=True)
    table.add_column("", justify="right")
    for title, name in _ROWS:
        value = getattr(found, name)
        bad = value and name in ("lost", "invented", "late", "wrong")
        table.add_row(title, f"[bold red]{value}[/]" if bad else f"{value}")
    table.add_row("clocks", f"{found.clocks}")
    table.add_row("rings per second", f"{result['rings_per_second']}")
    table.add_row("clocks per second", f"{result['clocks_per_second']}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
