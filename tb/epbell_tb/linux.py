"""``epbell linux``: stock Linux kernels, in guests, drive the endpoint.

``pcitest`` runs the selftest's list on one device tree with Debian 12's kernel and its ``pcitest``, ``selftest`` with
the newest kernel and its own selftest; ``ntb`` lets two kernels talk over the endpoint's non-transparent bridge;
``all`` runs the first on each device tree that is shipped, the second on one, and then the tests that break the
endpoint on purpose, those of the bridge on the models included. Exit status: 0 nothing failed, or this machine lacks
what a guest needs (which is said, and every test is skipped), 1 something failed, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from epbell_models import devicetree
from epbell_models.devicetree import DeviceTreeError
from epbell_models.selftest.harness import Options, selected
from epbell_models.selftest.tests import SIZES
from epbell_tb import installation, linux_ntb
from epbell_tb.arguments import device_tree_file, number
from epbell_tb.cases import MSIX_WAYS
from epbell_tb.guest import run
from epbell_tb.guest.commands import MissingError
from epbell_tb.guest.ending import ends_on_sigterm
from epbell_tb.scenarios import WIDTHS

__all__ = [
    "main",
    "report",
]

_QUICK_SIZES = (1, 1024, 1025)
_MOST_SIZE = 4 << 20
_MOST_MSIX = 2048
_MOST_RINGS = 10000
_MOST_SECONDS = 86400
_CONTROLS = "tests/linux"
# With fewer not each BAR can be cut in halves.
_WINDOWS = 8


@ends_on_sigterm()
def main(argv: Sequence[str]) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str
        The arguments behind ``epbell linux``.
    """
    parser = _parser()
    given = parser.parse_args(argv)
    if given.endpoint == "model" and (given.width or given.stalls or given.msix_way or given.seed is not None):
        parser.error("--width, --stalls, --msix-way and --seed are of --endpoint rtl")
    if given.test == "ntb":
        return linux_ntb.report(given, _print)
    try:
        selected(Options(only=tuple(given.only)))
    except ValueError as error:
        parser.error(str(error))
    return _all(given) if given.test == "all" else report(_setup(given))


def report(setup: run.Setup, out: Callable[[str], None] | None = None) -> int:
    """Run the selftest's list in a guest and write its TAP; return the exit status.

    Parameters
    ----------
    setup : run.Setup
        What to run.
    out : callable or None
        Takes each line; None for standard output.
    """
    out = _print if out is None else out
    try:
        return 0 if run.run(setup, out) else 1
    except MissingError as error:
        what, *more = str(error).splitlines()
        for line in more:
            out(f"# {line.strip()}")
        out(f"1..0 # SKIP {what}")
        return 0
    except (DeviceTreeError, RuntimeError) as error:
        print(f"epbell: {error}", file=sys.stderr)
        return 1


def _setup(given: argparse.Namespace) -> run.Setup:
    simulates = given.endpoint == "rtl"
    setup = run.Setup(
        given.dts or devicetree.builtin(given.tree),
        given.endpoint,
        sizes=given.sizes or (_QUICK_SIZES if simulates else SIZES),
        only=tuple(given.only),
        rings=given.rings,
        bars=given.bars or run.BARS[0],
        msix=given.msix,
        windows=given.windows,
        width=given.width or 256,
        stalls=given.stalls,
        seed=1 if given.seed is None else given.seed,
        msix_way=given.msix_way or "rq",
        limit=given.limit,
    )
    return _as_selftest(setup, given) if given.test == "selftest" else setup


def _all(given: argparse.Namespace) -> int:
    """Run the list on each device tree that is shipped, the newest kernel's selftest on one, then what has to fail."""
    setup = _setup(given)
    trees = devicetree.shipped()
    jobs = [(tree, replace(setup, dts=devicetree.builtin(tree))) for tree in trees]
    jobs.append(("selftest", _as_selftest(setup, given)))
    table: list[str] = []
    failed = False
    for name, job in jobs:
        said: list[str] = []

        def out(line: str, said: list[str] = said) -> None:
            said.append(line)
            _print(line)

        began = time.monotonic()
        status = report(job, out)
        if said and said[-1].startswith("1..0") and not table:
            return status
        failed = failed or bool(status)
        table.append(f"{name:12} {_outcome(said, status)} in {time.monotonic() - began:.0f} s")
    controls = _controls()
    table.append(f"{'controls':12} {'FAILED' if controls else 'the kernel complained about each'}")
    _print("")
    for row in table:
        _print(f"# {row}")
    return 1 if controls or failed else 0


def _as_selftest(setup: run.Setup, given: argparse.Namespace) -> run.Setup:
    """Return the same for the newest kernel's own selftest."""
    return replace(
        setup,
        program="selftest",
        only=(),
        bars=given.bars or "halves",
        windows=given.windows or (None if given.dts else _WINDOWS),
    )


