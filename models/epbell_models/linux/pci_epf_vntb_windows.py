"""Memory windows of pci-epf-vntb, both ways.

Follows drivers/pci/endpoint/functions/pci-epf-vntb.c. The host reaches the endpoint's memory through a BAR per window,
the endpoint the host's through an outbound window per window, at addresses that are set aside for good.
"""

import errno
from collections.abc import Sequence
from dataclasses import replace

from .pci_epc import BarFlag, EpfBar
from .pci_epf import PciEpf
from .pci_epf_vntb_control import Control, ControlBlock

__all__ = [
    "VntbWindows",
]

_SLOTS = 4
"""Windows that the kernel's function has room for, however many it has."""


class VntbWindows:
    """The windows of one function.

    Parameters
    ----------
    epf
        The function.
    control
        Its control block, where the host says what is behind a window.
    log
        Receives the driver's messages.

    Attributes
    ----------
    bars
        BAR of each window.
    sizes
        Bytes of each.
    addresses
        Where the processor reaches the host's memory, for each.
    """

    def __init__(self, epf: PciEpf, control: ControlBlock, log: list[str]) -> None:
        self._epf = epf
        self._control = control
        self._log = log
        self.bars: tuple[int, ...] = ()
        self.sizes: tuple[int, ...] = ()
        self.addresses: list[int] = []

    async def set_up(self, bars: tuple[int, ...], sizes: Sequence[int]) -> int:
        """Set the BARs and set addresses aside.

        The BARs lead nowhere yet. 0; the error of the controller for a BAR, -ENOMEM without addresses.
        """
        self.bars, self.sizes = bars, tuple(sizes)[: len(bars)]
        for bar, size in zip(self.bars, self.sizes, strict=True):
            error = await self._set_up(bar, size)
            if error:
                await self.tear_down()
                return error
        return 0

    async def tear_down(self) -> None:
        """Take the BARs away and give the addresses back, mapped or not."""
        memory = self._epf.epc.memory
        for address, bar, size in zip(self.addresses, self.bars, self.sizes, strict=False):
            await self._clear(bar)
            if memory is not None:
                memory.free(address, size)
        self.addresses = []

    async def _set_up(self, bar: int, size: int) -> int:
        flags = BarFlag.MEM_64 if size >> 32 or self._epf.epc.features.bars[bar].only_64bit else BarFlag.MEM_32
        self._epf.bars[bar] = EpfBar(bar, 0, size, flags)
        error = await self._epf.epc.set_bar(EpfBar(bar, 0, size, flags))
        if error:
            self._epf.bars[bar] = None
            self._say("MW set failed")
            return error
        memory = self._epf.epc.memory
        address = memory.alloc(size) if memory is not None else None
        if address is None:
            self._say("Failed to allocate source address")
            await self._clear(bar)
            return -errno.ENOMEM
        self.addresses.append(address)
        return 0

    async def _clear(self, barno: int) -> None:
        bar = self._epf.bars[barno]
        if bar is not None:
            await self._epf.epc.clear_bar(bar)
            self._epf.bars[barno] = None

    # -- the host's memory ---------------------------------------------------------------------------------------------

    async def configure(self, index: int) -> int:
        """Run CONFIGURE_MW: map what ADDR and SIZE say; 0 or the controller's error.

        Mapped twice, it uses up another window of the controller, and the older one goes on to decide: the kernel does
        not look.
        """
        address = self._address(index)
        if address is None:
            return -errno.EINVAL
        pci_addr = await self._control.read64(Control.ADDR)
        size = await self._control.read64(Control.SIZE)
        error = await self._epf.epc.map_addr(address, pci_addr, size)
        if error:
            self._say(f"Failed to map memory window {index} address")
        return error

    async def teardown(self, index: int) -> None:
        """Run TEARDOWN_MW; nothing happens to a window that is not mapped."""
        address = self._address(index)
        if address is not None:
            await self._epf.epc.unmap_addr(address)

    def _address(self, index: int) -> int | None:
        """Return where a window is. The kernel knows four, and what was not set up is at 0; it looks no further."""
        if index < len(self.addresses):
            return self.addresses[index]
        if index < _SLOTS:
            return 0
        self._say(f"Memory window {index}: the kernel would look beyond its array here")
        return None

    # -- the endpoint's memory -----------------------------------------------------------------------------------------

    async def set_trans(self, index: int, address: int, size: int) -> int:
        """Aim a window's BAR at the endpoint's memory; the controller's error for other than the BAR's size.

        -EINVAL for a window that is not there, where the kernel would look beyond its array.
        """
        if not 0 <= index < len(self.bars):
            return -errno.EINVAL
        old = self._epf.bars[self.bars[index]]
        if old is None:
            return -errno.EINVAL
        new = replace(old, phys_addr=address, size=size)
        error = await self._epf.epc.set_bar(new)
        if error:
            self._say("failure set mw trans")
            return error
        self._epf.bars[new.barno] = new
        return 0

    def _say(self, message: str) -> None:
        self._log.append(f"pci_epf_vntb: {message}")
