"""What a device tree says, as plain data."""

from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "DeviceTree",
    "DeviceTreeError",
    "EdmaNode",
    "EndpointNode",
    "Interrupt",
    "MsiConsumer",
    "MuNode",
    "Region",
]


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
class EdmaNode:
    """The eDMA inside the endpoint controller.

    Attributes
    ----------
    personality
        ``"unroll"``, ``"legacy"`` or ``"hdma"``.
    region
        Page that holds its registers.
    offset
        Byte offset of the registers in the page: 0x970 for ``"legacy"``, otherwise 0.
    interrupts
        One for all channels, or one per channel (write channels first); none when the tree names neither.
    write_channels, read_channels
        How many channels there are.
    doorbell_only
        The channels are a pretence for the sake of the doorbell: no transfer ever ends.
    """

    personality: str
    region: Region
    offset: int
    interrupts: tuple[Interrupt, ...]
    write_channels: int
    read_channels: int
    doorbell_only: bool = False

    @property
    def lines(self) -> int:
        """How many interrupt lines the hardware has; there is one even if nothing is connected to it."""
        return max(1, len(self.interrupts))


@dataclass(frozen=True)
class EndpointNode:
    """The PCIe endpoint controller.

    Attributes
    ----------
    name
        Node name with unit address.
    compatible
        The string that says which controller it is.
    regs, atu, dma
        Controller page, windows, eDMA page.
    addr_space
        Where the processor reaches the host through outbound windows, None when the tree does not say.
    edma
        The eDMA.
    fixed_bar
        BAR that shows the eDMA page for good, None without one.
    inbound_windows, outbound_windows
        How many windows there are.
    memory
        Memory to put behind the BARs.
    msi_parent
        The MSI controller that ``msi-parent`` names, None without the property or when it is no Messaging Unit.
    """

    name: str
    compatible: str
    regs: Region
    atu: Region
    dma: Region
    edma: EdmaNode
    fixed_bar: int | None
    inbound_windows: int
    outbound_windows: int
    memory: Region
    msi_parent: MuNode | None
    addr_space: Region | None = None


@dataclass(frozen=True)
class MsiConsumer:
    """Another device that takes messages: its name, the node name of its Messaging Unit, how many it wants."""

    name: str
    parent: str
    vectors: int


@dataclass(frozen=True)
class DeviceTree:
    """What the endpoint's software needs of a tree.

    Attributes
    ----------
    source
        Path of the file.
    endpoint
        The endpoint controller.
    messaging_units
        Every Messaging Unit that is an MSI controller; the hardware has one even if the tree does not tell.
    msi_consumers
        Other devices with messages from them.
    bootargs
        The kernel's command line; a word without ``=`` has an empty value.
    """

    source: str
    endpoint: EndpointNode
    messaging_units: tuple[MuNode, ...]
    msi_consumers: tuple[MsiConsumer, ...] = ()
    bootargs: dict[str, str] = field(default_factory=dict[str, str], hash=False)

    @property
    def name(self) -> str:
        """Name of the file without folder and suffix."""
        return Path(self.source).stem
