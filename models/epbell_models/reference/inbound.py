"""Inbound windows, by BAR and by address, and the guard behind them.

Register-compatible with the inbound regions of the DesignWare iATU, unroll layout: region i is at
``i * 0x200 + 0x100``. A window's registers come into force together, when its CTRL2 is written: a re-target is never
half done.
"""

from dataclasses import dataclass

from .address_map import AddressMap, Place
from .iatu import CTRL1, CTRL2, Refusal, Region, Regions

__all__ = [
    "Guard",
    "InboundWindows",
    "Landing",
    "Refusal",
]

_INBOUND = 0x100
_BAR_MATCH = 1 << 30
_FUNCTION_MATCH = 1 << 19
_CONTROL = 0x01F0_211F, 0xD048_0700


@dataclass(frozen=True)
class Landing:
    """Where a request ends up: the block and the endpoint-local address."""

    place: Place
    address: int


class InboundWindows(Regions):
    """The windows' registers and what they translate.

    A window in BAR match takes all of a BAR: the low bits of its target that the BAR's size covers count as zero. A
    window in address match takes PCI addresses from its base to its limit, so that several of them tile a BAR.

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
        super().__init__(windows, _INBOUND, _CONTROL)
        self._sizes = bar_sizes

    def translate(
        self, bar: int, function: int, offset: int, address: int | None = None, length: int = 1
    ) -> int | Refusal:
        """Return the local address of a request; the claiming window with the lowest number decides.

        Parameters
        ----------
        bar, function, offset
            BAR number, function number, byte offset in the BAR.
        address
            PCI address of the same byte; without it no window claims by address.
        length
            Bytes. A request that the same window does not claim from the first byte to the last reaches nothing.
        """
        first = self._claiming(bar, function, address)
        if first is None:
            return Refusal("no window claims it")
        last = None if address is None else address + length - 1
        if self._claiming(bar, function, last) is not first:
            return Refusal("it does not end within the window that claims its first byte")
        if first.registers[CTRL2] & _BAR_MATCH:
            return first.target & ~(self._sizes[bar] - 1) | offset
        assert address is not None
        return first.move(address)

    def match(self, bar: int, function: int, address: int | None) -> str | None:
        """Return how a byte is claimed: ``"BAR match"``, ``"address match"``, None if no window claims it."""
        region = self._claiming(bar, function, address)
        if region is None:
            return None
        return "BAR match" if region.registers[CTRL2] & _BAR_MATCH else "address match"

    def _claiming(self, bar: int, function: int, address: int | None) -> Region | None:
        return next((region for region in self.in_force if self._claims(region, bar, function, address)), None)

    def _claims(self, region: Region, bar: int, function: int, address: int | None) -> bool:
        control = region.registers[CTRL2]
        if not region.active or not self._sizes[bar]:
            return False
        if control & _FUNCTION_MATCH and region.registers[CTRL1] >> 20 & 0x1F != function:
            return False
        if control & _BAR_MATCH:
            return control >> 8 & 0x7 == bar
        return address is not None and region.holds(address)


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
