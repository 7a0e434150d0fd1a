"""A rig of the transport: one on the host, one on the endpoint, the rig of the vNTB below them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from vntb_rig import MX8, VntbRig, run_vntb

from epbell_models.linux.pci_epf_vntb_config import VntbConfig
from epbell_models.ntb import NtbTransport
from epbell_models.ntb.bulk import Bulk, Sink
from epbell_models.ntb.ping import Echo, Ping

ONE_WINDOW = replace(MX8, mw_bars=(4,), mw_sizes=(0x4000,))
"""As many windows as four slots have queues: one."""


@dataclass
class TransportRig:
    """Both ends; ``ours`` is the endpoint's transport, ``theirs`` the host's."""

    below: VntbRig
    ours: NtbTransport
    theirs: NtbTransport

    def __post_init__(self) -> None:
        self.platform = self.below.platform
        self.host, self.ntb = self.below.host, self.below.vntb.ntb

    async def start(self) -> None:
        assert await self.ours.start() == 0
        assert await self.theirs.start() == 0

    async def ping(self, **options: Any) -> tuple[Ping, Echo]:
        """Start both, the host with a ping and the endpoint with an echo, and wait for both links."""
        await self.start()
        ping, echo = Ping(self.platform, self.theirs, **options), Echo(self.ours)
        await self.links(ping.queue, echo.queue)
        return ping, echo

    async def bulk(self, *, down: bool, **options: Any) -> tuple[Bulk, Sink]:
        """Start both, the host sending and the endpoint receiving if ``down``, else the other way round."""
        await self.start()
        source, target = (self.theirs, self.ours) if down else (self.ours, self.theirs)
        bulk, sink = Bulk(self.platform, source, **options), Sink(self.platform, target)
        await self.links(bulk.queue, sink.queue)
        return bulk, sink

    async def links(self, *queues: Any, up: bool = True, limit: float = 5.0) -> None:
        """Wait until the links of all these queues are up, or down."""
        end = self.platform.now() + limit
        while any(queue.link_is_up != up for queue in queues):
            assert self.platform.now() < end, (self.ours.reason, self.theirs.reason)
            await self.platform.sleep(1e-3)


def run_transport(
    scenario: Callable[[TransportRig], Awaitable[Any]],
    *,
    config: VntbConfig = ONE_WINDOW,
    ours: dict[str, Any] | None = None,
    theirs: dict[str, Any] | None = None,
    mtu: int = 1024,
    **options: Any,
) -> Any:
    """Probe the host's driver, make both transports and run ``scenario``; return what it returns."""

    async def main(below: VntbRig) -> Any:
        await below.enumerate()
        assert await below.host.probe() == 0, below.host.log
        ends = [
            NtbTransport(below.platform, ntb, **{"mtu": mtu, **(own or {})})
            for ntb, own in ((below.vntb.ntb, ours), (below.host, theirs))
        ]
        return await scenario(TransportRig(below, *ends))

    return run_vntb(main, config=config, bring_up=False, **options)
