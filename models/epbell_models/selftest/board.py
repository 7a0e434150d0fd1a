"""The endpoint in plain Python with its processor and its software: all of a target but the host."""

from dataclasses import replace
from typing import Any

from ..devicetree import DeviceTree
from ..host.msi import MsiController
from ..linux.boot import boot
from ..linux.pci_epf_vntb_config import CLASS_MEMORY_RAM, MSI_VECTORS, MSIX_OFFSET, VntbConfig
from ..platform import DrivenIrqLine, IrqLine, Platform
from ..reference.capabilities import MsiCapability, MsixCapability
from ..reference.config_space import ConfigSpace
from ..reference.endpoint import ReferenceEndpoint
from ..reference.host_memory import HostMemory
from ..reference.link import ReferenceLink

__all__ = [
    "BAR_SIZES",
    "Board",
]

BAR_SIZES = (0x2_0000, 0x2_0000, 0x2_0000, 0x2_0000, 0x2_0000, 0x10_0000)
"""Bytes behind each BAR, as Linux's function wants them."""

_MSIX_TABLE = 0, 0x80


class Board:
    """An endpoint with MSI, MSI-X and INTx, and what runs on its processor.

    Parameters
    ----------
    platform
        Time and concurrency.
    tree
        The device tree.
    bar_sizes
        Bytes of each BAR of the hardware, 0 for one that does not exist.
    wide_bars
        BARs that are the lower half of a 64-bit pair.
    windows
        Number of inbound windows, 1 to 16; None for as many as the device tree says.
    msi_vectors_log2
        Log2 of the MSI vectors that the function offers.
    msix_vectors
        How many MSI-X vectors it offers, 1 to 2048.
    receiver, host_memory, intx
        The host's side; see `ReferenceLink`.
    vntb
        Configuration of pci-epf-vntb, which then is the function instead of pci-epf-test, and decides on identity, MSI
        and MSI-X.
    boot_options
        Further options of `boot`.

    Attributes
    ----------
    tree
        The device tree, with as many windows as there are.
    endpoint, link, software
        The parts.
    """

    def __init__(
        self,
        platform: Platform,
        tree: DeviceTree,
        *,
        bar_sizes: tuple[int, ...] = BAR_SIZES,
        wide_bars: tuple[int, ...] = (),
        windows: int | None = None,
        msi_vectors_log2: int = 5,
        msix_vectors: int = 2048,
        receiver: MsiController | None = None,
        host_memory: HostMemory | None = None,
        intx: DrivenIrqLine | None = None,
        vntb: VntbConfig | None = None,
        **boot_options: Any,
    ) -> None:
        if windows is not None:
            tree = replace(tree, endpoint=replace(tree.endpoint, inbound_windows=windows))
        self.tree = tree
        self.endpoint = ReferenceEndpoint.of(tree, bar_sizes)
        if vntb is not None:
            msix_vectors = vntb.msix_interrupts
            config = _vntb_config_space(vntb, bar_sizes, wide_bars)
        else:
            config = ConfigSpace(
                bar_sizes,
                wide_bars,
                msi=MsiCapability(msi_vectors_log2, maskable=True),
                msix=MsixCapability(msix_vectors, _MSIX_TABLE),
                pin=1,
            )
        self.link = ReferenceLink(
            platform, self.endpoint, config=config, receiver=receiver, host_memory=host_memory, intx=intx
        )
        self.software = boot(
            platform,
            self.link.cpu,
            self._lines(),
            tree,
            bar_sizes,
            wide_bars=wide_bars,
            msix_interrupts=msix_vectors,
            intx=True,
            vntb=vntb,
            **boot_options,
        )

    async def start(self) -> None:
        """Boot; RuntimeError when the software ends with an error."""
        self.link.start()
        error = await self.software.start()
        if error:
            raise RuntimeError(f"The endpoint's software ends with {error}: {'; '.join(self.software.log)}")

    def _lines(self) -> dict[int, IrqLine]:
        lines: dict[int, IrqLine] = {unit.interrupt.spi: self.link.irq_mu for unit in self.tree.messaging_units}
        interrupts = (interrupt.spi for interrupt in self.tree.endpoint.edma.interrupts)
        return lines | dict(zip(interrupts, self.link.irq_edma, strict=False))


def _vntb_config_space(vntb: VntbConfig, bar_sizes: tuple[int, ...], wide_bars: tuple[int, ...]) -> ConfigSpace:
    """Return what the kernel's function would write into its header and capabilities."""
    table = max(0, vntb.ctrl_bar), MSIX_OFFSET
    return ConfigSpace(
        bar_sizes,
        wide_bars,
        vendor=vntb.vendor,
        device=vntb.device,
        class_code=CLASS_MEMORY_RAM,
        msi=MsiCapability(MSI_VECTORS.bit_length() - 1, maskable=True),
        msix=MsixCapability(vntb.msix_interrupts, table) if vntb.msix_interrupts else None,
        pin=1,
    )
