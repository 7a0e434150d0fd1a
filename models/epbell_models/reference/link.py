"""Host and processor attached to a `ReferenceEndpoint`: buses that take time, interrupt lines, MSIs on their way.

With it the software models of both ends run against plain Python. Every access takes its latency before it is done, so
that tasks interleave as they would on two machines.
"""

from dataclasses import dataclass
from itertools import pairwise

from ..host.msi import MsiController
from ..platform import BusError, DrivenIrqLine, Platform
from .config_space import ConfigSpace
from .endpoint import BOUNDARY, ReferenceEndpoint
from .inbound import Refusal

__all__ = [
    "Access",
    "CpuBus",
    "HostBus",
    "ReferenceLink",
]


@dataclass(frozen=True)
class Access:
    """One access as it was made: ``"read"`` or ``"write"``, byte address, length in bytes, word if it was a dword."""

    kind: str
    address: int
    length: int
    value: int | None


def _requests(address: int, length: int) -> list[tuple[int, int]]:
    """Cut an access where a request has to end; return first byte and end of each piece."""
    cuts = range((address // BOUNDARY + 1) * BOUNDARY, address + length, BOUNDARY)
    edges = [address, *cuts, address + length]
    return list(pairwise(edges))


class _Base:
    """What both buses share: latency, a trace, dwords in terms of bursts."""

    def __init__(self, link: "ReferenceLink", latency: float) -> None:
        self._link = link
        self._latency = latency
        self.trace: list[Access] = []

    def _note(self, kind: str, address: int, data: bytes) -> None:
        value = int.from_bytes(data, "little") if len(data) == 4 else None
        self.trace.append(Access(kind, address, len(data), value))

    async def _pass_time(self) -> None:
        await self._link.platform.sleep(self._latency)


class HostBus(_Base):
    """The host's memory bus: BAR decoding, then the endpoint.

    Attributes
    ----------
    trace
        Every access, in order.
    dropped
        Addresses of writes that no BAR claims.
    """

    def __init__(self, link: "ReferenceLink", latency: float) -> None:
        super().__init__(link, latency)
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
            target = self._link.config.decode(at)
            answer = Refusal("no BAR") if target is None else self._link.endpoint.host_read(*target, end - at)
            if isinstance(answer, Refusal):
                raise BusError("UR", at)
            data += answer
        self._note("read", address, data)
        self._link.settle()
        return data

    async def write(self, address: int, data: bytes) -> None:
        """Store bytes; quietly nothing when no BAR or no window claims them, as with any posted write."""
        await self._pass_time()
        self._note("write", address, data)
        for at, end in _requests(address, len(data)):
            target = self._link.config.decode(at)
            if target is None:
                self.dropped.append(at)
            else:
                self._link.endpoint.host_write(*target, data[at - address : end - address])
        self._link.settle()


class CpuBus(_Base):
    """The processor's bus.

    Attributes
    ----------
    trace
        Every access, in order.
    """

    async def read32(self, address: int) -> int:
        """Read one dword; `BusError` UR where nothing answers."""
        await self._pass_time()
        if not self._link.endpoint.cpu_responds(address):
            raise BusError("UR", address)
        value = self._link.endpoint.cpu_read32(address)
        self._note("read", address, value.to_bytes(4, "little"))
        self._link.settle()
        return value

    async def write32(self, address: int, value: int) -> None:
        """Write one dword; `BusError` UR where nothing answers."""
        await self._pass_time()
        if not self._link.endpoint.cpu_responds(address):
            raise BusError("UR", address)
        self._note("write", address, value.to_bytes(4, "little"))
        self._link.endpoint.cpu_write32(address, value)
        self._link.settle()

    async def read(self, address: int, length: int) -> bytes:
        """Read bytes, dword by dword."""
        first = address & ~3
        words = [await self.read32(at) for at in range(first, address + length, 4)]
        return b"".join(word.to_bytes(4, "little") for word in words)[address - first :][:length]

    async def write(self, address: int, data: bytes) -> None:
        """Write whole dwords."""
        if address % 4 or len(data) % 4:
            raise ValueError(f"The processor writes whole dwords, not {len(data)} bytes at {address:#x}")
        for at in range(0, len(data), 4):
            await self.write32(address + at, int.from_bytes(data[at : at + 4], "little"))


class ReferenceLink:
    """A host and a processor around one endpoint; also the `PciFunction` that the host's driver core wants.

    Parameters
    ----------
    platform
        Time and concurrency.
    endpoint
        The endpoint.
    wide_bars
        BARs that are the lower half of a 64-bit pair.
    msi_vectors_log2
        Log2 of the MSI vectors that the function offers.
    lines
        Number of the eDMA's interrupt lines; None for as many as the endpoint has.
    host_latency, cpu_latency, msi_latency
        Seconds that one access, or one MSI, takes.

    Attributes
    ----------
    memory
        The host's bus.
    cpu
        The processor's bus.
    irq_mu
        The Messaging Unit's line.
    irq_edma
        The eDMA's lines, which rise and fall together.
    receiver
        The host's MSI controller.
    """

    def __init__(
        self,
        platform: Platform,
        endpoint: ReferenceEndpoint,
        *,
        wide_bars: tuple[int, ...] = (),
        msi_vectors_log2: int = 5,
        lines: int | None = None,
        host_latency: float = 400e-9,
        cpu_latency: float = 100e-9,
        msi_latency: float = 400e-9,
    ) -> None:
        self.platform = platform
        self.endpoint = endpoint
        self.config = ConfigSpace(endpoint.bar_sizes, wide_bars, msi_vectors_log2=msi_vectors_log2)
        self.memory = HostBus(self, host_latency)
        self.cpu = CpuBus(self, cpu_latency)
        self.irq_mu = DrivenIrqLine(platform)
        self.irq_edma = tuple(DrivenIrqLine(platform) for _ in range(endpoint.edma_lines if lines is None else lines))
        self.receiver = MsiController()
        self._msi_latency = msi_latency
        self._msi_event = platform.event()

    def start(self) -> None:
        """Start to send MSIs."""
        self.platform.spawn(self._send_msis(), "msi")

    def pulse(self, *, wr_done: int = 0, wr_abort: int = 0, rd_done: int = 0, rd_abort: int = 0) -> None:
        """Let channels of the eDMA end or abort, bit n for channel n."""
        self.endpoint.edma.pulse(wr_done=wr_done, wr_abort=wr_abort, rd_done=rd_done, rd_abort=rd_abort)
        self.settle()

    async def config_read32(self, offset: int) -> int:
        """Read one dword of configuration space."""
        await self.platform.sleep(self._msi_latency)
        return self.config.read32(offset)

    async def config_write32(self, offset: int, value: int) -> None:
        """Write one dword of configuration space."""
        await self.platform.sleep(self._msi_latency)
        self.config.write32(offset, value)
        controller = self.endpoint.controller
        controller.enabled, controller.multiple = self.config.msi_enabled, self.config.msi_multiple
        controller.master = self.config.master
        self._msi_event.set()

    def settle(self) -> None:
        """Let the interrupt lines and the MSI queue follow the endpoint's state."""
        self.irq_mu.drive(self.endpoint.irq_mu)
        for line in self.irq_edma:
            line.drive(self.endpoint.irq_edma)
        if self.endpoint.controller.queue:
            self._msi_event.set()

    async def _send_msis(self) -> None:
        while True:
            await self._msi_event.wait()
            self._msi_event.clear()
            while (vector := self.endpoint.controller.next_msi()) is not None:
                await self.platform.sleep(self._msi_latency)
                address, data = self.config.msi_message(vector)
                if address == self.receiver.address:
                    self.receiver.deliver(data)
