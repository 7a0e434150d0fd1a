"""From a file to a `DeviceTree`: which nodes matter and what each must have."""

# pyright: reportMissingTypeStubs=false

from devicetree import dtlib

from .cores import CORES, edma_of
from .nodes import DeviceTree, DeviceTreeError, EndpointNode, MsiConsumer, MuNode, Region
from .properties import Properties, cells, enabled, strings

__all__ = [
    "Reader",
]

# The -s4 variant is in the binding, but no driver matches it: such a node is valid and yields no MSI controller.
_MU_LAYOUTS = {
    "fsl,imx6sx-mu-msi": "imx6sx",
    "fsl,imx7ulp-mu-msi": "imx7ulp",
    "fsl,imx8ulp-mu-msi": "imx8ulp",
    "fsl,imx8ulp-mu-msi-s4": None,
}
_CONSUMER = "epbell,msi-consumer"
_SIDES = ("processor-a-side", "processor-b-side")
_MU_REQUIRED = ("compatible", "reg", "interrupts", "interrupt-controller", "msi-controller", "#msi-cells")
_MU_KNOWN = (*_MU_REQUIRED, "reg-names", "clocks", "power-domains", "power-domain-names", "interrupt-parent", "status",
             "phandle", "linux,phandle", "#interrupt-cells")  # fmt: skip
_EP_REQUIRED = ("compatible", "reg", "reg-names", "num-ib-windows", "num-ob-windows")
# Where a DesignWare controller keeps its windows when the tree does not say.
_DEFAULT_ATU = 0x30_0000


class Reader:
    """One file on its way to a `DeviceTree`: collects complaints, raises them together."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._properties = Properties(path)

    def read(self) -> DeviceTree:
        """Return the tree, or raise `DeviceTreeError` with everything that is wrong with it."""
        properties = self._properties
        units = {node.path: self._mu(node) for node in properties.matching(tuple(_MU_LAYOUTS))}
        candidates = [node for node in properties.matching(tuple(CORES)) if enabled(node)]
        if not candidates:
            complaint = f"{self._path}: no enabled node is compatible with any of {list(CORES)}"
            properties.complaints.append(complaint)
        endpoint = self._endpoint(candidates[0], units) if candidates else None
        consumers = [self._consumer(node, units) for node in properties.matching((_CONSUMER,)) if enabled(node)]
        if properties.complaints or endpoint is None:
            raise DeviceTreeError(properties.complaints)
        return DeviceTree(
            self._path,
            endpoint,
            tuple(unit for unit in units.values() if unit is not None),
            tuple(consumer for consumer in consumers if consumer is not None),
            self._bootargs(),
        )

    def _mu(self, node: dtlib.Node) -> MuNode | None:
        properties = self._properties
        before = len(properties.complaints)
        properties.require(node, _MU_REQUIRED)
        for name in node.props:
            if name not in _MU_KNOWN:
                properties.complain(node, f"'{name}' does not match any of the regexes: '^pinctrl-[0-9]+$'")
        properties.expect(node, "#msi-cells", [0])
        properties.names(node, _SIDES)
        regions = properties.regions(node, len(_SIDES))
        interrupts = properties.interrupts(node)
        if len(interrupts) > 1:
            properties.complain(node, f"interrupts: {cells(node, 'interrupts')} is too long")
        if len(properties.complaints) != before or not interrupts:
            return None
        names = node.props["reg-names"].to_strings()
        side = dict(zip(names, regions, strict=True))
        compatible = node.props["compatible"].to_strings()
        layout = next(_MU_LAYOUTS[name] for name in compatible if name in _MU_LAYOUTS) if enabled(node) else None
        return MuNode(node.name, layout, side[_SIDES[0]], side[_SIDES[1]], interrupts[0])

    def _endpoint(self, node: dtlib.Node, units: dict[str, MuNode | None]) -> EndpointNode | None:
        properties = self._properties
        before = len(properties.complaints)
        properties.require(node, _EP_REQUIRED)
        inbound, outbound = properties.count(node, "num-ib-windows"), properties.count(node, "num-ob-windows")
        parent = properties.phandle(node, "msi-parent")
        memory = self._memory(node)
        if len(properties.complaints) != before or memory is None:
            return None
        names = node.props["reg-names"].to_strings()
        regions = properties.regions(node, len(names))
        if "regs" not in names and "dbi" not in names:
            properties.complain(node, f"reg-names: {names} does not contain items matching the given schema")
        if len(properties.complaints) != before:
            return None
        by_name = dict(zip(names, regions, strict=True))
        regs = by_name["regs"] if "regs" in by_name else by_name["dbi"]
        compatible = next(name for name in strings(node, "compatible") if name in CORES)
        core = CORES[compatible]
        edma = edma_of(properties, node, core, by_name)
        return EndpointNode(
            name=node.name,
            compatible=compatible,
            regs=regs,
            atu=by_name.get("atu", Region(regs.address + _DEFAULT_ATU, 0x1_0000)),
            dma=edma.region,
            edma=edma,
            fixed_bar=core.fixed_bar,
            inbound_windows=inbound,
            outbound_windows=outbound,
            memory=memory,
            msi_parent=units.get(parent.path) if parent is not None else None,
            addr_space=by_name.get("addr_space"),
        )

    def _memory(self, node: dtlib.Node) -> Region | None:
        """Return ``memory-region``, or the system's memory when the endpoint has none of its own."""
        properties = self._properties
        target = properties.phandle(node, "memory-region")
        if target is None and "memory-region" not in node.props:
            nodes = properties.dt.node_iter()
            target = next((n for n in nodes if strings(n, "device_type") == ["memory"]), None)
            if target is None:
                properties.complain(node, "'memory-region' is a required property")
        if target is None:
            return None
        properties.require(target, ("reg",))
        regions = properties.regions(target, 1)
        return regions[0] if regions else None

    def _consumer(self, node: dtlib.Node, units: dict[str, MuNode | None]) -> MsiConsumer | None:
        properties = self._properties
        before = len(properties.complaints)
        properties.require(node, ("msi-parent", "epbell,vectors"))
        vectors = properties.count(node, "epbell,vectors")
        parent = properties.phandle(node, "msi-parent")
        if parent is not None and parent.path not in units:
            properties.complain(node, f"msi-parent: {parent.name} is not a Messaging Unit")
        if len(properties.complaints) != before or parent is None:
            return None
        return MsiConsumer(node.name, parent.name, vectors)

    def _bootargs(self) -> dict[str, str]:
        dt = self._properties.dt
        line = " ".join(strings(dt.get_node("/chosen"), "bootargs")) if dt.has_node("/chosen") else ""
        words = (word.partition("=") for word in line.split())
        return {name: value for name, _, value in words}
