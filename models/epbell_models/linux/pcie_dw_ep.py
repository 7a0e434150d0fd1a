"""Driver of the endpoint controller: inbound windows in BAR-match mode, MSI through the controller page.

Window programming follows drivers/pci/controller/dwc/pcie-designware-ep.c and pcie-designware.c, register by register.
Raising an MSI differs from DesignWare silicon, which writes the host's memory through an outbound window: here the
controller page queues it. The one auxiliary resource is the doorbell of the eDMA, as the driver offers it.
"""

import errno

from ..devicetree import EndpointNode
from ..platform import Bus, Platform
from .dw_edma import NO_OFFSET, DwEdma, Hook
from .gic import Gic
from .pci_epc import BAR_COUNT, NO_BAR, AuxKind, AuxResource, BarKind, EpcFeatures, EpfBar, IrqKind

__all__ = [
    "DwPcieEp",
]

# Inbound region i of the unroll layout, and its registers.
_REGION_STRIDE = 0x200
_INBOUND = 0x100
_CTRL1 = 0x00
_CTRL2 = 0x04
_LOWER_TARGET = 0x14
_UPPER_TARGET = 0x18
_TYPE_MEM = 0
_ENABLE = 1 << 31
_BAR_MODE = 1 << 30
_FUNC_MATCH = 1 << 19
_ENABLE_RETRIES = 5
_ENABLE_WAIT = 9e-3
REGION_ALIGN = 0x1000

# Controller page.
_MSI_RAISE = 0x010
_MSI_STATUS = 0x014
_MSI_ENABLED = 1 << 0
_QUEUE_RETRIES = 100
_QUEUE_WAIT = 10e-6

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
    bar_to_window
        Which inbound window serves a BAR.
    edma
        The eDMA, None as long as it has not been detected, and when there is none that can be used.
    """

    def __init__(self, platform: Platform, bus: Bus, node: EndpointNode, features: EpcFeatures, log: list[str]) -> None:
        self.features = features
        self._platform = platform
        self._bus = bus
        self._node = node
        self._log = log
        self._bars: dict[int, EpfBar] = {}
        self.bar_to_window: dict[int, int] = {}
        self.edma: DwEdma | None = None

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

    async def set_bar(self, bar: EpfBar) -> int:
        """Aim a BAR's window.

        A BAR that is set already is re-targeted in place, so that the address which the host gave it survives; then
        neither size nor flags may change (-EINVAL).
        """
        old = self._bars.get(bar.barno)
        if old is not None and (old.size, old.flags) != (bar.size, bar.flags):
            return -errno.EINVAL
        error = await self._inbound_window(bar)
        if error:
            return error
        self._bars[bar.barno] = bar
        return 0

    async def clear_bar(self, bar: EpfBar) -> None:
        """Switch a BAR's window off and release it."""
        window = self.bar_to_window.pop(bar.barno, None)
        if window is not None:
            await self._write_window(window, _CTRL2, 0)
        self._bars.pop(bar.barno, None)

    async def get_msi(self) -> int:
        """Return the number of vectors enabled, -EINVAL while the host has MSI disabled."""
        status = await self._bus.read32(self._node.regs.address + _MSI_STATUS)
        return 1 << (status >> 1 & 0x7) if status & _MSI_ENABLED else -errno.EINVAL

    async def raise_irq(self, kind: IrqKind, number: int) -> int:
        """Queue one MSI; -EINVAL for another kind or while disabled, -ETIMEDOUT when the queue stays full."""
        if kind is not IrqKind.MSI or not 1 <= number <= 32:
            return -errno.EINVAL
        page = self._node.regs.address
        for _ in range(_QUEUE_RETRIES):
            status = await self._bus.read32(page + _MSI_STATUS)
            if not status & _MSI_ENABLED:
                return -errno.EINVAL
            if status >> 8 & 0x3F:
                await self._bus.write32(page + _MSI_RAISE, number - 1)
                return 0
            await self._platform.sleep(_QUEUE_WAIT)
        self._log.append("MSI queue stays full")
        return -errno.ETIMEDOUT

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

    async def _inbound_window(self, bar: EpfBar) -> int:
        window = self.bar_to_window.get(bar.barno)
        if window is None:
            used = self.bar_to_window.values()
            window = next((n for n in range(self._node.inbound_windows) if n not in used), None)
        if window is None:
            self._log.append("No free inbound window")
            return -errno.EINVAL
        error = await self._program(window, bar)
        if error:
            self._log.append("Failed to program IB window")
            return error
        self.bar_to_window[bar.barno] = window
        return 0

    async def _program(self, window: int, bar: EpfBar) -> int:
        """Program one window and wait until it is on; -EINVAL when it cannot reach the target as it is aligned."""
        if bar.phys_addr % REGION_ALIGN or bar.phys_addr % bar.size or not 0 <= bar.barno < BAR_COUNT:
            return -errno.EINVAL
        await self._write_window(window, _LOWER_TARGET, bar.phys_addr & 0xFFFF_FFFF)
        await self._write_window(window, _UPPER_TARGET, bar.phys_addr >> 32)
        await self._write_window(window, _CTRL1, _TYPE_MEM)
        await self._write_window(window, _CTRL2, _ENABLE | _FUNC_MATCH | _BAR_MODE | bar.barno << 8)
        for _ in range(_ENABLE_RETRIES):
            if await self._bus.read32(self._window(window) + _CTRL2) & _ENABLE:
                return 0
            await self._platform.sleep(_ENABLE_WAIT)
        self._log.append("Inbound iATU is not being enabled")
        return -errno.ETIMEDOUT

    def _window(self, window: int) -> int:
        return self._node.atu.address + window * _REGION_STRIDE + _INBOUND

    async def _write_window(self, window: int, offset: int, value: int) -> None:
        await self._bus.write32(self._window(window) + offset, value)
