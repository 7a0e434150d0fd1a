"""The other side of a non-transparent bridge as a guest's PCI device.

A guest whose driver is Linux's ntb_hw_epf gets a device that such a driver knows, the i.MX8's of its table; behind it
is the bridge of the endpoint's own Linux, through `epbell_models.ntb`. So a second stock kernel stands where on
hardware the clients of that bridge run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from epbell_models.ntb import NtbDevice
from epbell_models.platform import BusError
from epbell_models.reference.capabilities import MsixCapability
from epbell_models.reference.config_space import ConfigSpace
from epbell_models.reference.msix import Msix
from epbell_tb.guest import peer_block
from epbell_tb.guest.peer_block import FIRST_SLOT, PENDING, TABLE, VECTORS, PeerBlock
from epbell_tb.guest.port import HostFault, HostSide

__all__ = [
    "PeerEndpoint",
]

_CONFIG, _DOORBELLS = 0, 2
_WINDOWS = 4, 5
_DOORBELL_BYTES = 0x1000
_WORD = 4
_LINK_VECTOR = 0
_VENDOR, _DEVICE, _CLASS = 0x1957, 0x0809, 0x05_0000


class PeerEndpoint:
    """An `epbell_tb.guest.port.Endpoint`, and a client of the bridge, to be made so by `NtbDevice.set_ctx`.

    Doorbells of the bridge are cleared when they have become the guest's interrupts.

    Parameters
    ----------
    bridge
        The bridge as this side sees it.
    host
        The guest.
    windows
        Bytes of each memory window, one or two, powers of two.
    show
        Called with address and bytes of memory of the guest; returns the bus address at which the bridge finds it.

    Attributes
    ----------
    config
        Configuration space.
    block
        The config BAR.
    accesses
        How many accesses of the guest there were of each kind, by the names of `Figures`.
    """

    def __init__(
        self,
        bridge: NtbDevice,
        host: HostSide,
        windows: tuple[int, ...],
        show: Callable[[int, int], int] = lambda address, size: address,
    ) -> None:
        if not 1 <= len(windows) <= len(_WINDOWS):
            raise ValueError(f"The device has one or two memory windows, not {windows!r}")
        sizes = [peer_block.SIZE, 0, _DOORBELL_BYTES, 0, 0, 0]
        for bar, size in zip(_WINDOWS, windows, strict=False):
            sizes[bar] = size
        self.accesses = dict.fromkeys(("config", "reads", "writes", "resets"), 0)
        self.block = PeerBlock(bridge, show)
        self.config = ConfigSpace(
            tuple(sizes),
            vendor=_VENDOR,
            device=_DEVICE,
            class_code=_CLASS,
            msix=MsixCapability(VECTORS, (_CONFIG, TABLE), (_CONFIG, PENDING)),
        )
        self._bridge = bridge
        self._host = host
        self._msix = Msix(self.block.ram)
        self._set_up_msix()

    # -- the guest's accesses ------------------------------------------------------------------------------------------

    async def config_read(self, offset: int, length: int) -> int:
        """Read 1, 2 or 4 bytes of configuration space."""
        self.accesses["config"] += 1
        return self.config.read32(offset & ~3) >> 8 * (offset & 3) & (1 << 8 * length) - 1

    async def config_write(self, offset: int, length: int, value: int) -> None:
        """Write 1, 2 or 4 bytes of configuration space; the others of the dword are written as they read."""
        self.accesses["config"] += 1
        lane = 8 * (offset & 3)
        mask = (1 << 8 * length) - 1 << lane
        self.config.write32(offset & ~3, self.config.read32(offset & ~3) & ~mask | value << lane)
        self._follow()

    async def memory_read(self, address: int, length: int) -> bytes:
        """Read bytes behind the BARs; all ones where nobody answers, zeroes of doorbells."""
        self.accesses["reads"] += 1
        found = self.config.decode(address)
        if found is None:
            return b"\xff" * length
        bar, offset = found
        if bar == _CONFIG:
            return await self.block.read(offset, length)
        if bar == _DOORBELLS:
            return bytes(length)
        try:
            return await self._bridge.peer_mw_read(_WINDOWS.index(bar), offset, length)
        except BusError:
            return b"\xff" * length

    async def memory_write(self, address: int, data: bytes) -> None:
        """Write bytes behind the BARs."""
        self.accesses["writes"] += 1
        found = self.config.decode(address)
        if found is None:
            return
        bar, offset = found
        if bar == _CONFIG:
            await self.block.write(offset, data)
            self._follow()
        elif bar == _DOORBELLS:
            slot = offset // _WORD
            if FIRST_SLOT <= slot < VECTORS:
                await self._bridge.peer_db_set(1 << slot - FIRST_SLOT)
        else:
            with contextlib.suppress(BusError):
                await self._bridge.peer_mw_write(_WINDOWS.index(bar), offset, data)

    async def reset(self) -> None:
        """Reset the function."""
        self.accesses["resets"] += 1
        self.config.reset()
        self.block.reset()
        self._msix.reset()
        self._set_up_msix()
        self._follow()

    # -- the bridge's events -------------------------------------------------------------------------------------------

    def link_event(self) -> None:
        """Interrupt the guest with the link's vector."""
        self._interrupt(_LINK_VECTOR)

    def db_event(self, vector: int) -> None:
        """Interrupt the guest with the vector of each doorbell that was rung."""
        bits = self._bridge.db_read()
        self._bridge.db_clear(bits)
        for bit in range(VECTORS - FIRST_SLOT):
            if bits >> bit & 1:
                self._interrupt(FIRST_SLOT + bit)

    def _interrupt(self, vector: int) -> None:
        self._msix.raise_(vector)
        self._send()

    def _set_up_msix(self) -> None:
        self._msix.table, self._msix.pba, self._msix.last, self._msix.on = TABLE, PENDING, VECTORS - 1, True

    def _follow(self) -> None:
        """Let MSI-X follow what the guest has written, and send what it no longer holds back."""
        msix, config = self._msix, self.config
        msix.enabled, msix.function_mask, msix.master = config.msix_enabled, config.msix_masked, config.master
        msix.update()
        self._send()

    def _send(self) -> None:
        while (message := self._msix.next()) is not None:
            address, data = message
            with contextlib.suppress(HostFault):
                self._host.write(address, data.to_bytes(_WORD, "little"))
