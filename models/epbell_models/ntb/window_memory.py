"""Memory of this side behind the memory windows that the peer has on it.

Follows ntb_set_mw and ntb_free_mw of drivers/ntb/ntb_transport.c.
"""

import errno

from .device import PEER, NtbDevice

__all__ = [
    "WindowMemory",
]


class WindowMemory:
    """The memory behind every window.

    Parameters
    ----------
    ntb
        The bridge.
    """

    def __init__(self, ntb: NtbDevice) -> None:
        self._ntb = ntb
        self._buffers: dict[int, tuple[int, int]] = {}

    def behind(self, index: int) -> tuple[int, int]:
        """Return bus address and bytes of what is behind a window."""
        return self._buffers[index]

    async def put(self, index: int, size: int) -> int:
        """Put memory behind a window of ``size`` bytes, unless that much is there already.

        Returns
        -------
        int
            0; -EINVAL for no bytes, -ENOMEM without memory, -EIO when the bridge refuses it, or what the bridge says
            instead of an alignment.
        """
        if not size:
            return -errno.EINVAL
        align = self._ntb.mw_get_align(PEER, index)
        if isinstance(align, int):
            return align
        wanted = _round_up(size, align.size)
        if index in self._buffers:
            if self._buffers[index][1] == wanted:
                return 0
            await self._free(index)
        address = self._ntb.dma_alloc(_round_up(size, align.address))
        if address is None:
            return -errno.ENOMEM
        self._buffers[index] = address, wanted
        if await self._ntb.mw_set_trans(PEER, index, address, wanted):
            await self._free(index)
            return -errno.EIO
        return 0

    async def free(self) -> None:
        """Take all of it away."""
        for index in tuple(self._buffers):
            await self._free(index)

    async def _free(self, index: int) -> None:
        address, _ = self._buffers.pop(index)
        await self._ntb.mw_clear_trans(PEER, index)
        self._ntb.dma_free(address)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
