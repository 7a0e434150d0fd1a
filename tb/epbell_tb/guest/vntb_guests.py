"""Two guests with the reference endpoint between them, whose function is pci-epf-vntb."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from epbell_models import devicetree
from epbell_models.devicetree import DeviceTree
from epbell_models.linux.pci_epf_vntb_config import VntbConfig
from epbell_models.ntb import NtbDevice
from epbell_models.platform import Platform, VirtualPlatform
from epbell_tb.bar_sets import BAR_SETS
from epbell_tb.guest.model_endpoint import ModelEndpoint
from epbell_tb.guest.peer_endpoint import PeerEndpoint
from epbell_tb.guest.peer_memory import PeerMemory, WatchedEndpoint
from epbell_tb.guest.port import Endpoint, HostSide
from epbell_tb.guest.two_guests import Ends, TwoGuests

__all__ = [
    "BARS",
    "VntbGuests",
    "bridged",
    "check_tree",
    "vntb_config",
]

BARS = "linux"
"""Set of BARs: 128 KiB behind each of those that Linux's driver knows of an i.MX8."""

_CONTROL, _DOORBELLS, _WINDOW = 0, 2, 4
_VECTORS = 16


def vntb_config() -> VntbConfig:
    """Return the function's configuration: four doorbell slots, as many as a Messaging Unit has, and one window."""
    return VntbConfig(
        db_count=4,
        mw_sizes=(bar_sizes()[_WINDOW],),
        ctrl_bar=_CONTROL,
        db_bar=_DOORBELLS,
        mw_bars=(_WINDOW,),
        msix_interrupts=_VECTORS,
    )


def check_tree(tree: DeviceTree) -> None:
    """Raise RuntimeError if a device tree leaves no room for the function's BARs."""
    if tree.endpoint.fixed_bar in (_CONTROL, _DOORBELLS, _WINDOW):
        raise RuntimeError(
            f"{tree.name}: BAR {tree.endpoint.fixed_bar} always shows the eDMA, and ntb_hw_epf wants BAR 0, 2 and 4 "
            "of an i.MX8 for itself: take a device tree without such a BAR, such as --tree imx8"
        )


def bar_sizes() -> tuple[int, ...]:
    """Return the bytes of each BAR."""
    return tuple(bar.size if bar else 0 for bar in BAR_SETS[BARS])


def bridged(
    platform: Platform, endpoint: Endpoint, bridge: NtbDevice, peer: HostSide, place: Callable[[int], int]
) -> tuple[Ends, PeerMemory]:
    """Put the peer behind the endpoint's bridge; return what the guests reach, and the peer's memory.

    Parameters
    ----------
    platform
        Time and concurrency.
    endpoint
        The endpoint as the host reaches it.
    bridge
        The bridge as the endpoint's Linux offers it.
    peer
        The guest behind it.
    place
        Returns the address that the host has given a BAR, 0 for none.
    """
    sizes = vntb_config().mw_sizes
    memory = PeerMemory(platform, bridge, peer)
    far = memory.client = PeerEndpoint(bridge, peer, sizes, memory.show)
    bridge.set_ctx(memory)
    memory.start()
    return (WatchedEndpoint(endpoint, memory, lambda: place(_WINDOW), sizes[0]), far), memory


class VntbGuests(TwoGuests):
    """The models between two guests.

    Parameters
    ----------
    dts
        The device tree.
    change
        What is to be different from a good endpoint.
    """

    def __init__(self, dts: Path, change: Callable[[ModelEndpoint], None] = lambda endpoint: None) -> None:
        super().__init__()
        self._tree = devicetree.load(dts)
        check_tree(self._tree)
        self._change = change
        self._endpoint: ModelEndpoint | None = None
        self._memory: PeerMemory | None = None

    async def ends(self, platform: VirtualPlatform, host: HostSide, peer: HostSide) -> Ends:
        """Boot the endpoint, and show its bridge to the peer."""
        config = vntb_config()
        endpoint = self._endpoint = ModelEndpoint(platform, host, self._tree, bar_sizes(), vntb=config)
        self._change(endpoint)
        await endpoint.board.start()
        bridge = endpoint.board.software.vntb.ntb
        ends, self._memory = bridged(platform, endpoint, bridge, peer, endpoint.board.link.config.bar_address)
        return ends

    def tidy(self) -> None:
        """Forget the traces of accesses."""
        if self._endpoint is not None:
            self._endpoint.forget()

    def notes(self) -> list[str]:
        """Return what the endpoint has to tell."""
        assert self._endpoint is not None, "guests were there"
        assert self._memory is not None, "the peer was there"
        function = self._endpoint.board.software.vntb
        why = f" ({function.reason})" if function.reason else ""
        accesses = self._endpoint.accesses["reads"] + self._endpoint.accesses["writes"]
        traffic = f"{accesses} accesses of the host's, {function.irqs_raised} interrupts to it"
        return [
            f"doorbell {function.backend or 'none'}{why}",
            f"{traffic}, {self._memory.copied} bytes copied for the peer",
        ]
