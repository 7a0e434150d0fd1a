"""How pci-epf-vntb rings the host: an interrupt per doorbell bit.

Follows drivers/pci/endpoint/functions/pci-epf-vntb.c. Bit k is MSI k + 3, counted from 1: the first stands for the
link, the second for nothing, as with the host's doorbells.
"""

from ..ntb import NtbCosts
from ..platform import Task
from .pci_epc import IrqKind, PciEpc
from .pci_epf_vntb_config import VntbConfig
from .pci_epf_vntb_control import MSIX_ENABLE

__all__ = [
    "VntbPeer",
]

_FIRST = 3
_SNAPSHOTS = 5
"""How often a run of the work looks for more before it lets others work."""


class VntbPeer:
    """The host as somebody to ring.

    Parameters
    ----------
    epc
        Endpoint controller.
    config
        The function's configuration.
    log
        Receives the driver's messages.
    costs
        What the processor takes its time for: here `NtbCosts.work`, once for each run of the work.

    Attributes
    ----------
    kind
        How the host is interrupted.
    raised
        Interrupts sent.
    """

    def __init__(self, epc: PciEpc, config: VntbConfig, log: list[str], costs: NtbCosts) -> None:
        self._epc = epc
        self._config = config
        self._log = log
        self._costs = costs
        self._pending = 0
        self._queued = epc.platform.event()
        self._work: Task | None = None
        self.kind = IrqKind.MSI
        self.raised = 0

    def start(self) -> None:
        """Let the work run."""
        self._work = self._epc.platform.spawn(self._run(), "pci-epf-vntb-peer")

    def stop(self) -> None:
        """End the work; what was not raised yet never is."""
        if self._work is not None:
            self._work.cancel()
            self._work = None
        self._pending = 0
        self._queued.clear()

    def choose(self, argument: int) -> None:
        """Take note of CONFIGURE_DOORBELL: MSI-X if the host has it and this function may use it."""
        msix = self._config.msix_interrupts and argument & MSIX_ENABLE
        self.kind = IrqKind.MSIX if msix else IrqKind.MSI

    async def ring(self, bits: int, valid: int) -> int:
        """Ring bits; those that are not valid are forgotten.

        Bits that are asked for before the work runs are one interrupt each, however often they were. v7.1 raises the
        lowest of them at once, valid or not, and returns what the controller answers; no bit at all is the second MSI.
        """
        if self._config.release == "v7.1":
            return await self._raise((bits & -bits).bit_length() + _FIRST - 1)
        self._pending |= bits & valid
        self._queued.set()
        return 0

    async def _run(self) -> None:
        while True:
            await self._queued.wait()
            if self._costs.work:
                await self._epc.platform.sleep(self._costs.work)
            self._queued.clear()
            await self._drain()
            await self._epc.platform.sleep(0)

    async def _drain(self) -> None:
        for _ in range(_SNAPSHOTS):
            bits, self._pending = self._pending, 0
            if not bits:
                return
            while bits:
                lowest = bits & -bits
                bits -= lowest
                await self._raise(lowest.bit_length() + _FIRST - 1)

    async def _raise(self, number: int) -> int:
        error = await self._epc.raise_irq(self.kind, number)
        if error:
            self._log.append(f"pci_epf_vntb: Failed to raise IRQ for interrupt_num {number}: {error}")
        else:
            self.raised += 1
        return error
