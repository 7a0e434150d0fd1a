"""BAR_SUBRANGE_SETUP and BAR_SUBRANGE_CLEAR of pci-epf-test: a BAR of two halves that are swapped.

Follows drivers/pci/endpoint/functions/pci-epf-test.c.
"""

import errno
from dataclasses import replace

from .pci_epc import BAR_COUNT, EpfBar, Submap
from .pci_epf import PciEpf
from .pci_epf_test_regs import Register, RegisterBlock, Status

__all__ = [
    "EpfTestSubrange",
    "signature",
]

_PIECES = 2


def signature(bar: int, piece: int) -> int:
    """Return the byte that fills a piece of a BAR, counted as the host sees them."""
    return 0x50 + 8 * bar + piece


class EpfTestSubrange:
    """The pieces of the test function's BARs.

    Parameters
    ----------
    epf
        The function.
    registers
        Its register block.
    log
        Receives the driver's messages.
    """

    def __init__(self, epf: PciEpf, registers: RegisterBlock, log: list[str]) -> None:
        self._epf = epf
        self._registers = registers
        self._log = log

    async def setup(self) -> None:
        """Run BAR_SUBRANGE_SETUP for the BAR in SIZE, leaving the result in STATUS."""
        status = await self._registers.read(Register.STATUS)
        error = await self._setup(await self._registers.read(Register.SIZE))
        status |= Status.SUBRANGE_SETUP_FAIL if error else Status.SUBRANGE_SETUP_SUCCESS
        status |= Status.NO_RESOURCE if error == -errno.ENOSPC else 0
        await self._registers.write(Register.STATUS, status)

    async def clear(self) -> None:
        """Run BAR_SUBRANGE_CLEAR for the BAR in SIZE, leaving the result in STATUS."""
        status = await self._registers.read(Register.STATUS)
        error = await self._clear(await self._registers.read(Register.SIZE))
        status |= Status.SUBRANGE_CLEAR_FAIL if error else Status.SUBRANGE_CLEAR_SUCCESS
        await self._registers.write(Register.STATUS, status)

    async def _setup(self, barno: int) -> int:
        bar = self._testable(barno)
        if bar is None:
            return -errno.EINVAL
        half = bar.size // _PIECES
        # The halves change places, so that the host sees whether their order counts.
        places = [bar.phys_addr + (piece ^ 1) * half for piece in range(_PIECES)]
        tiled = replace(bar, submap=tuple(Submap(place, half) for place in places))
        error = await self._epf.epc.set_bar(tiled)
        if error:
            self._say(f"pci_epc_set_bar() failed: {error}")
            # The controller's driver has torn down what was there.
            if await self._epf.epc.set_bar(bar):
                self._say(f"Failed to roll back BAR{barno}")
            return error
        self._epf.bars[barno] = tiled
        for piece, place in enumerate(places):
            await self._epf.epc.bus.write(place, bytes([signature(barno, piece)]) * half)
        return 0

    async def _clear(self, barno: int) -> int:
        bar = self._epf.bars[barno] if barno < BAR_COUNT else None
        if bar is None or not bar.submap:
            return -errno.EINVAL
        whole = replace(bar, submap=())
        error = await self._epf.epc.set_bar(whole)
        if error:
            self._say(f"pci_epc_set_bar() failed: {error}")
            return error
        self._epf.bars[barno] = whole
        return 0

    def _testable(self, barno: int) -> EpfBar | None:
        """Return a BAR that may be tiled; None, having said why, for any other."""
        bar = self._epf.bars[barno] if barno < BAR_COUNT else None
        if barno >= BAR_COUNT:
            self._say(f"Invalid barno: {barno}")
        elif barno == self._registers.bar:
            self._say("test_reg_bar cannot be used for subrange test")
        elif not self._epf.epc.features.can_subrange:
            self._say("epc driver does not support subrange mapping")
        elif bar is None:
            self._say(f"BAR{barno} has no memory")
        elif bar.size % _PIECES:
            self._say(f"BAR size {bar.size} is not divisible by {_PIECES}")
        else:
            return bar
        return None

    def _say(self, message: str) -> None:
        self._log.append(f"pci_epf_test: {message}")
