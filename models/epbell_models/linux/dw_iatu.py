"""The windows of a DesignWare controller: how many there are and how fine, and how one is programmed.

Follows drivers/pci/controller/dwc/pcie-designware.c, register by register, for the unroll layout of cores since 4.60a:
outbound region i is at ``i * 0x200``, inbound region i at ``i * 0x200 + 0x100``.
"""

import errno
from enum import Enum

from ..devicetree import Region
from ..platform import Bus, Platform

__all__ = [
    "DwIatu",
    "Way",
]

_STRIDE = 0x200
_CTRL1, _CTRL2 = 0x00, 0x04
_LOWER_BASE, _UPPER_BASE = 0x08, 0x0C
_LIMIT, _UPPER_LIMIT = 0x10, 0x20
_LOWER_TARGET, _UPPER_TARGET = 0x14, 0x18

_TYPE_MEM = 0
_INCREASE_REGION_SIZE = 1 << 13
_ENABLE = 1 << 31
_BAR_MODE = 1 << 30
_FUNC_MATCH = 1 << 19

_PROBE = 0x1111_0000
_MOST_REGIONS = 256
_ENABLE_RETRIES = 5
_ENABLE_WAIT = 9e-3
_LOW = 0xFFFF_FFFF


class Way(Enum):
    """Which way a window leads; the value is where its registers are in the region."""

    OUTBOUND = 0x000
    INBOUND = 0x100


class DwIatu:
    """The windows of one controller.

    Parameters
    ----------
    platform
        Time.
    bus
        The processor's bus.
    page
        Where the registers are.
    log
        Receives the driver's messages.

    Attributes
    ----------
    count
        Windows either way; none until they are detected.
    align
        What every base, target and size is a multiple of.
    limit
        A window must not cross a multiple of this plus one.
    """

    def __init__(self, platform: Platform, bus: Bus, page: Region, log: list[str]) -> None:
        self._platform = platform
        self._bus = bus
        self._page = page
        self._log = log
        self.count = {Way.OUTBOUND: 0, Way.INBOUND: 0}
        self.align = 1
        self.limit = _LOW

    async def detect(self) -> None:
        """Find out by writing and reading back how many windows there are, how fine they are, and how large.

        What is written comes into force with no window that is off.
        """
        for way in Way:
            self.count[way] = await self._count(way)
        way = next((way for way in Way if self.count[way]), None)
        if way is None:
            self._log.append("No iATU regions found")
            return
        await self._write(way, 0, _LIMIT, 0)
        self.align = 1 << (await self._read(way, 0, _LIMIT)).bit_length()
        await self._write(way, 0, _UPPER_LIMIT, _LOW)
        self.limit = await self._read(way, 0, _UPPER_LIMIT) << 32 | _LOW

    async def program_bar(self, index: int, bar: int, target: int, size: int) -> int:
        """Aim an inbound window at ``target`` for all of a BAR.

        -EINVAL when it cannot reach the target as it is aligned, -ETIMEDOUT when it does not come on.
        """
        if target % self.align or target % size:
            return -errno.EINVAL
        await self._write(Way.INBOUND, index, _LOWER_TARGET, target & _LOW)
        await self._write(Way.INBOUND, index, _UPPER_TARGET, target >> 32)
        await self._write(Way.INBOUND, index, _CTRL1, _TYPE_MEM)
        return await self._enable(Way.INBOUND, index, _FUNC_MATCH | _BAR_MODE | bar << 8)

    async def program(self, way: Way, index: int, base: int, target: int, size: int) -> int:
        """Send ``size`` addresses from ``base`` on to ``target``; errors as of `program_bar`.

        Inbound, the base is a PCI address and the target the processor's; outbound it is the other way round.
        """
        last = base + size - 1
        if size <= 0 or base % self.align or target % self.align or (base ^ last) & ~self.limit:
            return -errno.EINVAL
        await self._write(way, index, _LOWER_BASE, base & _LOW)
        await self._write(way, index, _UPPER_BASE, base >> 32)
        await self._write(way, index, _LIMIT, last & _LOW)
        await self._write(way, index, _UPPER_LIMIT, last >> 32)
        await self._write(way, index, _LOWER_TARGET, target & _LOW)
        await self._write(way, index, _UPPER_TARGET, target >> 32)
        grows = last >> 32 > base >> 32
        await self._write(way, index, _CTRL1, _TYPE_MEM | (_INCREASE_REGION_SIZE if grows else 0))
        return await self._enable(way, index, 0)

    async def disable(self, way: Way, index: int) -> None:
        """Switch a window off."""
        await self._write(way, index, _CTRL2, 0)

    async def _count(self, way: Way) -> int:
        most = min(self._page.size // _STRIDE, _MOST_REGIONS)
        for index in range(most):
            await self._write(way, index, _LOWER_TARGET, _PROBE)
            if await self._read(way, index, _LOWER_TARGET) != _PROBE:
                return index
        return most

    async def _enable(self, way: Way, index: int, control: int) -> int:
        await self._write(way, index, _CTRL2, _ENABLE | control)
        for _ in range(_ENABLE_RETRIES):
            if await self._read(way, index, _CTRL2) & _ENABLE:
                return 0
            await self._platform.sleep(_ENABLE_WAIT)
        self._log.append(f"{way.name.capitalize()} iATU is not being enabled")
        return -errno.ETIMEDOUT

    async def _read(self, way: Way, index: int, offset: int) -> int:
        return await self._bus.read32(self._page.address + index * _STRIDE + way.value + offset)

    async def _write(self, way: Way, index: int, offset: int, value: int) -> None:
        await self._bus.write32(self._page.address + index * _STRIDE + way.value + offset, value)
