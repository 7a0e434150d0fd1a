"""The buses of both ends over a `ReferenceEndpoint`: every access takes its time and leaves a trace."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from ..platform import BusError, Platform
from .config_space import ConfigSpace
from .endpoint import BOUNDARY, ReferenceEndpoint
from .inbound import Refusal
from .outbound_path import OutboundPath

__all__ = [
    "Access",
    "CpuBus",
    "HostBus",
]


@dataclass(frozen=True)
class Access:
    """One access as it was made: ``"read"`` or ``"write"``, byte address, length in bytes, word if it was a dword."""

    kind: str
    address: int
    length: int
    value: int | None


def _requests(address: int, length: int, boundary: int = BOUNDARY) -> list[tuple[int, int]]:
    """Cut an access where a request has to end; return first byte and end of each piece."""
    cuts = range((address // boundary + 1) * boundary, address + length, boundary)
    edges = [address, *cuts, address + length]
    return list(pairwise(edges))


class _Base:
    """What both buses share: latency, a trace, dwords in terms of bursts."""

    def __init__(
        self, platform: Platform, endpoint: ReferenceEndpoint, settle: Callable[[], None], latency: float
    ) -> None:
        self._platform = platform
        self._endpoint = endpoint
        self._settle = settle
        self._latency = latency
        self.trace: list[Access] = []

    def _note(self, kind: str, address: int, data: bytes) -> None:
        value = int.from_bytes(data, "little") if len(data) == 4 else None
        self.trace.append(Access(kind, address, len(data), value))

    async def _pass_time(self, accesses: int = 1) -> None:
        await self._platform.sleep(self._latency * accesses)


class HostBus(_Base):
    """The host's memory bus: BAR decoding, then the endpoint.

    Attributes
    ----------
    trace
        Every access, in order.
    dropped
        Addresses of writes that no BAR claims.
    """

    def __init__(
        self,
        platform: Platform,
        endpoint: ReferenceEndpoint,
        config: ConfigSpace,
        settle: Callable[[], None],
        latency: float,
    ) -> None:
        super().__init__(platform, endpoint, settle, latency)
        self._config = config
        self.dropped: list[int] = []

    async def read32(self, address: int) -> int:
        """Read one dword."""
        return int.from_bytes(await self.read(address, 4), "little")

    async def write32(self, address: int, value: int) -> None:
        """Store one dword."""
        await self.write(address, value.to_bytes(4, "little"))

    async def read(self, address: int, length: int) -> bytes:
        """Read bytes; `BusError` UR when no BAR or no window claims them."""
        await self._pass_time()
        data = b""
        for at, end in _requests(address, length):
            target = self._config.decode(at)
            answer = Refusal("no BAR") if target is None else self._endpoint.host_read(*target, end - at, address=at)
            if isinstance(answer, Refusal):
                raise BusError("UR", at)
            data += answer
        self._note("read", address, data)
        self._settle()
        return data

    async def write(self, address: int, data: bytes) -> None:
        """Store bytes; quietly nothing when no BAR or no window claims them, as with any posted write."""
        await self._pass_time()
        self._note("write", address, data)
        for at, end in _requests(address, len(data)):
            target = self._config.decode(at)
            if target is None:
                self.dropped.append(at)
            else:
                self._endpoint.host_write(*target, data[at - address : end - address], address=at)
        self._settle()


class CpuBus(_Base):
    """The processor's bus: the endpoint's blocks, and the host behind the aperture.

    Attributes
    ----------
    trace
        Every access, in order. A burst to the host or to RAM is one access per 4 KiB that it touches.
    """

    def __init__(
        self,
        platform: Platform,
        endpoint: ReferenceEndpoint,
        outbound: OutboundPath,
        settle: Callable[[], None],
        latency: float,
    ) -> None:
        super().__init__(platform, endpoint, settle, latency)
        self._outbound = outbound

    async def read32(self, address: int) -> int:
        """Read one dword; `BusError` UR where nothing answers, and what `Cause` says beyond the aperture."""
        return int.from_bytes(await self._read_piece(address, 4), "little")

    async def write32(self, address: int, value: int) -> None:
        """Write one dword; errors as of `read32`, as far as a posted write has any."""
        await self._write_piece(address, value.to_bytes(4, "little"))

    async def read(self, address: int, length: int) -> bytes:
        """Read bytes: whole dwords of the endpoint's registers, bursts from the host and from RAM."""
        if self._bursts(address):
            pieces = [await self._read_piece(at, end - at) for at, end in _requests(address, length)]
            return b"".join(pieces)
        first = address & ~3
        words = [await self._read_piece(at, 4) for at in range(first, address + length, 4)]
        return b"".join(words)[address - first :][:length]

    async def write(self, address: int, data: bytes) -> None:
        """Write bytes; a dword that is not written whole is written with strobes."""
        boundary = BOUNDARY if self._bursts(address) else 4
        for at, end in _requests(address, len(data), boundary):
            await self._write_piece(at, data[at - address : end - address])

    async def _read_piece(self, address: int, length: int) -> bytes:
        await self._pass_time(-(-length // 4))
        if self._outbound.holds(address):
            data = await self._outbound.read(address, length)
        elif self._endpoint.cpu_finds_ram(address):
            data = self._endpoint.cpu_read_ram(address, length)
        else:
            self._check(address)
            data = self._endpoint.cpu_read32(address).to_bytes(4, "little")
        self._note("read", address, data)
        self._settle()
        return data

    async def _write_piece(self, address: int, data: bytes) -> None:
        await self._pass_time(-(-len(data) // 4))
        if self._outbound.holds(address):
            self._outbound.write(address, data)
            self._note("write", address, data)
            return
        self._check(address)
        self._note("write", address, data)
        if self._endpoint.cpu_finds_ram(address):
            self._endpoint.cpu_write_ram(address, data)
        else:
            lane = address & 3
            strobes = (1 << len(data)) - 1 << lane
            self._endpoint.cpu_write32(address & ~3, int.from_bytes(data, "little") << 8 * lane, strobes)
        self._settle()

    def _bursts(self, address: int) -> bool:
        return self._outbound.holds(address) or self._endpoint.cpu_finds_ram(address)

    def _check(self, address: int) -> None:
        if not self._endpoint.cpu_responds(address):
            raise BusError("UR", address)
