"""The host's driver core for one PCI function: resources, enabling, vectors, register access.

Follows drivers/pci/probe.c (sizing BARs), pci.c (enabling) and msi/ (allocation), over whatever offers configuration
access and a memory bus.
"""

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from ..platform import Bus, BusError, Platform, Task
from .msi import MsiBlock, MsiReceiver

__all__ = [
    "BarResource",
    "PciDevice",
    "PciFunction",
    "VectorKind",
]

BAR_COUNT = 6

_COMMAND = 0x04
_COMMAND_MEMORY = 1 << 1
_COMMAND_MASTER = 1 << 2
_COMMAND_INTX_DISABLE = 1 << 10
_STATUS_CAPABILITIES = 1 << 20
_BAR0 = 0x10
_BAR_IO = 1 << 0
_BAR_TYPE = 0x6
_BAR_64 = 0x4
_BAR_PREFETCH = 1 << 3
_CAPABILITIES = 0x34
_INTERRUPT = 0x3C
_CAP_MSI = 0x05
_CAP_MSIX = 0x11
_MSI_ENABLE = 1 << 16
_MSI_64 = 1 << 23
_MSI_MASKABLE = 1 << 24
_MSI_MULTIPLE_SHIFT = 20


class VectorKind(Enum):
    """How a function interrupts the host."""

    INTX = 0
    MSI = 1
    MSIX = 2


class PciFunction(Protocol):
    """A function at the other end of a link: configuration space, and the memory bus that reaches its BARs."""

    memory: Bus

    async def config_read32(self, offset: int) -> int:
        """Read one dword of configuration space."""
        ...

    async def config_write32(self, offset: int, value: int) -> None:
        """Write one dword of configuration space."""
        ...


@dataclass(frozen=True)
class BarResource:
    """An assigned memory BAR: bus address, size in bytes, whether 64-bit, whether prefetchable."""

    address: int
    size: int
    wide: bool
    prefetchable: bool


