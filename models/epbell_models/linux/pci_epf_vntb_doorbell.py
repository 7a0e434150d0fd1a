"""Doorbells of pci-epf-vntb, rung by the host: interrupts, or words in memory that the command work looks at.

Follows drivers/pci/endpoint/functions/pci-epf-vntb.c. Each slot has a word and a place in the doorbell BAR. Slot 0
stands for the link and slot 1 for nothing, for historic reasons, so that slot k + 2 is doorbell bit k; all of them are
allocated. Any error on the way to interrupts leads to polling.
"""

import errno
from collections.abc import Callable
from typing import Any

from .irq import IrqCore
from .irqdesc import IrqReturn
from .pci_ep_msi import pci_epf_alloc_doorbell, pci_epf_free_doorbell
from .pci_epc import NO_BAR
from .pci_epf import DoorbellKind, PciEpf
from .pci_epf_vntb_control import Control, ControlBlock

__all__ = [
    "VntbDoorbells",
]

_WORD = 4


class VntbDoorbells:
    """The doorbells of one function.

    Parameters
    ----------
    core
        Interrupt core.
    epf
        The function.
    control
        Its control block, where the host finds what to store and where.
    slots
        How many there are.
    first_slot
        The first one that is listened to.
    ring
        Called with the slot that was rung; must not wait.

    Attributes
    ----------
    backend
        ``"mu"``, ``"edma"`` or ``"polling"``, None before they are set up.
    reason
        What the kernel said on the way there, and the name of the errno that led to polling.
    """

    def __init__(
        self,
        core: IrqCore,
        epf: PciEpf,
        control: ControlBlock,
        *,
        slots: int,
        first_slot: int,
        ring: Callable[[int], None],
    ) -> None:
        self._core = core
        self._epf = epf
        self._control = control
        self._slots = slots
        self._first = first_slot
        self._ring = ring
        self._words = 0
        self.backend: str | None = None
        self.reason = ""

    @property
    def interrupts(self) -> bool:
        """Whether a ring interrupts the processor."""
        return self.backend in ("mu", "edma")

    async def set_up(self, barno: int) -> int:
        """Put the doorbells into a BAR; 0, -ENOMEM without memory for the words, or the error of setting the BAR."""
        said: list[str] = []
        error = await self._use_interrupts(barno, said)
        self._core.log.extend(said)
        why = error or self._epf.msi_error
        name = f" (-{errno.errorcode.get(-why, str(-why))})" if why else ""
        self.reason = ("; ".join(said) + name).lstrip()
        return await self._use_words(barno) if error else 0

    async def tear_down(self, barno: int) -> None:
        """Free the interrupts, and take BAR and memory away."""
        if self.interrupts:
            await self._free_irqs(self._slots)
            pci_epf_free_doorbell(self._epf)
        bar = self._epf.bars[barno]
        if bar is not None:
            await self._epf.epc.clear_bar(bar)
        if self._words:
            self._epf.free_space(barno)
            self._words = 0
        self._epf.bars[barno] = None
        self.backend = None

    # -- interrupts ----------------------------------------------------------------------------------------------------

    async def _use_interrupts(self, barno: int, said: list[str]) -> int:
        """Allocate, request and publish doorbells; a negative errno, and then nothing is left of them."""
        error = await pci_epf_alloc_doorbell(self._epf, self._slots, said)
        if error:
            return error
        requested = 0
        doorbells = self._epf.doorbells
        if doorbells[0].bar not in (NO_BAR, barno):
            error = -errno.EINVAL
        while not error and requested < self._slots:
            error = await self._request(requested, said)
            requested += not error
        error = error or await (self._aim(barno, said) if doorbells[0].bar == NO_BAR else self._reuse(barno))
        if error:
            await self._free_irqs(requested)
            pci_epf_free_doorbell(self._epf)
            self._epf.bars[barno] = None
            return error
        await self._control.write(Control.DB_ENTRY_SIZE, 0)
        self.backend = "mu" if doorbells[0].kind is DoorbellKind.MSI else "edma"
        return 0

    async def _request(self, slot: int, said: list[str]) -> int:
        """Request a slot's interrupt, unless an earlier slot has the same."""
        doorbell = self._epf.doorbells[slot]
        if self._duplicated(slot):
            return 0
        error = await self._core.request_irq(
            doorbell.virq, self._handler, doorbell.irq_flags, "pci_epf_vntb_db", self
        )
        if error:
            said.append(f"Failed to request doorbell IRQ: {doorbell.virq}")
        return error

    async def _free_irqs(self, slots: int) -> None:
        for slot in reversed(range(slots)):
            if not self._duplicated(slot):
                await self._core.free_irq(self._epf.doorbells[slot].virq, self)

    def _duplicated(self, slot: int) -> bool:
        doorbells = self._epf.doorbells
        return any(other.virq == doorbells[slot].virq for other in doorbells[:slot])

    async def _reuse(self, barno: int) -> int:
        """Publish doorbells that a BAR shows anyway; -EINVAL unless all are in that BAR."""
        for slot, doorbell in enumerate(self._epf.doorbells):
            if doorbell.bar != barno:
                return -errno.EINVAL
            await self._control.publish(slot, doorbell.message.data, doorbell.offset)
        return 0

    async def _aim(self, barno: int, said: list[str]) -> int:
        """Aim the BAR at all messages' addresses and publish them."""
        addresses = [doorbell.message.address for doorbell in self._epf.doorbells]
        low = min(addresses)
        error = self._epf.assign_space(max(addresses) - low + _WORD, barno, low)
        if error:
            said.append("Doorbell BAR assign space failed")
            return error
        bar = self._epf.bars[barno]
        error = await self._epf.epc.set_bar(bar) if bar is not None else -errno.EINVAL
        if error:
            said.append("Doorbell BAR set failed")
            return error
        for slot, doorbell in enumerate(self._epf.doorbells):
            error, _, offset = self._epf.align_inbound_addr(barno, doorbell.message.address)
            if error:
                return error
            await self._control.publish(slot, doorbell.message.data, offset)
        return 0

    async def _handler(self, irq: int, dev_id: Any) -> IrqReturn:
        """Ring every slot that has this interrupt: all of them, when they share one."""
        for slot in range(self._first, self._slots):
            if self._epf.doorbells[slot].virq == irq:
                self._ring(slot)
        return IrqReturn.HANDLED

    # -- polling -------------------------------------------------------------------------------------------------------

    async def _use_words(self, barno: int) -> int:
        """Put memory behind the BAR; entries and data are in the control block already."""
        address = self._epf.alloc_space(_WORD * self._slots, barno)
        if address is None:
            self._say("Failed to allocate OB address")
            return -errno.ENOMEM
        bar = self._epf.bars[barno]
        error = await self._epf.epc.set_bar(bar) if bar is not None else -errno.EINVAL
        if error:
            self._say("Doorbell BAR set failed")
            self._epf.free_space(barno)
            return error
        await self._epf.epc.bus.write(address, bytes(_WORD * self._slots))
        self._words = address
        self.backend = "polling"
        return 0

    async def poll(self) -> None:
        """Look at the word of every slot; one that was rung is handled, and then zeroed."""
        if not self._words:
            return
        bus = self._epf.epc.bus
        for slot in range(self._first, self._slots):
            if await bus.read32(self._words + _WORD * slot):
                self._ring(slot)
                await bus.write32(self._words + _WORD * slot, 0)

    def _say(self, message: str) -> None:
        self._core.log.append(f"pci_epf_vntb: {message}")
