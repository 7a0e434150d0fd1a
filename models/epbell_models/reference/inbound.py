"""Inbound windows in BAR-match mode, and the guard behind them.

Register-compatible with the inbound regions of the DesignWare iATU, unroll layout: region i is at
``i * 0x200 + 0x100``. A window's registers come into force together, when its CTRL2 is written: a re-target is never
half done.
"""

from dataclasses import dataclass

from .address_map import AddressMap, Place

__all__ = [
    "Guard",
    "InboundWindows",
    "Landing",
    "Refusal",
]

_STRIDE = 0x200
_INBOUND = 0x100
_CTRL1 = 0x00
_CTRL2 = 0x04
_LIMIT = 0x10
_LOWER_TARGET = 0x14
_UPPER_TARGET = 0x18
_TYPE = 0x1F
_ENABLE = 1 << 31
_BAR_MATCH = 1 << 30
_FUNCTION_MATCH = 1 << 19
_GRANULE = 0xFFF

# Writable bits; what is missing reads zero, but for the limit, whose low bits say how fine the windows are.
_WRITABLE = {
    _CTRL1: 0x01F0_211F,
    _CTRL2: 0xD048_0700,
    0x08: 0xFFFF_F000,
    0x0C: 0xFFFF_FFFF,
    _LIMIT: 0xFFFF_F000,
    _LOWER_TARGET: 0xFFFF_F000,
    _UPPER_TARGET: 0xFFFF_FFFF,
    0x20: 0xFFFF_FFFF,
}


@dataclass(frozen=True)
class Refusal:
    """A request that reaches nothing, and why."""

    reason: str


@dataclass(frozen=True)
class Landing:
    """Where a request ends up: the block and the endpoint-local address."""

    place: Place
    address: int


class InboundWindows:
    """The windows' registers and what they translate.

    Parameters
    ----------
    bar_sizes
        Sizes in bytes of the six BARs, 0 for one that does not exist.
    windows
        Number of inbound regions, 1 to 16.
    """

    def __init__(self, bar_sizes: tuple[int, ...], windows: int = 6) -> None:
        if not 1 <= windows <= 16:
            raise ValueError(f"An endpoint has 1 to 16 inbound windows, not {windows!r}")
        self._sizes = bar_sizes
        self._registers = [dict.fromkeys(_WRITABLE, 0) for _ in range(windows)]
        self._in_force = [dict.fromkeys(_WRITABLE, 0) for _ in range(windows)]

    def reset(self) -> None:
        """Switch every window off and zero its registers."""
        for registers in (*self._registers, *self._in_force):
            registers.update(dict.fromkeys(_WRITABLE, 0))

    def read32(self, offset: int) -> int:
        """Read a register; reserved offsets read zero."""
        window, register = self._locate(offset)
        if window is None:
            return 0
        return self._registers[window][register] | (_GRANULE if register == _LIMIT else 0)

    def write32(self, offset: int, value: int, strobes: int = 0xF) -> None:
        """Write the bytes of a register that ``strobes`` selects."""
        window, register = self._locate(offset)
        if window is None or not strobes:
            return
        mask = sum(0xFF << 8 * lane for lane in range(4) if strobes >> lane & 1) & _WRITABLE[register]
        registers = self._registers[window]
        registers[register] = registers[register] & ~mask | value & mask
        if register == _CTRL2:
            self._in_force[window] = dict(registers)

    def translate(self, bar: int, function: int, offset: int) -> int | Refusal:
        """Return the local address of a byte of a BAR; the claiming window with the lowest number decides."""
        for registers in self._in_force:
            if self._claims(registers, bar, function):
                base = registers[_UPPER_TARGET] << 32 | registers[_LOWER_TARGET]
                return base & ~(self._sizes[bar] - 1) | offset
        return Refusal("no window claims it")

    def _claims(self, registers: dict[int, int], bar: int, function: int) -> bool:
        control = registers[_CTRL2]
        if not control & _ENABLE or not control & _BAR_MATCH or registers[_CTRL1] & _TYPE or not self._sizes[bar]:
            return False
        if control & _FUNCTION_MATCH and registers[_CTRL1] >> 20 & 0x1F != function:
            return False
        return control >> 8 & 0x7 == bar

    def _locate(self, offset: int) -> tuple[int | None, int]:
        window, rest = divmod(offset & ~3, _STRIDE)
        register = rest - _INBOUND
        known = window < len(self._registers) and register in _WRITABLE
        return (window if known else None), register


class Guard:
    """Decides what a window may expose.

    Parameters
    ----------
    map
        The endpoint's address map.
    enabled
        Whether only the blocks marked ``exposed`` are reachable, and of a block with ``words`` only these, by requests
        of exactly one dword. Without it everything in an aligned window is, as on silicon.
    """

    def __init__(self, map: AddressMap, enabled: bool = True) -> None:
        self._map = map
        self._enabled = enabled

    def check(self, address: int, length: int = 4) -> Landing | Refusal:
        """Return where a request of ``length`` bytes at a local address lands."""
        place = self._map.find(address)
        if place is None:
            return Refusal(f"nothing is at {address:#x}")
        if self._enabled and not place.exposed:
            return Refusal(f"the guard keeps the host out of {place.name}")
        if self._enabled and place.words is not None and not _is_one_of(place, address, length):
            return Refusal(f"the guard lets the host reach single doorbell words of {place.name} only")
        return Landing(place, address)


def _is_one_of(place: Place, address: int, length: int) -> bool:
    """Return whether a request is for one dword, and that for a word that the host may reach."""
    first, last = address & ~3, address + length - 1 & ~3
    return first == last and place.words is not None and first - place.base in place.words
