"""Find the endpoint, its doorbells and their addresses in a ``.dts`` file.

The file is parsed by dtlib, which has no preprocessor: literal cells, no ``#include``, no macros. What a node must
have follows the bindings ``interrupt-controller/fsl,mu-msi.yaml`` and ``pci/snps,dw-pcie-ep.yaml`` (and, for the names
of the two sides, the driver that looks them up by name); a node that lacks it is reported in the words of dt-schema,
with file, node and property.
"""

from pathlib import Path

from .nodes import DeviceTree, DeviceTreeError, EdmaNode, EndpointNode, Interrupt, MsiConsumer, MuNode, Region
from .reader import Reader

__all__ = [
    "DeviceTree",
    "DeviceTreeError",
    "EdmaNode",
    "EndpointNode",
    "Interrupt",
    "MsiConsumer",
    "MuNode",
    "Region",
    "builtin",
    "load",
    "shipped",
]

_FOLDER = Path(__file__).parents[1] / "dts"
_FIRST = "imx8"


def shipped() -> tuple[str, ...]:
    """Return the names of the device trees that ship with this package, the one with the Messaging Unit first."""
    names = sorted(entry.stem for entry in _FOLDER.glob("*.dts"))
    return tuple(sorted(names, key=lambda name: name != _FIRST))


def builtin(name: str = _FIRST) -> Path:
    """Return the path of a device tree that ships with this package."""
    if name not in shipped():
        raise ValueError(f"A shipped device tree is one of {list(shipped())}, not {name!r}")
    return _FOLDER / f"{name}.dts"


def load(path: str | Path) -> DeviceTree:
    """Parse and check ``path``.

    Raises
    ------
    DeviceTreeError
        With file and line for a parse error, with file, node and property for a node that breaks its binding.
    """
    return Reader(str(path)).read()
