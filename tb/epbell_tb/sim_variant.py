"""The endpoint that a device tree describes: its Messaging Unit, its eDMA, its windows, its addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from epbell.address_map import AddressMap
from epbell.edma import EdmaShape
from epbell.endpoint import Endpoint
from epbell_models.devicetree import DeviceTree, EdmaNode
from epbell_tb import runner
from epbell_tb.variants import BAR_SETS, module_name

__all__ = ["Variant", "VariantError", "build_variant", "variant_of"]

_DEFAULTS: dict[str, object] = {
    "layout": "imx8ulp",
    "windows": 6,
    "outbound_windows": 6,
    "aperture": 256 << 20,
    "ram_size": 2 << 20,
    "address_map": AddressMap(),
    "edma": EdmaShape(),
    "fixed_bar": None,
    "msix": "rq",
}

_ASKING = {"config": ("hard__read", "which", "turn", "rests")}
"""Registers that never rest: the endpoint asks for the base address registers, round after round (`ConfigReader`)."""


class VariantError(Exception):
    """No endpoint can be built for a device tree; the text names the file and what is wrong."""


@dataclass(frozen=True)
class Variant:
    """An endpoint of some width; device trees that need the same RTL have equal ones.

    Attributes
    ----------
    name : str
        Name of the top level, the same for equal RTL only.
    width : int
        Width of the PCIe streams in bits.
    parameters : tuple of (str, object)
        Parameters of `Endpoint` that are not its defaults.
    source : str
        The device tree that asked for it first.
    """

    name: str
    width: int
    parameters: tuple[tuple[str, Any], ...]
    source: str = field(compare=False)


def variant_of(tree: DeviceTree, width: int, bars: str, msix: str = "rq") -> Variant:
    """Return the endpoint that a device tree describes.

    Parameters
    ----------
    tree : DeviceTree
        The device tree.
    width : int
        Width of the PCIe streams in bits.
    bars : str
        Name of a set of BARs.
    msix : str
        How MSI-X messages leave, as of `Endpoint`.

    Raises
    ------
    VariantError
        If the RTL cannot be what the tree says.
    """
    name = module_name(width, bars)
    found = {**_parameters(tree), "msix": msix}
    parameters = {key: value for key, value in found.items() if value != _DEFAULTS[key]}
    if bars != "everyday":
        parameters["bars"] = BAR_SETS[bars]
    given = tuple(parameters.items())
    if parameters.keys() - {"bars"}:
        name += "_" + hashlib.sha256(repr(given).encode()).hexdigest()[:8]
    return Variant(name, width, given, tree.source)


def build_variant(
    variant: Variant,
    *,
    waves: bool = False,
    say: Callable[[str], None] | None = None,
    at_rest: bool = False,
    coverage: bool = False,
    simulator: str = runner.VERILATOR,
) -> runner.Build:
    """Build an endpoint, unless it is there already.

    Parameters
    ----------
    variant : Variant
        The endpoint.
    waves : bool
        Build with VCD tracing.
    say : callable, optional
        Told in a sentence when a compilation starts.
    at_rest : bool
        Add the output that `epbell_tb.endpoint.idle` looks at.
    coverage : bool
        Count what is reached, as of `runner.build`.
    simulator : str
        Which simulator, as of `runner.build`.

    Raises
    ------
    VariantError
        If the RTL cannot be what the tree says.
    SimulationError
        If Verilator or the C++ compiler refuses it.
    """
    builder = partial(Endpoint, variant.width, **dict(variant.parameters)) if variant.parameters else None
    try:
        return runner.build(
            variant.name, waves=waves, builder=builder, say=say, at_rest=_ASKING if at_rest else None,
            coverage=coverage, simulator=simulator,
        )  # fmt: skip
    except ValueError as error:
        raise VariantError(f"{variant.source}: {error}") from error


def _parameters(tree: DeviceTree) -> dict[str, object]:
    endpoint = tree.endpoint
    # Without a Messaging Unit in the tree, or with one that no driver matches, the hardware still has one.
    unit = endpoint.msi_parent or next(iter(tree.messaging_units), None)
    sides = {"mu_a": unit.a.address, "mu_b": unit.b.address} if unit else {}
    aperture = endpoint.addr_space
    try:
        places = AddressMap(
            **sides,
            controller=endpoint.regs.address,
            edma=endpoint.edma.region.address,
            iatu=endpoint.atu.address,
            ram=endpoint.memory.address,
            **({"outbound": aperture.address} if aperture else {}),
        )
        shape = _shape(endpoint.edma)
    except ValueError as error:
        raise VariantError(f"{tree.source}: {error}") from error
    return {
        "layout": unit.layout if unit and unit.layout else "imx8ulp",
        "windows": endpoint.inbound_windows,
        "outbound_windows": endpoint.outbound_windows,
        "aperture": aperture.size if aperture else _DEFAULTS["aperture"],
        "ram_size": endpoint.memory.size,
        "address_map": places,
        "edma": shape,
        "fixed_bar": endpoint.fixed_bar,
    }


def _shape(node: EdmaNode) -> EdmaShape:
    shape = EdmaShape(
        personality=node.personality,
        write_channels=node.write_channels,
        read_channels=node.read_channels,
        lines=node.lines,
        base=node.offset,
        doorbell_only=node.doorbell_only,
    )
    usual = replace(shape, base=None)
    return usual if usual.offset == shape.offset else shape
