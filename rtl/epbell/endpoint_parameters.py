"""What an endpoint cannot be built with: each refused with a sentence, before any of its blocks exists."""

from collections.abc import Sequence

import epbell_regs
from epbell.address_map import AddressMap
from epbell.bar import Bar, check_bars, check_fixed_bar
from epbell.edma import EdmaShape
from epbell.mu import LAYOUTS
from epbell.pcie.queue import check_places
from epbell.share import check_patience

__all__ = ["check_types", "check_values"]


def check_types(guard: object, address_map: object, edma: object) -> None:
    """Refuse what would be something else than it looks like.

    Raises
    ------
    ValueError
        If a parameter of :class:`~epbell.endpoint.Endpoint` has another type.
    """
    if not isinstance(guard, bool):
        raise ValueError(f"The guard must be True or False, not {guard!r}")
    if not isinstance(address_map, AddressMap | None):
        raise ValueError(f"The address map must be an AddressMap, not {address_map!r}")
    if not isinstance(edma, EdmaShape | None):
        raise ValueError(f"The shape of the eDMA must be an EdmaShape, not {edma!r}")


def check_values(
    bars: Sequence[Bar | None], layout: str, windows: int, reads: int, patience: int, fixed_bar: int | None
) -> None:
    """Refuse a wrong parameter.

    Raises
    ------
    ValueError
        If one of :class:`~epbell.endpoint.Endpoint` is out of its range.
    """
    checked = check_bars(bars)
    if fixed_bar is not None:
        check_fixed_bar(checked, fixed_bar)
    check_places(reads)
    check_patience(patience)
    epbell_regs.load("iatu", windows=windows)
    if layout not in LAYOUTS:
        raise ValueError(f"The layout of the Messaging Unit must be one of {', '.join(LAYOUTS)}, not {layout!r}")
