"""pci_endpoint_test: the host driver that tests an endpoint, one method per ioctl.

Follows drivers/misc/pci_endpoint_test.c access by access. Methods return 0 or a negative errno. Every wait is bounded
by one second of Linux time.
"""

import errno
from collections.abc import Awaitable, Callable
from enum import IntFlag
from typing import Literal

from .completion import Completion
from .pci import BAR_COUNT, PciDevice, VectorKind

__all__ = [
    "AUTO",
    "PciEndpointTest",
]

Release = Literal["v6.17", "newest"]

AUTO = 3
"""Irq type that stands for the best the endpoint has."""

_UNDEFINED = -1

_COMMAND = 0x04
_STATUS = 0x08
_IRQ_TYPE = 0x24
_IRQ_NUMBER = 0x28
_CAPS = 0x30
_DB_BAR = 0x34
_DB_OFFSET = 0x38
_DB_DATA = 0x3C

_CAP_MSI = 1 << 1
_CAP_MSIX = 1 << 2
_CAP_INTX = 1 << 3
_CAP_DYNAMIC_INBOUND = 1 << 5
_CAP_BAR0_RESERVED = 6

_TIMEOUT = 1.0
_CHUNK = 1 << 20
_REGISTER_BAR_TESTED = 4


class _Command(IntFlag):
    RAISE_INTX = 1 << 0
    RAISE_MSI = 1 << 1
    RAISE_MSIX = 1 << 2
    ENABLE_DOORBELL = 1 << 6
    DISABLE_DOORBELL = 1 << 7


class _Status(IntFlag):
    IRQ_RAISED = 1 << 6
    DOORBELL_SUCCESS = 1 << 9
    ENABLE_SUCCESS = 1 << 10
    ENABLE_FAIL = 1 << 11
    DISABLE_SUCCESS = 1 << 12
    DISABLE_FAIL = 1 << 13


