"""Find the endpoint, its Messaging Unit and their addresses in a ``.dts`` file.

The file is parsed by dtlib, which has no preprocessor: literal cells, no ``#include``, no macros. What a node must
have follows the bindings ``interrupt-controller/fsl,mu-msi.yaml`` and ``pci/snps,dw-pcie-ep.yaml`` (and, for the names
of the two sides, the driver that looks them up by name); a node that lacks it is reported in the words of dt-schema,
with file, node and property.
"""

# dtlib carries annotations, but no marker file that would let pyright use them without asking for stubs.
# pyright: reportMissingTypeStubs=false

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devicetree import dtlib

__all__ = [
    "DeviceTree",
    "DeviceTreeError",
    "EndpointNode",
    "Interrupt",
    "MuNode",
    "Region",
    "builtin",
    "load",
]

# The -s4 variant is in the binding, but no driver matches it: such a node is valid and yields no MSI controller.
_MU_LAYOUTS = {
    "fsl,imx6sx-mu-msi": "imx6sx",
    "fsl,imx7ulp-mu-msi": "imx7ulp",
    "fsl,imx8ulp-mu-msi": "imx8ulp",
    "fsl,imx8ulp-mu-msi-s4": None,
}
_ENDPOINTS = ("epbell,pcie-ep", "snps,dw-pcie-ep", "fsl,imx8qm-pcie-ep", "fsl,imx8q-pcie-ep", "fsl,imx95-pcie-ep")
_SIDES = ("processor-a-side", "processor-b-side")
_MU_REQUIRED = ("compatible", "reg", "interrupts", "interrupt-controller", "msi-controller", "#msi-cells")
_MU_KNOWN = (*_MU_REQUIRED, "reg-names", "clocks", "power-domains", "power-domain-names", "interrupt-parent", "status",
             "phandle", "linux,phandle", "#interrupt-cells")  # fmt: skip
_EP_REQUIRED = ("compatible", "reg", "reg-names", "num-ib-windows", "num-ob-windows")
_GIC_SPI = 0
_LEVEL_HIGH = 4
# Where a DesignWare controller keeps its windows and its eDMA when the tree does not say.
_DEFAULT_ATU = 0x30_0000
_DEFAULT_DMA = 0x8_0000


class DeviceTreeError(Exception):
    """A device tree that cannot be parsed or lacks something; ``complaints`` has one string per finding."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = complaints


@dataclass(frozen=True)
class Region:
    """An address range: first byte and size in bytes."""

    address: int
    size: int


@dataclass(frozen=True)
class Interrupt:
    """A shared peripheral interrupt: its number as the tree counts it, and its trigger (4 is level high)."""

    spi: int
    trigger: int


@dataclass(frozen=True)
class MuNode:
    """A Messaging Unit used as MSI controller.

    Attributes
    ----------
    name
        Node name with unit address.
    layout
        ``"imx6sx"``, ``"imx7ulp"`` or ``"imx8ulp"``; None when no driver matches the node or it is disabled.
    a, b
        Register regions of the two sides.
    interrupt
        Side A's interrupt.
    """

    name: str
    layout: str | None
    a: Region
    b: Region
    interrupt: Interrupt


@dataclass(frozen=True)
class EndpointNode:
    """The PCIe endpoint controller.

    Attributes
    ----------
    name
        Node name with unit address.
    regs, atu, dma
        Controller page, inbound windows, eDMA page.
    inbound_windows, outbound_windows
        How many windows there are.
    memory
        Memory to put behind the BARs.
    msi_parent
        The MSI controller that ``msi-parent`` names, None without the property or when it is no Messaging Unit.
    """

    name: str
    regs: Region
    atu: Region
    dma: Region
    inbound_windows: int
    outbound_windows: int
    memory: Region
    msi_parent: MuNode | None


@dataclass(frozen=True)
class DeviceTree:
    """What the endpoint's software needs of a tree."""

    source: str
    endpoint: EndpointNode
    messaging_units: tuple[MuNode, ...]


def builtin(name: str = "imx8") -> Path:
    """Return the path of a device tree that ships with this package."""
    path = Path(__file__).parent / "dts" / f"{name}.dts"
    if not path.is_file():
        known = sorted(entry.stem for entry in path.parent.glob("*.dts"))
        raise ValueError(f"A shipped device tree is one of {known}, not {name!r}")
    return path


def load(path: str | Path) -> DeviceTree:
    """Parse and check ``path``.

    Raises
    ------
    DeviceTreeError
        With file and line for a parse error, with file, node and property for a node that breaks its binding.
    """
    return _Reader(str(path)).read()


