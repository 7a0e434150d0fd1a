"""``epbell linux``: stock Linux kernels, in guests, drive the endpoint.

``pcitest`` runs the selftest's list on one device tree with Debian 12's kernel and its ``pcitest``, ``selftest`` with
the newest kernel and its own selftest; ``ntb`` lets two kernels talk over the endpoint's non-transparent bridge;
``all`` runs the first on each device tree that is shipped, the second on one, and the tests that break the endpoint on
purpose. Exit status: 0 nothing failed, or this machine lacks what a guest needs (which is said, and every test is
skipped), 1 something failed, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from epbell_models import devicetree
from epbell_models.selftest.harness import Options, selected
from epbell_models.selftest.tests import SIZES
from epbell_tb import linux_all, linux_ntb, linux_options
from epbell_tb.arguments import device_tree_file, number
from epbell_tb.cases import MSIX_WAYS
from epbell_tb.guest import run
from epbell_tb.guest.ending import ends_on_sigterm

__all__ = [
    "main",
    "report",
]

_QUICK_SIZES = (1, 1024, 1025)
_MOST_SIZE = 4 << 20
_MOST_MSIX = 2048
_MOST_RINGS = 10000
_MOST_JOBS = 64
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
    if given.test == "all":
        return linux_options.status(lambda: linux_all.run_all(given, _print), _print)
    return report(_setup(given))


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
    return linux_options.status(lambda: run.run(setup, out), out)


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
        width=given.width or linux_options.WIDTH,
        stalls=given.stalls,
        seed=1 if given.seed is None else given.seed,
        msix_way=given.msix_way or "rq",
        limit=given.limit,
    )
    return _as_selftest(setup, given) if given.test == "selftest" else setup


def _as_selftest(setup: run.Setup, given: argparse.Namespace) -> run.Setup:
    """Return the same for the newest kernel's own selftest."""
    return replace(
        setup,
        program="selftest",
        only=(),
        bars=given.bars or "halves",
        windows=given.windows or (None if given.dts else _WINDOWS),
    )


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
        help="pcitest on each shipped device tree, selftest on one, and tests that break the endpoint on purpose",
        description="Run pcitest on each shipped device tree, selftest on one, and the tests that break the endpoint"
        " on purpose, each of which the kernel has to notice; those of the bridge are on the models.",
        allow_abbrev=False,
    )
    every.add_argument(
        "--jobs",
        type=number(1, _MOST_JOBS),
        default=min(os.cpu_count() or 1, _MOST_JOBS),
        metavar="N",
        help="runs at a time, default as many as there are processors",
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
    linux_options.add_options(parser, "one guest")
    add = parser.add_argument
    add("--bars", choices=run.BARS, metavar="SET", help=f"set of BARs: {', '.join(run.BARS)}")
    add("--msix", type=number(1, _MOST_MSIX), default=32, metavar="N", help="MSI-X vectors of the function, default 32")
    add("--windows", type=number(1, 16), metavar="N", help="inbound windows, default as the device tree says")
    add("--msix-way", choices=MSIX_WAYS, help="rtl: MSI-X as memory writes on RQ (default) or by the hard block's port")


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(number(1, _MOST_SIZE)(part.strip()) for part in text.split(","))
