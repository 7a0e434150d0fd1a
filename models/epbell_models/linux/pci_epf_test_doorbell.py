"""The doorbell of pci-epf-test: enable and disable it, on whichever backend the endpoint has.

Follows drivers/pci/endpoint/functions/pci-epf-test.c, but for polling: where the kernel's function has no doorbell at
all, this one can offer a word behind its register block, which the command poll looks at. ``polling=False`` is exactly
the kernel's.
"""

import errno
from collections.abc import Awaitable, Callable
from typing import Any

from .irq import IrqCore
from .irqdesc import IrqFlag, IrqReturn
from .pci_ep_msi import pci_epf_alloc_doorbell, pci_epf_free_doorbell
from .pci_epc import BAR_COUNT, NO_BAR, EpfBar
from .pci_epf import DoorbellKind, DoorbellMessage, PciEpf
from .pci_epf_test_regs import BLOCK_SIZE, Register, RegisterBlock, Status

__all__ = [
    "EpfTestDoorbell",
]

_POLLED_OFFSET = BLOCK_SIZE
_POLLED_DATA = 1


class EpfTestDoorbell:
    """The doorbell of the test function.

    Parameters
    ----------
    core
        Interrupt core.
    epf
        The function.
    registers
        Its register block.
    raise_irq
        Interrupts the host as it currently wants it.
    polling
        Whether a polled word is the last resort.

    Attributes
    ----------
    backend
        ``"mu"``, ``"edma"`` or ``"polling"`` as of the latest enable; None when it failed.
    reason
        What the kernel said about that, with the name of the errno if there was one.
    """

    def __init__(
        self,
        core: IrqCore,
        epf: PciEpf,
        registers: RegisterBlock,
        raise_irq: Callable[[], Awaitable[None]],
        *,
        polling: bool,
    ) -> None:
        self._core = core
        self._epf = epf
        self._registers = registers
        self._raise_irq = raise_irq
        self._polling = polling
        self._polled = False
        self._programmed = False
        self.backend: str | None = None
        self.reason = ""

    async def enable(self) -> None:
        """Run ENABLE_DOORBELL, leaving the result in STATUS."""
        status = await self._registers.read(Register.STATUS)
        ok = await self._map() == 0
        await self._registers.write(Register.STATUS, status | (Status.ENABLE_SUCCESS if ok else Status.ENABLE_FAIL))

    async def disable(self) -> None:
        """Run DISABLE_DOORBELL, leaving the result in STATUS."""
        status = await self._registers.read(Register.STATUS)
        ok = await self._restore() == 0
        await self._registers.write(Register.STATUS, status | (Status.DISABLE_SUCCESS if ok else Status.DISABLE_FAIL))

    async def poll(self) -> None:
        """Look at the polled word, if there is one; rung, it is zeroed and handled."""
        if self._polled and await self._registers.read(_POLLED_OFFSET):
            await self._registers.write(_POLLED_OFFSET, 0)
            await self.thread(0, None)

    async def stop(self) -> None:
        """Give back what an enable took; the BARs are somebody else's business."""
        self._polled = False
        if self._epf.doorbells:
            await self._core.free_irq(self._epf.doorbells[0].virq, self)
            pci_epf_free_doorbell(self._epf)

    async def thread(self, irq: int, dev_id: Any) -> IrqReturn:
        """Handle a ring: note it in STATUS, then interrupt the host."""
        await self._registers.add_status(Status.DOORBELL_SUCCESS)
        await self._raise_irq()
        return IrqReturn.HANDLED

    # -- enable --------------------------------------------------------------------------------------------------------

    async def _map(self) -> int:
        said: list[str] = []
        error = await self._alloc(said)
        if error and not (error == -errno.ENODEV and self._polling):
            # What is allocated already belongs to the first enable, and stays.
            self._judge(None, error, said)
            return error
        if error:
            await self._publish_polled()
            self._judge("polling", error, said)
            return 0
        doorbell = self._epf.doorbells[0]
        error = await self._publish(doorbell)
        backend = "mu" if doorbell.kind is DoorbellKind.MSI else "edma"
        self._judge(None if error else backend, error, said)
        return error

    async def _alloc(self, said: list[str]) -> int:
        error = -errno.EBUSY if self._polled else await pci_epf_alloc_doorbell(self._epf, 1, said)
        self._core.log.extend(said)
        return error

    def _judge(self, backend: str | None, error: int, said: list[str]) -> None:
        """Note the outcome. Where the kernel fell back, the error of the first backend is why."""
        why = error or (self._epf.msi_error if backend == "edma" else 0)
        name = errno.errorcode.get(-why, str(why)) if why else ""
        self.backend = backend
        self.reason = ("; ".join(said) + (f" (-{name})" if name else "")).lstrip()

    async def _publish(self, doorbell: DoorbellMessage) -> int:
        """Request the interrupt, tell the host, and aim a BAR unless one is aimed already."""
        fixed = doorbell.bar != NO_BAR
        features = self._epf.epc.features
        barno = doorbell.bar if fixed else features.next_free_bar(self._registers.bar + 1)
        bar = self._epf.bars[barno] if barno != NO_BAR else None
        if bar is None and not fixed:
            await self._undo(requested=False)
            return -errno.ENOSPC
        flags = doorbell.irq_flags | IrqFlag.ONESHOT
        error = await self._core.request_threaded_irq(
            doorbell.virq, None, self.thread, flags, "pci-ep-test-doorbell", self
        )
        if error:
            self._core.log.append(f"pci_epf_test: Failed to request doorbell IRQ: {doorbell.virq}")
            await self._undo(requested=False)
            return error
        await self._registers.write(Register.DB_DATA, doorbell.message.data)
        await self._registers.write(Register.DB_BAR, barno)
        error = await self._aim(bar, doorbell)
        if error:
            await self._undo(requested=True)
        return error

    async def _aim(self, bar: EpfBar | None, doorbell: DoorbellMessage) -> int:
        self._programmed = False
        if bar is None or doorbell.bar != NO_BAR:
            await self._registers.write(Register.DB_OFFSET, doorbell.offset)
            return 0
        error, base, offset = self._epf.align_inbound_addr(bar.barno, doorbell.message.address)
        if error:
            return error
        await self._registers.write(Register.DB_OFFSET, offset)
        error = await self._epf.epc.set_bar(EpfBar(bar.barno, base, bar.size, bar.flags))
        self._programmed = not error
        return error

    async def _publish_polled(self) -> None:
        await self._registers.write(_POLLED_OFFSET, 0)
        await self._registers.write(Register.DB_DATA, _POLLED_DATA)
        await self._registers.write(Register.DB_BAR, self._registers.bar)
        await self._registers.write(Register.DB_OFFSET, _POLLED_OFFSET)
        self._polled = True

    async def _undo(self, *, requested: bool) -> None:
        """Undo an enable: an interrupt is freed only if it was requested."""
        await self._registers.write(Register.DB_BAR, NO_BAR)
        if requested:
            await self._core.free_irq(self._epf.doorbells[0].virq, self)
        pci_epf_free_doorbell(self._epf)

    # -- disable -------------------------------------------------------------------------------------------------------

    async def _restore(self) -> int:
        barno = await self._registers.read(Register.DB_BAR)
        if barno >> 31:
            return -errno.EINVAL
        if self._polled:
            self._polled = False
            await self._registers.write(Register.DB_BAR, NO_BAR)
            return 0
        bar = self._epf.bars[barno] if barno < BAR_COUNT else None
        if not self._epf.doorbells or (bar is None and self._programmed):
            # The kernel's function follows a null pointer here; a model had better say so.
            message = "DISABLE_DOORBELL without an enabled doorbell: the kernel would crash here"
            self._core.log.append(f"pci_epf_test: {message}")
            return -errno.EINVAL
        await self._core.free_irq(self._epf.doorbells[0].virq, self)
        await self._registers.write(Register.DB_BAR, NO_BAR)
        pci_epf_free_doorbell(self._epf)
        if bar is None or not self._programmed:
            return 0
        self._programmed = False
        return await self._epf.epc.set_bar(bar)
