"""The environment of the bridge with ntb_transport on both sides, and bulk transfer between them both ways."""

from dataclasses import dataclass
from typing import Any

from epbell_models.ntb import NtbTransport
from epbell_models.ntb.bulk import Bulk
from epbell_tb.endpoint.vntb_env import VntbBringUp, VntbEnv

__all__ = [
    "Ends",
    "LinkBringUp",
    "LinkEnv",
]

_PLACES = 16
"""Frames for which a window is just too small: few, so that the ring soon begins again."""

_SIZE = 64
"""Bytes of a frame."""

_LIMIT = 5.0
"""Seconds of Linux time within which a link has to be up: three commands of half a second, and looks every 10 ms."""

_LOOK = 1e-3


@dataclass
class Ends:
    """Something on the host, and the same on the endpoint."""

    host: Any
    endpoint: Any

    def __iter__(self) -> Any:
        return iter((self.host, self.endpoint))


class LinkEnv(VntbEnv):
    """The bridge, its clients transports; parameters and attributes as of `VntbEnv`, with those below.

    Attributes
    ----------
    transports
        The transports.
    bulks
        Their clients, one at either end: each sends to the other.
    """

    transports: Ends
    bulks: Ends

    @property
    def place(self) -> int:
        """Bytes of a frame's place in the ring."""
        return self.bar_sizes[self.map.windows[0]] // _PLACES

    def transport(self, *, host: bool, **options: Any) -> NtbTransport:
        """Return a transport of one side that has not started yet; options as of `NtbTransport`."""
        return NtbTransport(self.platform, self.driver if host else self.ntb, mtu=self.place, **options)

    async def link_up(self) -> None:
        """Start both transports and their clients, and wait until they may send."""
        await self.start_transports()
        await self.links(up=True)

    async def start_transports(self) -> None:
        """Start both transports and their clients."""
        for transport in self.transports:
            assert await transport.start() == 0, transport.log
        self.bulks = Ends(*(self.client(transport) for transport in self.transports))

    def client(self, transport: NtbTransport) -> Bulk:
        """Return a client of a transport that has started."""
        return Bulk(self.platform, transport, size=_SIZE)

    async def links(self, *, up: bool) -> None:
        """Wait until both clients may send, or neither."""
        end = self.platform.now() + _LIMIT
        while any(bulk.queue.link_is_up != up for bulk in self.bulks):
            reasons = [transport.reason for transport in self.transports]
            assert self.platform.now() < end, f"the link is not {'up' if up else 'down'}: {reasons}"
            await self.platform.sleep(_LOOK)

    async def received(self, wanted: Ends, what: str, limit: float) -> None:
        """Wait until each end has received so many frames, seconds at most."""
        end = self.platform.now() + limit
        while any(bulk.received_frames != count for bulk, count in zip(self.bulks, wanted, strict=True)):
            found = [bulk.received_frames for bulk in self.bulks]
            assert self.platform.now() < end, f"{what}: received {found}, not {list(wanted)}, after {limit} s"
            await self.platform.sleep(_LOOK)


@dataclass(frozen=True)
class LinkBringUp(VntbBringUp):
    """How a scenario finds transports: with a link, or not started yet.

    Attributes
    ----------
    link
        Whether both have started, and agreed.
    """

    link: bool = True

    async def environment(self, dut: Any) -> LinkEnv:
        """Return an environment that is up; it has neither name nor stalls yet."""
        env = LinkEnv(dut, self.identity)
        await self.bring_up(env)
        for bridge in (env.driver, env.ntb):
            bridge.clear_ctx()
        env.bulks = Ends(None, None)
        env.transports = Ends(env.transport(host=True), env.transport(host=False))
        if self.link:
            await env.link_up()
        return env

    def windows(self, env: VntbEnv) -> dict[str, Any]:
        """Return the first window alone: one queue is what the endpoint's two doorbell bits are good for."""
        usual = env.config()
        return {"mw_bars": usual.mw_bars[:1], "mw_sizes": usual.mw_sizes[:1]}
