"""The bridge that pci-epf-vntb offers its own side: the NTB device on its virtual PCI bus.

Follows the second half of drivers/pci/endpoint/functions/pci-epf-vntb.c.
"""

from ..ntb import MW_ALIGN, MwAddress, MwAlign, NtbDevice
from .pci_epc import PciEpc
from .pci_epf_vntb_config import VntbConfig
from .pci_epf_vntb_control import Control, ControlBlock
from .pci_epf_vntb_peer import VntbPeer
from .pci_epf_vntb_windows import VntbWindows

__all__ = [
    "FIRST_SLOT",
    "VirtualNtb",
]

FIRST_SLOT = {"v7.1": 1, "newest": 2}
"""First doorbell slot that is listened to, by release; it is doorbell bit 0."""


class VirtualNtb(NtbDevice):
    """The endpoint's side of the bridge. Indexes are looked at where the kernel looks at them, and nowhere else.

    Parameters
    ----------
    epc
        Endpoint controller.
    config
        The function's configuration.
    control
        The control block.
    windows, peer
        The other parts.
    """

    def __init__(
        self, epc: PciEpc, config: VntbConfig, control: ControlBlock, windows: VntbWindows, peer: VntbPeer
    ) -> None:
        self._epc = epc
        self._config = config
        self._control = control
        self._windows = windows
        self._peer = peer

    def ring(self, slot: int) -> None:
        """Note the doorbell of a slot and tell the client."""
        bit = slot - FIRST_SLOT[self._config.release]
        self.db_event(slot if self._config.release == "v7.1" else bit, 1 << bit)

    # -- link: it is the host's --------------------------------------------------------------------------------------

    async def link_is_up(self) -> int:
        """Return LINK_STATUS: what the host said with its latest command."""
        return await self._control.read16(Control.LINK_STATUS)

    async def link_enable(self) -> int:
        """Do nothing; return 0."""
        return 0

    async def link_disable(self) -> int:
        """Do nothing; return 0."""
        return 0

    # -- memory windows ------------------------------------------------------------------------------------------------

    def mw_count(self, pidx: int) -> int:
        """Return how many windows the host has on the endpoint's memory, whoever asks."""
        return len(self._windows.bars)

    def mw_get_align(self, pidx: int, widx: int) -> MwAlign | int:
        """Return 4 KiB, 1 and the window's size. The BAR itself wants its size as alignment, which nobody says."""
        return MwAlign(MW_ALIGN, 1, self._windows.sizes[widx])

    async def mw_set_trans(self, pidx: int, widx: int, address: int, size: int) -> int:
        """Aim a BAR at memory of the endpoint; -EINVAL when the controller cannot."""
        return await self._windows.set_trans(widx, address, size)

    async def mw_clear_trans(self, pidx: int, widx: int) -> int:
        """Do nothing: the BAR goes on to lead to that memory. Return 0."""
        return 0

    def peer_mw_count(self) -> int:
        """Return how many windows there are on the host's memory."""
        return len(self._windows.bars)

    async def peer_mw_get_addr(self, widx: int) -> MwAddress | int:
        """Return where a window is, whether the host has put memory behind it or not."""
        return MwAddress(self._windows.addresses[widx], self._windows.sizes[widx])

    async def peer_mw_read(self, widx: int, offset: int, length: int) -> bytes:
        """Read the host's memory; `BusError` while there is none, which the kernel would not survive."""
        return await self._epc.bus.read(self._windows.addresses[widx] + offset, length)

    async def peer_mw_write(self, widx: int, offset: int, data: bytes) -> None:
        """Write the host's memory; `BusError` as of `peer_mw_read`, as far as a posted write has any."""
        await self._epc.bus.write(self._windows.addresses[widx] + offset, data)

    # -- the endpoint's own memory -------------------------------------------------------------------------------------

    def dma_alloc(self, size: int) -> int | None:
        """Allocate memory that a BAR can show, aligned to its size rounded up to a power of two."""
        return self._epc.pool.alloc(size)

    def dma_free(self, address: int) -> None:
        """Return it."""
        self._epc.pool.free(address)

    async def dma_read(self, address: int, length: int) -> bytes:
        """Read bytes of it."""
        return await self._epc.bus.read(address, length)

    async def dma_write(self, address: int, data: bytes) -> None:
        """Write bytes of it."""
        await self._epc.bus.write(address, data)

    # -- doorbells -----------------------------------------------------------------------------------------------------

    def db_valid_mask(self) -> int:
        """Return a bit per slot but the first two; v7.1 counts those as well."""
        slots = self._config.db_count
        return (1 << (slots if self._config.release == "v7.1" else self.db_vector_count())) - 1

    def db_vector_count(self) -> int:
        """Return how many doorbells there are; 1 for all of them in v7.1, which does not tell them apart."""
        if self._config.release == "v7.1":
            return super().db_vector_count()
        return max(0, self._config.db_count - FIRST_SLOT["newest"])

    def db_vector_mask(self, vector: int) -> int:
        """Return the one bit of a vector, none for a vector that is not there; all of them in v7.1."""
        if self._config.release == "v7.1":
            return super().db_vector_mask(vector)
        return 1 << vector if 0 <= vector < self.db_vector_count() else 0

    async def peer_db_set(self, bits: int) -> int:
        """Ring the host; see `VntbPeer.ring`."""
        return await self._peer.ring(bits, self.db_valid_mask())

    # -- scratchpads ---------------------------------------------------------------------------------------------------

    def spad_count(self) -> int:
        """Return how many scratchpads either side has."""
        return self._config.spad_count

    async def spad_read(self, index: int) -> int:
        """Read one of the endpoint's row."""
        return await self._control.read(await self._control.spad(index, host=False))

    async def spad_write(self, index: int, value: int) -> int:
        """Write one of the endpoint's row; return 0."""
        await self._control.write(await self._control.spad(index, host=False), value)
        return 0

    async def peer_spad_read(self, pidx: int, index: int) -> int:
        """Read one of the host's row."""
        return await self._control.read(await self._control.spad(index, host=True))

    async def peer_spad_write(self, pidx: int, index: int, value: int) -> int:
        """Write one of the host's row; return 0."""
        await self._control.write(await self._control.spad(index, host=True), value)
        return 0
