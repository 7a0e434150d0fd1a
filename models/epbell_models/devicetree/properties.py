"""Properties of nodes: cells, strings, addresses, phandles, interrupts; what is wrong with them becomes a complaint."""

# dtlib carries annotations, but no marker file that would let pyright use them without asking for stubs.
# pyright: reportMissingTypeStubs=false

from collections.abc import Iterator
from pathlib import Path

from devicetree import dtlib

from .nodes import DeviceTreeError, Interrupt, Region

__all__ = [
    "Properties",
    "cells",
    "enabled",
    "strings",
]

_GIC_SPI = 0
_LEVEL_HIGH = 4
_INTERRUPT_CELLS = 3


class Properties:
    """One parsed file.

    Parameters
    ----------
    path
        The file; `DeviceTreeError` when it cannot be read or parsed.

    Attributes
    ----------
    complaints
        What is wrong, one string per finding, with file, node and property.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.complaints: list[str] = []
        try:
            self.dt = dtlib.DT(path)
        except (OSError, UnicodeDecodeError) as error:
            raise DeviceTreeError([f"{path}: cannot be read: {error}"]) from error
        except dtlib.DTError as error:
            raise DeviceTreeError([self._locate(str(error))]) from error

    def matching(self, compatibles: tuple[str, ...]) -> Iterator[dtlib.Node]:
        """Find the nodes that are compatible with one of these."""
        nodes = self.dt.node_iter()
        return (node for node in nodes if any(name in compatibles for name in strings(node, "compatible")))

    def complain(self, node: dtlib.Node, complaint: str) -> None:
        """Note what is wrong with a node."""
        self.complaints.append(f"{self.path}: {node.name}: {complaint}")

    def require(self, node: dtlib.Node, names: tuple[str, ...]) -> None:
        """Complain about each property that is missing."""
        for name in names:
            if name not in node.props:
                self.complain(node, f"'{name}' is a required property")

    def expect(self, node: dtlib.Node, name: str, wanted: list[int]) -> None:
        """Complain when a property is there and holds something else."""
        if name in node.props and cells(node, name) != wanted:
            self.complain(node, f"{name}:0:0: {wanted[0]} was expected")

    def names(self, node: dtlib.Node, wanted: tuple[str, ...]) -> None:
        """Complain unless ``reg-names`` has exactly these."""
        if "reg-names" not in node.props:
            self.complain(node, "'reg-names' is a required property")
            return
        names = strings(node, "reg-names")
        if len(names) < len(wanted):
            self.complain(node, f"reg-names: {names} is too short")
        elif len(names) > len(wanted):
            self.complain(node, f"reg-names: {names} is too long")
        for index, (name, expected) in enumerate(zip(names, wanted, strict=False)):
            if name != expected:
                self.complain(node, f"reg-names:{index}: '{expected}' was expected")

    def count(self, node: dtlib.Node, name: str) -> int:
        """Return a number from 1 to 256; 0 when it is missing or wrong."""
        found = cells(node, name)
        if name in node.props and (len(found) != 1 or not 1 <= found[0] <= 256):
            self.complain(node, f"{name}: {found} is not one number from 1 to 256")
        return found[0] if found else 0

    def phandle(self, node: dtlib.Node, name: str) -> dtlib.Node | None:
        """Return the node that a property names, None without the property."""
        found = cells(node, name)
        if not found:
            return None
        target = next((other for other in self.dt.node_iter() if cells(other, "phandle") == found[:1]), None)
        if target is None:
            self.complain(node, f"{name}: {found[0]:#x} is not the phandle of any node")
        return target

    def interrupts(self, node: dtlib.Node) -> list[Interrupt]:
        """Return what ``interrupts`` lists; empty when it is missing or no list of three cells each."""
        found = cells(node, "interrupts")
        if len(found) % _INTERRUPT_CELLS:
            self.complain(node, f"interrupts: [{found}] must be items of three cells (kind, number, trigger)")
            return []
        items = [found[at : at + _INTERRUPT_CELLS] for at in range(0, len(found), _INTERRUPT_CELLS)]
        return [self._interrupt(node, index, item) for index, item in enumerate(items)]

    def _interrupt(self, node: dtlib.Node, index: int, item: list[int]) -> Interrupt:
        kind, number, trigger = item
        if kind != _GIC_SPI:
            self.complain(node, f"interrupts:{index}:0: {kind} is not a shared peripheral interrupt (0)")
        if trigger != _LEVEL_HIGH:
            self.complain(node, f"interrupts:{index}:2: {trigger} was given, but the line is level high (4): with an "
                                "edge a ring is lost while something else holds the line")  # fmt: skip
        return Interrupt(number, trigger)

    def regions(self, node: dtlib.Node, count: int) -> list[Region]:
        """Return the ``count`` regions of ``reg`` as the processor addresses them; empty when there are not so many."""
        found = cells(node, "reg")
        if not found:
            return []
        address_cells, size_cells = _bus_cells(node)
        width = address_cells + size_cells
        items = [found[at : at + width] for at in range(0, len(found), width)]
        if len(items) < count:
            self.complain(node, f"reg: {items} is too short")
            return []
        if len(items) > count or len(items[-1]) != width:
            self.complain(node, f"reg: {items} is too long")
            return []
        pairs = [(_join(item[:address_cells]), _join(item[address_cells:])) for item in items]
        return [Region(self._translate(node, address), size) for address, size in pairs]

    def _translate(self, node: dtlib.Node, address: int) -> int:
        """Map an address up through every parent bus' ``ranges``."""
        bus = node.parent
        while bus is not None and bus.parent is not None:
            found = cells(bus, "ranges")
            child, size = _bus_cells(node)
            parent, _ = _bus_cells(bus)
            width = child + parent + size
            for at in range(0, len(found), width):
                first = _join(found[at : at + child])
                length = _join(found[at + child + parent : at + width])
                if first <= address < first + length:
                    address += _join(found[at + child : at + child + parent]) - first
                    break
            else:
                if found or "ranges" not in bus.props:
                    self.complain(node, f"reg: {address:#x} is outside 'ranges' of {bus.name}")
            node, bus = bus, bus.parent
        return address

    def _locate(self, message: str) -> str:
        """Add file and line to the errors that dtlib finds after parsing."""
        if message.startswith(self.path):
            return message
        quoted = message.split("'")[1] if message.count("'") > 1 else None
        lines = Path(self.path).read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            if quoted is not None and quoted in line:
                return f"{self.path}:{number}: {message}"
        return f"{self.path}: {message}"


def cells(node: dtlib.Node, name: str) -> list[int]:
    """Return the 32-bit cells of a property, phandles as numbers; empty when it is absent."""
    if name not in node.props:
        return []
    value = node.props[name].value
    return [int.from_bytes(value[at : at + 4], "big") for at in range(0, len(value), 4)]


def strings(node: dtlib.Node, name: str) -> list[str]:
    """Return the strings of a property; empty when it is absent or holds something else."""
    try:
        return node.props[name].to_strings() if name in node.props else []
    except dtlib.DTError:
        return []


def enabled(node: dtlib.Node) -> bool:
    """Return whether ``status`` lets a driver bind."""
    return strings(node, "status") in ([], ["okay"], ["ok"])


def _bus_cells(node: dtlib.Node) -> tuple[int, int]:
    """Return #address-cells and #size-cells that apply to ``node``, the specification's defaults when absent."""
    if node.parent is None:
        return 2, 1
    address, size = cells(node.parent, "#address-cells"), cells(node.parent, "#size-cells")
    return (address[0] if address else 2), (size[0] if size else 1)


def _join(numbers: list[int]) -> int:
    """Return the number that big-endian cells spell."""
    value = 0
    for number in numbers:
        value = value << 32 | number
    return value
