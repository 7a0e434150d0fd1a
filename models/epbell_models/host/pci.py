"""The host's driver core for one PCI function: resources, enabling, vectors, register access.

Follows drivers/pci/probe.c (sizing BARs), pci.c (enabling) and msi/ (allocation), over whatever offers configuration
access and a memory bus.
"""

import errno
from dataclasses import dataclass

from ..platform import BusError, IrqLine, Platform
from .config import COMMAND, COMMAND_MASTER, COMMAND_MEMORY, PciConfig, PciFunction
from .irq_vectors import IrqVectors, VectorHandler, VectorKind
from .msi import MsiReceiver
from .resets import Resets

__all__ = [
    "BAR_COUNT",
    "BarResource",
    "PciDevice",
    "PciFunction",
    "VectorKind",
]

BAR_COUNT = 6

_CLASS = 0x08
_BAR0 = 0x10
_BAR_IO = 1 << 0
_BAR_TYPE = 0x6
_BAR_64 = 0x4
_BAR_PREFETCH = 1 << 3


@dataclass(frozen=True)
class BarResource:
    """An assigned memory BAR: bus address, size in bytes, whether 64-bit, whether prefetchable."""

    address: int
    size: int
    wide: bool
    prefetchable: bool


class PciDevice:
    """One function, as a driver sees it.

    Parameters
    ----------
    platform
        Time and concurrency.
    function
        Access to the function.
    receiver
        The host's MSI controller.
    vector_limit, msix_limit
        Greatest number of MSI and of MSI-X vectors that this host grants.
    intx
        The function's INTx line at this host, None when it is not connected.

    Attributes
    ----------
    vendor, device
        Identity, after `scan`.
    resources
        Six BARs, None for one that does not exist, after `scan`.
    refused_reads
        Addresses whose read ended in an error; the driver saw all ones.
    resets
        The function's resets and power states.
    """

    def __init__(
        self,
        platform: Platform,
        function: PciFunction,
        receiver: MsiReceiver,
        *,
        vector_limit: int = 32,
        msix_limit: int = 2048,
        intx: IrqLine | None = None,
    ) -> None:
        self.platform = platform
        self.vendor = self.device = 0
        self.header_type = 0
        self.resources: list[BarResource | None] = [None] * BAR_COUNT
        self.refused_reads: list[int] = []
        self._function = function
        self._config = PciConfig(function)
        self._vectors = IrqVectors(
            platform,
            self._config,
            self,
            receiver,
            msi_limit=vector_limit,
            msix_limit=msix_limit,
            intx=intx,
        )
        self.resets = Resets(platform, self._config, self._vectors.restore)

    @property
    def fired(self) -> list[int]:
        """How many messages each vector received; for INTx how often its handler was called."""
        return self._vectors.fired

    @property
    def irq_kind(self) -> VectorKind | None:
        """Kind of the vectors that are allocated, None for none."""
        return self._vectors.kind

    # -- enumeration ---------------------------------------------------------------------------------------------------

    async def scan(self) -> None:
        """Read identity and BARs, sizing them as the kernel does: decoding off, ones, read, restore."""
        identity = await self._config.read32(0)
        self.vendor, self.device = identity & 0xFFFF, identity >> 16
        self.header_type = await self._config.read32(0x0C) >> 16 & 0x7F
        command = await self._config.read32(COMMAND) & 0xFFFF
        await self._config.write32(COMMAND, command & ~COMMAND_MEMORY)
        bar = 0
        while bar < BAR_COUNT:
            self.resources[bar] = await self._size_bar(bar)
            found = self.resources[bar]
            bar += 2 if found is not None and found.wide else 1
        await self._config.write32(COMMAND, command)

    async def assign(self, base: int, above: int | None = None) -> int:
        """Give every BAR an address from ``base`` on, largest first, naturally aligned; return the end.

        64-bit ones go to addresses from ``above`` on instead, if it is given.
        """
        free = {False: base, True: above}
        present = [(bar, found) for bar, found in enumerate(self.resources) if found is not None]
        for bar, found in sorted(present, key=lambda item: -item[1].size):
            apart = found.wide and above is not None
            first = -(-(free[apart] or 0) // found.size) * found.size
            await self._config.write32(_BAR0 + 4 * bar, first & 0xFFFF_FFFF)
            if found.wide:
                await self._config.write32(_BAR0 + 4 * bar + 4, first >> 32)
            self.resources[bar] = BarResource(first, found.size, found.wide, found.prefetchable)
            free[apart] = first + found.size
        return free[False] or 0

    async def _size_bar(self, bar: int) -> BarResource | None:
        low, mask_low = await self._probe_ones(bar)
        if mask_low & _BAR_IO or not mask_low:
            return None
        wide = mask_low & _BAR_TYPE == _BAR_64
        high, mask_high = await self._probe_ones(bar + 1) if wide else (0, 0xFFFF_FFFF)
        mask = mask_high << 32 | mask_low & ~0xF
        size = (~mask & 0xFFFF_FFFF_FFFF_FFFF) + 1
        return BarResource(high << 32 | low & ~0xF, size, wide, bool(low & _BAR_PREFETCH))

    async def _probe_ones(self, bar: int) -> tuple[int, int]:
        offset = _BAR0 + 4 * bar
        value = await self._config.read32(offset)
        await self._config.write32(offset, 0xFFFF_FFFF)
        mask = await self._config.read32(offset)
        await self._config.write32(offset, value)
        return value, mask

    async def enable(self) -> None:
        """Let the function answer memory requests."""
        await self._config.update_command(set_=COMMAND_MEMORY)

    async def disable(self) -> None:
        """Take bus mastering away, as disabling a device does."""
        await self._config.update_command(clear=COMMAND_MASTER)

    async def set_master(self) -> None:
        """Let the function make requests, MSIs included."""
        await self._config.update_command(set_=COMMAND_MASTER)

    async def class_code(self) -> int:
        """Read the class code, 24 bits."""
        return await self._config.read32(_CLASS) >> 8

    async def bar_register(self, bar: int) -> int:
        """Read a BAR as it is now."""
        return await self._config.read32(_BAR0 + 4 * bar)

    async def find_capability(self, wanted: int) -> int:
        """Return the offset of a capability, 0 when the function lacks it."""
        return await self._config.find_capability(wanted)

    # -- vectors -------------------------------------------------------------------------------------------------------

    async def alloc_irq_vectors(self, least: int, most: int, *kinds: VectorKind) -> int:
        """Allocate vectors of the best of ``kinds`` that is to be had; see `IrqVectors.allocate`."""
        return await self._vectors.allocate(least, most, kinds)

    async def free_irq_vectors(self) -> None:
        """Disable what sends messages and return the vectors."""
        await self._vectors.free()

    def irq_vector(self, index: int) -> int:
        """Return ``index`` when such a vector is allocated, else -EINVAL."""
        return index if 0 <= index < self._vectors.count else -errno.EINVAL

    async def request_irq(self, index: int, handler: VectorHandler) -> int:
        """Let ``handler`` run for every message of a vector; -EINVAL when there is no such vector."""
        return await self._vectors.request(index, handler)

    async def free_irq(self, index: int) -> None:
        """Let no handler run for a vector any more."""
        await self._vectors.release(index)

    # -- register access -----------------------------------------------------------------------------------------------

    async def read32(self, bar: int, offset: int) -> int:
        """Read a dword of a BAR; all ones when the read is refused, as a root complex answers the processor."""
        address = self._address(bar, offset)
        try:
            return await self._function.memory.read32(address)
        except BusError as error:
            self.refused_reads.append(error.address)
            return 0xFFFF_FFFF

    async def write32(self, bar: int, offset: int, value: int) -> None:
        """Post one 32-bit store."""
        await self._function.memory.write32(self._address(bar, offset), value)

    async def read(self, bar: int, offset: int, length: int) -> bytes:
        """Copy from a BAR; all ones when the read is refused."""
        address = self._address(bar, offset)
        try:
            return await self._function.memory.read(address, length)
        except BusError as error:
            self.refused_reads.append(error.address)
            return b"\xff" * length

    async def write(self, bar: int, offset: int, data: bytes) -> None:
        """Copy to a BAR."""
        await self._function.memory.write(self._address(bar, offset), data)

    def _address(self, bar: int, offset: int) -> int:
        found = self.resources[bar]
        if found is None:
            raise ValueError(f"The function has no BAR to access at this number, not {bar!r}")
        return found.address + offset
