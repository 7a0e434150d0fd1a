"""Two guests of one endpoint in one thread: the host, and the peer behind the endpoint's bridge."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from epbell_models.platform import Platform, VirtualPlatform
from epbell_tb.guest.attachment import Attachment
from epbell_tb.guest.peer_endpoint import PeerEndpoint
from epbell_tb.guest.plain_ntb import PlainNtb
from epbell_tb.guest.port import Endpoint, HostGone, HostSide, serve
from epbell_tb.guest.qtest import QtestError

__all__ = [
    "Ends",
    "PlainGuests",
    "Socket",
    "Survivor",
    "TwoGuests",
    "Waiting",
    "serve_both",
]

Socket = tuple[socket.socket, Path]
"""Our end of a guest's device's socket, and the path of its QEMU's test socket."""

Ends = tuple[Endpoint, Endpoint]
"""What the host's accesses reach, and what the peer's do."""

_TICK, _LEAST = 1e-3, 1e-6
# The guests have a watchdog.
_LIMIT_S = 1e5


class Survivor:
    """A guest as the other one's traffic reaches it, also when it has switched itself off: `HostSide`.

    Parameters
    ----------
    guest
        The guest.

    Attributes
    ----------
    gone
        Whether it has.
    """

    def __init__(self, guest: HostSide) -> None:
        self.gone = False
        self._guest = guest

    def read(self, address: int, length: int) -> bytes:
        """Read guest memory; raises `HostFault` where nothing is, `HostGone` when the guest has gone."""
        if self.gone:
            raise HostGone(address, length)
        return self._guest.read(address, length)

    def write(self, address: int, data: bytes) -> None:
        """Write guest memory or send an interrupt message; raises as `read` does."""
        if self.gone:
            raise HostGone(address, len(data))
        with self._may_go():
            self._guest.write(address, data)

    def intx(self, pin: int, asserted: bool) -> None:
        """Follow Assert_INTx and Deassert_INTx."""
        if not self.gone:
            with self._may_go():
                self._guest.intx(pin, asserted)

    @contextlib.contextmanager
    def _may_go(self) -> Iterator[None]:
        """Let QEMU end instead of answering: then its request socket says so as well."""
        try:
            yield
        except QtestError:
            self.gone = True


async def serve_both(
    platform: Platform,
    guests: tuple[Attachment, Attachment],
    ends: Ends,
    hosts: tuple[Survivor, Survivor],
    waiting: Waiting,
    rest: Callable[[], Awaitable[None]],
) -> None:
    """Answer both guests until both have gone.

    Parameters
    ----------
    platform
        Time and concurrency of whatever is between them.
    guests
        Where requests come from.
    ends
        What answers.
    hosts
        Told when a guest has gone.
    waiting
        Waits for both; told when a guest has gone.
    rest
        Awaited while a guest does not want anything; it has to let other tasks run.
    """
    over = platform.event()

    async def one(number: int) -> None:
        await serve(guests[number], ends[number], lambda: waiting.while_resting(rest()))
        hosts[number].gone = True
        waiting.forget(guests[number])

    async def peer() -> None:
        await one(1)
        over.set()

    platform.spawn(peer(), "peer's guest")
    await one(0)
    await over.wait()


class Waiting:
    """Waits for requests of guests, but never while one of them waits for an answer.

    Parameters
    ----------
    guests
        Where they come from.
    """

    def __init__(self, guests: Iterable[Attachment]) -> None:
        self._readable = {guest.fileno() for guest in guests}
        self._resting = 0

    async def while_resting(self, rest: Awaitable[None]) -> None:
        """Await something for a guest that does not want anything meanwhile."""
        self._resting += 1
        await rest
        self._resting -= 1

    def wait(self, seconds: float) -> bool:
        """Sleep until a request waits or a guest has gone, at most ``seconds``; return whether so."""
        idle = self._resting == len(self._readable)
        return bool(select.select(list(self._readable), [], [], seconds if idle else 0.0)[0])

    def forget(self, guest: Attachment) -> None:
        """Wait no longer for a guest that has gone."""
        self._readable.discard(guest.fileno())


class TwoGuests:
    """What two guests are attached to, in a thread; to be used in a ``with``.

    The models' time is the wall clock's, since both kernels wait for what takes milliseconds of it.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "endpoint")
        self._run: Future[None] | None = None

    def __enter__(self) -> TwoGuests:
        return self

    def __exit__(self, *_: object) -> None:
        # The guests have gone before, and with them the thread ends.
        self._pool.shutdown()

    def start(self) -> None:
        """Do nothing: a model is there at once."""

    def attach(self, host: Socket, peer: Socket) -> None:
        """Take both guests; their device's sockets are no longer the caller's."""
        taken = tuple((socket.socket(fileno=link.detach()), qtest) for link, qtest in (host, peer))
        self._run = self._pool.submit(self._serve, taken[0], taken[1])

    def failed(self) -> bool:
        """Whether it has ended: no guest gets an answer any more."""
        return self._run is not None and self._run.done()

    def finish(self) -> list[str]:
        """Wait until both guests have gone; return what is worth telling, RuntimeError when anything was raised."""
        assert self._run is not None, "it ends after guests were there"
        error = self._run.exception()
        if error is not None:
            raise RuntimeError(f"the bridge has failed: {type(error).__name__}: {error}") from error
        return self.notes()

    async def ends(self, platform: VirtualPlatform, host: HostSide, peer: HostSide) -> Ends:
        """Return what the guests reach; called once they are there."""
        raise NotImplementedError

    def notes(self) -> list[str]:
        """Return what is worth telling at the end."""
        return []

    def tidy(self) -> None:
        """Forget what nobody reads; called whenever no guest wants anything."""

    def _serve(self, host: Socket, peer: Socket) -> None:
        platform = VirtualPlatform()
        with host[0], peer[0]:
            guests = Attachment(*host), Attachment(*peer)
            survivors = Survivor(guests[0]), Survivor(guests[1])

            began, waiting = time.monotonic(), Waiting(guests)

            async def rest() -> None:
                self.tidy()
                ready = waiting.wait(_TICK)
                behind = time.monotonic() - began - platform.now()
                await platform.sleep(0.0 if ready and behind < _TICK / 10 else max(_LEAST, behind))

            async def run() -> None:
                ends = await self.ends(platform, *survivors)
                await serve_both(platform, guests, ends, survivors, waiting, rest)

            try:
                platform.run(run(), limit=_LIMIT_S)
            finally:
                for guest in guests:
                    guest.close()


class PlainGuests(TwoGuests):
    """Two guests with nothing but Python between them.

    Parameters
    ----------
    windows
        Bytes of each memory window.
    change
        What is to be different from a good bridge, done with the host's end and the peer's.
    """

    def __init__(
        self,
        windows: tuple[int, ...],
        change: Callable[[PlainNtb, PlainNtb], None] = lambda host, peer: None,
    ) -> None:
        super().__init__()
        self._windows = windows
        self._change = change

    async def ends(self, platform: VirtualPlatform, host: HostSide, peer: HostSide) -> Ends:
        """Join two ends."""
        bridges = PlainNtb(host, self._windows), PlainNtb(peer, self._windows)
        bridges[0].join(bridges[1])
        self._change(*bridges)
        ends = PeerEndpoint(bridges[0], host, self._windows), PeerEndpoint(bridges[1], peer, self._windows)
        for bridge, end in zip(bridges, ends, strict=True):
            bridge.set_ctx(end)
        return ends
