"""The target in plain Python: both ends' software around the reference endpoint, in virtual time."""

from dataclasses import replace
from typing import Any

from ..devicetree import DeviceTree
from ..host.msi import MsiController
from ..host.pci import PciDevice
from ..host.pci_endpoint_test import PciEndpointTest
from ..linux.boot import boot
from ..platform import IrqLine, VirtualPlatform
from ..reference.capabilities import MsiCapability, MsixCapability
from ..reference.config_space import ConfigSpace
from ..reference.endpoint import ReferenceEndpoint
from ..reference.link import ReferenceLink
from .harness import DmaEngine

__all__ = [
    "BAR_SIZES",
    "ModelTarget",
    "heading",
]

BAR_SIZES = (0x2_0000, 0x2_0000, 0x2_0000, 0x2_0000, 0x2_0000, 0x10_0000)
"""Bytes behind each BAR, as Linux's function wants them."""

_BAR_BASE = 0x8000_0000
_HOST_VECTORS = 4096
_MSIX_TABLE = 0, 0x80


def heading(what: str, tree: DeviceTree, windows: int | None, msix_vectors: int) -> str:
    """Return a line that says what is tested: on which device tree, with how many inbound windows and MSI-X vectors.

    Parameters
    ----------
    what
        What it runs on.
    tree
        The device tree.
    windows
        Number of inbound windows, None for as many as the device tree says.
    msix_vectors
        How many MSI-X vectors the function offers.
    """
    described = tree.endpoint.inbound_windows
    used = described if windows is None else windows
    aside = "" if used == described else f" (the tree has {described}: --windows {described})"
    return f"{what}, device tree {tree.name}, {used} inbound windows{aside}, {msix_vectors} MSI-X vectors"


class ModelTarget:
    """A host, the endpoint, and the endpoint's processor.

    Parameters
    ----------
    tree
        The device tree.
    bar_sizes
        Bytes of each BAR of the hardware, 0 for one that does not exist.
    windows
        Number of inbound windows, 1 to 16; None for as many as the device tree says.
    msi_vectors_log2
        Log2 of the MSI vectors that the function offers.
    msix_vectors
        How many MSI-X vectors it offers, 1 to 2048.
    msi_limit, msix_limit
        Greatest number of vectors that the host grants.
    store_bytes
        See `PciEndpointTest`.
    boot_options
        Further options of `boot`.

    Attributes
    ----------
    platform
        Virtual time; ``platform.run(harness.run(target, ...))`` runs the tests.
    dma
        What moves data for the endpoint's function: nothing.
    endpoint, link, software, device, host
        The parts, from hardware to the host's driver.
    """

    dma: DmaEngine = "none"

    def __init__(
        self,
        tree: DeviceTree,
        *,
        bar_sizes: tuple[int, ...] = BAR_SIZES,
        windows: int | None = None,
        msi_vectors_log2: int = 5,
        msix_vectors: int = 2048,
        msi_limit: int = 32,
        msix_limit: int = 2048,
        store_bytes: int = 4096,
        **boot_options: Any,
    ) -> None:
        self._heading = heading("the models", tree, windows, msix_vectors)
        if windows is not None:
            tree = replace(tree, endpoint=replace(tree.endpoint, inbound_windows=windows))
        self.platform = VirtualPlatform()
        self.tree = tree
        self.endpoint = ReferenceEndpoint.of(tree, bar_sizes)
        config = ConfigSpace(
            bar_sizes,
            msi=MsiCapability(msi_vectors_log2, maskable=True),
            msix=MsixCapability(msix_vectors, _MSIX_TABLE),
            pin=1,
        )
        receiver = MsiController(vectors=_HOST_VECTORS)
        self.link = ReferenceLink(self.platform, self.endpoint, config=config, receiver=receiver)
        self.software = boot(
            self.platform,
            self.link.cpu,
            self._lines(),
            tree,
            bar_sizes,
            msix_interrupts=msix_vectors,
            intx=True,
            **boot_options,
        )
        self.device = PciDevice(
            self.platform,
            self.link,
            receiver,
            vector_limit=msi_limit,
            msix_limit=msix_limit,
            intx=self.link.intx,
        )
        self.host = PciEndpointTest(self.device, store_bytes=store_bytes, memory=self.link.host_memory)

    def heading(self) -> str:
        """Return the device tree, and how many windows and vectors there are."""
        return self._heading

    async def bring_up(self) -> PciEndpointTest:
        """Boot, enumerate, bind."""
        self.link.start()
        error = await self.software.start()
        if error:
            raise RuntimeError(f"The endpoint's software ends with {error}: {'; '.join(self.software.log)}")
        await self.device.scan()
        await self.device.assign(_BAR_BASE)
        error = await self.host.probe()
        if error:
            raise RuntimeError(f"The host's driver does not bind: {error}")
        return self.host

    def notes(self) -> list[str]:
        """Return the doorbell, and how long all of it took Linux."""
        function = self.software.function
        why = f" ({function.reason})" if function.reason else ""
        accesses, interrupts = len(self.link.memory.trace), function.irqs_raised
        return [
            f"doorbell {function.backend or 'none'}{why}",
            f"{self.platform.now():.3f} s of Linux's time, {accesses} accesses of the host, {interrupts} interrupts",
        ]

    def _lines(self) -> dict[int, IrqLine]:
        lines: dict[int, IrqLine] = {unit.interrupt.spi: self.link.irq_mu for unit in self.tree.messaging_units}
        interrupts = (interrupt.spi for interrupt in self.tree.endpoint.edma.interrupts)
        return lines | dict(zip(interrupts, self.link.irq_edma, strict=False))
