"""Two guests with the reference endpoint between them, whose function is pci-epf-vntb."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from epbell_models import devicetree
from epbell_models.devicetree import DeviceTree
from epbell_models.linux.pci_epf_vntb_config import VntbConfig
from epbell_models.ntb import NtbDevice
from epbell_models.platform import Platform, VirtualPlatform
from epbell_tb.bar_sets import BAR_SETS
from epbell_tb.guest import doorbells
from epbell_tb.guest.bell_times import BellTimes
from epbell_tb.guest.model_endpoint import ModelEndpoint
from epbell_tb.guest.peer_endpoint import PeerEndpoint
from epbell_tb.guest.peer_memory import PeerMemory, Place, WatchedEndpoint
from epbell_tb.guest.port import Endpoint, HostSide
from epbell_tb.guest.two_guests import Ends, TwoGuests

__all__ = [
    "BARS",
    "VntbGuests",
    "bridged",
    "check_tree",
    "vntb_config",
    "wrong_doorbell",
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
    platform: Platform,
    endpoint: Endpoint,
    bridge: NtbDevice,
    peer: HostSide,
    place: Callable[[int], int],
    bells: BellTimes,
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
    bells
        Is told of the host's doorbells.
    """
    sizes = vntb_config().mw_sizes
    memory = PeerMemory(platform, bridge, peer, bells)
    far = memory.client = PeerEndpoint(bridge, peer, sizes, memory.show)
    bridge.set_ctx(memory)
    memory.start()
    window, bell = (Place(partial(place, bar), bar_sizes()[bar]) for bar in (_WINDOW, _DOORBELLS))
    return (WatchedEndpoint(endpoint, memory, window, bells, bell), far), memory


def wrong_doorbell(dts: Path, backend: str | None, reason: str) -> str:
    """Return what is wrong with the doorbell that pci-epf-vntb had at its end; empty if nothing is."""
    known = doorbells.foreseen(dts, None)
    return known.of_bridge().complaint(backend, reason) if known is not None else ""


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
        self._dts = dts
        self._tree = devicetree.load(dts)
        check_tree(self._tree)
        self._change = change
        self._endpoint: ModelEndpoint | None = None
        self._memory: PeerMemory | None = None
        self._bells: BellTimes | None = None

    async def ends(self, platform: VirtualPlatform, host: HostSide, peer: HostSide) -> Ends:
        """Boot the endpoint, and show its bridge to the peer."""
        config = vntb_config()
        endpoint = self._endpoint = ModelEndpoint(platform, host, self._tree, bar_sizes(), vntb=config)
        self._change(endpoint)
        await endpoint.board.start()
        bridge = endpoint.board.software.vntb.ntb
        bells = self._bells = BellTimes(platform.now)
        place = endpoint.board.link.config.bar_address
        ends, self._memory = bridged(platform, endpoint, bridge, peer, place, bells)
        return ends

    def tidy(self) -> None:
        """Forget the traces of accesses."""
        if self._endpoint is not None:
            self._endpoint.forget()

    def notes(self) -> list[str]:
        """Return what the endpoint has to tell; RuntimeError when its doorbell is not what the device tree asks for."""
        assert self._endpoint is not None, "guests were there"
        assert self._memory is not None, "the peer was there"
        assert self._bells is not None, "the peer was there"
        function = self._endpoint.board.software.vntb
        wrong = wrong_doorbell(self._dts, function.backend, function.reason)
        if wrong:
            raise RuntimeError(wrong)
        why = f" ({function.reason})" if function.reason else ""
        accesses = self._endpoint.accesses["reads"] + self._endpoint.accesses["writes"]
        traffic = f"{accesses} accesses of the host's, {function.irqs_raised} interrupts to it"
        return [
            f"doorbell {function.backend or 'none'}{why}",
            self._bells.note(),
            f"{traffic}, {self._memory.copied} bytes copied for the peer",
        ]
