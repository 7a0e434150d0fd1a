"""``epbell linux ntb``: two stock Linux kernels with the endpoint's non-transparent bridge between them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from epbell_models import devicetree
from epbell_tb import linux_options
from epbell_tb.arguments import number
from epbell_tb.guest import ntb_run, vntb_guests

__all__ = [
    "add_options",
    "report",
]

_SIZES = {"rtl": 16 << 10, "model": 256 << 10}
_MOST_SIZE = 16 << 20
_MOST_PINGS = 10000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command, without those that choose a device tree."""
    add = parser.add_argument
    small, large = _SIZES["rtl"], _SIZES["model"]
    add("--size", type=number(1, _MOST_SIZE), metavar="BYTES", help=f"of each file, default {small}; of model {large}")
    add("--pings", type=number(1, _MOST_PINGS), default=10, metavar="N", help="how often each guest pings, default 10")
    linux_options.add_options(parser, "both guests")


def report(given: argparse.Namespace, out: Callable[[str], None]) -> int:
    """Run two guests and write their TAP; return the exit status.

    Parameters
    ----------
    given
        The options of `add_options`, and ``tree`` and ``dts``.
    out
        Takes each line.
    """
    dts: Path = given.dts or devicetree.builtin(given.tree)
    setup = ntb_run.NtbSetup(
        name=f"ntb-{given.endpoint}-{dts.stem}",
        title=_title(given, dts),
        size=given.size or _SIZES[given.endpoint],
        pings=given.pings,
        limit=given.limit,
        slow=given.endpoint == "rtl",
    )
    return linux_options.status(lambda: ntb_run.run(setup, _bridge(given, dts, out), out), out)


def _title(given: argparse.Namespace, dts: Path) -> str:
    if given.endpoint == "model":
        return f"the models, {dts.stem}"
    width = given.width or linux_options.WIDTH
    return f"the RTL, {width} bits {'with' if given.stalls else 'without'} stalls, {dts.stem}"


def _bridge(given: argparse.Namespace, dts: Path, out: Callable[[str], None]) -> ntb_run.Bridge:
    if given.endpoint == "model":
        return vntb_guests.VntbGuests(dts)
    vntb_guests.check_tree(devicetree.load(dts))
    from epbell_tb.guest.rtl_sim import RtlSetup  # not at the top: they load Amaranth
    from epbell_tb.guest.vntb_sim import VntbSimulation

    setup = RtlSetup(
        dts,
        width=given.width or linux_options.WIDTH,
        stalls=given.stalls,
        seed=1 if given.seed is None else given.seed,
        bars=vntb_guests.BARS,
        limit=2 * given.limit,
    )
    return VntbSimulation(setup, lambda text: out(f"# {text}"))
