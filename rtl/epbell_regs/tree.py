"""Compiled register maps."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Protocol

from systemrdl.compiler import RDLCompiler
from systemrdl.node import AddrmapNode, RegNode, RootNode

__all__ = [
    "blocks",
    "compile_map",
    "flat_name",
    "load",
    "offsets",
]

_BLOCKS = (
    *("mu_imx6sx", "mu_imx7ulp", "mu_imx8ulp", "iatu", "iatu_outbound"),
    *("edma", "edma_doorbell", "hdma", "controller"),
)
_CHANNELS = {
    "write_channels": (1, 8, "number of write channels"),
    "read_channels": (1, 8, "number of read channels"),
}
# Least and greatest value of each parameter, and what it is.
_PARAMETERS: dict[str, dict[str, tuple[int, int, str]]] = {
    "iatu": {"windows": (1, 16, "number of inbound windows")},
    "iatu_outbound": {"windows": (1, 16, "number of outbound windows")},
    "edma": {**_CHANNELS, "legacy": (0, 1, "switch between the unroll map and the legacy map")},
    "edma_doorbell": _CHANNELS,
    "hdma": _CHANNELS,
}


class _Compiler(Protocol):
    """The part of RDLCompiler that is used here; its own annotations leave the type of a parameter open."""

    def compile_file(self, path: str) -> object: ...

    def elaborate(self, top_def_name: str, *, parameters: dict[str, Any]) -> RootNode: ...


def blocks() -> tuple[str, ...]:
    """Names of all blocks that have a register map."""
    return _BLOCKS


def load(name: str, **parameters: int) -> AddrmapNode:
    """Compile the register map of a block.

    Parameters
    ----------
    name : str
        One of :func:`blocks`.
    **parameters : int
        What the block can be built with; what is left out has the default of the map. ``"iatu"``: ``windows``, the
        number of inbound windows, 1 to 16 (6). ``"iatu_outbound"``: ``windows``, that of outbound windows, likewise.
        ``"edma"``, ``"edma_doorbell"`` and ``"hdma"``: ``write_channels`` and ``read_channels``, 1 to 8 each (4).
        ``"edma"``: ``legacy``, 1 for the legacy map, which has VIEWPORT_SEL (0).

    Returns
    -------
    AddrmapNode
        Top of the elaborated tree. Equal arguments give the same tree, compiled once.

    Raises
    ------
    ValueError
        If there is no such block, it has no such parameter, or a parameter is out of range.
    """
    if name not in _BLOCKS:
        raise ValueError(f"The name of a block must be one of {', '.join(_BLOCKS)}, not {name!r}")
    allowed = _PARAMETERS.get(name, {})
    given: dict[str, object] = dict(parameters)
    for parameter, value in given.items():
        if parameter not in allowed:
            names = ", ".join(allowed) or "none"
            raise ValueError(f"A parameter of the block {name!r} must be one that it has ({names}), not {parameter!r}")
        least, greatest, what = allowed[parameter]
        if not isinstance(value, int) or not least <= value <= greatest:
            raise ValueError(f"The {what} must be {least} to {greatest}, not {value!r}")
    return _compile(name, tuple(sorted(parameters.items())))


def offsets(name: str, **parameters: int) -> dict[str, int]:
    """Byte offset of every register of a block, by flat name, in ascending order.

    Parameters and errors are those of :func:`load`.
    """
    registers = [node for node in load(name, **parameters).descendants(unroll=True) if isinstance(node, RegNode)]
    registers.sort(key=lambda node: node.absolute_address)
    return {flat_name(node): node.absolute_address for node in registers}


def flat_name(node: RegNode) -> str:
    """Name of a register in its address map without brackets and dots: ``TR0``, ``BELL2_RUNG``."""
    return "_".join(node.get_path_segments(array_suffix="{index:d}")[1:])


@functools.cache
def _compile(name: str, parameters: tuple[tuple[str, int], ...]) -> AddrmapNode:
    return compile_map(name, parameters)


def compile_map(name: str, parameters: tuple[tuple[str, int], ...] = ()) -> AddrmapNode:
    """Compile the register map of a block into a tree of its own, which the caller may change; nothing is checked."""
    compiler = _compiler()
    compiler.compile_file(str(Path(__file__).parent / f"{name}.rdl"))
    return compiler.elaborate(name, parameters={key.upper(): value for key, value in parameters}).top


def _compiler() -> _Compiler:
    return RDLCompiler()
