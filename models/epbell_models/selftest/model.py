"""The target in plain Python: both ends' software around the reference endpoint, in virtual time."""

from typing import Any

from ..devicetree import DeviceTree
from ..host.msi import MsiController
from ..host.pci import PciDevice
from ..host.pci_endpoint_test import PciEndpointTest
from ..platform import VirtualPlatform
from .board import BAR_SIZES, Board
from .harness import DmaEngine

__all__ = [
    "ModelTarget",
    "heading",
]

_BAR_BASE = 0x8000_0000
_HOST_VECTORS = 4096


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
        self.platform = VirtualPlatform()
        receiver = MsiController(vectors=_HOST_VECTORS)
        self.board = Board(
            self.platform,
            tree,
            bar_sizes=bar_sizes,
            windows=windows,
            msi_vectors_log2=msi_vectors_log2,
            msix_vectors=msix_vectors,
            receiver=receiver,
            **boot_options,
        )
        self.tree, self.endpoint, self.link = self.board.tree, self.board.endpoint, self.board.link
        self.software = self.board.software
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
        await self.board.start()
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
