"""How the endpoint's processor interrupts the host: INTx, MSI and MSI-X, by the controller page.

DesignWare silicon writes messages into the host's memory through an outbound window and cannot raise INTx at all. Here
the controller page queues them, keeps what the host has masked until it is unmasked, and knows INTx.
"""

import errno

from ..platform import Bus, Platform
from .epc_features import EpcFeatures, IrqKind

__all__ = [
    "HostInterrupts",
]

_MSI_RAISE, _MSI_STATUS = 0x010, 0x014
_INTX, _INTX_PULSE = 0x044, 1 << 1
_MSIX_RAISE, _MSIX_STATUS = 0x048, 0x04C
_MSIX_TABLE, _MSIX_PBA, _MSIX_SIZE = 0x050, 0x054, 0x058
_MSIX_ON = 1 << 31
_ENABLED = 1 << 0
_ROOM = 0x3F << 8

_MSIX_ENTRY = 16
_MSI_VECTORS = 32
_QUEUE_RETRIES = 100
_QUEUE_WAIT = 10e-6


class HostInterrupts:
    """The part of the controller page that interrupts the host.

    Parameters
    ----------
    platform
        Time.
    bus
        The processor's bus.
    page
        Address of the controller page.
    features
        What the hardware was built with.
    log
        Receives the driver's messages.

    Attributes
    ----------
    msix_vectors
        How many entries the table of MSI-X has, 0 without one.
    """

    def __init__(self, platform: Platform, bus: Bus, page: int, features: EpcFeatures, log: list[str]) -> None:
        self._platform = platform
        self._bus = bus
        self._page = page
        self._features = features
        self._log = log
        self.msix_vectors = 0

    async def get_msi(self) -> int:
        """Return the number of vectors enabled, -EINVAL while the host has MSI disabled."""
        status = await self._read(_MSI_STATUS)
        return 1 << (status >> 1 & 0x7) if status & _ENABLED else -errno.EINVAL

    async def get_msix(self) -> int:
        """Return the number of vectors, -EINVAL without a table or while the host has MSI-X disabled."""
        if not self.msix_vectors or not await self._read(_MSIX_STATUS) & _ENABLED:
            return -errno.EINVAL
        return self.msix_vectors

    async def set_msix(self, vectors: int, table: int) -> None:
        """Tell the hardware where the table is, with the pending bits right behind; 0 vectors for no table."""
        await self._write(_MSIX_SIZE, 0)
        self.msix_vectors = vectors
        if vectors:
            await self._write(_MSIX_TABLE, table)
            await self._write(_MSIX_PBA, table + _MSIX_ENTRY * vectors)
            await self._write(_MSIX_SIZE, _MSIX_ON | vectors - 1)

    async def raise_irq(self, kind: IrqKind, number: int) -> int:
        """Raise one interrupt; vectors count from 1.

        -EINVAL for a vector or a kind that is not there and for MSI while disabled, -ETIMEDOUT when a queue stays full.
        """
        if kind is IrqKind.INTX:
            if not self._features.intx_capable:
                return -errno.EINVAL
            await self._write(_INTX, _INTX_PULSE)
            return 0
        if kind is IrqKind.MSI:
            count, raise_at, status_at, needed = _MSI_VECTORS, _MSI_RAISE, _MSI_STATUS, _ENABLED
        else:
            count, raise_at, status_at, needed = self.msix_vectors, _MSIX_RAISE, _MSIX_STATUS, 0
        if not 1 <= number <= count:
            return -errno.EINVAL
        for _ in range(_QUEUE_RETRIES):
            status = await self._read(status_at)
            if status & needed != needed:
                return -errno.EINVAL
            if status & _ROOM:
                await self._write(raise_at, number - 1)
                return 0
            await self._platform.sleep(_QUEUE_WAIT)
        self._log.append(f"{'MSI' if kind is IrqKind.MSI else 'MSI-X'} queue stays full")
        return -errno.ETIMEDOUT

    async def _read(self, offset: int) -> int:
        return await self._bus.read32(self._page + offset)

    async def _write(self, offset: int, value: int) -> None:
        await self._bus.write32(self._page + offset, value)
