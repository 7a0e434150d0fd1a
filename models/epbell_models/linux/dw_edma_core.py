"""Registers of the two eDMA cores as their drivers use them (drivers/dma/dw-edma/dw-edma-v0-core.c, dw-hdma-v0-core.c).

A core knows how to quiet the engine, how to start a channel, what has happened and how to take note of it. Only the
older one emulates interrupts: any write to INT_STATUS asserts the line, a write to INT_CLEAR takes that back.
"""

import errno
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Protocol

from ..devicetree import EdmaNode
from ..platform import Bus

__all__ = [
    "NO_OFFSET",
    "EdmaCore",
    "EdmaWay",
    "Happened",
    "HdmaCore",
    "Note",
    "V0Core",
]

NO_OFFSET = 0xFFFF_FFFF
"""Offset of no doorbell."""

_MOST_CHANNELS = 8


class EdmaWay(Enum):
    """Direction of a channel: towards the host's memory, or from it."""

    WRITE = 0
    READ = 1


class Happened(Enum):
    """What a channel interrupts for."""

    DONE = 0
    ABORT = 1


Note = Callable[[EdmaWay, int, Happened], Awaitable[None]]
"""Awaited for what a channel interrupted for, after its bit is cleared."""


class EdmaCore(Protocol):
    """What the driver's common part asks of a core."""

    db_offset: int
    emulates: bool

    async def channels(self) -> tuple[int, int]:
        """Return the number of write and of read channels."""
        ...

    async def off(self) -> None:
        """Mask and clear everything, and disable the engines."""
        ...

    async def start(self, way: EdmaWay, channel: int) -> None:
        """Start a channel that interrupts the processor when it ends or aborts."""
        ...

    async def handle(self, way: EdmaWay, channels: Sequence[int], note: Note) -> bool:
        """Clear and note what these channels report; return whether that was anything."""
        ...

    async def ack_emulated_irq(self) -> int:
        """Deassert the line after a write to INT_STATUS; 0, or -EOPNOTSUPP where no write asserts it."""
        ...


class _Registers:
    """A page of registers on the processor's bus."""

    def __init__(self, bus: Bus, node: EdmaNode) -> None:
        self._bus = bus
        self._base = node.region.address + node.offset
        self._node = node

    async def _read(self, offset: int) -> int:
        return await self._bus.read32(self._base + offset)

    async def _write(self, offset: int, value: int) -> None:
        await self._bus.write32(self._base + offset, value)


# Offsets of the v0 map, write direction first.
_DMA_CTRL = 0x008
_ENGINE_EN = (0x00C, 0x02C)
_START = (0x010, 0x030)
_INT_STATUS = (0x04C, 0x0A0)
_INT_MASK = (0x054, 0x0A8)
_INT_CLEAR = (0x058, 0x0AC)
_LL_ERR_EN = (0x090, 0x0C4)
_VIEWPORT = 0x0FC
_VIEWPORT_READ = 1 << 31
_BANK = 0x100
_BLOCK = 0x200
_ALL = 0x00FF_00FF
_SHIFT = {Happened.DONE: 0, Happened.ABORT: 16}
_LIE, _CCS, _LLE = 1 << 3, 1 << 8, 1 << 9


