"""ntb_transport: two sides of a bridge agree on a link, then exchange frames through queues.

Follows the link half of drivers/ntb/ntb_transport.c. Every 10 ms each side writes what it has into the peer's
scratchpads, version last, and reads what the peer has written into its own; when all agree it puts memory behind the
peer's windows.
"""

import errno

from ..jiffies import delay
from ..platform import Platform
from .costs import NtbCosts
from .device import PEER, MwAddress, NtbDevice
from .queue import LINK_PERIOD_MS, TransportQueue
from .queue_client import QueueClient, Trace
from .ring import Ring
from .spads import Spad
from .window_memory import WindowMemory
from .work import Work

__all__ = [
    "MTU",
    "NtbTransport",
]

MTU = 0x10000
"""Most bytes of a frame's place, header included, unless somebody says less (Linux's parameter transport_mtu)."""

_VERSION = 4
_FEWEST_SPADS = 6
_32_BITS = 0xFFFF_FFFF


class NtbTransport:
    """The transport over one side's bridge.

    Parameters
    ----------
    platform
        Time and tasks.
    ntb
        The bridge; a host's driver must have been probed, an endpoint's function been bound.
    mtu
        Most bytes of a frame's place.
    max_clients
        Most queues, which may be more than there are memory windows: they share them then. 0, or no fewer than there
        are doorbells for, leaves it at one queue per window.
    version
        Version of the protocol that this side speaks.
    hz
        Jiffies per second, which delays are rounded up to; None for delays as they are written.
    costs
        What this side's processor takes its time for; nothing if None.
    trace
        Told of every step of a frame; see `Trace`.

    Attributes
    ----------
    link_is_up
        Whether both sides have agreed. A queue's link comes after it.
    queues
        Those that were created.
    queue_count, window_count
        How many there can be, and memory windows that are used, once it is started.
    reason
        What the peer's scratchpads did not agree with at the latest look, "" when they did.
    looks
        How often they were looked at.
    log
        What the kernel would have printed.
    """

    def __init__(
        self,
        platform: Platform,
        ntb: NtbDevice,
        *,
        mtu: int = MTU,
        max_clients: int = 0,
        version: int = _VERSION,
        hz: int | None = None,
        costs: NtbCosts | None = None,
        trace: Trace | None = None,
    ) -> None:
        if mtu < 1 or max_clients < 0:
            raise ValueError(
                f"Frames have 1 byte or more, and clients are 0 (for any) or more, not {mtu!r} and {max_clients!r}"
            )
        self._platform = platform
        self._ntb = ntb
        self._mtu = mtu
        self._max_clients = max_clients
        self._version = version
        self._period = delay(LINK_PERIOD_MS, hz)
        self._costs = costs or NtbCosts()
        self._trace = trace
        self._windows: list[MwAddress] = []
        self._memory = WindowMemory(ntb)
        self._work: Work | None = None
        self.link_is_up = False
        self.queues: list[TransportQueue] = []
        self.queue_count = 0
        self.reason = ""
        self.looks = 0
        self.log: list[str] = []

    @property
    def window_count(self) -> int:
        """Memory windows that are used."""
        return len(self._windows)

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> int:
        """Take the bridge, let its link come up and begin to look for the peer.

        Returns
        -------
        int
            0; -EINVAL for fewer than 6 scratchpads or a bridge that has a client, the bridge's error for a window.
        """
        ntb = self._ntb
        if ntb.spad_count() < _FEWEST_SPADS:
            self._say(f"Not enough scratchpads: {ntb.spad_count()}, not {_FEWEST_SPADS}")
            return -errno.EINVAL
        count = min(ntb.peer_mw_count(), (ntb.spad_count() - Spad.WINDOW_SIZE) // 2)
        windows = [await ntb.peer_mw_get_addr(index) for index in range(count)]
        for window in windows:
            if isinstance(window, int):
                return window
        error = ntb.set_ctx(self)
        if error:
            return error
        self._windows = [window for window in windows if isinstance(window, MwAddress)]
        bits = max(0, ntb.db_valid_mask().bit_length() - 1)
        self.queue_count = self._max_clients if 0 < self._max_clients < bits else min(bits, count)
        self._work = Work(self._platform, self._look, "ntb-transport-link")
        await ntb.link_enable()
        ntb.link_event()
        return 0

    async def stop(self) -> None:
        """Take the queues and the link down, as when the module is removed. `start` may follow, with new queues.

        Linux zeroes its scratchpads first and takes the link down then. Where a command takes half a second the peer
        writes QP_LINKS once more in between, and the next start finds a queue ready that is not.
        """
        if self._work is None:
            return
        for queue in self.queues:
            await queue.link_down()
        await self._work.stop()
        self._work = None
        await self._ntb.link_disable()
        await self._clean_up()
        for queue in self.queues:
            await queue.stop()
        self.queues.clear()
        self._ntb.clear_ctx()

    def create_queue(self, client: QueueClient) -> TransportQueue:
        """Create the next queue, with a client that is ready; RuntimeError when there are no more of them."""
        number = len(self.queues)
        if number >= self.queue_count:
            raise RuntimeError(
                f"There are {self.queue_count} queues, less than doorbell bits, no more than memory windows unless "
                f"max_clients says so, and none before start(): there is no queue {number}"
            )
        queue = TransportQueue(
            self._platform,
            self._ntb,
            number,
            number % self.window_count,
            self._ring(number, 0, self._windows[number % self.window_count].size),
            client,
            period=self._period,
            transport_is_up=lambda: self.link_is_up,
            log=self.log,
            costs=self._costs,
            trace=self._trace,
        )
        self._ntb.db_clear(queue.bit)
        self.queues.append(queue)
        queue.link_up()
        return queue

    def _ring(self, number: int, start: int, size: int) -> Ring:
        """Return a queue's share of a window, or of the memory behind one."""
        windows = self.window_count
        sharers = self.queue_count // windows + (number % windows < self.queue_count % windows)
        share = size // sharers
        return Ring(start + share * (number // windows), share, self._mtu)

    # -- events of the bridge ------------------------------------------------------------------------------------------

    def link_event(self) -> None:
        """Look what became of the link, soon."""
        if self._work is not None:
            self._work.schedule(self._costs.work)

    def db_event(self, vector: int) -> None:
        """Tell every queue that the vector may stand for."""
        mask = self._ntb.db_vector_mask(vector)
        for queue in self.queues:
            if mask & queue.bit:
                queue.ring()

    # -- link ----------------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Exchange what both have while the bridge's link is up, until that agrees; clean up when it is down."""
        if await self._ntb.link_is_up() != 1:
            await self._clean_up()
            return
        self.looks += 1
        await self._tell()
        sizes = await self._ask()
        if sizes is None:
            if self._work is not None:
                self._work.schedule(self._period + self._costs.work)
            return
        for index, size in enumerate(sizes):
            error = await self._memory.put(index, size)
            if error:
                self.reason = f"Memory window {index} of {size:#x} bytes: {errno.errorcode.get(-error, error)}"
                self._say(self.reason)
                await self._memory.free()
                return
        self.link_is_up = True
        for queue in self.queues:
            address, size = self._memory.behind(queue.number % self.window_count)
            await queue.set_buffer(self._ring(queue.number, address, size))

    async def _tell(self) -> None:
        """Write what this side has into the peer's scratchpads, in the opposite order of reading."""
        values: list[tuple[int, int]] = []
        for index, window in enumerate(self._windows):
            spad = Spad.WINDOW_SIZE + 2 * index
            values += [(spad, window.size >> 32), (spad + 1, window.size & _32_BITS)]
        values += [
            (Spad.NUM_MWS, self.window_count),
            (Spad.NUM_QPS, self.queue_count),
            (Spad.VERSION, self._version),
        ]
        for spad, value in values:
            await self._ntb.peer_spad_write(PEER, spad, value)

    async def _ask(self) -> list[int] | None:
        """Return the sizes of the peer's windows; None unless the rest agrees with this side's."""
        wanted = (
            ("version", Spad.VERSION, self._version),
            ("number of queues", Spad.NUM_QPS, self.queue_count),
            ("number of memory windows", Spad.NUM_MWS, self.window_count),
        )
        for name, spad, value in wanted:
            theirs = await self._ntb.spad_read(spad)
            if theirs != value:
                self.reason = f"The peer's {name} is {theirs}, not {value}"
                return None
        self.reason = ""
        sizes: list[int] = []
        for index in range(self.window_count):
            spad = Spad.WINDOW_SIZE + 2 * index
            high = await self._ntb.spad_read(spad)
            sizes.append(high << 32 | await self._ntb.spad_read(spad + 1))
        return sizes

    async def _clean_up(self) -> None:
        """Take the queues down, the memory away, and zero this side's scratchpads: they outlive the peer."""
        self.link_is_up = False
        for queue in self.queues:
            await queue.clean_up()
        await self._memory.free()
        for index in range(self._ntb.spad_count()):
            await self._ntb.spad_write(index, 0)

    def _say(self, message: str) -> None:
        self.log.append(f"ntb_transport: {message}")
