"""``epbell selftest``: Linux's selftest of an endpoint, its 23 tests by name, as TAP.

The tests are in ``epbell_models.selftest``; here is the command line, and the targets that can be tested. Exit status:
0 no test failed, 1 one did or the target did not come up, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from epbell_models import devicetree
from epbell_models.devicetree import DeviceTreeError
from epbell_models.selftest.harness import Options, run, selected
from epbell_models.selftest.model import ModelTarget
from epbell_models.selftest.tests import SIZES

__all__ = [
    "TARGETS",
    "Setup",
    "main",
]

_MOST_ROUNDS = 1000
_MOST_SIZE = 1 << 24
_SPARE_SECONDS = 600.0


@dataclass(frozen=True)
class Setup:
    """What to build the target from.

    Attributes
    ----------
    dts : Path
        The device tree.
    msix : int
        How many MSI-X vectors the function offers.
    windows : int or None
        How many inbound windows there are; None for as many as the device tree says.
    """

    dts: Path
    msix: int
    windows: int | None


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str
        The arguments behind ``epbell selftest``.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        options = Options(given.sizes, tuple(given.only), given.rounds, given.dma, given.limit)
        tests = selected(options)
    except ValueError as error:
        parser.error(str(error))
    if given.list:
        print("\n".join(test.name for test in tests))
        return 0
    setup = Setup(given.dts or devicetree.builtin(given.tree), given.msix, given.windows)
    try:
        return 0 if TARGETS[given.target](setup, options, _print) else 1
    except (DeviceTreeError, RuntimeError) as error:
        print(f"epbell: {error}", file=sys.stderr)
        return 1


def _model(setup: Setup, options: Options, out: Callable[[str], None]) -> bool:
    """Test the endpoint in plain Python."""
    target = ModelTarget(devicetree.load(setup.dts), msix_vectors=setup.msix, windows=setup.windows)
    limit = len(selected(options)) * options.limit + _SPARE_SECONDS
    return target.platform.run(run(target, options, out), limit=limit).good


TARGETS: dict[str, Callable[[Setup, Options, Callable[[str], None]], bool]] = {
    "model": _model,
}
"""Name of each target -> what runs the tests on it and says whether none failed."""


def _print(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    trees = devicetree.shipped()
    sizes = ",".join(map(str, SIZES))
    parser = argparse.ArgumentParser(
        prog="epbell selftest", description="Run Linux's selftest of an endpoint; print TAP.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--target", choices=sorted(TARGETS), default="model", help="what to test; default model, in plain Python")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--tree", choices=trees, default=trees[0], metavar="NAME", help=f"{', '.join(trees)}")
    which.add_argument("--dts", type=_file, metavar="FILE", help="your device tree instead of a shipped one")
    add("--only", action="append", default=[], metavar="PATTERN", help="tests to run, such as '*.MSI_TEST'; repeats")
    add("--sizes", type=_sizes, default=SIZES, metavar="LIST", help=f"bytes of the transfers, default {sizes}")
    add("--msix", type=_number(1, 2048), default=2048, metavar="N", help="MSI-X vectors of the function, default 2048")
    add("--windows", type=_number(1, 16), metavar="N", help="inbound windows, default as the device tree says")
    add("--rounds", type=_number(1, _MOST_ROUNDS), default=1, metavar="N", help="run the list N times")
    add("--dma", action="store_true", help="run the tests of DMA on a target without DMA, too")
    add("--limit", type=float, default=30.0, metavar="SECONDS", help="Linux time for one test, default 30")
    add("--list", action="store_true", help="print the names of the tests and run none")
    return parser


def _number(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"it must be a number from {low} to {high}, not {text!r}")
        return int(text)

    return number


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(_number(1, _MOST_SIZE)(part.strip()) for part in text.split(","))


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise argparse.ArgumentTypeError(f"it must be a device tree file that can be read, not {text!r}")
    return path.absolute()
