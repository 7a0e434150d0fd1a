"""What the host keeps of configuration space while a function forgets it: pci_save_state and pci_restore_state.

Follows drivers/pci/pci.c: the header is written back from its end, base addresses before the command register, and only
where it differs; of PCI Express the control registers. MSI and MSI-X are written back from what their setup knows.
"""

from dataclasses import dataclass

from .config import PciConfig

__all__ = [
    "SavedState",
    "restore_state",
    "save_state",
]

_HEADER = 16
_ORDER = (range(10, 16), range(4, 10), range(4))
"""Dwords of the header as they are written back, each part from its end."""

_EXPRESS = 0x10
_CONTROLS = (0x08, 0x10, 0x28)
"""Device Control, Link Control and Device Control 2, each the lower half of its dword."""


@dataclass(frozen=True)
class SavedState:
    """The header, and the control registers of PCI Express by their offsets in configuration space."""

    header: tuple[int, ...]
    controls: tuple[tuple[int, int], ...]


async def save_state(config: PciConfig) -> SavedState:
    """Read what has to be restored."""
    header = [await config.read32(4 * index) for index in range(_HEADER)]
    express = await config.find_capability(_EXPRESS)
    places = [express + offset for offset in _CONTROLS] if express else []
    # The upper halves are status registers, in which a written one clears a bit.
    controls = [(place, await config.read32(place) & 0xFFFF) for place in places]
    return SavedState(tuple(header), tuple(controls))


async def restore_state(config: PciConfig, saved: SavedState) -> None:
    """Write it back."""
    for place, control in saved.controls:
        await config.write32(place, control)
    for part in _ORDER:
        for index in reversed(part):
            if await config.read32(4 * index) != saved.header[index]:
                await config.write32(4 * index, saved.header[index])
