"""The eDMA's driver, as far as interrupts go: its channels' own, and the one that a store of the host emulates.

Follows drivers/dma/dw-edma/dw-edma-core.c and, for what is checked before, drivers/pci/controller/dwc/
pcie-designware.c. An emulated interrupt leaves no trace in INT_STATUS, so that no handler can tell it from another:
every interrupt of the eDMA is also passed on to the doorbell's handlers, and consumers must bear one too many.

The doorbell's interrupt acknowledges before its handlers run. A store that comes while they run asserts the line anew;
acknowledged afterwards it would be swallowed.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from ..devicetree import EdmaNode
from ..platform import Bus
from .dw_edma_core import NO_OFFSET, EdmaCore, EdmaWay, Happened, HdmaCore, Note, V0Core
from .faults import Faults
from .gic import Gic
from .irq import IrqCore
from .irqdesc import IrqChip, IrqData, IrqFlag, IrqReturn
from .irqdomain import IrqDomain
from .irqflow import handle_level_irq

__all__ = [
    "NO_OFFSET",
    "DwEdma",
    "Hook",
    "Notify",
]

_MOST_CHANNELS = 8

_Served = dict[EdmaWay, Sequence[int]]

Hook = Callable[[], Awaitable[None]]
"""Awaited between the request of the interrupts and the creation of the doorbell's."""

Notify = Note
"""Called from the handler when a channel is done or has aborted."""


class _EmulatedChip(IrqChip):
    """The doorbell's interrupt: it can be acknowledged, and nothing else."""

    name = "dw-edma-emul"
    oneshot_safe = True

    def __init__(self, core: EdmaCore) -> None:
        self._core = core

    async def irq_ack(self, data: IrqData) -> None:
        await self._core.ack_emulated_irq()


