"""The guest's memory as the endpoint reaches it: QEMU's own pages, shared.

QEMU tells where they are each time its memory map changes (some hundred times while a PC boots); what was mapped before
is forgotten then.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from epbell_tb.guest.port import HostFault
from epbell_tb.guest.proxy import Mapping

__all__ = [
    "GuestMemory",
]


@dataclass(frozen=True)
class _Region:
    place: range
    pages: mmap.mmap
    offset: int


class GuestMemory:
    """Bytes by physical address of the guest."""

    def __init__(self) -> None:
        self._regions: list[_Region] = []

    def map(self, mappings: Iterable[Mapping]) -> None:
        """Forget all that was mapped and map these regions; closes their descriptors.

        Raises
        ------
        OSError
            When a region cannot be mapped.
        """
        self.close()
        mappings = list(mappings)
        try:
            for mapping in mappings:
                if mapping.size:
                    self._regions.append(_map(mapping))
        finally:
            for mapping in mappings:
                os.close(mapping.descriptor)

    def close(self) -> None:
        """Forget all that was mapped."""
        for region in self._regions:
            region.pages.close()
        self._regions.clear()

    def read(self, address: int, length: int) -> bytes:
        """Return ``length`` bytes; raises `HostFault` unless all of them are there."""
        pieces = list(self._pieces(address, length))
        return b"".join(region.pages[start:stop] for region, start, stop in pieces)

    def write(self, address: int, data: bytes) -> None:
        """Write all of the bytes; raises `HostFault` and writes nothing unless all of them are there."""
        done = 0
        for region, start, stop in list(self._pieces(address, len(data))):
            region.pages[start:stop] = data[done : done + stop - start]
            done += stop - start

    def _pieces(self, address: int, length: int) -> Iterator[tuple[_Region, int, int]]:
        at, end = address, address + length
        while at < end:
            region = next((region for region in self._regions if at in region.place), None)
            if region is None:
                raise HostFault(address, length)
            stop = min(end, region.place.stop)
            first = at - region.place.start + region.offset
            yield region, first, first + stop - at
            at = stop


def _map(mapping: Mapping) -> _Region:
    """Map a region, from the page on in which it begins."""
    skip = mapping.offset % mmap.ALLOCATIONGRANULARITY
    pages = mmap.mmap(mapping.descriptor, mapping.size + skip, mmap.MAP_SHARED, offset=mapping.offset - skip)
    return _Region(range(mapping.address, mapping.address + mapping.size), pages, skip)
