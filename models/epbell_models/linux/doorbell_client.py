"""A function driver that does nothing but listen to its doorbells: every channel of the controller behind one BAR.

pci-epf-test uses one doorbell. This client takes as many as asked, publishes where the host must write, and counts, the
way any function driver built on pci-ep-msi would.
"""

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .irq import IrqCore
from .irqdesc import IrqFlag, IrqReturn
from .pci_ep_msi import pci_epf_alloc_doorbell, pci_epf_free_doorbell
from .pci_epc import EpfBar
from .pci_epf import PciEpf

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
        BAR to aim at the doorbells.
    notify
        Awaited in the handler before it returns.
    threaded
        Whether the handler is a one-shot thread or runs in the interrupt.

    Attributes
    ----------
    handled
        Handler runs per doorbell.
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
        self._index: dict[int, int] = {}
        self.handled: list[int] = []
        self.published: list[PublishedDoorbell] = []

    async def open(self, count: int) -> int:
        """Allocate, request and map ``count`` doorbells; 0 or a negative errno, and then nothing is left behind."""
        bar = self._epf.bars[self._barno]
        if bar is None:
            return -errno.EINVAL
        error = pci_epf_alloc_doorbell(self._epf, count, self._core.log)
        if error:
            return error
        self.handled = [0] * count
        for index, doorbell in enumerate(self._epf.doorbells):
            error = await self._request(doorbell.virq)
            if error:
                await self._release()
                return error
            self._index[doorbell.virq] = index
        split = [self._epf.align_inbound_addr(self._barno, d.message.address) for d in self._epf.doorbells]
        base = split[0][1]
        if any(other != base for _, other, _ in split):
            error = -errno.EINVAL
        else:
            error = await self._epf.epc.set_bar(EpfBar(bar.barno, base, bar.size, bar.flags))
        if error:
            await self._release()
            return error
        self.published = [
            PublishedDoorbell(self._barno, offset, doorbell.message.data)
            for (_, _, offset), doorbell in zip(split, self._epf.doorbells, strict=True)
        ]
        return 0

    async def close(self) -> int:
        """Free the interrupts and put the memory back behind the BAR."""
        await self._release()
        bar = self._epf.bars[self._barno]
        return await self._epf.epc.set_bar(bar) if bar is not None else -errno.EINVAL

    async def disable(self, index: int) -> None:
        """Disable one doorbell's interrupt; what rings meanwhile is kept."""
        await self._core.disable_irq(self._epf.doorbells[index].virq)

    async def enable(self, index: int) -> None:
        """Enable it again."""
        await self._core.enable_irq(self._epf.doorbells[index].virq)

    async def _request(self, virq: int) -> int:
        if self._threaded:
            return await self._core.request_threaded_irq(virq, None, self._handler, IrqFlag.ONESHOT, "doorbell", self)
        return await self._core.request_irq(virq, self._handler, IrqFlag.NONE, "doorbell", self)

    async def _handler(self, irq: int, dev_id: Any) -> IrqReturn:
        index = self._index[irq]
        self.handled[index] += 1
        if self._notify is not None:
            await self._notify(index)
        return IrqReturn.HANDLED

    async def _release(self) -> None:
        for virq in self._index:
            await self._core.free_irq(virq, self)
        self._index.clear()
        self.published = []
        pci_epf_free_doorbell(self._epf)
