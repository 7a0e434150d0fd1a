"""``epbell board``: a board with the bitstream of ``make bitstream``, at a serial port.

Exit status: 0 done and no test failed, 1 one did or the board does not answer, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from epbell_models.selftest.harness import Options, selected
from epbell_tb.arguments import number
from epbell_tb.serial.host import SerialHost
from epbell_tb.serial.port import BAUD, opened
from epbell_tb.serial.target import selftest

__all__ = ["main"]

_SIZES = (1, 1024, 1025)
_MSIX = 64
_MOST_MSIX = 2048
_MOST_SIZE = 1 << 24
_MOST_ROUNDS = 1000


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str
        The arguments behind ``epbell board``.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    options = None
    if given.do == "selftest":
        try:
            options = Options(given.sizes, tuple(given.only), given.rounds, False, given.limit)
            selected(options)
        except ValueError as error:
            parser.error(str(error))
    try:
        with opened(given.port, given.baud) as port:
            if options is not None:
                return 0 if selftest(port, options, _print, msix_vectors=given.msix) else 1
            _print(_told(SerialHost(port)))
            return 0
    except RuntimeError as error:
        print(f"epbell: {error}", file=sys.stderr)
        return 1


def _told(host: SerialHost) -> str:
    """Return what a board says of itself, a line each."""
    found = host.open()
    bars = ", ".join(f"{size >> 10} KiB" if size else "none" for size in found.bars)
    rows = {
        "streams": f"{found.width} bits",
        "clock": f"{found.clock / 1e6:g} MHz" if found.clock else "of a simulation",
        "BARs": bars,
        "RAM": f"{found.ram_size >> 10} KiB",
        "inbound windows": str(found.windows),
        "outbound windows": str(found.outbound_windows),
        "reads under way": str(found.reads),
    }
    return "\n".join(f"{name:16} {value}" for name, value in rows.items())


def _print(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="epbell board",
        description="Use a board with the bitstream of `make bitstream`. What runs on it is reset first.",
        allow_abbrev=False,
    )
    parser.add_argument("--port", required=True, metavar="DEVICE", help="its serial port, such as /dev/ttyUSB0")
    parser.add_argument(
        "--baud", type=number(1, 100_000_000), default=BAUD, metavar="RATE", help=f"bits per second, default {BAUD}"
    )
    verbs = parser.add_subparsers(dest="do", required=True, metavar="selftest|info")
    tests = verbs.add_parser(
        "selftest", help="run Linux's selftest of an endpoint, as `epbell selftest` does", allow_abbrev=False
    )
    add = tests.add_argument
    add("--only", action="append", default=[], metavar="PATTERN", help="tests to run, such as '*.MSI_TEST'; repeats")
    add("--sizes", type=_sizes, default=_SIZES, metavar="LIST", help=f"bytes of the transfers, default {_SIZES}")
    add("--msix", type=number(1, _MOST_MSIX), default=_MSIX, metavar="N", help=f"MSI-X vectors, default {_MSIX}")
    add("--rounds", type=number(1, _MOST_ROUNDS), default=1, metavar="N", help="run the list N times")
    add("--limit", type=float, default=30.0, metavar="SECONDS", help="Linux time for one test, default 30")
    verbs.add_parser("info", help="print what the board says of itself", allow_abbrev=False)
    return parser


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(number(1, _MOST_SIZE)(part.strip()) for part in text.split(","))
