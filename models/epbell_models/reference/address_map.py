"""Where things are inside the endpoint, and which of them the host may reach: the design's own table."""

from dataclasses import dataclass

from ..devicetree import DeviceTree

__all__ = [
    "DEFAULT_MAP",
    "AddressMap",
    "Place",
]


@dataclass(frozen=True)
class Place:
    """One block: name, first byte, size in bytes, whether a window may expose it to the host."""

    name: str
    base: int
    size: int
    exposed: bool


@dataclass(frozen=True)
class AddressMap:
    """Blocks of the endpoint; the names are ``mu_a mu_b controller iatu ram``.

    The eDMA page has a place in the design but no block behind it yet: nothing answers there.
    """

    places: tuple[Place, ...]

    def find(self, address: int) -> Place | None:
        """Return the block that holds ``address``."""
        return next((place for place in self.places if place.base <= address < place.base + place.size), None)

    def __getitem__(self, name: str) -> Place:
        return next(place for place in self.places if place.name == name)

    @staticmethod
    def of(tree: DeviceTree) -> "AddressMap":
        """Return the map that a device tree describes."""
        unit, endpoint = tree.messaging_units[0], tree.endpoint
        return AddressMap((
            Place("mu_a", unit.a.address, unit.a.size, False),
            Place("mu_b", unit.b.address, unit.b.size, True),
            Place("controller", endpoint.regs.address, endpoint.regs.size, False),
            Place("iatu", endpoint.atu.address, endpoint.atu.size, False),
            Place("ram", endpoint.memory.address, endpoint.memory.size, True),
        ))


DEFAULT_MAP = AddressMap((
    Place("mu_a", 0x5D27_0000, 0x1_0000, False),
    Place("mu_b", 0x5D30_0000, 0x1_0000, True),
    Place("controller", 0x5F01_0000, 0x1_0000, False),
    Place("iatu", 0x5F31_0000, 0x1_0000, False),
    Place("ram", 0x6000_0000, 0x20_0000, True),
))
