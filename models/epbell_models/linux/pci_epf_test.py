"""pci-epf-test: the endpoint's side of the host's pci_endpoint_test.

Follows drivers/pci/endpoint/functions/pci-epf-test.c: a register block at the start of the first BAR, commands picked
up by a poll every millisecond, one interrupt per command and per doorbell. The controller has no outbound windows, so
READ, WRITE and COPY end as they do when mapping the host's memory fails: their fail bit and one interrupt.
"""

import errno
from enum import IntFlag
from typing import Any

from ..platform import Task
from .irq import IrqCore
from .irqdesc import IrqFlag, IrqReturn
from .pci_ep_msi import pci_epf_alloc_doorbell, pci_epf_free_doorbell
from .pci_epc import BAR_COUNT, NO_BAR, BarKind, EpfBar, IrqKind, PciEpc
from .pci_epf import PciEpf

__all__ = [
    "DEFAULT_BAR_SIZES",
    "PciEpfTest",
]

DEFAULT_BAR_SIZES = (128 << 10, 128 << 10, 128 << 10, 128 << 10, 128 << 10, 1 << 20)

# The register block.
_COMMAND = 0x04
_STATUS = 0x08
_IRQ_TYPE = 0x24
_IRQ_NUMBER = 0x28
_FLAGS = 0x2C
_CAPS = 0x30
_DB_BAR = 0x34
_DB_OFFSET = 0x38
_DB_DATA = 0x3C
_BLOCK_SIZE = 0x40

_FLAG_USE_DMA = 1 << 0
_CAP_MSI = 1 << 1
_CAP_MSIX = 1 << 2
_CAP_INTX = 1 << 3
_CAP_DYNAMIC_INBOUND = 1 << 5
_CAP_BAR0_RESERVED = 6

_POLL_SECONDS = 1e-3


class _Command(IntFlag):
    RAISE_INTX = 1 << 0
    RAISE_MSI = 1 << 1
    RAISE_MSIX = 1 << 2
    READ = 1 << 3
    WRITE = 1 << 4
    COPY = 1 << 5
    ENABLE_DOORBELL = 1 << 6
    DISABLE_DOORBELL = 1 << 7


class _Status(IntFlag):
    READ_FAIL = 1 << 1
    WRITE_FAIL = 1 << 3
    COPY_FAIL = 1 << 5
    IRQ_RAISED = 1 << 6
    DOORBELL_SUCCESS = 1 << 9
    ENABLE_SUCCESS = 1 << 10
    ENABLE_FAIL = 1 << 11
    DISABLE_SUCCESS = 1 << 12
    DISABLE_FAIL = 1 << 13


_TRANSFERS = {_Command.READ: _Status.READ_FAIL, _Command.WRITE: _Status.WRITE_FAIL, _Command.COPY: _Status.COPY_FAIL}
_RAISES = (_Command.RAISE_INTX, _Command.RAISE_MSI, _Command.RAISE_MSIX)


