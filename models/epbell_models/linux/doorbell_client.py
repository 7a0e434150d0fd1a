"""A function driver that does nothing but listen to its doorbells, all of them behind one BAR.

pci-epf-test uses one doorbell. This client takes as many as asked, publishes where the host must write, and counts, the
way any function driver built on pci-ep-msi would. From a Messaging Unit they are its channels; from the eDMA they are
one and the same, and whichever is rung, all of them are.
"""

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .irq import IrqCore
from .irqdesc import IrqFlag, IrqReturn
from .pci_ep_msi import pci_epf_alloc_doorbell, pci_epf_free_doorbell
from .pci_epc import NO_BAR, EpfBar
from .pci_epf import DoorbellMessage, PciEpf

__all__ = [
    "DoorbellClient",
    "PublishedDoorbell",
]

Notify = Callable[[int], Awaitable[None]]
"""Called from the handler with the index of the doorbell that rang."""


@dataclass(frozen=True)
class PublishedDoorbell:
    """Where and what the host must write: BAR, byte offset, 32-bit word."""

    bar: int
    offset: int
    data: int


class DoorbellClient:
    """Doorbells of one function behind one BAR.

    Parameters
    ----------
    core
        Interrupt core.
    epf
        Function that owns the BAR; its memory comes back when the client closes.
    barno
        BAR to aim at the doorbells; not touched when another one shows them anyway.
    notify
        Awaited in the handler before it returns.
    threaded
        Whether the handler is a one-shot thread or runs in the interrupt.

    Attributes
    ----------
    handled
        Rings heard per doorbell.
    published
        What the host must write per doorbell.
    """

    def __init__(
        self, core: IrqCore, epf: PciEpf, barno: int, *, notify: Notify | None = None, threaded: bool = False
    ) -> None:
        self._core = core
        self._epf = epf
        self._barno = barno
        self._notify = notify
        self._threaded = threaded
        self._indexes: dict[int, list[int]] = {}
        self._programmed = False
        self.handled: list[int] = []
        self.published: list[PublishedDoorbell] = []

    async def open(self, count: int) -> int:
        """Allocate, request and map ``count`` doorbells; 0 or a negative errno, and then nothing is left behind.

        -EBUSY when this or another client of the function has some already, -EINVAL when the BAR cannot show them all.
        """
        if self._indexes:
            return -errno.EBUSY
        error = await pci_epf_alloc_doorbell(self._epf, count, self._core.log)
        if error:
            return error
        self.handled = [0] * count
        error = await self._request_all() or await self._publish()
        if error:
            await self._release()
        return error

    async def close(self) -> int:
        """Free the interrupts and put the memory back behind the BAR, if it was taken away."""
        await self._release()
        bar = self._epf.bars[self._barno]
        if not self._programmed or bar is None:
            return 0
        self._programmed = False
        return await self._epf.epc.set_bar(bar)

    async def disable(self, index: int) -> None:
        """Disable one doorbell's interrupt; what rings meanwhile is kept."""
        await self._core.disable_irq(self._epf.doorbells[index].virq)

    async def enable(self, index: int) -> None:
        """Enable it again."""
        await self._core.enable_irq(self._epf.doorbells[index].virq)

    async def _request_all(self) -> int:
        """Request each interrupt once, however many doorbells share it."""
        for index, doorbell in enumerate(self._epf.doorbells):
            if doorbell.virq not in self._indexes:
                error = await self._request(doorbell)
                if error:
                    return error
                self._indexes[doorbell.virq] = []
            self._indexes[doorbell.virq].append(index)
        return 0

    async def _request(self, doorbell: DoorbellMessage) -> int:
        virq, flags = doorbell.virq, doorbell.irq_flags
        if self._threaded:
            flags |= IrqFlag.ONESHOT
            return await self._core.request_threaded_irq(virq, None, self._handler, flags, "doorbell", self)
        return await self._core.request_irq(virq, self._handler, flags, "doorbell", self)

    async def _publish(self) -> int:
        """Aim the BAR at the doorbells, unless some BAR shows them anyway, and note where they are."""
        doorbells = self._epf.doorbells
        if doorbells[0].bar != NO_BAR:
            self.published = [PublishedDoorbell(d.bar, d.offset, d.message.data) for d in doorbells]
            return 0
        bar = self._epf.bars[self._barno]
        if bar is None:
            return -errno.EINVAL
        split = [self._epf.align_inbound_addr(self._barno, d.message.address) for d in doorbells]
        base = split[0][1]
        if any(other != base for _, other, _ in split):
            return -errno.EINVAL
        error = await self._epf.epc.set_bar(EpfBar(bar.barno, base, bar.size, bar.flags))
        if error:
            return error
        self._programmed = True
        self.published = [
            PublishedDoorbell(self._barno, offset, doorbell.message.data)
            for (_, _, offset), doorbell in zip(split, doorbells, strict=True)
        ]
        return 0

    async def _handler(self, irq: int, dev_id: Any) -> IrqReturn:
        for index in self._indexes[irq]:
            self.handled[index] += 1
            if self._notify is not None:
                await self._notify(index)
        return IrqReturn.HANDLED

    async def _release(self) -> None:
        for virq in self._indexes:
            await self._core.free_irq(virq, self)
        self._indexes.clear()
        self.published = []
        pci_epf_free_doorbell(self._epf)
