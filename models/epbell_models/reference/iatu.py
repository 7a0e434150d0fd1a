"""What windows of both directions share: the registers of one region, and when they come into force.

Register-compatible with the DesignWare iATU, unroll layout: outbound region i is at ``i * 0x200``, inbound region i at
``i * 0x200 + 0x100``. A region's registers come into force together, when its CTRL2 is written: a re-target is never
half done.
"""

from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "CTRL1",
    "CTRL2",
    "GRANULE",
    "IatuPage",
    "Refusal",
    "Region",
    "Regions",
]

_STRIDE = 0x200

CTRL1, CTRL2 = 0x00, 0x04
_LOWER_BASE, _UPPER_BASE = 0x08, 0x0C
_LIMIT, _UPPER_LIMIT = 0x10, 0x20
_LOWER_TARGET, _UPPER_TARGET = 0x14, 0x18

_TYPE = 0x1F
_INCREASE_REGION_SIZE = 1 << 13
_ENABLE = 1 << 31

GRANULE = 0x1000
"""Bytes of the smallest region: base and target are multiples of it, a limit is one byte below."""

_LOW = GRANULE - 1
_ALL = 0xFFFF_FFFF

# Writable bits; what is missing reads zero, but for the limit, whose low bits say how fine the windows are. All of
# UPPER_LIMIT can be written: a region ends wherever it wants.
_ADDRESSES = {
    _LOWER_BASE: _ALL & ~_LOW,
    _UPPER_BASE: _ALL,
    _LIMIT: _ALL & ~_LOW,
    _LOWER_TARGET: _ALL & ~_LOW,
    _UPPER_TARGET: _ALL,
    _UPPER_LIMIT: _ALL,
}


@dataclass(frozen=True)
class Refusal:
    """A request that reaches nothing, and why."""

    reason: str


class Region:
    """The registers of one region, by their offsets.

    Parameters
    ----------
    registers
        Values by offset within the region, low bits of the limit not among them.
    """

    def __init__(self, registers: dict[int, int]) -> None:
        self.registers = registers

    @property
    def active(self) -> bool:
        """Whether it is enabled and translates memory requests."""
        return bool(self.registers[CTRL2] & _ENABLE) and not self.registers[CTRL1] & _TYPE

    @property
    def base(self) -> int:
        """First address that it claims."""
        return self.registers[_UPPER_BASE] << 32 | self.registers[_LOWER_BASE]

    @property
    def limit(self) -> int:
        """Last address that it claims; within the 4 GiB of the base unless INCREASE_REGION_SIZE is set."""
        grows = self.registers[CTRL1] & _INCREASE_REGION_SIZE
        return self.registers[_UPPER_LIMIT if grows else _UPPER_BASE] << 32 | self.registers[_LIMIT] | _LOW

    @property
    def target(self) -> int:
        """Where its first address goes."""
        return self.registers[_UPPER_TARGET] << 32 | self.registers[_LOWER_TARGET]

    def holds(self, address: int) -> bool:
        """Whether ``address`` is from base to limit; a limit below the base holds nothing."""
        return self.base <= address <= self.limit

    def move(self, address: int) -> int:
        """Return where ``address`` goes; addresses have 64 bits."""
        return self.target + address - self.base & 0xFFFF_FFFF_FFFF_FFFF


class Regions:
    """The registers of all regions of one direction.

    Parameters
    ----------
    count
        Number of regions, 1 to 16.
    first
        Offset of region 0 in the page.
    control
        Writable bits of CTRL1 and of CTRL2.

    Attributes
    ----------
    in_force
        The regions as they translate now; another tuple as soon as one of them is another one.
    """

    def __init__(self, count: int, first: int, control: tuple[int, int]) -> None:
        self._writable = {CTRL1: control[0], CTRL2: control[1], **_ADDRESSES}
        self._first = first
        self._registers = [dict.fromkeys(self._writable, 0) for _ in range(count)]
        self.in_force = self._nothing()

    def reset(self) -> None:
        """Switch every region off and zero its registers."""
        for registers in self._registers:
            registers.update(dict.fromkeys(self._writable, 0))
        self.in_force = self._nothing()

    def read32(self, offset: int) -> int:
        """Read a register; reserved offsets read zero."""
        region, register = self._locate(offset)
        if region is None:
            return 0
        return self._registers[region][register] | (_LOW if register == _LIMIT else 0)

    def write32(self, offset: int, value: int, strobes: int = 0xF) -> None:
        """Write the bytes of a register that ``strobes`` selects."""
        region, register = self._locate(offset)
        if region is None or not strobes:
            return
        mask = sum(0xFF << 8 * lane for lane in range(4) if strobes >> lane & 1) & self._writable[register]
        registers = self._registers[region]
        registers[register] = registers[register] & ~mask | value & mask
        if register == CTRL2 and registers != self.in_force[region].registers:
            self.in_force = (*self.in_force[:region], Region(dict(registers)), *self.in_force[region + 1 :])

    def _nothing(self) -> tuple[Region, ...]:
        return tuple(Region(dict.fromkeys(self._writable, 0)) for _ in self._registers)

    def _locate(self, offset: int) -> tuple[int | None, int]:
        region, rest = divmod(offset & ~3, _STRIDE)
        register = rest - self._first
        known = region < len(self._registers) and register in self._writable
        return (region if known else None), register


class _Registers(Protocol):
    def read32(self, offset: int) -> int: ...

    def write32(self, offset: int, value: int, strobes: int = 0xF) -> None: ...


class IatuPage:
    """The page with the registers of both directions.

    Parameters
    ----------
    inbound, outbound
        The windows; neither knows an offset of the other.
    """

    def __init__(self, inbound: _Registers, outbound: _Registers) -> None:
        self._windows = inbound, outbound

    def read32(self, offset: int) -> int:
        """Read a register; reserved offsets read zero."""
        inbound, outbound = self._windows
        return inbound.read32(offset) | outbound.read32(offset)

    def write32(self, offset: int, value: int, strobes: int = 0xF) -> None:
        """Write the bytes of a register that ``strobes`` selects."""
        for windows in self._windows:
            windows.write32(offset, value, strobes)