class _Reader:
    """One file on its way to a `DeviceTree`: collects complaints, raises them together."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.complaints: list[str] = []
        try:
            self.dt = dtlib.DT(path)
        except (OSError, UnicodeDecodeError) as error:
            raise DeviceTreeError([f"{path}: cannot be read: {error}"]) from error
        except dtlib.DTError as error:
            raise DeviceTreeError([self._locate(str(error))]) from error

    def read(self) -> DeviceTree:
        units = {node.path: self._mu(node) for node in self._matching(tuple(_MU_LAYOUTS))}
        candidates = [node for node in self._matching(_ENDPOINTS) if _enabled(node)]
        if not candidates:
            self.complaints.append(f"{self.path}: no enabled node is compatible with any of {list(_ENDPOINTS)}")
        endpoint = self._endpoint(candidates[0], units) if candidates else None
        if self.complaints or endpoint is None:
            raise DeviceTreeError(self.complaints)
        return DeviceTree(self.path, endpoint, tuple(unit for unit in units.values() if unit is not None))

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def _mu(self, node: dtlib.Node) -> MuNode | None:
        before = len(self.complaints)
        self._require(node, _MU_REQUIRED)
        for name in node.props:
            if name not in _MU_KNOWN:
                self._complain(node, f"'{name}' does not match any of the regexes: '^pinctrl-[0-9]+$'")
        self._expect(node, "#msi-cells", [0])
        self._names(node, _SIDES)
        regions = self._regions(node, len(_SIDES))
        interrupt = self._interrupt(node)
        if len(self.complaints) != before or interrupt is None:
            return None
        names = node.props["reg-names"].to_strings()
        side = dict(zip(names, regions, strict=True))
        compatible = node.props["compatible"].to_strings()
        layout = next(_MU_LAYOUTS[name] for name in compatible if name in _MU_LAYOUTS) if _enabled(node) else None
        return MuNode(node.name, layout, side[_SIDES[0]], side[_SIDES[1]], interrupt)

    def _endpoint(self, node: dtlib.Node, units: dict[str, MuNode | None]) -> EndpointNode | None:
        before = len(self.complaints)
        self._require(node, _EP_REQUIRED)
        inbound, outbound = self._count(node, "num-ib-windows"), self._count(node, "num-ob-windows")
        parent = self._phandle(node, "msi-parent")
        memory = self._memory(node)
        if len(self.complaints) != before or memory is None:
            return None
        names = node.props["reg-names"].to_strings()
        regions = self._regions(node, len(names))
        if "regs" not in names and "dbi" not in names:
            self._complain(node, f"reg-names: {names} does not contain items matching the given schema")
        if len(self.complaints) != before:
            return None
        by_name = dict(zip(names, regions, strict=True))
        regs = by_name["regs"] if "regs" in by_name else by_name["dbi"]
        atu = by_name.get("atu", Region(regs.address + _DEFAULT_ATU, 0x1_0000))
        dma = by_name.get("dma", Region(regs.address + _DEFAULT_DMA, 0x1_0000))
        unit = units.get(parent.path) if parent is not None else None
        return EndpointNode(node.name, regs, atu, dma, inbound, outbound, memory, unit)

    def _memory(self, node: dtlib.Node) -> Region | None:
        """Return ``memory-region``, or the system's memory when the endpoint has none of its own."""
        target = self._phandle(node, "memory-region")
        if target is None and "memory-region" not in node.props:
            target = next((n for n in self.dt.node_iter() if _strings(n, "device_type") == ["memory"]), None)
            if target is None:
                self._complain(node, "'memory-region' is a required property")
        if target is None:
            return None
        self._require(target, ("reg",))
        regions = self._regions(target, 1)
        return regions[0] if regions else None

    def _interrupt(self, node: dtlib.Node) -> Interrupt | None:
        cells = _cells(node, "interrupts")
        if not cells:
            return None
        if len(cells) != 3:
            self._complain(node, f"interrupts: [{cells}] must be one item of three cells (kind, number, trigger)")
            return None
        kind, number, trigger = cells
        if kind != _GIC_SPI:
            self._complain(node, f"interrupts:0:0: {kind} is not a shared peripheral interrupt (0)")
        if trigger != _LEVEL_HIGH:
            self._complain(node, f"interrupts:0:2: {trigger} was given, but the line is level high (4): with an edge a "
                                 "ring is lost while another vector holds the line")  # fmt: skip
        return Interrupt(number, trigger)

    # -- properties ----------------------------------------------------------------------------------------------------

    def _require(self, node: dtlib.Node, names: tuple[str, ...]) -> None:
        for name in names:
            if name not in node.props:
                self._complain(node, f"'{name}' is a required property")

    def _expect(self, node: dtlib.Node, name: str, wanted: list[int]) -> None:
        if name in node.props and _cells(node, name) != wanted:
            self._complain(node, f"{name}:0:0: {wanted[0]} was expected")

    def _names(self, node: dtlib.Node, wanted: tuple[str, ...]) -> None:
        if "reg-names" not in node.props:
            self._complain(node, "'reg-names' is a required property")
            return
        names = _strings(node, "reg-names")
        if len(names) < len(wanted):
            self._complain(node, f"reg-names: {names} is too short")
        elif len(names) > len(wanted):
            self._complain(node, f"reg-names: {names} is too long")
        for index, (name, expected) in enumerate(zip(names, wanted, strict=False)):
            if name != expected:
                self._complain(node, f"reg-names:{index}: '{expected}' was expected")

    def _count(self, node: dtlib.Node, name: str) -> int:
        cells = _cells(node, name)
        if name in node.props and (len(cells) != 1 or not 1 <= cells[0] <= 256):
            self._complain(node, f"{name}: {cells} is not one number from 1 to 256")
        return cells[0] if cells else 0

    def _phandle(self, node: dtlib.Node, name: str) -> dtlib.Node | None:
        cells = _cells(node, name)
        if not cells:
            return None
        target = next((other for other in self.dt.node_iter() if _cells(other, "phandle") == cells[:1]), None)
        if target is None:
            self._complain(node, f"{name}: {cells[0]:#x} is not the phandle of any node")
        return target

    def _regions(self, node: dtlib.Node, count: int) -> list[Region]:
        cells = _cells(node, "reg")
        if not cells:
            return []
        address_cells, size_cells = _bus_cells(node)
        width = address_cells + size_cells
        items = [cells[at : at + width] for at in range(0, len(cells), width)]
        if len(items) < count:
            self._complain(node, f"reg: {items} is too short")
            return []
        if len(items) > count or len(items[-1]) != width:
            self._complain(node, f"reg: {items} is too long")
            return []
        pairs = [(_join(item[:address_cells]), _join(item[address_cells:])) for item in items]
        return [Region(self._translate(node, address), size) for address, size in pairs]

    def _translate(self, node: dtlib.Node, address: int) -> int:
        """Map an address up through every parent bus' ``ranges``."""
        bus = node.parent
        while bus is not None and bus.parent is not None:
            cells = _cells(bus, "ranges")
            child, size = _bus_cells(node)
            parent, _ = _bus_cells(bus)
            width = child + parent + size
            for at in range(0, len(cells), width):
                first = _join(cells[at : at + child])
                length = _join(cells[at + child + parent : at + width])
                if first <= address < first + length:
                    address += _join(cells[at + child : at + child + parent]) - first
                    break
            else:
                if cells or "ranges" not in bus.props:
                    self._complain(node, f"reg: {address:#x} is outside 'ranges' of {bus.name}")
            node, bus = bus, bus.parent
        return address

    # -- words ---------------------------------------------------------------------------------------------------------

    def _matching(self, compatibles: tuple[str, ...]) -> Iterator[dtlib.Node]:
        nodes = self.dt.node_iter()
        return (node for node in nodes if any(name in compatibles for name in _strings(node, "compatible")))

    def _complain(self, node: dtlib.Node, complaint: str) -> None:
        self.complaints.append(f"{self.path}: {node.name}: {complaint}")

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


def _cells(node: dtlib.Node, name: str) -> list[int]:
    """Return the 32-bit cells of a property, phandles as numbers; empty when it is absent."""
    if name not in node.props:
        return []
    value = node.props[name].value
    return [int.from_bytes(value[at : at + 4], "big") for at in range(0, len(value), 4)]


def _strings(node: dtlib.Node, name: str) -> list[str]:
    """Return the strings of a property; empty when it is absent or holds something else."""
    try:
        return node.props[name].to_strings() if name in node.props else []
    except dtlib.DTError:
        return []


def _bus_cells(node: dtlib.Node) -> tuple[int, int]:
    """Return #address-cells and #size-cells that apply to ``node``, the specification's defaults when absent."""
    if node.parent is None:
        return 2, 1
    address, size = _cells(node.parent, "#address-cells"), _cells(node.parent, "#size-cells")
    return (address[0] if address else 2), (size[0] if size else 1)


def _join(cells: list[int]) -> int:
    """Return the number that big-endian cells spell."""
    value = 0
    for cell in cells:
        value = value << 32 | cell
    return value


def _enabled(node: dtlib.Node) -> bool:
    """Return whether ``status`` lets a driver bind."""
    return _strings(node, "status") in ([], ["okay"], ["ok"])
