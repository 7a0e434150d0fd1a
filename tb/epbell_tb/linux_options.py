"""What the tests of ``epbell linux`` have in common: options of the endpoint, and the exit status of a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from epbell_models.devicetree import DeviceTreeError
from epbell_tb.arguments import number
from epbell_tb.guest.commands import MissingError
from epbell_tb.guest.run import ENDPOINTS
from epbell_tb.scenarios import WIDTHS

__all__ = [
    "WIDTH",
    "add_options",
    "status",
]

WIDTH = 256
"""Width of the PCIe streams in bits, unless it is given."""

_LIMIT_S = 300
_MOST_SECONDS = 86400


def add_options(parser: argparse.ArgumentParser, limited: str) -> None:
    """Add the options of what the endpoint is, and of how long a run may take.

    Parameters
    ----------
    parser
        Gets them.
    limited
        What ``--limit`` is the time of.
    """
    add = parser.add_argument
    add("--endpoint", choices=ENDPOINTS, default=ENDPOINTS[0], help="rtl on Verilator (default), or model in Python")
    add("--width", type=int, choices=WIDTHS, metavar="BITS", help=f"rtl: width of the PCIe streams, default {WIDTH}")
    add("--stalls", action="store_true", help="rtl: let the streams pause at random")
    add("--seed", type=int, metavar="N", help="rtl: seed of everything random, default 1")
    add(
        "--limit",
        type=number(1, _MOST_SECONDS),
        default=_LIMIT_S,
        metavar="SECONDS",
        help=f"wall-clock time for {limited}, default {_LIMIT_S}; one that waits for a lost interrupt never ends by"
        " itself",
    )


def status(run: Callable[[], bool], out: Callable[[str], None]) -> int:
    """Run something and return its exit status: 0 if it says so, and if this machine lacks what it needs; else 1.

    Parameters
    ----------
    run
        Returns whether nothing has failed.
    out
        Takes the lines that say why nothing was run.
    """
    try:
        return 0 if run() else 1
    except MissingError as error:
        what, *more = str(error).splitlines()
        for line in more:
            out(f"# {line.strip()}")
        out(f"1..0 # SKIP {what}")
        return 0
    except (DeviceTreeError, RuntimeError) as error:
        print(f"epbell: {error}", file=sys.stderr)
        return 1
