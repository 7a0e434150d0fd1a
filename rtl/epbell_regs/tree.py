"""Compiled register maps."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Protocol

from systemrdl.compiler import RDLCompiler
from systemrdl.node import AddrmapNode, RegNode, RootNode

__all__ = [
    "blocks",
    "flat_name",
    "load",
    "offsets",
]

_BLOCKS = ("mu_imx6sx", "mu_imx7ulp", "mu_imx8ulp", "iatu", "controller")
_MAX_WINDOWS = 16


class _Compiler(Protocol):
    """The part of RDLCompiler that is used here; its own annotations leave the type of a parameter open."""

    def compile_file(self, path: str) -> object: ...

    def elaborate(self, top_def_name: str, *, parameters: dict[str, Any]) -> RootNode: ...


def blocks() -> tuple[str, ...]:
    """Names of all blocks that have a register map."""
    return _BLOCKS


def load(name: str, *, windows: int | None = None) -> AddrmapNode:
    """Compile the register map of a block.

    Parameters
    ----------
    name : str
        One of :func:`blocks`.
    windows : int or None
        Number of inbound windows, 1 to 16, for ``"iatu"`` only. None: the default of the map, 6.

    Returns
    -------
    AddrmapNode
        Top of the elaborated tree. Equal arguments give the same tree, compiled once.

    Raises
    ------
    ValueError
        If there is no such block, or ``windows`` is out of range or given for another block.
    """
    if name not in _BLOCKS:
        raise ValueError(f"The name of a block must be one of {', '.join(_BLOCKS)}, not {name!r}")
    if windows is None:
        return _compile(name, None)
    if name != "iatu":
        raise ValueError(
            f"The number of windows is a parameter of the block 'iatu' only; leave it out, not {windows!r}"
        )
    if not 1 <= windows <= _MAX_WINDOWS:
        raise ValueError(f"The number of inbound windows must be 1 to {_MAX_WINDOWS}, not {windows!r}")
    return _compile(name, windows)


def offsets(name: str, *, windows: int | None = None) -> dict[str, int]:
    """Byte offset of every register of a block, by flat name, in ascending order.

    Parameters and errors are those of :func:`load`.
    """
    registers = [node for node in load(name, windows=windows).descendants(unroll=True) if isinstance(node, RegNode)]
    registers.sort(key=lambda node: node.absolute_address)
    return {flat_name(node): node.absolute_address for node in registers}


def flat_name(node: RegNode) -> str:
    """Name of a register in its address map without brackets and dots: ``TR0``, ``BELL2_RUNG``."""
    return "_".join(node.get_path_segments(array_suffix="{index:d}")[1:])


@functools.cache
def _compile(name: str, windows: int | None) -> AddrmapNode:
    compiler = _compiler()
    compiler.compile_file(str(Path(__file__).parent / f"{name}.rdl"))
    return compiler.elaborate(name, parameters={} if windows is None else {"WINDOWS": windows}).top


def _compiler() -> _Compiler:
    return RDLCompiler()
