"""What is behind each AXI4-Lite port of an exported module: register pages, RAM, and the aperture to host memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import epbell_regs
from epbell.address_map import PAGE_BITS, AddressMap
from epbell.edma import EdmaAxil, EdmaShape
from epbell.endpoint import Endpoint
from epbell.mu import MuAxil, MuAxilAsync

__all__ = [
    "Block",
    "memory_maps",
]

_PAGE = 1 << PAGE_BITS
_CPU_SPACE = 1 << 32


@dataclass(frozen=True)
class Block:
    """A range of addresses behind a port.

    Attributes
    ----------
    name : str
        What it is: ``"mu_a"``, ``"ram"``.
    base, size : int
        Its first address and its size in bytes.
    trees : tuple of AddrmapNode
        Its register maps, all from the base on; none: memory.
    """

    name: str
    base: int
    size: int
    trees: tuple[Any, ...] = ()


def memory_maps(component: object) -> dict[str, list[Block]]:
    """Return the blocks behind each AXI4-Lite port of a component, by the name of the port, in ascending order.

    Parameters
    ----------
    component : wiring.Component
        What an exported module is made of. Of other components nothing is known, and nothing returned.
    """
    if isinstance(component, MuAxil | MuAxilAsync):
        tree = epbell_regs.load(f"mu_{component.layout}")
        return {f"{side}_axil": [Block(f"mu_{side}", 0, _PAGE, (tree,))] for side in "ab"}
    if isinstance(component, EdmaAxil):
        return {"s_axil": [_edma(0, component.shape)]}
    if isinstance(component, Endpoint):
        found = [block for block in _endpoint(component) if block.base < _CPU_SPACE]
        return {"cpu_axil": sorted(found, key=lambda block: block.base)}
    return {}


def _endpoint(endpoint: Endpoint) -> list[Block]:
    given: dict[str, Any] = endpoint.parameters
    places: AddressMap = given["address_map"]
    unit = epbell_regs.load(f"mu_{given['layout']}")
    windows = (
        epbell_regs.load("iatu", windows=given["windows"]),
        epbell_regs.load("iatu_outbound", windows=given["outbound_windows"]),
    )
    return [
        Block("mu_a", places.mu_a, _PAGE, (unit,)),
        Block("mu_b", places.mu_b, _PAGE, (unit,)),
        Block("controller", places.controller, _PAGE, (epbell_regs.load("controller"),)),
        _edma(places.edma, given["edma"]),
        Block("iatu", places.iatu, _PAGE, windows),
        Block("ram", places.ram, given["ram_size"]),
        Block("outbound", places.outbound, given["aperture"]),
    ]


def _edma(page: int, shape: EdmaShape) -> Block:
    channels = {"write_channels": shape.write_channels, "read_channels": shape.read_channels}
    if shape.personality == "hdma":
        tree = epbell_regs.load("hdma", **channels)
    else:
        tree = epbell_regs.load("edma", **channels, legacy=int(shape.personality == "legacy"))
    return Block("edma", page + shape.offset, _PAGE - shape.offset, (tree,))
