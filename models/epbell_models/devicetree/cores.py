"""What a controller's ``compatible`` implies, as the kernel's glue drivers know it, and its eDMA.

A device tree does not say how many channels an eDMA has, nor that a BAR is wired to it for good; the driver that
matches does (drivers/pci/controller/dwc/pcie-dw-rockchip.c, pcie-qcom-ep.c). Which interrupts the eDMA has follows
pcie-designware.c: "dma" for all channels, or "dma0" and so on, one for each.
"""

# pyright: reportMissingTypeStubs=false

from dataclasses import dataclass

from devicetree import dtlib

from .nodes import EdmaNode, Interrupt, Region
from .properties import Properties, strings

__all__ = [
    "CORES",
    "Core",
    "edma_of",
]

_LEGACY_OFFSET = 0x970
# Where a DesignWare controller keeps its eDMA when the tree does not say.
_DEFAULT_DMA = 0x8_0000


@dataclass(frozen=True)
class Core:
    """One controller: the eDMA's personality and channels, the BAR that always shows it, and whether it only rings."""

    personality: str = "unroll"
    write_channels: int = 4
    read_channels: int = 4
    fixed_bar: int | None = None
    doorbell_only: bool = False


CORES = {
    "epbell,pcie-ep": Core(),
    "epbell,pcie-ep-doorbell": Core(doorbell_only=True),
    "snps,dw-pcie-ep": Core(),
    "fsl,imx8qm-pcie-ep": Core(),
    "fsl,imx8q-pcie-ep": Core(),
    "fsl,imx95-pcie-ep": Core(),
    "rockchip,rk3588-pcie-ep": Core(write_channels=2, read_channels=2, fixed_bar=4),
    "qcom,sa8775p-pcie-ep": Core(personality="hdma"),
}


def edma_of(properties: Properties, node: dtlib.Node, core: Core, regions: dict[str, Region]) -> EdmaNode:
    """Return the eDMA of an endpoint controller.

    Parameters
    ----------
    properties
        The file.
    node
        The controller.
    core
        What its ``compatible`` implies.
    regions
        Its regions by name, with at least one of "regs" and "dbi". Both of them but no "dma": the eDMA is an old one,
        in the same page as the configuration space.
    """
    interrupts = _interrupts(properties, node, core.write_channels + core.read_channels)
    personality, offset = core.personality, 0
    if "dma" in regions:
        region = regions["dma"]
    elif "regs" in regions and "dbi" in regions:
        region, personality, offset = regions["dbi"], "legacy", _LEGACY_OFFSET
    else:
        base = regions["regs"] if "regs" in regions else regions["dbi"]
        region = Region(base.address + _DEFAULT_DMA, 0x1_0000)
    channels = core.write_channels, core.read_channels
    return EdmaNode(personality, region, offset, interrupts, *channels, doorbell_only=core.doorbell_only)


def _interrupts(properties: Properties, node: dtlib.Node, channels: int) -> tuple[Interrupt, ...]:
    found, names = properties.interrupts(node), strings(node, "interrupt-names")
    if names and len(names) != len(found):
        properties.complain(node, f"interrupt-names: {names} does not name {len(found)} interrupts")
        return ()
    by_name = dict(zip(names, found, strict=False))
    if "dma" in by_name:
        return (by_name["dma"],)
    each = [by_name.get(f"dma{channel}") for channel in range(channels)]
    interrupts = tuple(interrupt for interrupt in each if interrupt is not None)
    return interrupts if len(interrupts) == channels else ()
