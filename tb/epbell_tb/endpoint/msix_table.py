"""An MSI-X table and its pending bits anywhere in RAM, by hand: entries, masks, raised vectors, what is pending."""

from collections.abc import Iterable
from random import Random

from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.windows import Window

__all__ = [
    "ENTRY",
    "MOST",
    "MsixTable",
    "control_of",
    "put",
    "raise_vectors",
    "somewhere",
]

ENTRY, MOST = 16, 2048
"""Bytes of an entry, and most entries of a table; PCI Express Base 6.0, section 7.7.2."""

_BAR = 2
_CONTROL, _WORD = 12, 8
_ON = 1 << 31
_SMALL = 1 << 16
_BITS = 32


class MsixTable:
    """A table with room for `MOST` vectors and its pending bits, at random places that do not overlap.

    Parameters
    ----------
    env
        The environment; its random source decides where.
    last
        Number of the last vector; None: any, of small tables more than of large ones.

    Attributes
    ----------
    base, pending_base : int
        Addresses in the endpoint.
    last : int
        Number of the last vector.
    """

    def __init__(self, env: EndpointEnv, last: int | None = None) -> None:
        self._env = env
        source, ram = env.random, env.board.map["ram"]
        self.last = min(MOST - 1, int(2 ** source.uniform(0, 11))) if last is None else last
        self.base = ram.base + source.randrange(0, ram.size // 2 - ENTRY * MOST, _WORD)
        self.pending_base = ram.base + ram.size // 2 + source.randrange(0, ram.size // 2 - MOST, _WORD)
        if source.random() < 0.5:
            self.base, self.pending_base = self.pending_base & -_SMALL, self.base

    async def on(self) -> None:
        """Let the endpoint use it; before that, MSIX_SIZE has to be 0."""
        for name, value in (("TABLE", self.base), ("PBA", self.pending_base), ("SIZE", _ON | self.last)):
            await self._env.counters.write(f"MSIX_{name}", value)

    async def message(self, vector: int, *, masked: bool = False) -> None:
        """Let the host write an entry: some data to somewhere."""
        env = self._env
        word = env.random.getrandbits(32)
        entry = (word << 64 | somewhere(env)).to_bytes(_CONTROL, "little") + control_of(env.random, masked=masked)
        for start in range(0, ENTRY, _WORD):  # one of 16 bytes may cross 4 KiB
            await put(env, self.base + ENTRY * vector + start, entry[start : start + _WORD])

    async def mask(self, vector: int, masked: bool) -> None:
        """Let the host write the Vector Control of an entry."""
        await put(self._env, self.base + ENTRY * vector + _CONTROL, control_of(self._env.random, masked=masked))

    async def pending(self) -> list[int]:
        """Return the vectors whose bits in the array are 1, as the CPU sees it."""
        found: list[int] = []
        for first in range(0, (self.last // 64 + 1) * 64, _BITS):
            word = await self._env.cpu.read32(self.pending_base + first // 8)
            found += [first + bit for bit in range(_BITS) if word >> bit & 1]
        return found


async def raise_vectors(env: EndpointEnv, vectors: Iterable[int]) -> None:
    """Let the CPU raise vectors, one after the other."""
    for vector in vectors:
        await env.counters.write("MSIX_RAISE", vector)


async def put(env: EndpointEnv, local: int, data: bytes) -> None:
    """Let the host write to an address in the endpoint, and wait until that is done; window 0 shows it."""
    size = env.bar_sizes[_BAR]
    await Window(env, 0).bar(_BAR, local & -size)
    place = env.address(_BAR, local % size)
    await env.memory.write(place, data)
    await env.memory.complete(memory_request(place, None, 4))


def control_of(source: Random, *, masked: bool) -> bytes:
    """Return the bytes of a Vector Control: all its bits but the mask say nothing to the endpoint."""
    return (source.getrandbits(32) & ~1 | masked).to_bytes(4, "little")


def somewhere(env: EndpointEnv) -> int:
    """Return the address of a dword anywhere in 64 bits but where the endpoint itself is."""
    windows = (env.port.mem_base, env.port.mem_limit), (env.port.prefetchable_mem_base, env.port.prefetchable_mem_limit)
    while True:
        address = env.random.getrandbits(env.random.choice((32, 64))) & ~3
        if not any(first <= address <= last for first, last in windows):
            return address
