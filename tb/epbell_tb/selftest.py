"""``epbell selftest``: Linux's selftest of an endpoint, its 23 tests by name, as TAP.

The tests are in ``epbell_models.selftest``; here is the command line, and the targets that can be tested. Exit status:
0 no test failed, 1 one did or the target did not come up, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from epbell_models import devicetree
from epbell_models.devicetree import DeviceTreeError
from epbell_models.selftest.harness import Options, run, selected
from epbell_models.selftest.model import ModelTarget
from epbell_models.selftest.tests import SIZES
from epbell_tb.arguments import device_tree_file, number
from epbell_tb.cases import MSIX_WAYS
from epbell_tb.guest.ending import ends_on_sigterm
from epbell_tb.scenarios import WIDTHS

__all__ = [
    "TARGETS",
    "Setup",
    "main",
]

_QUICK_SIZES = (1, 1024, 1025)
_MOST_MSIX = 2048
# Linux's test goes through all of them, which takes minutes over a serial port.
_SERIAL_MSIX = 64
_RAREST = 1 << 24
# A PC with one processor has about 200 interrupt vectors.
_MOST_GUEST_MSIX = 32
_WINDOWS = 8
_MOST_ROUNDS = 1000
_MOST_SIZE = 1 << 24
_SPARE_SECONDS = 600.0
# Of the wall clock, on a slow machine with others on it.
_BOOT_SECONDS = 120.0


@dataclass(frozen=True)
class Setup:
    """What to build the target from, and how to run it.

    Attributes
    ----------
    dts : Path
        The device tree.
    msix : int
        How many MSI-X vectors the function offers.
    windows : int or None
        How many inbound windows there are; None for as many as the device tree says.
    width, stalls, seed : int, bool, int
        Of the RTL: width of the PCIe streams in bits, whether they pause at random, seed of everything random.
    msix_way : str
        Of the RTL: how MSI-X messages leave, one of `MSIX_WAYS`.
    flip, drop : int
        Of the serial port: of so many bytes one has a bit flipped, one is lost; 0 for none.
    """

    dts: Path
    msix: int
    windows: int | None
    width: int = 256
    stalls: bool = False
    seed: int = 1
    msix_way: str = "rq"
    flip: int = 0
    drop: int = 0


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str
        The arguments behind ``epbell selftest``.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    simulates = given.target in ("sim", "linux")
    if given.target == "serial" and (given.windows or given.dts or given.tree != devicetree.shipped()[0]):
        parser.error("--tree, --dts and --windows are not of --target serial: a board has one endpoint")
    if given.target != "serial" and (given.flip or given.drop):
        parser.error("--flip and --drop are of --target serial")
    if given.width not in (None, *WIDTHS):
        parser.error(f"--width must be one of {', '.join(map(str, WIDTHS))}, not {given.width}")
    if not simulates and (given.width or given.stalls or given.msix_way):
        parser.error("--width, --stalls and --msix-way are of --target sim and linux")
    if given.target == "model" and given.seed is not None:
        parser.error("--seed is of --target sim, linux and serial")
    if given.target == "linux" and (given.dma or given.rounds > 1):
        parser.error("--dma and --rounds are not of --target linux: its tests wait for ever, and run once")
    sizes = given.sizes or (SIZES if given.target == "model" else _QUICK_SIZES)
    msix = given.msix or (_SERIAL_MSIX if given.target == "serial" else _MOST_MSIX)
    try:
        options = Options(sizes, tuple(given.only), given.rounds, given.dma, given.limit)
        tests = selected(options)
    except ValueError as error:
        parser.error(str(error))
    if given.list:
        print("\n".join(test.name for test in tests))
        return 0
    dts = given.dts or devicetree.builtin(given.tree)
    windows = given.windows or (None if given.dts or given.target == "linux" else _windows(dts))
    seed = 1 if given.seed is None else given.seed
    setup = Setup(
        dts, msix, windows, given.width or 256, given.stalls, seed, given.msix_way or "rq", given.flip, given.drop
    )
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


def _sim(setup: Setup, options: Options, out: Callable[[str], None]) -> bool:
    """Test the RTL."""
    from epbell_tb.selftest_sim import simulate  # not at the top: it loads Amaranth, which the models do without

    return simulate(
        setup.dts, options, out,
        width=setup.width, stalls=setup.stalls, seed=setup.seed, msix=setup.msix, windows=setup.windows,
        msix_way=setup.msix_way,
    )  # fmt: skip


@ends_on_sigterm()
def _linux(setup: Setup, options: Options, out: Callable[[str], None]) -> bool:
    """Test the RTL with a stock Linux kernel as the host."""
    from epbell_tb import linux  # not at the top: it loads Amaranth
    from epbell_tb.guest import run as guest

    return not linux.report(
        guest.Setup(
            setup.dts, sizes=options.sizes, only=options.only, msix=min(setup.msix, _MOST_GUEST_MSIX),
            windows=setup.windows, width=setup.width, stalls=setup.stalls, seed=setup.seed, msix_way=setup.msix_way,
            limit=_BOOT_SECONDS + options.limit * len(selected(options)),
        ),
        out,
    )  # fmt: skip


@ends_on_sigterm()
def _serial(setup: Setup, options: Options, out: Callable[[str], None]) -> bool:
    """Test a board in simulation, over its serial port."""
    from epbell_tb.serial import simulation  # not at the top: it loads Amaranth
    from epbell_tb.serial.port import opened
    from epbell_tb.serial.shapes import LARGE
    from epbell_tb.serial.target import selftest

    program = simulation.compiled(LARGE, say=lambda text: out(f"# {text}"))
    trouble = simulation.Trouble(setup.flip, setup.drop, setup.seed)
    with simulation.simulated(program, trouble) as name, opened(name) as port:
        return selftest(port, options, out, msix_vectors=setup.msix, patience=simulation.PATIENCE)


TARGETS: dict[str, Callable[[Setup, Options, Callable[[str], None]], bool]] = {
    "linux": _linux,
    "model": _model,
    "serial": _serial,
    "sim": _sim,
}
"""Name of each target -> what runs the tests on it and says whether none failed."""


def _print(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    trees = devicetree.shipped()
    sizes, quick = (",".join(map(str, some)) for some in (SIZES, _QUICK_SIZES))
    parser = argparse.ArgumentParser(
        prog="epbell selftest",
        description="Run Linux's selftest of an endpoint, its 23 tests by name; print TAP. Without options 20 are ok"
        " (BAR 0's subrange test is Linux's own skip: -EBUSY) and the 3 of DMA are skipped: there is none.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--target",
        choices=sorted(TARGETS),
        default="model",
        help="what to test: model in plain Python (default), sim the RTL, linux the RTL with a stock kernel as host,"
        " serial a board in simulation over its serial port (one of yours: `epbell board`)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--tree", choices=trees, default=trees[0], metavar="NAME", help=f"{', '.join(trees)}")
    which.add_argument("--dts", type=device_tree_file, metavar="FILE", help="your device tree instead of a shipped one")
    add("--only", action="append", default=[], metavar="PATTERN", help="tests to run, such as '*.MSI_TEST'; repeats")
    add("--sizes", type=_sizes, metavar="LIST", help=f"bytes of the transfers, default {sizes}; of the RTL {quick}")
    many = f"{_MOST_MSIX}, serial {_SERIAL_MSIX}"
    add("--msix", type=number(1, _MOST_MSIX), metavar="N", help=f"MSI-X vectors of the function, default {many}")
    add(
        "--windows",
        type=number(1, 16),
        metavar="N",
        help=f"inbound windows, default at least {_WINDOWS}, so that each BAR can be split; 6, as silicon has, shows"
        " Linux's -ENOSPC skips; with --dts as your device tree says",
    )
    add("--width", type=int, metavar="BITS", help="sim, linux: width of the PCIe streams, default 256")
    add("--msix-way", choices=MSIX_WAYS, help="sim, linux: MSI-X as memory writes on RQ (default), or by the port")
    add("--stalls", action="store_true", help="sim, linux: let the streams pause at random")
    add("--seed", type=int, metavar="N", help="sim, linux, serial: seed of everything random, default 1")
    add("--flip", type=number(0, _RAREST), default=0, metavar="N", help="serial: flip a bit in one of N bytes")
    add("--drop", type=number(0, _RAREST), default=0, metavar="N", help="serial: lose one of N bytes")
    add("--rounds", type=number(1, _MOST_ROUNDS), default=1, metavar="N", help="run the list N times")
    add(
        "--dma",
        action="store_true",
        help="run the tests of DMA, too, which the endpoint never answers: expected to fail by timeout",
    )
    add("--limit", type=float, default=30.0, metavar="SECONDS", help="Linux time for one test, default 30")
    add("--list", action="store_true", help="print the names of the tests and run none")
    return parser


def _windows(dts: Path) -> int:
    """Return how many inbound windows a shipped device tree's selftest has: enough for all its tests."""
    return max(_WINDOWS, devicetree.load(dts).endpoint.inbound_windows)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(number(1, _MOST_SIZE)(part.strip()) for part in text.split(","))