VectorHandler = Callable[[int], Awaitable[None]]
"""Called with the index of the vector that fired."""


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
    vector_limit
        Greatest number of MSI vectors that this host grants.

    Attributes
    ----------
    vendor, device
        Identity, after `scan`.
    resources
        Six BARs, None for one that does not exist, after `scan`.
    fired
        How many messages each allocated vector received.
    refused_reads
        Addresses whose read ended in an error; the driver saw all ones.
    """

    def __init__(
        self, platform: Platform, function: PciFunction, receiver: MsiReceiver, *, vector_limit: int = 32
    ) -> None:
        self.platform = platform
        self.vendor = self.device = 0
        self.header_type = 0
        self.resources: list[BarResource | None] = [None] * BAR_COUNT
        self.fired: list[int] = []
        self.refused_reads: list[int] = []
        self._function = function
        self._receiver = receiver
        self._vector_limit = vector_limit
        self._block: MsiBlock | None = None
        self._intx = False
        self._handlers: dict[int, VectorHandler] = {}
        self._fired_queue: list[int] = []
        self._fired_event = platform.event()
        self._irq_idle = platform.event()
        self._irq_idle.set()
        self._irq_task: Task | None = None

    # -- enumeration ---------------------------------------------------------------------------------------------------

    async def scan(self) -> None:
        """Read identity and BARs, sizing them as the kernel does: decoding off, ones, read, restore."""
        identity = await self._function.config_read32(0)
        self.vendor, self.device = identity & 0xFFFF, identity >> 16
        self.header_type = await self._function.config_read32(0x0C) >> 16 & 0x7F
        command = await self._function.config_read32(_COMMAND) & 0xFFFF
        await self._function.config_write32(_COMMAND, command & ~_COMMAND_MEMORY)
        bar = 0
        while bar < BAR_COUNT:
            self.resources[bar] = await self._size_bar(bar)
            found = self.resources[bar]
            bar += 2 if found is not None and found.wide else 1
        await self._function.config_write32(_COMMAND, command)

    async def assign(self, base: int) -> int:
        """Give every BAR an address from ``base`` on, largest first, naturally aligned; return the end."""
        present = [(bar, found) for bar, found in enumerate(self.resources) if found is not None]
        for bar, found in sorted(present, key=lambda item: -item[1].size):
            base = -(-base // found.size) * found.size
            await self._function.config_write32(_BAR0 + 4 * bar, base & 0xFFFF_FFFF)
            if found.wide:
                await self._function.config_write32(_BAR0 + 4 * bar + 4, base >> 32)
            self.resources[bar] = BarResource(base, found.size, found.wide, found.prefetchable)
            base += found.size
        return base

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
        value = await self._function.config_read32(offset)
        await self._function.config_write32(offset, 0xFFFF_FFFF)
        mask = await self._function.config_read32(offset)
        await self._function.config_write32(offset, value)
        return value, mask

    async def enable(self) -> None:
        """Let the function answer memory requests."""
        await self._update_command(set_=_COMMAND_MEMORY)

    async def disable(self) -> None:
        """Take bus mastering away, as disabling a device does."""
        await self._update_command(clear=_COMMAND_MASTER)

    async def set_master(self) -> None:
        """Let the function make requests, MSIs included."""
        await self._update_command(set_=_COMMAND_MASTER)

    async def bar_register(self, bar: int) -> int:
        """Read a BAR as it is now."""
        return await self._function.config_read32(_BAR0 + 4 * bar)

    async def _update_command(self, *, set_: int = 0, clear: int = 0) -> None:
        # The upper half is the status register, whose bits a written one would clear.
        value = await self._function.config_read32(_COMMAND) & 0xFFFF
        await self._function.config_write32(_COMMAND, value & ~clear | set_)

    async def find_capability(self, wanted: int) -> int:
        """Return the offset of a capability, 0 when the function lacks it."""
        if not await self._function.config_read32(_COMMAND) & _STATUS_CAPABILITIES:
            return 0
        offset = await self._function.config_read32(_CAPABILITIES) & 0xFC
        for _ in range(48):
            if not offset:
                break
            header = await self._function.config_read32(offset)
            if header & 0xFF == wanted:
                return offset
            offset = header >> 8 & 0xFC
        return 0

    # -- vectors -------------------------------------------------------------------------------------------------------

    async def alloc_irq_vectors(self, least: int, most: int, kind: VectorKind) -> int:
        """Allocate vectors of one kind; return their number, -EINVAL for a lacking capability, -ENOSPC for too few."""
        if kind is VectorKind.MSIX:
            # No function that this core drives has MSI-X yet; without the capability the kernel says the same.
            return -errno.EINVAL
        if kind is VectorKind.INTX:
            pin = await self._function.config_read32(_INTERRUPT) >> 8 & 0xFF
            self._intx = bool(pin) and least == 1
            return 1 if self._intx else -errno.ENOSPC
        return await self._alloc_msi(least, most)

    async def free_irq_vectors(self) -> None:
        """Disable MSI and return the vectors."""
        if self._block is not None:
            offset = await self.find_capability(_CAP_MSI)
            control = await self._function.config_read32(offset)
            await self._function.config_write32(offset, control & ~_MSI_ENABLE)
            self._receiver.release(self._block)
            self._block = None
        if self._irq_task is not None:
            await self._irq_idle.wait()
            self._irq_task.cancel()
            self._irq_task = None
        self._intx = False
        self._handlers.clear()
        self._fired_queue.clear()

    def irq_vector(self, index: int) -> int:
        """Return ``index`` when such a vector is allocated, else -EINVAL."""
        count = self._block.count if self._block is not None else int(self._intx)
        return index if 0 <= index < count else -errno.EINVAL

    def request_irq(self, index: int, handler: VectorHandler) -> int:
        """Let ``handler`` run for every message of a vector."""
        if self.irq_vector(index) < 0:
            return -errno.EINVAL
        self._handlers[index] = handler
        return 0

    async def _alloc_msi(self, least: int, most: int) -> int:
        offset = await self.find_capability(_CAP_MSI)
        if not offset or self._block is not None:
            return -errno.EINVAL
        control = await self._function.config_read32(offset)
        offered = 1 << (control >> 17 & 0x7)
        granted = min(offered, most, self._vector_limit)
        granted = 1 << (granted.bit_length() - 1)
        block = self._receiver.allocate(granted, self._deliver) if granted >= least else None
        if block is None:
            return -errno.ENOSPC
        await self._program_msi(offset, control, block)
        self._block = block
        self.fired = [0] * granted
        self._irq_task = self.platform.spawn(self._irq_work(), "host-irq")
        return granted

    async def _program_msi(self, offset: int, control: int, block: MsiBlock) -> None:
        """Address, data, no vector masked, number of vectors, and only then the enable bit; INTx off."""
        wide = bool(control & _MSI_64)
        control &= ~(0x7 << _MSI_MULTIPLE_SHIFT | _MSI_ENABLE)
        control |= (block.count.bit_length() - 1) << _MSI_MULTIPLE_SHIFT
        await self._function.config_write32(offset, control)
        await self._function.config_write32(offset + 0x4, block.address & 0xFFFF_FFFF)
        if wide:
            await self._function.config_write32(offset + 0x8, block.address >> 32)
        await self._function.config_write32(offset + (0xC if wide else 0x8), block.data)
        if control & _MSI_MASKABLE:
            await self._function.config_write32(offset + (0x10 if wide else 0xC), 0)
        await self._update_command(set_=_COMMAND_INTX_DISABLE)
        await self._function.config_write32(offset, control | _MSI_ENABLE)

    def _deliver(self, index: int) -> None:
        self.fired[index] += 1
        self._fired_queue.append(index)
        self._fired_event.set()

    async def _irq_work(self) -> None:
        """Run one handler per message, in order of arrival."""
        while True:
            await self._fired_event.wait()
            self._fired_event.clear()
            self._irq_idle.clear()
            while self._fired_queue:
                index = self._fired_queue.pop(0)
                handler = self._handlers.get(index)
                if handler is not None:
                    await handler(index)
            self._irq_idle.set()

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
