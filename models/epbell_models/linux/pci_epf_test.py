"""pci-epf-test: the endpoint's side of the host's pci_endpoint_test.

Follows drivers/pci/endpoint/functions/pci-epf-test.c: a register block at the start of the first BAR, commands picked
up by a poll every millisecond, one interrupt per command and per doorbell. There is no DMA.
"""

import errno
from collections.abc import Awaitable, Callable

from ..platform import Task
from .irq import IrqCore
from .pci_epc import BAR_COUNT, NO_BAR, BarKind, IrqKind, PciEpc
from .pci_epf import PciEpf
from .pci_epf_test_doorbell import EpfTestDoorbell
from .pci_epf_test_regs import BLOCK_SIZE, MSIX_OFFSET, Capability, Command, Register, RegisterBlock, Status
from .pci_epf_test_subrange import EpfTestSubrange
from .pci_epf_test_transfer import EpfTestTransfer

__all__ = [
    "DEFAULT_BAR_SIZES",
    "PciEpfTest",
]

DEFAULT_BAR_SIZES = (128 << 10, 128 << 10, 128 << 10, 128 << 10, 128 << 10, 1 << 20)

_FLAG_USE_DMA = 1 << 0
_POLL_SECONDS = 1e-3

_RAISES = (Command.RAISE_INTX, Command.RAISE_MSI, Command.RAISE_MSIX)


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
        Whether the function knows the commands that came with the doorbell and after it (Linux since v6.17).
    announce_doorbell
        Whether it sets the capability bit that newer hosts ask for.
    polling
        Whether a polled word stands in when the endpoint has no doorbell; the kernel's function has no such thing.
    msix_interrupts
        Vectors of MSI-X, if the controller has it: Linux's ``msix_interrupts`` in configfs.

    Attributes
    ----------
    epf
        The function.
    doorbell
        Its doorbell.
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
        polling: bool = True,
        msix_interrupts: int = 0,
    ) -> None:
        self._core = core
        self._epc = epc
        self._sizes = bar_sizes
        self._doorbell_command = doorbell_command
        self._announce_doorbell = announce_doorbell
        self._msix_interrupts = msix_interrupts if epc.features.msix_capable else 0
        self._work: Task | None = None
        self._stopping = False
        self._stopped = epc.platform.event()
        self._registers = RegisterBlock(epc)
        self.epf = PciEpf("pci_epf_test.0", epc, events=self)
        self.doorbell = EpfTestDoorbell(core, self.epf, self._registers, self._raise_irq, polling=polling)
        self.irqs_raised = 0
        transfer = EpfTestTransfer(epc, self._registers, core.log)
        subrange = EpfTestSubrange(self.epf, self._registers, core.log)
        self._commands: dict[int, Callable[[], Awaitable[None]]] = {
            Command.READ: transfer.read,
            Command.WRITE: transfer.write,
            Command.COPY: transfer.copy,
        }
        if doorbell_command:
            self._commands |= {
                Command.ENABLE_DOORBELL: self.doorbell.enable,
                Command.DISABLE_DOORBELL: self.doorbell.disable,
                Command.BAR_SUBRANGE_SETUP: subrange.setup,
                Command.BAR_SUBRANGE_CLEAR: subrange.clear,
            }

    @property
    def backend(self) -> str | None:
        """``"mu"``, ``"edma"`` or ``"polling"`` as of the latest ENABLE; None when it failed."""
        return self.doorbell.backend

    @property
    def reason(self) -> str:
        """What the kernel said about that backend."""
        return self.doorbell.reason

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> int:
        """Bind: allocate memory; then the controller is there already. Return 0 or a negative errno."""
        error = self._alloc_space()
        if error:
            return error
        for offset in range(0, self._block_size(), 4):
            await self._registers.write(offset, 0)
        return await self._epc.init_notify()

    async def stop(self) -> None:
        """End the poll and take doorbell, BARs and memory away."""
        await self._cancel_work()
        await self.doorbell.stop()
        await self._clear_bars()
        for bar in list(self.epf.bars):
            if bar is not None:
                self.epf.free_space(bar.barno)

    async def epc_init(self) -> int:
        """Set the controller up: capabilities, BARs, then the poll. Return 0 or a negative errno.

        The memory behind the BARs, and with it the registers, are as they were. So is a doorbell that is enabled, but
        its BAR leads to memory again: the kernel leaves it to the host's DISABLE.
        """
        await self._registers.write(Register.CAPS, self._capabilities())
        for bar in list(self.epf.bars):
            if bar is None:
                continue
            error = await self._epc.set_bar(bar)
            if error:
                self.epf.free_space(bar.barno)
                self._say(f"Failed to set BAR{bar.barno}")
                if bar.barno == self._registers.bar:
                    return error
        if self._msix_interrupts:
            error = await self._epc.set_msix(self._msix_interrupts, self._registers.bar, MSIX_OFFSET)
            if error:
                self._say("MSI-X configuration failed")
                return error
        self._stopping = False
        self._stopped.clear()
        self._work = self._epc.platform.spawn(self._poll(), "pci-epf-test")
        return 0

    async def epc_deinit(self) -> None:
        """End the poll and take the BARs away."""
        await self._cancel_work()
        await self._clear_bars()

    async def _cancel_work(self) -> None:
        if self._work is not None:
            self._stopping = True
            await self._stopped.wait()
            self._work = None

    async def _clear_bars(self) -> None:
        for bar in self.epf.bars:
            if bar is not None:
                await self._epc.clear_bar(bar)

    def _alloc_space(self) -> int:
        features = self._epc.features
        self._registers.bar = features.next_free_bar(0)
        if self._registers.bar == NO_BAR:
            return -errno.EINVAL
        bar = self._registers.bar
        while bar != NO_BAR:
            if self.epf.alloc_space(self._wanted_size(bar), bar) is None:
                self._say(f"Failed to allocate space for BAR{bar}")
                if bar == self._registers.bar:
                    return -errno.ENOMEM
            bar = features.next_free_bar(bar + 1)
        block = self.epf.bars[self._registers.bar]
        self._registers.address = block.phys_addr if block is not None else 0
        return 0

    def _wanted_size(self, bar: int) -> int:
        if bar == self._registers.bar:
            return self._block_size()
        feature = self._epc.features.bars[bar]
        return feature.fixed_size if feature.kind is BarKind.FIXED else self._sizes[bar]

    def _block_size(self) -> int:
        """Return the bytes of the register block, and of the table and the pending bits of MSI-X behind it."""
        if not self._msix_interrupts:
            return BLOCK_SIZE
        return MSIX_OFFSET + 16 * self._msix_interrupts + -(-self._msix_interrupts // 64) * 8

    def _capabilities(self) -> int:
        features = self._epc.features
        caps = Capability.UNALIGNED_ACCESS if self._epc.unaligned_access else 0
        caps |= Capability.MSI if features.msi_capable else 0
        caps |= Capability.MSIX if features.msix_capable else 0
        caps |= Capability.INTX if features.intx_capable else 0
        if features.can_subrange and self._doorbell_command:
            caps |= Capability.SUBRANGE_MAPPING
        if features.dynamic_inbound_mapping and self._announce_doorbell:
            caps |= Capability.DYNAMIC_INBOUND
        for bar in range(BAR_COUNT):
            if features.bars[bar].kind is BarKind.RESERVED:
                caps |= Capability.BAR0_RESERVED << bar
        return caps

    # -- commands ------------------------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        while not self._stopping:
            await self._command_work()
            await self.doorbell.poll()
            await self._epc.platform.sleep(_POLL_SECONDS)
        self._stopped.set()

    async def _command_work(self) -> None:
        irq_type = await self._registers.read(Register.IRQ_TYPE)
        command = await self._registers.read(Register.COMMAND)
        if not command:
            return
        await self._registers.write(Register.COMMAND, 0)
        await self._registers.write(Register.STATUS, 0)
        if await self._registers.read(Register.FLAGS) & _FLAG_USE_DMA:
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
        run = self._commands.get(command)
        if run is None:
            return command in _RAISES
        await run()
        return True

    async def _raise_irq(self) -> None:
        """Make IRQ_RAISED visible, then interrupt the host as it currently wants it."""
        await self._registers.add_status(Status.IRQ_RAISED)
        irq_type = await self._registers.read(Register.IRQ_TYPE)
        number = await self._registers.read(Register.IRQ_NUMBER)
        if irq_type > IrqKind.MSIX.value:
            self._say("Failed to raise IRQ, unknown type")
            return
        kind = IrqKind(irq_type)
        if kind is not IrqKind.INTX:
            count = await (self._epc.get_msi() if kind is IrqKind.MSI else self._epc.get_msix())
            if number > count or count <= 0:
                self._say(f"Invalid {kind.name} IRQ number {number} / {count}")
                return
        if await self._epc.raise_irq(kind, number) == 0:
            self.irqs_raised += 1

    def _say(self, message: str) -> None:
        self._core.log.append(f"pci_epf_test: {message}")
