"""The reference endpoint behind a guest: the models of the hardware, the endpoint's software, and no host of ours."""

from __future__ import annotations

from typing import Any

from epbell_models.devicetree import DeviceTree
from epbell_models.platform import BusError, Platform
from epbell_models.selftest.board import BAR_SIZES, Board
from epbell_tb.guest.host_side import HostSideLine, HostSideMemory
from epbell_tb.guest.port import HostSide

__all__ = [
    "ModelEndpoint",
]


class ModelEndpoint:
    """An `epbell_tb.guest.port.Endpoint`.

    Parameters
    ----------
    platform
        Time and concurrency.
    host
        The guest.
    tree
        The device tree of the endpoint's processor.
    bar_sizes, board_options
        See `Board`.

    Attributes
    ----------
    board
        The models.
    accesses
        How many accesses of the guest there were of each kind, by the names of `Figures`.
    """

    def __init__(
        self,
        platform: Platform,
        host: HostSide,
        tree: DeviceTree,
        bar_sizes: tuple[int, ...] = BAR_SIZES,
        **board_options: Any,
    ) -> None:
        self.board = Board(
            platform,
            tree,
            bar_sizes=bar_sizes,
            host_memory=HostSideMemory(host),
            intx=HostSideLine(platform, host),
            **board_options,
        )
        self.accesses = dict.fromkeys(("config", "reads", "writes", "resets"), 0)
        self._link = self.board.link

    async def config_read(self, offset: int, length: int) -> int:
        """Read 1, 2 or 4 bytes of configuration space."""
        self.accesses["config"] += 1
        word = await self._link.config_read32(offset & ~3)
        return word >> 8 * (offset & 3) & (1 << 8 * length) - 1

    async def config_write(self, offset: int, length: int, value: int) -> None:
        """Write 1, 2 or 4 bytes of configuration space; the others of the dword are written as they read."""
        self.accesses["config"] += 1
        lane = 8 * (offset & 3)
        mask = (1 << 8 * length) - 1 << lane
        word = self._link.config.read32(offset & ~3)
        await self._link.config_write32(offset & ~3, word & ~mask | value << lane)

    async def memory_read(self, address: int, length: int) -> bytes:
        """Read bytes behind the BARs; all ones where nobody answers."""
        self.accesses["reads"] += 1
        try:
            return await self._link.memory.read(address, length)
        except BusError:
            return b"\xff" * length

    async def memory_write(self, address: int, data: bytes) -> None:
        """Write bytes behind the BARs."""
        self.accesses["writes"] += 1
        await self._link.memory.write(address, data)

    async def reset(self) -> None:
        """Reset the function; the guest's machine does so when it starts."""
        self.accesses["resets"] += 1
        self._link.reset_function()

    def forget(self) -> None:
        """Forget the traces of accesses, which nobody reads."""
        self._link.memory.trace.clear()
        self._link.cpu.trace.clear()
