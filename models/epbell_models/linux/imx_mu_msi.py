"""The Messaging Unit as MSI controller: side A is mapped by the processor, side B is only an address for the writer.

Follows drivers/irqchip/irq-imx-mu-msi.c access by access. Probing touches no register; an interrupt costs one read of
the status register and one read of RRn per channel that is full.
"""

import errno
from dataclasses import dataclass

from ..devicetree import MuNode
from ..platform import Bus
from .gic import Gic
from .irq import IrqCore
from .irqdesc import IrqChip, IrqData, IrqDesc
from .irqflow import handle_edge_irq
from .msi import MsiDomain, MsiMessage

__all__ = [
    "ImxMuMsi",
]

_CHANNELS = 4


@dataclass(frozen=True)
class _Layout:
    """Byte offsets in either side's page, and where channel n of a four-bit group sits."""

    tr: int
    rr: int
    status: int
    receive_control: int
    reversed_at: int | None

    def bit(self, channel: int) -> int:
        """RFn in the status register, RIEn in the receive control register."""
        return 1 << (channel if self.reversed_at is None else self.reversed_at + 3 - channel)


# The driver's own tables: xTR, xRR, xSR[RSR], xCR[RCR]; the first two layouts count channels from the top.
_LAYOUTS = {
    "imx6sx": _Layout(tr=0x0, rr=0x10, status=0x20, receive_control=0x24, reversed_at=24),
    "imx7ulp": _Layout(tr=0x20, rr=0x40, status=0x60, receive_control=0x64, reversed_at=24),
    "imx8ulp": _Layout(tr=0x200, rr=0x280, status=0x12C, receive_control=0x128, reversed_at=None),
}


class _MuChip(IrqChip):
    """The controller's chip: ack is the read of RRn."""

    name = "MU-MSI"

    def __init__(self, mu: "ImxMuMsi") -> None:
        self._mu = mu

    async def irq_mask(self, data: IrqData) -> None:
        await self._mu.update_receive_control(clear=self._mu.layout.bit(data.hwirq))

    async def irq_unmask(self, data: IrqData) -> None:
        await self._mu.update_receive_control(set_=self._mu.layout.bit(data.hwirq))

    async def irq_ack(self, data: IrqData) -> None:
        await self._mu.read(self._mu.layout.rr + 4 * data.hwirq)


class ImxMuMsi(MsiDomain):
    """One Messaging Unit.

    Parameters
    ----------
    core
        Interrupt core.
    bus
        The processor's bus.
    node
        Device-tree node.
    immutable
        Whether the domain is flagged immutable. The driver as merged does not set the flag, and the endpoint framework
        then answers -ENODEV; a tree that wants this doorbell carries the one-line change. Default: it does.
    """

    def __init__(self, core: IrqCore, bus: Bus, node: MuNode, *, immutable: bool = True) -> None:
        if node.layout is None:
            raise ValueError(f"No driver matches this node; probe one with a layout, not {node.name!r}")
        super().__init__(node.name, msi_parent=True, immutable=immutable)
        self.layout = _LAYOUTS[node.layout]
        self._core = core
        self._bus = bus
        self._base = node.a.address
        self._doorbells = node.b.address + self.layout.tr
        self._spi = node.interrupt.spi
        self._lock = core.platform.lock()
        self._chip = _MuChip(self)

    async def probe(self, gic: Gic) -> int:
        """Cascade behind the parent interrupt; no register is touched. -EINVAL when nothing drives that interrupt."""
        parent = gic.map_spi(self._spi)
        if not parent:
            return -errno.EINVAL
        await self._core.set_chained_handler(parent, self._irq_handler)
        return 0

    def alloc(self) -> int:
        """Allocate the lowest free channel; -ENOSPC for the fifth."""
        channel = next((n for n in range(_CHANNELS) if n not in self.revmap), None)
        if channel is None:
            return -errno.ENOSPC
        return self._core.map(self, channel, self._chip, handle_edge_irq).data.irq

    def free(self, virq: int) -> None:
        """Return a channel; no register is touched."""
        self._core.unmap(virq)

    def compose_msg(self, virq: int) -> MsiMessage:
        """TRn of side B, and the channel's number as data."""
        channel = self._core.descs[virq].data.hwirq
        return MsiMessage(self._doorbells + 4 * channel, channel)

    async def restore(self) -> None:
        """Let the channels in use interrupt again, after a reset of the hardware.

        The driver has no such thing: a Messaging Unit outlives a reset of the PCIe controller, but not where both are
        one block.
        """
        unmasked = [channel for channel, desc in self.revmap.items() if not desc.masked]
        await self.update_receive_control(set_=sum(self.layout.bit(channel) for channel in unmasked))

    async def read(self, offset: int) -> int:
        """Read a register of side A."""
        return await self._bus.read32(self._base + offset)

    async def update_receive_control(self, *, set_: int = 0, clear: int = 0) -> None:
        """Read, modify and write the register that holds RIEn."""
        async with self._lock:
            address = self._base + self.layout.receive_control
            value = await self._bus.read32(address)
            await self._bus.write32(address, (value & ~clear | set_) & 0xFFFF_FFFF)

    async def _irq_handler(self, desc: IrqDesc) -> None:
        """Chained handler: one look at the status, then every full channel, whether enabled or not."""
        status = await self.read(self.layout.status)
        for channel in range(_CHANNELS):
            if status & self.layout.bit(channel):
                await self.generic_handle(channel)
        await desc.data.chip.irq_eoi(desc.data)
