"""The config BAR of a bridge's other side: control block, scratchpads, commands.

What Linux's ntb_hw_epf wants of such a device (drivers/ntb/hw/epf/ntb_hw_epf.c). Every register that means something is
asked of the bridge when it is read, and given to it when it is written; commands are done when the access is.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from epbell_models.ntb import PEER, NtbDevice
from epbell_models.reference.ram import Ram

__all__ = [
    "FIRST_SLOT",
    "PENDING",
    "SIZE",
    "TABLE",
    "VECTORS",
    "PeerBlock",
]

SIZE = 0x1000
"""Bytes of the BAR."""

VECTORS = 16
"""MSI-X vectors; as many doorbell slots are in the block."""

TABLE, PENDING = 0x800, 0x900
"""Where the table of MSI-X is in the BAR, and its pending bits."""

FIRST_SLOT = 2
"""Slot, and vector, of doorbell bit 0: slot 0 stands for the link, slot 1 for nothing."""

_SPADS = 0x134
_WORD = 4
_COMMAND, _ARGUMENT, _STATUS = 0x00, 0x04, 0x08
_ADDRESS, _SIZE = 0x10, 0x18
_WINDOWS, _SPAD_OFFSET, _SPAD_COUNT, _ENTRY, _DATA = 0x20, 0x28, 0x2C, 0x30, 0x34
_OK, _ERROR = 1, 2


class _Command(IntEnum):
    CONFIGURE_DOORBELL = 1
    TEARDOWN_DOORBELL = 2
    CONFIGURE_MW = 3
    TEARDOWN_MW = 4
    LINK_UP = 5
    LINK_DOWN = 6


class PeerBlock:
    """The BAR.

    Parameters
    ----------
    bridge
        The bridge as this side sees it.
    show
        Called with address and bytes of memory of the guest; returns the bus address at which the bridge finds it.

    Attributes
    ----------
    ram
        The bytes that mean nothing, and the table of MSI-X.
    log
        Commands that failed, and what was unknown.
    """

    def __init__(self, bridge: NtbDevice, show: Callable[[int, int], int]) -> None:
        self.ram = Ram(SIZE)
        self.log: list[str] = []
        self._bridge = bridge
        self._show = show
        self._spads = bridge.spad_count()
        if _SPADS + 2 * _WORD * self._spads > TABLE:
            raise ValueError(f"There is room for {(TABLE - _SPADS) // 8} scratchpads, not {self._spads!r}")
        self.reset()

    def reset(self) -> None:
        """Return to the state before any driver."""
        ram = self.ram
        ram.data[:] = bytes(SIZE)
        ram.write32(_WINDOWS, self._bridge.peer_mw_count())
        ram.write32(_SPAD_OFFSET, _SPADS)
        ram.write32(_SPAD_COUNT, self._spads)
        ram.write32(_ENTRY, _WORD)
        for slot in range(VECTORS):
            ram.write32(_DATA + _WORD * slot, slot + 1)

    async def read(self, offset: int, length: int) -> bytes:
        """Read bytes, up to 8."""
        for word in range(offset & ~3, offset + length, _WORD):
            row, index = self._row(word)
            if word == _STATUS:
                status = self.ram.read32(_STATUS) & 0xFFFF
                self.ram.write32(_STATUS, status | await self._bridge.link_is_up() << 16)
            elif row == 0:
                self.ram.write32(word, await self._bridge.spad_read(index))
            elif row == 1:
                self.ram.write32(word, await self._bridge.peer_spad_read(PEER, index))
        return bytes(self.ram.data[offset : offset + length])

    async def write(self, offset: int, data: bytes) -> None:
        """Write bytes, up to 8; a command is done when this returns."""
        self.ram.data[offset : offset + len(data)] = data
        for word in range(offset & ~3, offset + len(data), _WORD):
            row, index = self._row(word)
            value = self.ram.read32(word)
            if word == _COMMAND and value:
                await self._do(value)
            elif row == 0:
                await self._bridge.spad_write(index, value)
            elif row == 1:
                await self._bridge.peer_spad_write(PEER, index, value)

    def _row(self, word: int) -> tuple[int, int]:
        """Return whose scratchpad a word is, 0 for this side's and 1 for the peer's, and which; -1 for none."""
        if _SPADS <= word < _SPADS + 2 * _WORD * self._spads:
            return divmod((word - _SPADS) // _WORD, self._spads)
        return -1, 0

    async def _do(self, command: int) -> None:
        argument = self.ram.read32(_ARGUMENT)
        self.ram.write32(_COMMAND, 0)
        error = await self._run(command, argument)
        if error is None:
            self.log.append(f"unknown command {command}")
            return
        if error:
            self.log.append(f"command {command} of {argument:#x} failed: {error}")
        self.ram.data[_STATUS : _STATUS + 2] = (_ERROR if error else _OK).to_bytes(2, "little")

    async def _run(self, command: int, argument: int) -> int | None:
        """Return 0, a negative errno, or None for a command that does not exist."""
        bridge = self._bridge
        if command in (_Command.CONFIGURE_DOORBELL, _Command.TEARDOWN_DOORBELL):
            return 0
        if command == _Command.CONFIGURE_MW:
            address, size = (int.from_bytes(self.ram.data[at : at + 8], "little") for at in (_ADDRESS, _SIZE))
            return await bridge.mw_set_trans(PEER, argument, self._show(address, size), size)
        if command == _Command.TEARDOWN_MW:
            return await bridge.mw_clear_trans(PEER, argument)
        if command == _Command.LINK_UP:
            return await bridge.link_enable()
        if command == _Command.LINK_DOWN:
            return await bridge.link_disable()
        return None
