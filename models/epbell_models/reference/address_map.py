"""Where things are inside the endpoint, and which of them the host may reach: the design's own table."""

from dataclasses import dataclass, replace

from ..devicetree import DeviceTree
from .edma import EdmaPage

__all__ = [
    "DEFAULT_MAP",
    "AddressMap",
    "Place",
]


@dataclass(frozen=True)
class Place:
    """One block: name, first byte, size in bytes, whether a window may expose it to the host.

    ``words`` are the offsets of the words that the host may reach if it is exposed; None for all of it.
    """

    name: str
    base: int
    size: int
    exposed: bool
    words: tuple[int, ...] | None = None

    def __contains__(self, address: int) -> bool:
        return self.base <= address < self.base + self.size


@dataclass(frozen=True)
class AddressMap:
    """Blocks of the endpoint; the names are ``mu_a mu_b controller edma iatu ram``.

    ``outbound`` is the aperture through which the processor reaches the host. It is no block: no request of the host
    lands there, and `find` does not know it.
    """

    places: tuple[Place, ...]
    outbound: Place = Place("outbound", 0x7000_0000, 0x1000_0000, False)

    def find(self, address: int) -> Place | None:
        """Return the block that holds ``address``."""
        for place in self.places:
            if place.base <= address < place.base + place.size:
                return place
        return None

    def __getitem__(self, name: str) -> Place:
        return next(place for place in (*self.places, self.outbound) if place.name == name)

    def with_words(self, name: str, words: tuple[int, ...]) -> "AddressMap":
        """Return this map with other reachable words of one block."""
        places = tuple(replace(place, words=words) if place.name == name else place for place in self.places)
        return replace(self, places=places)

    @staticmethod
    def of(tree: DeviceTree) -> "AddressMap":
        """Return the map that a device tree describes.

        A tree may do without Messaging Unit, and without aperture. The hardware has both all the same, where the
        default map has them.
        """
        endpoint, edma = tree.endpoint, tree.endpoint.edma
        words = EdmaPage.of(edma).doorbells
        places = (
            *_sides(tree),
            Place("controller", endpoint.regs.address, endpoint.regs.size, False),
            Place("edma", edma.region.address, edma.region.size, True, words),
            Place("iatu", endpoint.atu.address, endpoint.atu.size, False),
            Place("ram", endpoint.memory.address, endpoint.memory.size, True),
        )
        space = endpoint.addr_space
        if space is None:
            return AddressMap(places)
        return AddressMap(places, Place("outbound", space.address, space.size, False))


def _sides(tree: DeviceTree) -> tuple[Place, Place]:
    if not tree.messaging_units:
        return DEFAULT_MAP["mu_a"], DEFAULT_MAP["mu_b"]
    unit = tree.messaging_units[0]
    return (
        Place("mu_a", unit.a.address, unit.a.size, False),
        Place("mu_b", unit.b.address, unit.b.size, True),
    )


DEFAULT_MAP = AddressMap((
    Place("mu_a", 0x5D27_0000, 0x1_0000, False),
    Place("mu_b", 0x5D30_0000, 0x1_0000, True),
    Place("controller", 0x5F01_0000, 0x1_0000, False),
    Place("edma", 0x5F09_0000, 0x1_0000, True, (0x4C, 0xA0)),
    Place("iatu", 0x5F31_0000, 0x1_0000, False),
    Place("ram", 0x6000_0000, 0x20_0000, True),
))
