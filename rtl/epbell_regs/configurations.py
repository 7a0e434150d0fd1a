"""Configurations of the endpoint for which there are an SVD file and a device-tree snippet: what is where in each.

A configuration is one layout of the Messaging Unit or one kind of eDMA, with the addresses and interrupts that the
documents and the shipped device trees use. Endpoints with other addresses have the same registers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from epbell_regs.tree import load

if TYPE_CHECKING:
    from systemrdl.node import AddrmapNode

__all__ = [
    "CONFIGURATIONS",
    "Addresses",
    "Configuration",
    "Page",
]

_PAGE = 0x1_0000
_CONTROLLER_INTERRUPTS = ("sys", "pmc", "msg", "legacy", "err")


@dataclass(frozen=True)
class Addresses:
    """Local addresses of the endpoint's blocks, and sizes in bytes of what is not a page of 64 KiB.

    Attributes
    ----------
    mu_a, mu_b : int
        Messaging Unit: side of the endpoint's CPU, and side of the doorbells.
    controller, iatu, edma : int
        Controller page, registers of the windows, eDMA page.
    ram, ram_size : int
        RAM behind the BARs.
    outbound, aperture : int
        The CPU's addresses for the host's memory.
    """

    mu_a: int = 0x5D27_0000
    mu_b: int = 0x5D30_0000
    controller: int = 0x5F01_0000
    iatu: int = 0x5F31_0000
    edma: int = 0x5F09_0000
    ram: int = 0x6000_0000
    ram_size: int = 0x20_0000
    outbound: int = 0x7000_0000
    aperture: int = 0x1000_0000


@dataclass(frozen=True)
class Page:
    """A page of registers.

    Attributes
    ----------
    name : str
        In capitals: ``MU_A``.
    summary : str
        What it is, in a sentence.
    base : int
        Local address.
    size : int
        In bytes.
    maps : tuple of AddrmapNode
        What is in it; the maps of a page have no offset in common.
    interrupts : tuple of (str, int)
        Names and numbers of its shared peripheral interrupts.
    """

    name: str
    summary: str
    base: int
    size: int
    maps: tuple[AddrmapNode, ...]
    interrupts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Configuration:
    """An endpoint.

    Attributes
    ----------
    name, summary : str
        Its name, and what is special about it.
    compatible : tuple of str
        Of the controller's node. A driver, and the device-tree reader of the models, know from it how many channels
        the eDMA has and which BAR shows it.
    layout : str or None
        Layout of the Messaging Unit that is the doorbell; None: the endpoint's software has none.
    windows, outbound_windows : int
        Number of inbound and outbound windows.
    dma : str
        Register map of the eDMA: ``"edma"`` or ``"hdma"``.
    channels : int
        Its channels in either direction.
    dma_interrupts : tuple of int
        Shared peripheral interrupts of the eDMA: one, or one for each channel, write channels first.
    mu_interrupt : int
        That of side A of the Messaging Unit.
    other_interrupts : tuple of (str, int)
        What else the controller's binding asks for; none of these lines ever rises.
    addresses : Addresses
        What is where.
    """

    name: str
    summary: str
    compatible: tuple[str, ...] = ("snps,dw-pcie-ep",)
    layout: str | None = None
    windows: int = 6
    outbound_windows: int = 6
    dma: str = "edma"
    channels: int = 4
    dma_interrupts: tuple[int, ...] = (192,)
    mu_interrupt: int = 191
    other_interrupts: tuple[tuple[str, int], ...] = ()
    addresses: Addresses = field(default_factory=Addresses)

    @property
    def interrupts(self) -> tuple[tuple[str, int], ...]:
        """Names, as the drivers look for them, and numbers of the controller's interrupts."""
        single = len(self.dma_interrupts) == 1
        names = ("dma",) if single else tuple(f"dma{number}" for number in range(len(self.dma_interrupts)))
        return (*self.other_interrupts, *zip(names, self.dma_interrupts, strict=True))

    @property
    def pages(self) -> tuple[Page, ...]:
        """Its pages of registers, in the order of their addresses."""
        at = self.addresses
        windows = (
            load("iatu_outbound", windows=self.outbound_windows),
            load("iatu", windows=self.windows),
        )
        channels = load(self.dma, write_channels=self.channels, read_channels=self.channels)
        dma = tuple((name, number) for name, number in self.interrupts if name.startswith("dma"))
        own = (load("controller"),)
        pages = [
            Page("CONTROLLER", "Identity, interrupts to the host, counters.", at.controller, _PAGE, own),
            Page("IATU", "Outbound and inbound windows.", at.iatu, _PAGE, windows),
            Page(self.dma.upper(), "Registers of the DMA engine.", at.edma, _PAGE, (channels,), dma),
        ]
        if self.layout is not None:
            unit = load(f"mu_{self.layout}")
            side_a = "Messaging Unit, the side of the endpoint's CPU."
            pages += [
                Page("MU_A", side_a, at.mu_a, _PAGE, (unit,), (("mu", self.mu_interrupt),)),
                Page("MU_B", "Messaging Unit, the side of the doorbells.", at.mu_b, _PAGE, (unit,)),
            ]
        return tuple(sorted(pages, key=lambda page: page.base))


CONFIGURATIONS: tuple[Configuration, ...] = (
    *(
        Configuration(
            f"mu-{layout}",
            f"Doorbell: the Messaging Unit, as MSI controller, in the register layout of {chip}.",
            layout=layout,
        )
        for layout, chip in (("imx6sx", "i.MX6SX"), ("imx7ulp", "i.MX7ULP"), ("imx8ulp", "i.MX8ULP"))
    ),
    Configuration("edma", "Doorbell: the interrupt emulation of the eDMA, through an inbound window."),
    Configuration(
        "edma-fixed-bar",
        "Doorbell: the interrupt emulation of the eDMA, which BAR 4 shows for good; one interrupt for each channel.",
        compatible=("rockchip,rk3588-pcie-ep",),
        windows=16,
        outbound_windows=16,
        channels=2,
        dma_interrupts=(271, 272, 269, 270),
        other_interrupts=tuple(zip(_CONTROLLER_INTERRUPTS, (263, 262, 261, 260, 259), strict=True)),
    ),
    Configuration(
        "hdma",
        "No doorbell: a native HDMA cannot emulate interrupts, so endpoint software polls.",
        compatible=("qcom,sa8775p-pcie-ep",),
        windows=8,
        outbound_windows=8,
        dma="hdma",
        dma_interrupts=(147,),
        other_interrupts=(("global", 140), ("doorbell", 142)),
    ),
)
"""What `epbell regs` writes an SVD file and a device-tree snippet for."""
