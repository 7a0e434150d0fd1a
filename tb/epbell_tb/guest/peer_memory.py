"""Memory of the second guest behind the endpoint's memory windows.

A window of pci-epf-vntb shows RAM of the endpoint to the host; the guest on the other side of the bridge wants its own
memory there. The endpoint's processor copies what the host has written, in the order in which it was written: before a
doorbell is passed on, and after some milliseconds without one. Nothing is copied the other way: what the host reads in
its window is what it has written there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from epbell_models.ntb import NtbClient, NtbDevice
from epbell_models.platform import Platform
from epbell_tb.guest.bell_times import BellTimes
from epbell_tb.guest.port import Endpoint, HostFault, HostSide

__all__ = [
    "PeerMemory",
    "Place",
    "WatchedEndpoint",
]

_PATIENCE_S = 5e-3


class PeerMemory:
    """The memory behind one window, and the client of the bridge that passes its events on.

    Parameters
    ----------
    platform
        Time and concurrency.
    bridge
        The bridge as the endpoint sees it.
    guest
        The second guest.
    bells
        Is told when the bridge tells of a doorbell.

    Attributes
    ----------
    client
        Who is told of the bridge's events, None for nobody.
    copied
        Bytes that the processor has copied.
    """

    def __init__(self, platform: Platform, bridge: NtbDevice, guest: HostSide, bells: BellTimes) -> None:
        self.copied = 0
        self._bells = bells
        self.client: NtbClient | None = None
        self._platform = platform
        self._bridge = bridge
        self._guest = guest
        self._local = self._remote = self._size = 0
        self._written: deque[range] = deque()
        self._rung: deque[int] = deque()
        self._work, self._bell = platform.event(), platform.event()

    def start(self) -> None:
        """Begin to copy."""
        self._platform.spawn(self._run(), "peer's memory")

    def show(self, address: int, size: int) -> int:
        """Return where the bridge finds memory of the guest: RAM of the endpoint's, allocated for it."""
        if size != self._size:
            if self._size:
                self._bridge.dma_free(self._local)
            local = self._bridge.dma_alloc(size) if size else 0
            if local is None:
                raise RuntimeError(f"The endpoint's RAM has no room for a memory window of {size:#x} bytes")
            self._local, self._size = local, size
        self._remote = address
        self._written.clear()
        return self._local

    def written(self, offset: int, length: int) -> None:
        """Take note that the host has written bytes of the window."""
        if self._written and self._written[-1].stop == offset:
            self._written[-1] = range(self._written[-1].start, offset + length)
        else:
            self._written.append(range(offset, offset + length))
        self._work.set()

    def link_event(self) -> None:
        """Pass it on."""
        if self.client is not None:
            self.client.link_event()

    def db_event(self, vector: int) -> None:
        """Pass it on when what was written before has been copied."""
        self._bells.heard()
        self._rung.append(vector)
        self._bell.set()
        self._work.set()

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            await self._bell.wait(_PATIENCE_S)
            self._bell.clear()
            rung = [self._rung.popleft() for _ in range(len(self._rung))]
            await self._copy()
            for vector in rung:
                if self.client is not None:
                    self.client.db_event(vector)

    async def _copy(self) -> None:
        for _ in range(len(self._written)):
            if not self._written:
                return
            part = self._written.popleft()
            if part.stop > self._size:
                continue
            first, last = part.start & ~3, -(-part.stop // 4) * 4
            data = await self._bridge.dma_read(self._local + first, last - first)
            try:
                self._guest.write(self._remote + part.start, data[part.start - first :][: len(part)])
            except HostFault:
                return
            self.copied += len(part)


class WatchedEndpoint:
    """The host's side of an endpoint, an `Endpoint`: `PeerMemory` hears of its window's writes, `BellTimes` of rings.

    Parameters
    ----------
    endpoint
        What answers.
    memory, window
        Who is told of writes to the memory window, and the BAR of that.
    bells, doorbells
        Who is told of writes to the doorbells, and their BAR.
    """

    def __init__(
        self, endpoint: Endpoint, memory: PeerMemory, window: Place, bells: BellTimes, doorbells: Place
    ) -> None:
        self._endpoint = endpoint
        self._memory, self._window = memory, window
        self._bells, self._doorbells = bells, doorbells
        self.config_read = endpoint.config_read
        self.config_write = endpoint.config_write
        self.memory_read = endpoint.memory_read
        self.reset = endpoint.reset

    async def memory_write(self, address: int, data: bytes) -> None:
        """Write bytes behind the BARs."""
        if self._doorbells.offset(address) is not None:
            self._bells.rung()
        await self._endpoint.memory_write(address, data)
        offset = self._window.offset(address)
        if offset is not None:
            self._memory.written(offset, len(data))


@dataclass(frozen=True)
class Place:
    """Where a BAR is: what returns its address, 0 for none, and its bytes."""

    address: Callable[[], int]
    size: int

    def offset(self, address: int) -> int | None:
        """Return which byte of the BAR an address is; None if it is none of it."""
        start = self.address()
        return address - start if start and start <= address < start + self.size else None