class V0Core(_Registers):
    """The eDMA's core, with a block of registers per channel or one behind a viewport."""

    db_offset = _INT_STATUS[EdmaWay.READ.value]
    emulates = True

    async def channels(self) -> tuple[int, int]:
        """Return what DMA_CTRL says; none when nothing answers there."""
        value = await self._read(_DMA_CTRL)
        return (0, 0) if value == 0xFFFF_FFFF else (value & 0xF, value >> 16 & 0xF)

    async def off(self) -> None:
        """Mask and clear everything, and disable the engines. What was emulated before is gone, too."""
        for registers, value in ((_INT_MASK, _ALL), (_INT_CLEAR, _ALL), (_ENGINE_EN, 0)):
            for offset in registers:
                await self._write(offset, value)

    async def start(self, way: EdmaWay, channel: int) -> None:
        """Enable the engine, unmask the channel, let it interrupt, and start it.

        The kernel's channels have their interrupt enable in the last element of a linked list, from where the engine
        takes it into CONTROL1. There is no list here: it is written to CONTROL1.
        """
        which = way.value
        bits = 1 << channel | 1 << channel + 16
        await self._write(_ENGINE_EN[which], 1)
        await self._write(_INT_MASK[which], await self._read(_INT_MASK[which]) & ~bits)
        await self._write(_LL_ERR_EN[which], await self._read(_LL_ERR_EN[which]) | 1 << channel)
        await self._write(await self._block(way, channel), _CCS | _LLE | _LIE)
        await self._write(_START[which], channel)

    async def handle(self, way: EdmaWay, channels: Sequence[int], note: Note) -> bool:
        """Read INT_STATUS for DONE and handle that, then again for ABORT. What ends meanwhile shows once more."""
        handled = False
        for happened, shift in _SHIFT.items():
            value = await self._read(_INT_STATUS[way.value]) >> shift
            for channel in (channel for channel in channels if value >> channel & 1):
                await self._write(_INT_CLEAR[way.value], 1 << channel + shift)
                await note(way, channel, happened)
                handled = True
        return handled

    async def ack_emulated_irq(self) -> int:
        """Write zero to both INT_CLEARs: no channel loses anything."""
        for offset in _INT_CLEAR:
            await self._write(offset, 0)
        return 0

    async def _block(self, way: EdmaWay, channel: int) -> int:
        """Return where CONTROL1 of a channel is, after turning the viewport to it where there is one."""
        if self._node.personality != "legacy":
            return _BLOCK + 0x200 * channel + 0x100 * way.value
        await self._write(_VIEWPORT, channel | (_VIEWPORT_READ if way is EdmaWay.READ else 0))
        return _BANK


# Offsets in a channel's block of the native HDMA.
_H_ENABLE = 0x00
_H_START = 0x04
_H_STATUS = 0x84
_H_SETUP = 0x88
_H_CLEAR = 0x8C
_H_BIT = {Happened.DONE: 1 << 0, Happened.ABORT: 1 << 2}
_H_BOTH = 0x5
_H_LOCAL = 1 << 4 | 1 << 6


class HdmaCore(_Registers):
    """The native HDMA's core: nothing is common to the channels, and nothing is emulated."""

    db_offset = NO_OFFSET
    emulates = False

    async def channels(self) -> tuple[int, int]:
        """Return what the glue driver says: no register counts them."""
        return self._node.write_channels, self._node.read_channels

    async def off(self) -> None:
        """Mask and clear everything, and disable every channel that there could be; of a number, both at each step."""
        for channel in range(_MOST_CHANNELS):
            for offset, value in ((_H_SETUP, _H_BOTH), (_H_CLEAR, _H_BOTH), (_H_ENABLE, 0)):
                for way in EdmaWay:
                    await self._write(self._at(way, channel) + offset, value)

    async def start(self, way: EdmaWay, channel: int) -> None:
        """Enable the channel, let it interrupt, and start it."""
        block = self._at(way, channel)
        await self._write(block + _H_ENABLE, 1)
        await self._write(block + _H_SETUP, await self._read(block + _H_SETUP) & ~_H_BOTH | _H_LOCAL)
        await self._write(block + _H_START, 1)

    async def handle(self, way: EdmaWay, channels: Sequence[int], note: Note) -> bool:
        """Read each channel's INT_STAT once, and handle STOP, then ABORT of it."""
        handled = False
        for channel in channels:
            block = self._at(way, channel)
            value = await self._read(block + _H_STATUS)
            for happened, bit in _H_BIT.items():
                if value & bit:
                    await self._write(block + _H_CLEAR, bit)
                    await note(way, channel, happened)
                    handled = True
        return handled

    async def ack_emulated_irq(self) -> int:
        """Refuse: there is no such interrupt."""
        return -errno.EOPNOTSUPP

    def _at(self, way: EdmaWay, channel: int) -> int:
        return 0x200 * channel + 0x100 * way.value
