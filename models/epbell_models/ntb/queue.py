"""A queue of ntb_transport: frames to and from the peer through memory windows, one doorbell for each.

Follows the queue half of drivers/ntb/ntb_transport.c. Both sides run the same code; the platform's buses make the
difference. The host's processor stores through a BAR, the endpoint's through its outbound window.
"""

import errno
from collections.abc import Callable

from ..platform import Platform
from .costs import NtbCosts
from .device import PEER, NtbDevice
from .queue_client import QueueClient, QueueCounts, Trace
from .ring import DONE, HEADER_SIZE, LINK_DOWN, Ring
from .spads import Spad
from .work import Work

__all__ = [
    "LINK_PERIOD_MS",
    "TransportQueue",
]

LINK_PERIOD_MS = 10
"""Milliseconds from one look at the peer's scratchpads to the next."""

_WORD = 4
_32_BITS = 0xFFFF_FFFF


class TransportQueue:
    """One queue; `NtbTransport.create_queue` makes it.

    Parameters
    ----------
    platform
        Time and tasks.
    ntb
        The bridge.
    number
        Number of the queue, which is also its doorbell bit.
    window
        Memory window it is in.
    send_ring
        Its ring there, as offsets in the window.
    client
        Who sends and receives.
    period
        Seconds from one look at the peer's readiness to the next.
    transport_is_up
        Says whether the transport's link is up.
    log
        Receives the driver's messages.
    costs
        What the processor takes its time for.
    trace
        See `Trace`.

    Attributes
    ----------
    number, client, counts
        As above; `QueueCounts`.
    link_is_up
        Whether both clients are ready.
    """

    def __init__(
        self,
        platform: Platform,
        ntb: NtbDevice,
        number: int,
        window: int,
        send_ring: Ring,
        client: QueueClient,
        *,
        period: float,
        transport_is_up: Callable[[], bool],
        log: list[str],
        costs: NtbCosts,
        trace: Trace | None,
    ) -> None:
        self._platform = platform
        self._ntb = ntb
        self._window = window
        self._send_ring = send_ring
        self._receive_ring: Ring | None = None
        self._period = period
        self._transport_is_up = transport_is_up
        self._log = log
        self._costs = costs
        self._trace = trace
        self._ready = False
        self._lock = platform.lock()
        self._send_index = self._receive_index = 0
        self._send_version = self._receive_version = 0
        self._link_work = Work(platform, self._look, f"ntb-qp{number}-link")
        self._cleanup_work = Work(platform, self._recover, f"ntb-qp{number}-cleanup")
        self._tasklet = Work(platform, self._drain, f"ntb-qp{number}-rx")
        self.number = number
        self.client = client
        self.counts = QueueCounts()
        self.link_is_up = False

    @property
    def max_size(self) -> int:
        """Most bytes of a frame."""
        return self._send_ring.payload

    @property
    def entries(self) -> int:
        """Places in the ring to the peer; one of them stays free."""
        return self._send_ring.entries

    @property
    def bit(self) -> int:
        """The doorbell bit."""
        return 1 << self.number

    @property
    def runs(self) -> int:
        """How often the tasklet ran."""
        return self._tasklet.runs

    # -- link ----------------------------------------------------------------------------------------------------------

    def link_up(self) -> None:
        """Say that the client is ready."""
        self._ready = True
        if self._transport_is_up():
            self._link_work.schedule(self._costs.work)

    async def link_down(self) -> None:
        """Say that the client is no longer ready, to the peer with a last frame. Not from within a client's handler."""
        self._ready = False
        links = await self._ntb.spad_read(Spad.QP_LINKS)
        await self._ntb.peer_spad_write(PEER, Spad.QP_LINKS, links & ~self.bit)
        await self._link_work.cancel()
        if self.link_is_up:
            self.link_is_up = False
            async with self._lock:
                if await self._put(b"", LINK_DOWN):
                    self._say("unable to send linkdown msg")
            await self._reset()
            await self.client.event(self, False)

    async def set_buffer(self, buffer: Ring) -> None:
        """Start again with an empty ring of this side's memory, as bus addresses; look for the client's peer."""
        self.link_is_up = False
        await self._tasklet.cancel()
        self._receive_ring = buffer
        for index in range(buffer.entries):
            await self._ntb.dma_write(buffer.version(index), bytes(HEADER_SIZE))
        await self._reset()
        if self._ready:
            self._link_work.schedule(self._costs.work)

    async def clean_up(self) -> None:
        """Take the link down because the transport's is, and tell the client."""
        await self._cleanup_work.cancel()
        await self._link_work.cancel()
        await self._drop_link()

    async def stop(self) -> None:
        """End all works."""
        for work in (self._cleanup_work, self._link_work, self._tasklet):
            await work.stop()

    async def _look(self) -> None:
        """Say that this side is ready; up when the peer has said so, else look again."""
        if not self._transport_is_up():
            return
        links = await self._ntb.spad_read(Spad.QP_LINKS)
        await self._ntb.peer_spad_write(PEER, Spad.QP_LINKS, links | self.bit)
        if links & self.bit:
            self._say("Link Up")
            self.link_is_up = True
            await self.client.event(self, True)
            self._tasklet.schedule(self._costs.wakeup)
        else:
            self._link_work.schedule(self._period + self._costs.work)

    async def _recover(self) -> None:
        """Take the link down because the peer's client has; it may come back."""
        await self._drop_link()
        if self._ready and self._transport_is_up():
            self._link_work.schedule(self._period + self._costs.work)

    async def _drop_link(self) -> None:
        if self.link_is_up:
            await self._reset()
            self._say("Link Down")
            await self.client.event(self, False)

    async def _reset(self) -> None:
        """Begin with the first frame again, both ways; the peer has taken all of them, we say in its place."""
        self.link_is_up = False
        await self._tasklet.cancel()
        async with self._lock:
            self._send_index = self._receive_index = 0
            self._send_version = self._receive_version = 0
            ring = self._receive_ring
            if ring is not None:
                await self._ntb.dma_write(ring.taken, (ring.entries - 1).to_bytes(_WORD, "little"))

    # -- sending -------------------------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> int:
        """Send a frame; it is in the peer's memory, and the peer rung, when this returns.

        Returns
        -------
        int
            0; -EINVAL for no data, -EIO for more than `max_size` bytes, -ENOTCONN while there is no link, -EAGAIN while
            the ring is full.
        """
        if not data:
            return -errno.EINVAL
        if len(data) > self.max_size:
            return -errno.EIO
        async with self._lock:
            if not self.link_is_up:
                return -errno.ENOTCONN
            error = await self._put(data, 0)
            if error:
                self.counts.full += 1
                return error
            self.counts.sent += 1
            self.counts.sent_bytes += len(data)
        return 0

    async def _put(self, data: bytes, flags: int) -> int:
        """Store a frame, its flags last, and ring; -EAGAIN without room."""
        ring, index = self._send_ring, self._send_index
        if self._receive_ring is None or await self._load(self._receive_ring.taken) == index:
            return -errno.EAGAIN
        self._note("store")
        await self._store(ring.length(index), len(data))
        await self._store(ring.version(index), self._send_version)
        if data:
            await self._ntb.peer_mw_write(self._window, ring.data(index), data)
        await self._store(ring.flags(index), flags | DONE)
        self._send_index = (index + 1) % ring.entries
        self._send_version = self._send_version + 1 & _32_BITS
        self._note("ring")
        self.counts.rings += 1
        await self._ntb.peer_db_set(self.bit)
        return 0

    async def _store(self, offset: int, value: int) -> None:
        """Store a word through the window."""
        await self._ntb.peer_mw_write(self._window, offset, value.to_bytes(_WORD, "little"))

    # -- receiving -----------------------------------------------------------------------------------------------------

    def ring(self) -> None:
        """Take note of a doorbell, in interrupt context unless the driver has looked for it."""
        self.counts.interrupts += 1
        self._note("irq")
        if self.link_is_up:
            interrupt = self._costs.interrupt if self._ntb.rings_interrupt else 0.0
            self._tasklet.schedule(interrupt + self._costs.wakeup)

    async def _drain(self) -> None:
        """Take frames while there are any; if the doorbell's bit is still set then, clear it and look once more."""
        ring = self._receive_ring
        if ring is None or not self.link_is_up:
            return
        for _ in range(ring.entries):
            if await self._take(ring):
                break
        else:
            self._again()
            return
        if self._ntb.db_read() & self.bit:
            self._ntb.db_clear(self.bit)
            self._ntb.db_read()
            self._again()

    def _again(self) -> None:
        if self.link_is_up:
            self._tasklet.schedule(self._costs.wakeup)

    async def _take(self, ring: Ring) -> int:
        """Take the next frame; -EAGAIN when there is none, -EIO when it is not the next.

        The flags are read before anything else: what they vouch for is there then.
        """
        index = self._receive_index
        flags = await self._load(ring.flags(index))
        if not flags & DONE:
            self.counts.empty += 1
            return -errno.EAGAIN
        if flags & LINK_DOWN:
            self._cleanup_work.schedule(self._costs.work)
            await self._ntb.dma_write(ring.flags(index), bytes(_WORD))
            return -errno.EAGAIN
        version = await self._load(ring.version(index))
        if version != self._receive_version:
            self.counts.versions += 1
            self._say(f"version mismatch, expected {self._receive_version} - got {version}")
            return -errno.EIO
        length = await self._load(ring.length(index))
        data = await self._ntb.dma_read(ring.data(index), length) if 0 < length <= ring.payload else None
        self._receive_version = version + 1 & _32_BITS
        await self._ntb.dma_write(ring.flags(index), bytes(_WORD))
        await self._store(self._send_ring.taken, index)
        self._receive_index = (index + 1) % ring.entries
        await self._deliver(data, length)
        return 0

    async def _deliver(self, data: bytes | None, length: int) -> None:
        if data is None:
            self.counts.overflows += 1
            self._say(f"receive overflow: {length} bytes")
            return
        self.counts.received += 1
        self.counts.received_bytes += length
        self._note("received")
        if self._costs.client:
            await self._platform.sleep(self._costs.client)
        await self.client.received(self, data)

    async def _load(self, address: int) -> int:
        """Load a word of this side's memory."""
        return int.from_bytes(await self._ntb.dma_read(address, _WORD), "little")

    def _note(self, step: str) -> None:
        if self._trace is not None:
            self._trace(step, self._platform.now())

    def _say(self, message: str) -> None:
        self._log.append(f"ntb_transport: qp {self.number}: {message}")