class DwEdma:
    """One eDMA.

    Parameters
    ----------
    irqs
        Interrupt core.
    bus
        The processor's bus.
    node
        What the device tree says of it.
    notify
        Awaited for every channel that is done or has aborted.
    faults
        What is to fail.

    Attributes
    ----------
    db_irq
        Linux number of the doorbell's interrupt, 0 when there is none.
    db_offset
        Where from the start of the registers a store of the host interrupts, `NO_OFFSET` when nowhere.
    done, aborted
        How often each channel was; write channels first.
    channels
        Number of write and of read channels.
    """

    def __init__(
        self,
        irqs: IrqCore,
        bus: Bus,
        node: EdmaNode,
        notify: Notify | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._irqs = irqs
        self._faults = faults if faults is not None else Faults()
        self._node = node
        self._core: EdmaCore = HdmaCore(bus, node) if node.personality == "hdma" else V0Core(bus, node)
        self._domain = IrqDomain("dw-edma-emul")
        self._virqs: list[int] = []
        self._requested: list[int] = []
        self.notify = notify
        self.db_irq = 0
        self.db_offset = NO_OFFSET
        self.channels = (0, 0)
        self.done: list[int] = []
        self.aborted: list[int] = []

    # -- life ----------------------------------------------------------------------------------------------------------

    async def find(self, gic: Gic) -> bool:
        """Return whether there is an eDMA that can be probed, with interrupts from ``gic``.

        It needs a channel of either way, and its interrupts are one or one per channel.
        """
        writes, reads = await self._core.channels()
        if not 1 <= writes <= _MOST_CHANNELS or not 1 <= reads <= _MOST_CHANNELS:
            return False
        virqs = [gic.map_spi(interrupt.spi) for interrupt in self._node.interrupts]
        if len(virqs) not in (1, writes + reads) or not all(virqs):
            self._irqs.log.append("Invalid eDMA IRQs found")
            return False
        self.channels = (writes, reads)
        self.done = [0] * (writes + reads)
        self.aborted = [0] * (writes + reads)
        self._virqs = virqs
        return True

    async def probe(self, before_doorbell_irq: Hook | None = None) -> int:
        """Quiet the engine that was found, request its interrupts, create the doorbell's; 0 or a negative errno.

        Parameters
        ----------
        before_doorbell_irq
            Awaited in the window in which nobody would care about a store of the host.
        """
        await self._core.off()
        error = await self._request(self._virqs)
        if error:
            return error
        if before_doorbell_irq is not None:
            await before_doorbell_irq()
        self.create_doorbell_irq()
        return 0

    async def quiet(self) -> None:
        """Quiet the engine again, after a reset of the hardware; its interrupts stay requested."""
        await self._core.off()

    async def remove(self) -> None:
        """Quiet the engine and give every interrupt back, the last first.

        The doorbell's goes at the end, when no handler runs any more; nobody may have requested it.
        """
        await self._core.off()
        await self._free()
        self.free_doorbell_irq()

    def create_doorbell_irq(self) -> None:
        """Allocate the one virtual interrupt that stands for every store of the host, if the core emulates any.

        When that fails there is no doorbell, and the kernel says no more than so: the channels need none.
        """
        self.db_irq, self.db_offset = 0, NO_OFFSET
        if not self._core.emulates:
            return
        error = self._faults.irq_alloc_desc
        if error:
            self._irqs.log.append(f"Failed to allocate emulation IRQ: {error}")
            return
        desc = self._irqs.map(self._domain, 0, _EmulatedChip(self._core), handle_level_irq)
        self.db_irq, self.db_offset = desc.data.irq, self._core.db_offset

    def free_doorbell_irq(self) -> None:
        """Give it back; from then on nobody cares about a store of the host."""
        if self.db_irq:
            self._irqs.unmap(self.db_irq)
        self.db_irq, self.db_offset = 0, NO_OFFSET

    async def start_channel(self, way: EdmaWay, channel: int) -> None:
        """Start a channel; its end interrupts the processor."""
        if not 0 <= channel < self.channels[way.value]:
            raise ValueError(f"This eDMA has {self.channels[way.value]} {way.name} channels, not {channel!r}")
        await self._core.start(way, channel)

    # -- interrupts ----------------------------------------------------------------------------------------------------

    async def _request(self, virqs: list[int]) -> int:
        """Request one interrupt for everything, or one per channel, write channels first."""
        writes, reads = self.channels
        every: _Served = {EdmaWay.WRITE: range(writes), EdmaWay.READ: range(reads)}
        served: list[_Served] = [every]
        if len(virqs) > 1:
            each = [(way, channel) for way, channels in every.items() for channel in channels]
            served = [{way: range(channel, channel + 1)} for way, channel in each]
        for virq, channels in zip(virqs, served, strict=True):
            handler = partial(self._handler, channels)
            error = await self._irqs.request_irq(virq, handler, IrqFlag.SHARED, "dw-edma-core", self)
            if error:
                await self._free()
                return error
            self._requested.append(virq)
        return 0

    async def _free(self) -> None:
        """Free what is requested, the last first."""
        while self._requested:
            await self._irqs.free_irq(self._requested.pop(), self)

    async def _handler(self, served: _Served, irq: int, dev_id: Any) -> IrqReturn:
        """Handle what channels report, then, whatever that was, let the doorbell's handlers run."""
        result = IrqReturn.NONE
        for way, channels in served.items():
            if await self._core.handle(way, channels, self._note):
                result = IrqReturn.HANDLED
        return result | await self._emulated()

    async def _note(self, way: EdmaWay, channel: int, happened: Happened) -> None:
        counts = self.done if happened is Happened.DONE else self.aborted
        counts[channel + (self.channels[0] if way is EdmaWay.READ else 0)] += 1
        if self.notify is not None:
            await self.notify(way, channel, happened)

    async def _emulated(self) -> IrqReturn:
        if not self.db_irq:
            return IrqReturn.NONE
        await self._domain.generic_handle(0)
        return IrqReturn.HANDLED
