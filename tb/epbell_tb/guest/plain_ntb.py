"""A bridge between two guests that is nothing but Python: no endpoint, no packets, every access done at once.

It shows what two stock kernels do with a good bridge, and that the machinery around the endpoint's bridge works.
"""

from __future__ import annotations

import errno

from epbell_models.ntb import MW_ALIGN, MwAddress, MwAlign, NtbDevice
from epbell_tb.guest.port import HostSide

__all__ = [
    "PlainNtb",
]

_DOORBELLS = 14
_SPADS = 64


class PlainNtb(NtbDevice):
    """One end.

    Parameters
    ----------
    host
        Memory of this side.
    windows
        Bytes of each memory window.

    Attributes
    ----------
    peer
        The other end; see `join`.
    deaf
        Whether no doorbell of the peer is heard here.
    """

    peer: PlainNtb

    def __init__(self, host: HostSide, windows: tuple[int, ...]) -> None:
        self.deaf = False
        self._host = host
        self._windows = windows
        self._behind: list[tuple[int, int]] = [(0, 0)] * len(windows)
        self._spads = [0] * _SPADS
        self._enabled = False

    def join(self, other: PlainNtb) -> None:
        """Make two ends each other's peers."""
        self.peer, other.peer = other, self

    # -- link: up when both sides want it ------------------------------------------------------------------------------

    async def link_is_up(self) -> int:
        """Return 1 while both sides have enabled it, else 0."""
        return int(self._enabled and self.peer._enabled)

    async def link_enable(self) -> int:
        """Enable this side's; return 0."""
        return self._enable(True)

    async def link_disable(self) -> int:
        """Disable this side's; return 0."""
        return self._enable(False)

    def _enable(self, enabled: bool) -> int:
        self._enabled = enabled
        self.link_event()
        self.peer.link_event()
        return 0

    # -- memory windows ------------------------------------------------------------------------------------------------

    def mw_count(self, pidx: int) -> int:
        """Return how many windows there are."""
        return len(self._windows)

    def mw_get_align(self, pidx: int, widx: int) -> MwAlign | int:
        """Return 4 KiB, 1 and the window's size."""
        return MwAlign(MW_ALIGN, 1, self._windows[widx])

    async def mw_set_trans(self, pidx: int, widx: int, address: int, size: int) -> int:
        """Put memory behind a window of the peer's; -EINVAL for what is not there or too much."""
        if not 0 <= widx < len(self._windows) or size > self._windows[widx]:
            return -errno.EINVAL
        self._behind[widx] = address, size
        return 0

    async def mw_clear_trans(self, pidx: int, widx: int) -> int:
        """Take it away; -EINVAL for a window that is not there."""
        return await self.mw_set_trans(pidx, widx, 0, 0)

    def peer_mw_count(self) -> int:
        """Return how many windows there are."""
        return len(self._windows)

    async def peer_mw_get_addr(self, widx: int) -> MwAddress | int:
        """Return no address: the window is reached by `peer_mw_read` and `peer_mw_write` only."""
        return MwAddress(0, self._windows[widx])

    async def peer_mw_read(self, widx: int, offset: int, length: int) -> bytes:
        """Read the peer's memory; all ones where none is."""
        address, size = self.peer._behind[widx]
        return self.peer._host.read(address + offset, length) if offset + length <= size else b"\xff" * length

    async def peer_mw_write(self, widx: int, offset: int, data: bytes) -> None:
        """Write the peer's memory; nothing happens where none is."""
        address, size = self.peer._behind[widx]
        if offset + len(data) <= size:
            self.peer._host.write(address + offset, data)

    # -- this side's own memory ----------------------------------------------------------------------------------------

    def dma_alloc(self, size: int) -> int | None:
        """Return None: the guest's kernel allocates."""
        return None

    def dma_free(self, address: int) -> None:
        """Do nothing."""

    async def dma_read(self, address: int, length: int) -> bytes:
        """Read it."""
        return self._host.read(address, length)

    async def dma_write(self, address: int, data: bytes) -> None:
        """Write it."""
        self._host.write(address, data)

    # -- doorbells -----------------------------------------------------------------------------------------------------

    def db_valid_mask(self) -> int:
        """Return a bit per doorbell."""
        return (1 << _DOORBELLS) - 1

    async def peer_db_set(self, bits: int) -> int:
        """Ring the peer; return 0."""
        peer = self.peer
        if not peer.deaf:
            peer.db_event(0, bits & self.db_valid_mask())
        return 0

    # -- scratchpads ---------------------------------------------------------------------------------------------------

    def spad_count(self) -> int:
        """Return how many scratchpads either side has."""
        return _SPADS

    async def spad_read(self, index: int) -> int:
        """Read one of this side's."""
        return self._spads[index]

    async def spad_write(self, index: int, value: int) -> int:
        """Write one of this side's; return 0."""
        self._spads[index] = value
        return 0

    async def peer_spad_read(self, pidx: int, index: int) -> int:
        """Read one of the peer's."""
        return self.peer._spads[index]

    async def peer_spad_write(self, pidx: int, index: int, value: int) -> int:
        """Write one of the peer's; return 0."""
        self.peer._spads[index] = value
        return 0