class PciEpfTest:
    """The test function.

    Parameters
    ----------
    core
        Interrupt core.
    epc
        Endpoint controller; the function binds to it at once.
    bar_sizes
        Bytes wanted behind each BAR (Linux: 128 KiB five times, then 1 MiB); a BAR of fixed size gets that size.
    doorbell_command
        Whether the function knows the doorbell commands (Linux since v6.17).
    announce_doorbell
        Whether it sets the capability bit that newer hosts ask for.

    Attributes
    ----------
    epf
        The function.
    irqs_raised
        Interrupts sent to the host.
    """

    def __init__(
        self,
        core: IrqCore,
        epc: PciEpc,
        bar_sizes: tuple[int, ...] = DEFAULT_BAR_SIZES,
        *,
        doorbell_command: bool = True,
        announce_doorbell: bool = True,
    ) -> None:
        self._core = core
        self._epc = epc
        self._sizes = bar_sizes
        self._doorbell_command = doorbell_command
        self._announce_doorbell = announce_doorbell
        self._work: Task | None = None
        self._stopping = False
        self._stopped = epc.platform.event()
        self._registers = 0
        self._register_bar = NO_BAR
        self.epf = PciEpf("pci_epf_test.0", epc)
        self.irqs_raised = 0

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> int:
        """Bind and initialise: memory, capabilities, BARs, then the poll. Return 0 or a negative errno."""
        error = self._alloc_space()
        if error:
            return error
        for offset in range(0, _BLOCK_SIZE, 4):
            await self._write(offset, 0)
        await self._write(_CAPS, self._capabilities())
        for bar in list(self.epf.bars):
            if bar is None:
                continue
            error = await self._epc.set_bar(bar)
            if error:
                self.epf.free_space(bar.barno)
                self._say(f"Failed to set BAR{bar.barno}")
                if bar.barno == self._register_bar:
                    return error
        self._stopping = False
        self._stopped.clear()
        self._work = self._epc.platform.spawn(self._poll(), "pci-epf-test")
        return 0

    async def stop(self) -> None:
        """End the poll and take doorbell, BARs and memory away."""
        if self._work is not None:
            self._stopping = True
            await self._stopped.wait()
            self._work = None
        if self.epf.doorbells:
            await self._cleanup_doorbell()
        for bar in list(self.epf.bars):
            if bar is not None:
                await self._epc.clear_bar(bar)
                self.epf.free_space(bar.barno)

    def _alloc_space(self) -> int:
        features = self._epc.features
        self._register_bar = features.next_free_bar(0)
        if self._register_bar == NO_BAR:
            return -errno.EINVAL
        bar = self._register_bar
        while bar != NO_BAR:
            if self.epf.alloc_space(self._wanted_size(bar), bar) is None:
                self._say(f"Failed to allocate space for BAR{bar}")
                if bar == self._register_bar:
                    return -errno.ENOMEM
            bar = features.next_free_bar(bar + 1)
        block = self.epf.bars[self._register_bar]
        self._registers = block.phys_addr if block is not None else 0
        return 0

    def _wanted_size(self, bar: int) -> int:
        if bar == self._register_bar:
            return _BLOCK_SIZE
        feature = self._epc.features.bars[bar]
        return feature.fixed_size if feature.kind is BarKind.FIXED else self._sizes[bar]

    def _capabilities(self) -> int:
        features = self._epc.features
        caps = _CAP_MSI if features.msi_capable else 0
        caps |= _CAP_MSIX if features.msix_capable else 0
        caps |= _CAP_INTX if features.intx_capable else 0
        if features.dynamic_inbound_mapping and self._announce_doorbell:
            caps |= _CAP_DYNAMIC_INBOUND
        for bar in range(BAR_COUNT):
            if features.bars[bar].kind is BarKind.RESERVED:
                caps |= 1 << (_CAP_BAR0_RESERVED + bar)
        return caps

    # -- commands ------------------------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        while not self._stopping:
            await self._command_work()
            await self._epc.platform.sleep(_POLL_SECONDS)
        self._stopped.set()

    async def _command_work(self) -> None:
        irq_type = await self._read(_IRQ_TYPE)
        command = await self._read(_COMMAND)
        if not command:
            return
        await self._write(_COMMAND, 0)
        await self._write(_STATUS, 0)
        if await self._read(_FLAGS) & _FLAG_USE_DMA:
            self._say("Cannot transfer data using DMA")
            return
        if irq_type > IrqKind.MSIX.value:
            self._say("Failed to detect IRQ type")
            return
        if await self._execute(command):
            await self._raise_irq()
        else:
            self._say(f"Invalid command {command:#x}")

    async def _execute(self, command: int) -> bool:
        """Run one command, leaving its result in STATUS; False when the command is unknown. Two bits are unknown."""
        if command == _Command.ENABLE_DOORBELL and self._doorbell_command:
            await self._enable_doorbell()
        elif command == _Command.DISABLE_DOORBELL and self._doorbell_command:
            await self._disable_doorbell()
        elif command in _TRANSFERS:
            await self._write(_STATUS, _TRANSFERS[_Command(command)])
        else:
            return command in _RAISES
        return True

    async def _raise_irq(self) -> None:
        """Make IRQ_RAISED visible, then interrupt the host as it currently wants it."""
        await self._write(_STATUS, await self._read(_STATUS) | _Status.IRQ_RAISED)
        irq_type = await self._read(_IRQ_TYPE)
        number = await self._read(_IRQ_NUMBER)
        if irq_type > IrqKind.MSIX.value:
            self._say("Failed to raise IRQ, unknown type")
            return
        kind = IrqKind(irq_type)
        if kind is not IrqKind.INTX:
            count = await self._epc.get_msi() if kind is IrqKind.MSI else 0
            if number > count or count <= 0:
                self._say(f"Invalid {kind.name} IRQ number {number} / {count}")
                return
        if await self._epc.raise_irq(kind, number) == 0:
            self.irqs_raised += 1

    # -- doorbell ------------------------------------------------------------------------------------------------------

    async def _enable_doorbell(self) -> None:
        status = await self._read(_STATUS)
        ok = await self._map_doorbell() == 0
        await self._write(_STATUS, status | (_Status.ENABLE_SUCCESS if ok else _Status.ENABLE_FAIL))

    async def _map_doorbell(self) -> int:
        epf = self.epf
        error = pci_epf_alloc_doorbell(epf, 1, self._core.log)
        if error:
            # What is allocated already belongs to the first enable, and stays.
            return error
        barno = self._epc.features.next_free_bar(self._register_bar + 1)
        bar = epf.bars[barno] if barno != NO_BAR else None
        if bar is None:
            await self._unmap_doorbell(requested=False)
            return -errno.ENOSPC
        doorbell = epf.doorbells[0]
        error = await self._core.request_threaded_irq(
            doorbell.virq, None, self._doorbell_thread, IrqFlag.ONESHOT, "pci-ep-test-doorbell", self
        )
        if error:
            self._say(f"Failed to request doorbell IRQ: {doorbell.virq}")
            await self._unmap_doorbell(requested=False)
            return error
        await self._write(_DB_DATA, doorbell.message.data)
        await self._write(_DB_BAR, barno)
        error, base, offset = epf.align_inbound_addr(barno, doorbell.message.address)
        if not error:
            await self._write(_DB_OFFSET, offset)
            error = await self._epc.set_bar(EpfBar(barno, base, bar.size, bar.flags))
        if error:
            await self._unmap_doorbell(requested=True)
        return error

    async def _unmap_doorbell(self, *, requested: bool) -> None:
        """Undo an enable: an interrupt is freed only if it was requested."""
        await self._write(_DB_BAR, NO_BAR & 0xFFFF_FFFF)
        if requested:
            await self._core.free_irq(self.epf.doorbells[0].virq, self)
        pci_epf_free_doorbell(self.epf)

    async def _cleanup_doorbell(self) -> None:
        await self._core.free_irq(self.epf.doorbells[0].virq, self)
        pci_epf_free_doorbell(self.epf)

    async def _disable_doorbell(self) -> None:
        status = await self._read(_STATUS)
        ok = await self._restore_bar() == 0
        await self._write(_STATUS, status | (_Status.DISABLE_SUCCESS if ok else _Status.DISABLE_FAIL))

    async def _restore_bar(self) -> int:
        barno = await self._read(_DB_BAR)
        if barno >> 31:
            return -errno.EINVAL
        bar = self.epf.bars[barno] if barno < BAR_COUNT else None
        if not self.epf.doorbells or bar is None:
            # The kernel's function follows a null pointer here; a model had better say so.
            self._say("DISABLE_DOORBELL without an enabled doorbell: the kernel would crash here")
            return -errno.EINVAL
        await self._core.free_irq(self.epf.doorbells[0].virq, self)
        await self._write(_DB_BAR, NO_BAR & 0xFFFF_FFFF)
        pci_epf_free_doorbell(self.epf)
        return await self._epc.set_bar(bar)

    async def _doorbell_thread(self, irq: int, dev_id: Any) -> IrqReturn:
        await self._write(_STATUS, await self._read(_STATUS) | _Status.DOORBELL_SUCCESS)
        await self._raise_irq()
        return IrqReturn.HANDLED

    # -- access --------------------------------------------------------------------------------------------------------

    async def _read(self, offset: int) -> int:
        return await self._epc.bus.read32(self._registers + offset)

    async def _write(self, offset: int, value: int) -> None:
        await self._epc.bus.write32(self._registers + offset, int(value))

    def _say(self, message: str) -> None:
        self._core.log.append(f"pci_epf_test: {message}")
