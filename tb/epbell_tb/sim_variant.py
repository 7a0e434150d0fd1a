"""The endpoint that a device tree describes: its layout of the Messaging Unit, its windows, its addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

from epbell.address_map import AddressMap
from epbell.endpoint import Endpoint
from epbell_models.devicetree import DeviceTree
from epbell_tb import runner
from epbell_tb.variants import BAR_SETS, module_name

__all__ = ["VariantError", "build_variant"]

_DEFAULTS = {"layout": "imx8ulp", "windows": 6, "ram_size": 2 << 20, "address_map": AddressMap()}


class VariantError(Exception):
    """No endpoint can be built for a device tree; the text names the file and what is wrong."""


def build_variant(
    tree: DeviceTree, width: int, bars: str, *, waves: bool = False, say: Callable[[str], None] | None = None
) -> runner.Build:
    """Build the endpoint for a device tree, unless it is there already.

    Parameters
    ----------
    tree : DeviceTree
        The device tree.
    width : int
        Width of the PCIe streams in bits.
    bars : str
        Name of a set of BARs.
    waves : bool
        Build with VCD tracing.
    say : callable, optional
        Told in a sentence when a compilation starts.

    Raises
    ------
    VariantError
        If the RTL cannot be what the tree says.
    SimulationError
        If Verilator or the C++ compiler refuses it.
    """
    name = module_name(width, bars)
    parameters = {key: value for key, value in _parameters(tree).items() if value != _DEFAULTS[key]}
    if bars != "everyday":
        parameters["bars"] = BAR_SETS[bars]
    if not parameters:
        return runner.build(name, waves=waves, say=say)
    builder = partial(Endpoint, width, **parameters)
    if parameters.keys() != {"bars"}:
        name += "_" + hashlib.sha256(repr(builder).encode()).hexdigest()[:8]
    try:
        return runner.build(name, waves=waves, builder=builder, say=say)
    except ValueError as error:
        raise VariantError(f"{tree.source}: {error}") from error


def _parameters(tree: DeviceTree) -> dict[str, object]:
    endpoint = tree.endpoint
    if not tree.messaging_units:
        raise VariantError(f"{tree.source}: the endpoint needs a Messaging Unit; add a node as in the shipped tree")
    unit = endpoint.msi_parent or tree.messaging_units[0]
    if unit.layout is None:
        raise VariantError(
            f"{tree.source}: {unit.name}: no layout is known for it; use one that a Linux driver matches"
        )
    try:
        places = AddressMap(
            mu_a=unit.a.address,
            mu_b=unit.b.address,
            controller=endpoint.regs.address,
            edma=endpoint.dma.address,
            iatu=endpoint.atu.address,
            ram=endpoint.memory.address,
        )
    except ValueError as error:
        raise VariantError(f"{tree.source}: {error}") from error
    return {
        "layout": unit.layout,
        "windows": endpoint.inbound_windows,
        "ram_size": endpoint.memory.size,
        "address_map": places,
    }
