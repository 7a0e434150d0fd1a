"""Driver of the endpoint controller: windows both ways, interrupts to the host, the doorbell of the eDMA.

Follows drivers/pci/controller/dwc/pcie-designware-ep.c. A BAR leads to one place, by a window in BAR match, or is tiled
by several windows in address match. Interrupts differ from DesignWare silicon, see `HostInterrupts`. So does where the
host has put the BARs: silicon lets its processor read configuration space, here the controller page shows them. The one
auxiliary resource is the doorbell of the eDMA, as the driver offers it.
"""

import errno

from ..devicetree import EndpointNode
from ..platform import Bus, Platform
from .aux_resource import NO_BAR, AuxKind, AuxResource
from .dw_edma import NO_OFFSET, DwEdma, Hook
from .dw_ep_irq import HostInterrupts
from .dw_iatu import DwIatu, Way
from .epc_features import BAR_COUNT, BarFlag, BarKind, EpcFeatures, EpfBar, IrqKind
from .gic import Gic

__all__ = [
    "REGION_ALIGN",
    "DwPcieEp",
]

REGION_ALIGN = 0x1000
"""What the controller's features give as alignment, in bytes."""

# Controller page: the base address registers as the host reads them.
_BARS = 0x090
_BAR_ADDRESS = 0xFFFF_FFF0

_DOORBELL_BYTES = 4


