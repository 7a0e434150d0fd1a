"""The interrupt vectors of one function: which kind it gets, and who is called (drivers/pci/msi/api.c).

A message is an event of its own: every one runs its handler. INTx is a level: the handler runs while the line is high.
"""

import errno
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum

from ..platform import IrqLine, Platform, Task
from .config import PciConfig
from .msi import MsiReceiver
from .msi_setup import MsiSetup
from .msix_setup import BarAccess, MsixSetup

__all__ = [
    "IrqVectors",
    "VectorHandler",
    "VectorKind",
]

_ENTRY_SECONDS = 2e-6
"""From a rising INTx line to the handler's first access, as long as a processor takes to get there."""


class VectorKind(Enum):
    """How a function interrupts the host."""

    INTX = 0
    MSI = 1
    MSIX = 2


VectorHandler = Callable[[int], Awaitable[None]]
"""Called with the index of the vector that fired."""


class IrqVectors:
    """Vectors of one function.

    Parameters
    ----------
    platform
        Time and concurrency.
    config
        Configuration space.
    bars
        The function's BARs, for the MSI-X table.
    receiver
        The host's MSI controller.
    msi_limit, msix_limit
        Greatest number of vectors of either kind that the host grants.
    intx
        The function's INTx line at the host's interrupt controller, None when it is not connected.

    Attributes
    ----------
    kind
        Kind of the vectors there are, None for none.
    fired
        How many messages each vector received; for INTx how often its handler was called.
    """

    def __init__(
        self,
        platform: Platform,
        config: PciConfig,
        bars: BarAccess,
        receiver: MsiReceiver,
        *,
        msi_limit: int,
        msix_limit: int,
        intx: IrqLine | None,
    ) -> None:
        self.kind: VectorKind | None = None
        self.fired: list[int] = []
        self._platform = platform
        self._config = config
        self._line = intx
        self._msi = MsiSetup(config, receiver, msi_limit)
        self._msix = MsixSetup(config, bars, receiver, msix_limit)
        self._handlers: dict[int, VectorHandler] = {}
        self._queue: deque[int] = deque()
        self._queued = platform.event()
        self._idle = platform.event()
        self._idle.set()
        self._work: Task | None = None

    @property
    def count(self) -> int:
        """How many vectors there are."""
        return {None: 0, VectorKind.INTX: 1, VectorKind.MSI: self._msi.count, VectorKind.MSIX: self._msix.count}[
            self.kind
        ]

    async def allocate(self, least: int, most: int, kinds: tuple[VectorKind, ...]) -> int:
        """Allocate vectors of the best kind asked for that is to be had: MSI-X, then MSI, then INTx.

        Returns
        -------
        int
            How many there are. -EINVAL when the last of them tried is not in the function, or when there are vectors
            already; -ENOSPC for too few.
        """
        if self.kind is not None:
            return -errno.EINVAL
        result = -errno.ENOSPC
        for kind, setup in ((VectorKind.MSIX, self._msix), (VectorKind.MSI, self._msi)):
            if kind in kinds:
                result = await setup.enable(least, most, self._deliver)
                if result > 0:
                    return self._start(kind, result)
        if VectorKind.INTX in kinds and least == 1 and await self._config.interrupt_pin():
            await self._config.let_intx(True)
            return self._start(VectorKind.INTX, 1)
        return result

    async def free(self) -> None:
        """Free every vector still requested, disable what sends them and return them."""
        for index in list(self._handlers):
            await self.release(index)
        await self._msi.disable()
        await self._msix.disable()
        await self._stop()
        self.kind = None
        self._queue.clear()

    async def request(self, index: int, handler: VectorHandler) -> int:
        """Let ``handler`` run for every message of a vector; -EINVAL when there is no such vector."""
        if not 0 <= index < self.count:
            return -errno.EINVAL
        self._handlers[index] = handler
        if self.kind is VectorKind.MSIX:
            await self._msix.mask(index, False)
        elif self.kind is VectorKind.INTX and self._line is not None and self._work is None:
            self._work = self._platform.spawn(self._serve_line(self._line), "host-intx")
        return 0

    async def release(self, index: int) -> None:
        """Let no handler run for a vector any more."""
        if self.kind is VectorKind.MSIX:
            await self._msix.mask(index, True)
        elif self.kind is VectorKind.INTX:
            await self._stop()
        await self._idle.wait()
        del self._handlers[index]

    async def restore(self) -> None:
        """Write the settings of the vectors again, after the function has forgotten them (pci_restore_msi_state)."""
        await self._msi.restore()
        await self._msix.restore()

    async def _stop(self) -> None:
        """Take no more interrupts; a handler that runs is let run to its end."""
        if self._work is not None:
            await self._idle.wait()
            self._work.cancel()
            self._work = None
            self._idle.set()

    def _start(self, kind: VectorKind, count: int) -> int:
        self.kind = kind
        self.fired = [0] * count
        if kind is not VectorKind.INTX:
            self._work = self._platform.spawn(self._serve_messages(), "host-irq")
        return count

    def _deliver(self, index: int) -> None:
        self.fired[index] += 1
        self._queue.append(index)
        self._queued.set()

    async def _serve_messages(self) -> None:
        """Run one handler per message, in order of arrival."""
        while True:
            await self._queued.wait()
            self._queued.clear()
            self._idle.clear()
            while self._queue:
                await self._handle(self._queue.popleft())
            self._idle.set()

    async def _serve_line(self, line: IrqLine) -> None:
        """Run the handler while the line is high."""
        while True:
            await line.wait_high()
            self._idle.clear()
            await self._platform.sleep(_ENTRY_SECONDS)
            self.fired[0] += 1
            await self._handle(0)
            self._idle.set()

    async def _handle(self, index: int) -> None:
        handler = self._handlers.get(index)
        if handler is not None:
            await handler(index)
