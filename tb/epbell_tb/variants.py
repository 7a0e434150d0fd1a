"""Variants of the endpoint that the benches run on: stream width and sizes of the BARs."""

from collections.abc import Callable
from functools import partial

from epbell.endpoint import Endpoint
from epbell_tb import runner
from epbell_tb.bar_sets import BAR_SETS
from epbell_tb.scenarios import WIDTHS

__all__ = [
    "BAR_SETS",
    "WIDTHS",
    "build_endpoint",
    "module_name",
]


def module_name(width: int, bars: str = "everyday") -> str:
    """Return the name of the top level of a variant.

    Raises
    ------
    ValueError
        If there is no such set of BARs or no such width.
    """
    if width not in WIDTHS:
        raise ValueError(f"The width must be one of {', '.join(map(str, WIDTHS))}, not {width!r}")
    if bars not in BAR_SETS:
        raise ValueError(f"The BARs must be one of {', '.join(BAR_SETS)}, not {bars!r}")
    return f"epbell_endpoint_usp{width}" + ("" if bars == "everyday" else f"_{bars}")


def build_endpoint(
    width: int, bars: str = "everyday", *, waves: bool = False, say: Callable[[str], None] | None = None
) -> runner.Build:
    """Build a variant with Verilator, unless it is there already; see `runner.build`."""
    name = module_name(width, bars)
    builder = None if bars == "everyday" else partial(Endpoint, width, bars=BAR_SETS[bars])
    return runner.build(name, waves=waves, builder=builder, say=say)