class PciEndpointTest:
    """The driver, bound to one device.

    Parameters
    ----------
    device
        The function, scanned and assigned.
    release
        ``"newest"``, or ``"v6.17"``: no gate on the capability bit, fail bits tested instead of success bits, DB_BAR
        read before the rest.
    register_bar
        BAR that starts with the register block (the driver's ID table says which).
    store_bytes
        Bytes per store in the consecutive BAR test. Linux stores dwords (4); a larger multiple of 4 is what a
        write-combining mapping makes of them, and spares a simulation many packets.

    Attributes
    ----------
    caps
        Capabilities, read once by `probe`.
    irq_type
        0 INTx, 1 MSI, 2 MSI-X, -1 before `set_irqtype`.
    statuses
        Every value of STATUS read while doing a test, in order.
    """

    def __init__(
        self, device: PciDevice, *, release: Release = "newest", register_bar: int = 0, store_bytes: int = 4
    ) -> None:
        if release not in ("v6.17", "newest"):
            raise ValueError(f"The release of the driver must be 'v6.17' or 'newest', not {release!r}")
        if store_bytes < 4 or store_bytes % 4:
            raise ValueError(f"A store is a positive multiple of 4 bytes, not {store_bytes!r}")
        self._device = device
        self._newest = release == "newest"
        self._register_bar = register_bar
        self._store_bytes = store_bytes
        self._raised = Completion(device.platform)
        self._mutex = device.platform.lock()
        self._last_irq = -errno.ENODATA
        self.caps = 0
        self.irq_type = _UNDEFINED
        self.statuses: list[int] = []

    # -- probe and vectors ---------------------------------------------------------------------------------------------

    async def probe(self) -> int:
        """Enable the function and read its capabilities, the only access to its memory; -ENODEV for a bridge."""
        if self._device.header_type != 0:
            return -errno.ENODEV
        await self._device.enable()
        await self._device.set_master()
        if self._device.resources[self._register_bar] is None:
            return -errno.ENOMEM
        self.caps = await self._read(_CAPS)
        return 0

    async def remove(self) -> None:
        """Free the vectors, then disable the function."""
        await self._device.free_irq_vectors()
        self.irq_type = _UNDEFINED
        await self._device.disable()

    async def set_irqtype(self, irq_type: int) -> int:
        """SET_IRQTYPE: free all vectors and allocate those of another type; nothing when it is active already."""
        return await self._ioctl(lambda: self._set_irqtype(irq_type))

    async def _set_irqtype(self, irq_type: int) -> int:
        if irq_type == AUTO:
            irq_type = self._best_type()
        if not 0 <= irq_type <= 2:
            return -errno.EINVAL
        if irq_type == self.irq_type:
            return 0
        await self._device.free_irq_vectors()
        self.irq_type = _UNDEFINED
        most = {0: 1, 1: 32, 2: 2048}[irq_type]
        count = await self._device.alloc_irq_vectors(1, most, VectorKind(irq_type))
        if count < 0:
            return count
        self.irq_type = irq_type
        for index in range(count):
            self._device.request_irq(index, self._irq_handler)
        return 0

    def _best_type(self) -> int:
        for cap, irq_type in ((_CAP_MSI, 1), (_CAP_MSIX, 2), (_CAP_INTX, 0)):
            if self.caps & cap:
                return irq_type
        return 1

    async def _irq_handler(self, index: int) -> None:
        if await self._read(_STATUS) & _Status.IRQ_RAISED:
            self._last_irq = index
            self._raised.complete()

    async def msi_test(self, number: int) -> int:
        """MSI: ask for vector ``number``, from 1; -EINVAL without it, -ETIMEDOUT, -EIO when another one fired."""
        return await self._ioctl(lambda: self._msi_test(number))

    async def _msi_test(self, number: int) -> int:
        vector = self._device.irq_vector(number - 1)
        if vector < 0:
            return vector
        await self._write(_IRQ_TYPE, VectorKind.MSI.value)
        await self._write(_IRQ_NUMBER, number)
        await self._write(_COMMAND, _Command.RAISE_MSI)
        if not await self._raised.wait(_TIMEOUT):
            return -errno.ETIMEDOUT
        return 0 if self._last_irq == vector else -errno.EIO

    # -- BARs ----------------------------------------------------------------------------------------------------------

    async def bar_test(self, bar: int) -> int:
        """BAR: write a pattern, read it back, in pieces of at most 1 MiB; -EIO when it differs."""
        return await self._ioctl(lambda: self._bar_test(bar))

    async def _bar_test(self, bar: int) -> int:
        if not 0 <= bar < BAR_COUNT:
            return -errno.EINVAL
        if self.caps >> (_CAP_BAR0_RESERVED + bar) & 1:
            return -errno.ENOBUFS
        size = self._tested_size(bar)
        if not size:
            return -errno.ENODATA
        for offset in range(0, size, _CHUNK):
            pattern = bytes([0xA0 + bar]) * min(_CHUNK, size - offset)
            await self._device.write(bar, offset, pattern)
            if await self._device.read(bar, offset, len(pattern)) != pattern:
                return -errno.EIO
        return 0

    async def bars_test(self) -> int:
        """BARS: write all BARs, then read all back, so that two that alias are found; -EIO at the first difference."""
        return await self._ioctl(self._bars_test)

    async def _bars_test(self) -> int:
        bars = [
            bar
            for bar in range(BAR_COUNT)
            if self._device.resources[bar] is not None and not self.caps >> (_CAP_BAR0_RESERVED + bar) & 1
        ]
        for bar in bars:
            pattern = self._numbered(bar)
            for offset in range(0, len(pattern), self._store_bytes):
                await self._store(bar, offset, pattern[offset : offset + self._store_bytes])
        for bar in bars:
            pattern = self._numbered(bar)
            for offset in range(0, len(pattern), self._store_bytes):
                expected = pattern[offset : offset + self._store_bytes]
                if await self._load(bar, offset, len(expected)) != expected:
                    return -errno.EIO
        return 0

    def _tested_size(self, bar: int) -> int:
        found = self._device.resources[bar]
        if found is None:
            return 0
        return _REGISTER_BAR_TESTED if bar == self._register_bar else found.size

    def _numbered(self, bar: int) -> bytes:
        size = self._tested_size(bar)
        words = ((0xA0 + bar) << 24 | offset & 0xFF_FFFF for offset in range(0, size, 4))
        return b"".join(word.to_bytes(4, "little") for word in words)

    async def _store(self, bar: int, offset: int, data: bytes) -> None:
        if len(data) == 4:
            await self._device.write32(bar, offset, int.from_bytes(data, "little"))
        else:
            await self._device.write(bar, offset, data)

    async def _load(self, bar: int, offset: int, length: int) -> bytes:
        if length == 4:
            return (await self._device.read32(bar, offset)).to_bytes(4, "little")
        return await self._device.read(bar, offset, length)

    # -- doorbell ------------------------------------------------------------------------------------------------------

    async def doorbell_test(self) -> int:
        """DOORBELL: enable, ring once, expect the endpoint's interrupt, disable.

        Returns 0; -EOPNOTSUPP when the endpoint cannot map a BAR while in use; -EINVAL without vectors, when enabling,
        ringing or disabling fails; -ERANGE when the endpoint names a BAR that does not exist, and then nothing is
        disabled. (The kernel checks the number only, v6.17 not even that, and faults on a BAR that is not mapped.)
        """
        return await self._ioctl(self._doorbell_test)

    async def _doorbell_test(self) -> int:
        if self._newest and not self.caps & _CAP_DYNAMIC_INBOUND:
            return -errno.EOPNOTSUPP
        if not 0 <= self.irq_type <= 2:
            return -errno.EINVAL
        await self._command(_Command.ENABLE_DOORBELL)
        answered = await self._raised.wait(_TIMEOUT)
        status = await self._read_status()
        if not answered or not self._succeeded(status, _Status.ENABLE_SUCCESS, _Status.ENABLE_FAIL):
            return -errno.EINVAL
        ringing = await self._ring()
        if ringing is None:
            return -errno.ERANGE
        await self._write(_COMMAND, _Command.DISABLE_DOORBELL)
        await self._raised.wait(_TIMEOUT)
        status = ringing[1] | await self._read_status()
        if not self._succeeded(status, _Status.DISABLE_SUCCESS, _Status.DISABLE_FAIL):
            return -errno.EINVAL
        return ringing[0]

    async def _ring(self) -> tuple[int, int] | None:
        """Store the endpoint's word where it wants it; return the outcome and STATUS, None for an impossible BAR."""
        data = await self._read(_DB_DATA)
        offset = await self._read(_DB_OFFSET)
        bar = 0 if self._newest else await self._read(_DB_BAR)
        await self._write(_IRQ_TYPE, self.irq_type)
        await self._write(_IRQ_NUMBER, 1)
        await self._write(_STATUS, 0)
        bar = await self._read(_DB_BAR) if self._newest else bar
        if not 0 <= bar < BAR_COUNT or self._device.resources[bar] is None:
            return None
        await self._device.write32(bar, offset, data)
        answered = await self._raised.wait(_TIMEOUT)
        status = await self._read_status()
        good = answered and status & _Status.DOORBELL_SUCCESS
        return (0 if good else -errno.EINVAL), status

    def _succeeded(self, status: int, success: _Status, fail: _Status) -> bool:
        return bool(status & success) if self._newest else not status & fail

    # -- access --------------------------------------------------------------------------------------------------------

    async def _ioctl(self, operation: Callable[[], Awaitable[int]]) -> int:
        async with self._mutex:
            self._raised.rearm()
            self._last_irq = -errno.ENODATA
            return await operation()

    async def _command(self, command: _Command) -> None:
        await self._write(_IRQ_TYPE, self.irq_type)
        await self._write(_IRQ_NUMBER, 1)
        await self._write(_COMMAND, command)

    async def _read_status(self) -> int:
        status = await self._read(_STATUS)
        self.statuses.append(status)
        return status

    async def _read(self, offset: int) -> int:
        return await self._device.read32(self._register_bar, offset)

    async def _write(self, offset: int, value: int) -> None:
        await self._device.write32(self._register_bar, offset, int(value))
