"""What the random traffic finds: BARs and what they are for, windows, pages, the words that ring."""

from __future__ import annotations

from dataclasses import dataclass

from epbell_models.devicetree import DeviceTree
from epbell_models.reference.address_map import AddressMap
from epbell_models.reference.edma import EdmaPage
from epbell_tb.bar_sets import BAR_SETS
from epbell_tb.mu_traffic import Registers

__all__ = [
    "FILLED",
    "GRANULE",
    "HOST_PAGES",
    "VECTORS",
    "Ground",
]

GRANULE = 0x1000
VECTORS = 16
"""MSI-X vectors of the function; it has all 32 MSIs."""

FILLED = 0x800
"""Bytes of each BAR with memory that are written before all else, and where most requests go."""

HOST_PAGES = (0x2000_0000, 0x2000_1000, 0xFFFF_F000, 0x1_0000_0000, 0x7_1234_5000)
"""Pages that the CPU may reach, below 4 GiB and above. One more is nobody's."""

_TABLE_BAR, _BELL_BAR = 0, 2
_BELL_WINDOWS = (1, 4)
_FEW = 8
"""With fewer windows the Messaging Unit has one, so that every BAR may have one."""
_AREAS = (0x1_0000, 0x2_0000, 0x3_0000)
_DEFAULT_LAYOUT = "imx8ulp"


@dataclass(frozen=True)
class Ground:
    """The endpoint of a device tree.

    Attributes
    ----------
    sizes : tuple of int
        Of the BARs, 0 for none.
    table_bar, bell_bar : int
        The BAR of the MSI-X table, and the one that may lead to the Messaging Unit: a store elsewhere never resets it.
    kick_bar : int or None
        The one that begins as the eDMA's.
    windows, outbound : int
        How many windows there are, each way.
    bell_windows : tuple of int
        Those of ``bell_bar``, and of no other.
    fixed_bar : int or None
        The BAR that shows the eDMA whatever the windows say.
    map : AddressMap
        Where the CPU finds what.
    layout : str
        Of the Messaging Unit.
    words : tuple of int
        Offsets of the eDMA's words that ring.
    channels : tuple of int
        How many channels the eDMA has that write, and that read.
    """

    sizes: tuple[int, ...]
    table_bar: int
    bell_bar: int
    kick_bar: int | None
    windows: int
    outbound: int
    bell_windows: tuple[int, ...]
    fixed_bar: int | None
    map: AddressMap
    layout: str
    words: tuple[int, ...]
    channels: tuple[int, int]

    @staticmethod
    def of(tree: DeviceTree, bars: str) -> Ground:
        """Return that of a device tree with a set of BARs."""
        sizes = tuple(bar.size if bar else 0 for bar in BAR_SETS[bars])
        endpoint, edma = tree.endpoint, tree.endpoint.edma
        units = tree.messaging_units
        words = EdmaPage.of(edma).doorbells
        free = [bar for bar, size in enumerate(sizes) if size and bar not in (_TABLE_BAR, _BELL_BAR)]
        kick = endpoint.fixed_bar if endpoint.fixed_bar is not None else free[0]
        bells = _BELL_WINDOWS[: 1 + (endpoint.inbound_windows >= _FEW)]
        return Ground(
            sizes, _TABLE_BAR, _BELL_BAR, kick if words else None, endpoint.inbound_windows,
            endpoint.outbound_windows, bells, endpoint.fixed_bar, AddressMap.of(tree),
            (units[0].layout if units else None) or _DEFAULT_LAYOUT, words,
            (edma.write_channels, edma.read_channels),
        )  # fmt: skip

    @property
    def bars(self) -> tuple[int, ...]:
        """Numbers of the BARs that there are."""
        return tuple(bar for bar, size in enumerate(self.sizes) if size)

    @property
    def registers(self) -> Registers:
        """Where the Messaging Unit has its bits."""
        return Registers(self.layout)

    @property
    def areas(self) -> tuple[int, ...]:
        """Offsets in the RAM that windows lead to; the MSI-X table is in none of them."""
        return _AREAS

    def filled(self, bar: int) -> int | None:
        """Return from where on a BAR is memory whose bytes are all known in the beginning, None if it is none."""
        if self.start_window(bar) is None or self.start_target(bar)[0] != "ram":
            return None
        return GRANULE if bar == self.table_bar else 0

    @property
    def forbidden(self) -> range:
        """Offsets in the page of the doorbells that no random store touches: what resets the unit, and controls it."""
        registers = self.registers
        start = registers.home("MUR")
        return range(start & ~0x3F, (start & ~0x3F) + 0x40)

    def start_window(self, bar: int) -> int | None:
        """Return the number of the window that begins as a BAR's, None for the fixed one."""
        if bar == self.fixed_bar:
            return None
        if bar == self.bell_bar:
            return self.bell_windows[0]
        others = [number for number in range(self.windows) if number not in self.bell_windows]
        rest = [one for one in self.bars if one not in (self.bell_bar, self.fixed_bar)]
        at = rest.index(bar)
        return others[at] if at < len(others) else None

    def start_target(self, bar: int) -> tuple[str, int]:
        """Return where a BAR leads in the beginning: a place and an offset in it."""
        if bar == self.bell_bar:
            return "mu_b", 0
        if bar == self.kick_bar:
            return "edma", 0
        if bar == self.table_bar:
            return "ram", 0
        return "ram", _AREAS[bar % len(_AREAS)]
