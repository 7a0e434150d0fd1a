"""A rig of the vNTB: the function and the host's driver, the reference endpoint between them, virtual time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from epbell_models import devicetree
from epbell_models.host.msi import MsiController
from epbell_models.host.ntb_hw_epf import NtbHwEpf
from epbell_models.host.pci import PciDevice
from epbell_models.linux.pci_epf_vntb import PciEpfVntb
from epbell_models.linux.pci_epf_vntb_config import VntbConfig
from epbell_models.ntb import Listener
from epbell_models.platform import VirtualPlatform
from epbell_models.selftest.board import Board

BARS = (0x4000, 0, 0x4000, 0, 0x4000, 0x1_0000)
MX8 = VntbConfig(ctrl_bar=0, db_bar=2, mw_bars=(4, 5), mw_sizes=(0x4000, 0x1_0000), spad_count=16)
RK3588 = VntbConfig(
    ctrl_bar=0, db_bar=4, mw_bars=(2,), mw_sizes=(0x4000,), spad_count=16, vendor=0x1912, device=0x0030
)
RK3588_BARS = (0x4000, 0, 0x4000, 0, 0x4000, 0)
TREES = [
    ("imx8", MX8, BARS),
    ("imx8-edma", MX8, BARS),
    ("rk3588", RK3588, RK3588_BARS),
    ("hdma", MX8, BARS),
    ("msi-enospc", MX8, BARS),
]
"""Device trees that lead to each kind of doorbell, with a configuration and BARs that suit them."""


@dataclass
class VntbRig:
    """Both ends."""

    platform: VirtualPlatform
    board: Board
    device: PciDevice
    host: NtbHwEpf

    def __post_init__(self) -> None:
        self.ours, self.theirs = Listener(self.platform), Listener(self.platform)

    @property
    def vntb(self) -> PciEpfVntb:
        return self.board.software.vntb

    @property
    def log(self) -> list[str]:
        return self.board.software.log

    async def bring_up(self) -> None:
        await self.enumerate()
        assert await self.host.probe() == 0, self.host.log
        assert self.vntb.ntb.set_ctx(self.ours) == 0
        assert self.host.set_ctx(self.theirs) == 0

    async def enumerate(self) -> None:
        await self.board.start()
        await self.device.scan()
        await self.device.assign(0x8000_0000)

    async def tick(self) -> None:
        """Let the command work run once more, and what it leads to."""
        await self.platform.sleep(self.vntb.commands.period + 1e-3)

    def refused(self) -> int:
        """Return how many writes of the host the endpoint refused."""
        return self.board.endpoint.controller.counts["writes_refused"]

    def stores(self) -> list[tuple[int, int]]:
        """Return offset and word of each store to the doorbell BAR."""
        first = self.device.resources[self.vntb.bars.db]
        assert first is not None
        return [
            (access.address - first.address, access.value)
            for access in self.board.link.memory.trace
            if access.kind == "write" and first.address <= access.address < first.address + first.size
        ]


def run_vntb(
    scenario: Callable[[VntbRig], Awaitable[Any]],
    *,
    tree: str = "imx8",
    config: VntbConfig = MX8,
    bars: tuple[int, ...] = BARS,
    msi_limit: int = 32,
    msix_limit: int = 2048,
    bring_up: bool = True,
    release: str = "newest",
    poll_seconds: float = 1e-3,
    limit: float = 600.0,
    **boot_options: Any,
) -> Any:
    """Build a rig, bring it up unless ``bring_up`` is False, run ``scenario`` and return what it returns."""
    platform = VirtualPlatform()
    receiver = MsiController()
    board = Board(
        platform,
        devicetree.load(devicetree.builtin(tree)),
        bar_sizes=bars,
        receiver=receiver,
        vntb=config,
        **boot_options,
    )
    device = PciDevice(
        platform, board.link, receiver, vector_limit=msi_limit, msix_limit=msix_limit, intx=board.link.intx
    )
    host = NtbHwEpf(device, board.link.host_memory, release=release, poll_seconds=poll_seconds)
    rig = VntbRig(platform, board, device, host)

    async def main():
        if bring_up:
            await rig.bring_up()
        return await scenario(rig)

    return platform.run(main(), limit=limit)