def _outcome(said: Sequence[str], status: int) -> str:
    """Return a run's totals and speeds."""
    if said and said[-1].startswith("1..0"):
        return f"skipped: {said[-1].partition('SKIP ')[2].splitlines()[0]}"
    figures = [line.removeprefix("# ") for line in said if line.startswith(("# Totals:", "# boot ", "# doorbell "))]
    rate = [line.rpartition(": ")[2] for line in said if "tests of whole BARs" in line]
    return "; ".join(["FAILED" if status else "passed", *figures, *(f"{per} accesses" for per in rate)])


def _controls() -> int:
    """Run the tests that break the endpoint; each wants the guest to complain."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "guest", "-p", "no:cacheprovider", _CONTROLS]
    sys.stdout.flush()
    return subprocess.call(command, cwd=installation.PROJECT)


def _print(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="epbell linux",
        description="Boot a stock Linux kernel in QEMU whose PCI device is the endpoint, and let the kernel's own"
        " driver and program test it; print TAP. What is missing is installed by apt and built, which is said.",
        epilog="What this shows and what it does not: docs/linux.md.",
        allow_abbrev=False,
    )
    tests = parser.add_subparsers(dest="test", required=True, metavar="TEST")
    pcitest = tests.add_parser(
        "pcitest",
        help="the selftest's list on one device tree: BARs, interrupts, transfers, doorbell",
        description="Run the selftest's list in a guest, as far as the driver of its kernel has the test.",
        allow_abbrev=False,
    )
    selftest = tests.add_parser(
        "selftest",
        help="the selftest itself: the newest kernel of Debian's unstable with its own program",
        description="Run the newest kernel's own selftest in a guest, with its tests of subranges and of the doorbell.",
        allow_abbrev=False,
    )
    ntb = tests.add_parser(
        "ntb",
        help="two kernels on both sides of the endpoint's non-transparent bridge: link, ping, files",
        description="Boot two stock kernels, one on the endpoint's link and one behind pci-epf-vntb's bridge; their own"
        " drivers make an Ethernet of it, over which they ping one another and send each other a file.",
        allow_abbrev=False,
    )
    trees = devicetree.shipped()
    for one in (pcitest, selftest, ntb):
        which = one.add_mutually_exclusive_group()
        which.add_argument("--tree", choices=trees, default=trees[0], metavar="NAME", help=f"{', '.join(trees)}")
        which.add_argument("--dts", type=device_tree_file, metavar="FILE", help="your device tree instead")
    selftest.set_defaults(only=[], sizes=None, rings=10)
    every = tests.add_parser(
        "all",
        help="pcitest on each shipped device tree, selftest on one, then tests that break the endpoint on purpose",
        description="Run pcitest on each shipped device tree, selftest on one, and then the tests that break the"
        " endpoint on purpose, each of which the kernel has to notice; those of the bridge are on the models.",
        allow_abbrev=False,
    )
    every.set_defaults(tree=trees[0], dts=None)
    for one in (pcitest, every):
        _add_options_of_pcitest(one)
    for one in (pcitest, selftest, every):
        _add_options(one)
    linux_ntb.add_options(ntb)
    ntb.set_defaults(only=[], msix_way=None)
    return parser


def _add_options_of_pcitest(parser: argparse.ArgumentParser) -> None:
    sizes, quick = (",".join(map(str, some)) for some in (SIZES, _QUICK_SIZES))
    add = parser.add_argument
    add("--only", action="append", default=[], metavar="PATTERN", help="tests to run, such as '*.MSI_TEST'; repeats")
    add("--sizes", type=_sizes, metavar="LIST", help=f"bytes of the transfers, default {quick}; of model {sizes}")
    add("--rings", type=number(1, _MOST_RINGS), default=10, metavar="N", help="how often to ring, default 10")


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    endpoints = run.ENDPOINTS
    add("--endpoint", choices=endpoints, default=endpoints[0], help="rtl on Verilator (default), or model in Python")
    add("--bars", choices=run.BARS, metavar="SET", help=f"set of BARs: {', '.join(run.BARS)}")
    add("--msix", type=number(1, _MOST_MSIX), default=32, metavar="N", help="MSI-X vectors of the function, default 32")
    add("--windows", type=number(1, 16), metavar="N", help="inbound windows, default as the device tree says")
    add("--width", type=int, choices=WIDTHS, metavar="BITS", help="rtl: width of the PCIe streams, default 256")
    add("--msix-way", choices=MSIX_WAYS, help="rtl: MSI-X as memory writes on RQ (default) or by the hard block's port")
    add("--stalls", action="store_true", help="rtl: let the streams pause at random")
    add("--seed", type=int, metavar="N", help="rtl: seed of everything random, default 1")
    add(
        "--limit",
        type=number(1, _MOST_SECONDS),
        default=300,
        metavar="SECONDS",
        help="wall-clock time for one guest, default 300; one that waits for a lost interrupt never ends by itself",
    )


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(number(1, _MOST_SIZE)(part.strip()) for part in text.split(","))
