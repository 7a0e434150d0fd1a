"""The BAR tests of pci_endpoint_test: one BAR, all of them, and a BAR that shows two places."""

import errno
import struct

from .pci import BAR_COUNT
from .pci_endpoint_test_regs import Capability, Command, Register, Status
from .pci_endpoint_test_state import DriverState

__all__ = [
    "BarTests",
]

_CHUNK = 1 << 20
_REGISTER_BAR_TESTED = 4
_HALVES = 2
_NUMBERED = 1 << 24
_SETUP_RESULT = Status.SUBRANGE_SETUP_SUCCESS, Status.SUBRANGE_SETUP_FAIL
_CLEAR_RESULT = Status.SUBRANGE_CLEAR_SUCCESS, Status.SUBRANGE_CLEAR_FAIL


class BarTests:
    """The tests, without the driver's lock.

    Parameters
    ----------
    state
        The driver's state.
    store_bytes
        Bytes per store in `consecutive`.
    """

    def __init__(self, state: DriverState, store_bytes: int) -> None:
        self._state = state
        self._device = state.device
        self._store_bytes = store_bytes

    # -- one BAR, all BARs ---------------------------------------------------------------------------------------------

    async def one(self, bar: int) -> int:
        """BAR."""
        if not 0 <= bar < BAR_COUNT:
            return -errno.EINVAL
        if self._state.is_reserved(bar):
            return -errno.ENOBUFS
        size = self._tested_size(bar)
        return await self._fill_and_compare(bar, 0, size, 0xA0 + bar) if size else -errno.ENODATA

    async def consecutive(self) -> int:
        """BARS."""
        bars = [bar for bar in range(BAR_COUNT) if self._tested_size(bar) and not self._state.is_reserved(bar)]
        patterns = {bar: _numbered(bar, self._tested_size(bar)) for bar in bars}
        for bar, pattern in patterns.items():
            for offset in range(0, len(pattern), self._store_bytes):
                await self._store(bar, offset, pattern[offset : offset + self._store_bytes])
        for bar, pattern in patterns.items():
            for offset in range(0, len(pattern), self._store_bytes):
                expected = pattern[offset : offset + self._store_bytes]
                if await self._load(bar, offset, len(expected)) != expected:
                    return -errno.EIO
        return 0

    def _tested_size(self, bar: int) -> int:
        found = self._device.resources[bar]
        if found is None:
            return 0
        return _REGISTER_BAR_TESTED if bar == self._state.register_bar else found.size

    async def _fill_and_compare(self, bar: int, start: int, size: int, byte: int) -> int:
        for offset in range(start, start + size, _CHUNK):
            pattern = bytes([byte]) * min(_CHUNK, start + size - offset)
            await self._device.write(bar, offset, pattern)
            if await self._device.read(bar, offset, len(pattern)) != pattern:
                return -errno.EIO
        return 0

    async def _store(self, bar: int, offset: int, data: bytes) -> None:
        if len(data) == 4:
            await self._device.write32(bar, offset, int.from_bytes(data, "little"))
        else:
            await self._device.write(bar, offset, data)

    async def _load(self, bar: int, offset: int, length: int) -> bytes:
        if length == 4:
            return (await self._device.read32(bar, offset)).to_bytes(4, "little")
        return await self._device.read(bar, offset, length)

    # -- subranges -----------------------------------------------------------------------------------------------------

    async def subranges(self, bar: int) -> int:
        """BAR_SUBRANGE."""
        if not 0 <= bar < BAR_COUNT:
            return -errno.EINVAL
        if self._state.is_reserved(bar):
            return -errno.ENOBUFS
        if not self._state.caps & Capability.SUBRANGE_MAPPING:
            return -errno.EOPNOTSUPP
        if bar == self._state.register_bar:
            return -errno.EBUSY
        found = self._device.resources[bar]
        if found is None:
            return -errno.ENODATA
        error = await self._subrange_command(Command.SUBRANGE_SETUP, bar, *_SETUP_RESULT)
        if error:
            return error
        error = await self._check_halves(bar, found.size)
        cleared = await self._subrange_command(Command.SUBRANGE_CLEAR, bar, *_CLEAR_RESULT)
        return error or cleared

    async def _subrange_command(self, command: Command, bar: int, success: Status, fail: Status) -> int:
        state = self._state
        if not state.has_irq_type:
            return -errno.EINVAL
        state.rearm()
        await state.write(Register.STATUS, 0)
        await state.choose_irq()
        await state.write(Register.SIZE, bar)
        await state.write(Register.COMMAND, command)
        if not await state.irq_within_a_second():
            return -errno.ETIMEDOUT
        status = await state.read_status()
        if status & fail:
            return -errno.ENOSPC if status & Status.NO_RESOURCE else -errno.EIO
        return 0 if status & success else -errno.EIO

    async def _check_halves(self, bar: int, size: int) -> int:
        """Find the endpoint's signatures, fill both halves, and only then read both back."""
        half = size // _HALVES
        if size % _HALVES or half < 4:
            return -errno.EINVAL
        starts = [index * half for index in range(_HALVES)]
        for index, start in enumerate(starts):
            signature = int.from_bytes(bytes([0x50 + 8 * bar + index]) * 4, "little")
            for offset in (start, start + half - 4):
                if await self._device.read32(bar, offset) != signature:
                    return -errno.EIO
        for index, start in enumerate(starts):
            await self._fill(bar, start, half, 0xA0 + 8 * bar + index)
        for index, start in enumerate(starts):
            if not await self._is_filled(bar, start, half, 0xA0 + 8 * bar + index):
                return -errno.EIO
        return 0

    async def _fill(self, bar: int, start: int, size: int, byte: int) -> None:
        for offset in range(start, start + size, _CHUNK):
            await self._device.write(bar, offset, bytes([byte]) * min(_CHUNK, start + size - offset))

    async def _is_filled(self, bar: int, start: int, size: int, byte: int) -> bool:
        for offset in range(start, start + size, _CHUNK):
            length = min(_CHUNK, start + size - offset)
            if await self._device.read(bar, offset, length) != bytes([byte]) * length:
                return False
        return True


def _numbered(bar: int, size: int) -> bytes:
    """Return a BAR's dwords, each with the BAR's number on top and the low 24 bits of its own offset below."""
    first = (0xA0 + bar) << 24
    starts = range(0, size, _NUMBERED)
    counts = [min(_NUMBERED, size - start) // 4 for start in starts]
    return b"".join(struct.pack(f"<{count}I", *range(first, first + 4 * count, 4)) for count in counts)