class DwPcieEp:
    """One controller, one function.

    Parameters
    ----------
    platform
        Time.
    bus
        The processor's bus.
    node
        Device-tree node.
    features
        What the hardware was built with.
    log
        Receives the driver's messages.

    Attributes
    ----------
    iatu
        The windows.
    bar_to_window
        Which inbound window serves all of a BAR.
    bar_to_windows
        Which windows tile a BAR, in its order.
    outbound
        Address of the processor behind each outbound window in use.
    interrupts
        The ways to interrupt the host.
    edma
        The eDMA, None as long as it has not been detected, and when there is none that can be used.
    """

    def __init__(self, platform: Platform, bus: Bus, node: EndpointNode, features: EpcFeatures, log: list[str]) -> None:
        self.features = features
        self._bus = bus
        self._node = node
        self._log = log
        self._bars: dict[int, EpfBar] = {}
        self._msix_bar = NO_BAR
        self.iatu = DwIatu(platform, bus, node.atu, log)
        self.interrupts = HostInterrupts(platform, bus, node.regs.address, features, log)
        self.bar_to_window: dict[int, int] = {}
        self.bar_to_windows: dict[int, list[int]] = {}
        self.outbound: dict[int, int] = {}
        self.edma: DwEdma | None = None

    async def probe(self) -> None:
        """Find out what the windows can do."""
        await self.iatu.detect()

    async def detect_edma(self, edma: DwEdma, gic: Gic, before_doorbell_irq: Hook | None = None) -> int:
        """Probe the eDMA while the controller is initialised; 0 or a negative errno, which ends that.

        The controller goes on without an eDMA that lacks channels or interrupts, and when the driver answers -ENODEV.
        Any other error is final.
        """
        if not await edma.find(gic):
            return 0
        error = await edma.probe(before_doorbell_irq)
        if error and error != -errno.ENODEV:
            self._log.append("Couldn't register eDMA device")
            return error
        if not error:
            self.edma = edma
        return 0

    async def init_registers(self) -> None:
        """Set the hardware up again after a reset that took all of it (dw_pcie_ep_init_registers).

        The kernel removes and probes the eDMA meanwhile, below a function that may have its interrupt requested; here
        it stays, and its engine is quieted.
        """
        await self.iatu.detect()
        for window in self.outbound:
            await self.iatu.disable(Way.OUTBOUND, window)
        self.outbound.clear()
        if self.edma is not None:
            await self.edma.quiet()

    # -- BARs ----------------------------------------------------------------------------------------------------------

    async def set_bar(self, bar: EpfBar) -> int:
        """Aim a BAR.

        A BAR that is set already is re-targeted in place, so that the address which the host gave it survives; then
        neither size nor flags may change (-EINVAL). Only such a BAR can be tiled: its address must be known.
        """
        old = self._bars.get(bar.barno)
        if old is not None and (old.size, old.flags) != (bar.size, bar.flags):
            return -errno.EINVAL
        if old is None and bar.submap:
            return -errno.EINVAL
        error = await (self._tile(bar) if bar.submap else self._aim(bar))
        if not error:
            self._bars[bar.barno] = bar
        return error

    async def clear_bar(self, bar: EpfBar) -> None:
        """Switch a BAR's windows off and release them, and MSI-X with its table."""
        if self._msix_bar == bar.barno:
            self._msix_bar = NO_BAR
            await self.interrupts.set_msix(0, 0)
        if self._bars.pop(bar.barno, None) is not None:
            await self._clear_windows(bar.barno)

    async def _aim(self, bar: EpfBar) -> int:
        """Let one window serve all of a BAR; -EINVAL without a free one."""
        if not 0 <= bar.barno < BAR_COUNT:
            return -errno.EINVAL
        window = self.bar_to_window.get(bar.barno)
        if window is None:
            await self._clear_windows(bar.barno)
            window = self._free_inbound()
        if window is None:
            self._log.append("No free inbound window")
            return -errno.EINVAL
        error = await self.iatu.program_bar(window, bar.barno, bar.phys_addr, bar.size)
        if error:
            self._log.append("Failed to program IB window")
            return error
        self.bar_to_window[bar.barno] = window
        return 0

    async def _tile(self, bar: EpfBar) -> int:
        """Let a window serve each piece of a BAR.

        -EINVAL, with nothing touched, for pieces that do not fit or while the host has not placed the BAR. When a
        window fails (-ENOSPC: there are no more), none of them is left, nor what the BAR had before.
        """
        if not self._fits(bar):
            return -errno.EINVAL
        address = await self._assigned(bar)
        if not address:
            self._log.append(f"BAR{bar.barno} not assigned, cannot set up sub-range mappings")
            return -errno.EINVAL
        await self._clear_windows(bar.barno)
        for piece in bar.submap:
            window = self._free_inbound()
            error = -errno.ENOSPC
            if window is not None:
                error = await self.iatu.program(Way.INBOUND, window, address, piece.phys_addr, piece.size)
            if window is None or error:
                await self._clear_windows(bar.barno)
                return error
            self.bar_to_windows.setdefault(bar.barno, []).append(window)
            address += piece.size
        return 0

    def _fits(self, bar: EpfBar) -> bool:
        """Return whether the pieces of a BAR are aligned and tile it exactly."""
        align = self.iatu.align
        aligned = all(not (piece.size % align or piece.phys_addr % align) and piece.size > 0 for piece in bar.submap)
        return aligned and not bar.size % align and sum(piece.size for piece in bar.submap) == bar.size

    async def _assigned(self, bar: EpfBar) -> int:
        """Return where the host has put a BAR, 0 when nowhere."""
        register = self._node.regs.address + _BARS + 4 * bar.barno
        low = await self._bus.read32(register) & _BAR_ADDRESS
        if not bar.flags & BarFlag.MEM_64:
            return low
        return await self._bus.read32(register + 4) << 32 | low

    async def _clear_windows(self, barno: int) -> None:
        windows = self.bar_to_windows.pop(barno, [])
        if barno in self.bar_to_window:
            windows = [self.bar_to_window.pop(barno), *windows]
        for window in windows:
            await self.iatu.disable(Way.INBOUND, window)

    def _free_inbound(self) -> int | None:
        used = {*self.bar_to_window.values(), *(n for windows in self.bar_to_windows.values() for n in windows)}
        return next((n for n in range(self.iatu.count[Way.INBOUND]) if n not in used), None)

    # -- the host's memory ---------------------------------------------------------------------------------------------

    def align_addr(self, pci_addr: int, size: int) -> tuple[int, int, int]:
        """Return first address, bytes and offset of what must be mapped, in whole pages, to reach ``size`` bytes."""
        offset = pci_addr % self.iatu.align
        page = max(self.iatu.align, self.features.align)
        return pci_addr - offset, -(-(offset + size) // page) * page, offset

    async def map_addr(self, address: int, pci_addr: int, size: int) -> int:
        """Put an outbound window before the host's memory.

        -EINVAL without a free window, or for addresses that it cannot have; -ETIMEDOUT when it does not come on.
        """
        window = next((n for n in range(self.iatu.count[Way.OUTBOUND]) if n not in self.outbound), None)
        if window is None:
            self._log.append("No free outbound window")
            return -errno.EINVAL
        error = await self.iatu.program(Way.OUTBOUND, window, address, pci_addr, size)
        if error:
            self._log.append("Failed to enable address")
            return error
        self.outbound[window] = address
        return 0

    async def unmap_addr(self, address: int) -> None:
        """Take the window at an address away; quietly nothing when there is none."""
        window = next((n for n, base in self.outbound.items() if base == address), None)
        if window is not None:
            del self.outbound[window]
            await self.iatu.disable(Way.OUTBOUND, window)

    # -- interrupts ----------------------------------------------------------------------------------------------------

    async def get_msi(self) -> int:
        """Return the number of vectors enabled, -EINVAL while the host has MSI disabled."""
        return await self.interrupts.get_msi()

    async def set_msix(self, vectors: int, bar: int, offset: int) -> int:
        """Put table and pending bits into a BAR; -EINVAL when they do not fit, or the controller has no MSI-X.

        What the host reads of it in configuration space is built into the hardware and must say the same.
        """
        behind = self._bars.get(bar)
        end = offset + 16 * vectors + -(-vectors // 64) * 8
        if not self.features.msix_capable or behind is None or offset % 8 or end > behind.size:
            return -errno.EINVAL
        await self.interrupts.set_msix(vectors, behind.phys_addr + offset)
        self._msix_bar = bar
        return 0

    async def get_msix(self) -> int:
        """Return the number of vectors, -EINVAL while the host has MSI-X disabled."""
        return await self.interrupts.get_msix()

    async def raise_irq(self, kind: IrqKind, number: int) -> int:
        """Interrupt the host; errors as of `HostInterrupts.raise_irq`."""
        return await self.interrupts.raise_irq(kind, number)

    # -- auxiliary resources -------------------------------------------------------------------------------------------

    async def get_aux_resources_count(self) -> int:
        """Return how many auxiliary resources there are: the doorbell, if the eDMA has one."""
        return 1 if self._doorbell_offset() is not None else 0

    async def get_aux_resources(self, resources: list[AuxResource], room: int) -> int:
        """Append the doorbell; -ENOSPC without room, -EINVAL when it is not in the window that a BAR shows."""
        offset = self._doorbell_offset()
        if offset is None or self.edma is None:
            return 0
        if room < 1:
            return -errno.ENOSPC
        bar, start, window = self._fixed_window()
        if offset + _DOORBELL_BYTES > window:
            return -errno.EINVAL
        address = self._node.edma.region.address + self._node.edma.offset + offset
        where = start + offset if bar != NO_BAR else 0
        resources.append(
            AuxResource(
                AuxKind.DOORBELL_MMIO, address, _DOORBELL_BYTES, bar, where, irq=self.edma.db_irq, data=0
            )
        )
        return 0

    def _doorbell_offset(self) -> int | None:
        """Return where from the start of the eDMA's registers a store interrupts, None when nowhere."""
        if self.edma is None or not self._node.edma.region.size or self.edma.db_offset == NO_OFFSET:
            return None
        return self.edma.db_offset

    def _fixed_window(self) -> tuple[int, int, int]:
        """Return the reserved BAR that shows the eDMA's registers, where they start, and how many bytes it shows."""
        size = self._node.edma.region.size - self._node.edma.offset
        for number, feature in enumerate(self.features.bars):
            for region in feature.regions if feature.kind is BarKind.RESERVED else ():
                if region.kind is AuxKind.DMA_CTRL_MMIO:
                    return number, region.offset, min(size, region.size)
        return NO_BAR, 0, size
