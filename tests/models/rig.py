"""One rig for the tests of the software models: both ends, the reference endpoint between them, virtual time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from epbell_models import devicetree
from epbell_models.host.pci import PciDevice
from epbell_models.host.pci_endpoint_test import PciEndpointTest
from epbell_models.linux.boot import EndpointSoftware, boot
from epbell_models.platform import IrqLine, VirtualPlatform
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.link import ReferenceLink

SMALL = (0x4000, 0x4000, 0x4000, 0x4000, 0x4000, 0x1_0000)
LINUX = (0x2_0000, 0x2_0000, 0x2_0000, 0x2_0000, 0x2_0000, 0x10_0000)


@dataclass
class Rig:
    """Both ends. ``bring_up`` boots the endpoint and enumerates it."""

    platform: VirtualPlatform
    endpoint: ReferenceEndpoint
    link: ReferenceLink
    software: EndpointSoftware
    device: PciDevice
    host: PciEndpointTest

    async def bring_up(self, irq_type: int | None = 1) -> None:
        self.link.start()
        assert await self.software.start() == 0, self.software.log
        await self.device.scan()
        await self.device.assign(0x8000_0000)
        assert await self.host.probe() == 0
        if irq_type is not None:
            assert await self.host.set_irqtype(irq_type) == 0

    @property
    def registers(self) -> int:
        return self.software.function.epf.bars[0].phys_addr

    def register(self, offset: int) -> int:
        """Look at a word of the test function's register block."""
        return self.endpoint.cpu_read32(self.registers + offset)

    def window_target(self, bar: int) -> int:
        """Look at where a BAR's window is aimed."""
        return self.endpoint.windows.translate(bar, 0, 0)

    async def command(self, word: int, *, irq_type: int = 1, irq_number: int = 1, wait: float = 20e-3) -> int:
        """Give the test function a command by hand and return STATUS a while later."""
        await self.device.write32(0, 0x24, irq_type)
        await self.device.write32(0, 0x28, irq_number)
        await self.device.write32(0, 0x04, word)
        await self.platform.sleep(wait)
        return await self.device.read32(0, 0x08)

    async def published(self) -> tuple[int, int, int]:
        """Return what the test function published: DB_BAR, DB_OFFSET, DB_DATA."""
        return (
            await self.device.read32(0, 0x34),
            await self.device.read32(0, 0x38),
            await self.device.read32(0, 0x3C),
        )


def irq_lines(tree: devicetree.DeviceTree, link: ReferenceLink) -> dict[int, IrqLine]:
    """Return the line of every interrupt that the tree connects to a Messaging Unit or to the eDMA."""
    lines: dict[int, IrqLine] = {unit.interrupt.spi: link.irq_mu for unit in tree.messaging_units}
    interrupts = (interrupt.spi for interrupt in tree.endpoint.edma.interrupts)
    return lines | dict(zip(interrupts, link.irq_edma, strict=False))


Scenario = Callable[[Rig], Awaitable[Any]]


def run_rig(
    scenario: Scenario,
    *,
    tree: devicetree.DeviceTree | None = None,
    bar_sizes: tuple[int, ...] = SMALL,
    wide_bars: tuple[int, ...] = (),
    guard: bool = True,
    irq_type: int | None = 1,
    vectors_log2: int = 5,
    vector_limit: int = 32,
    release: str = "newest",
    store_bytes: int = 4,
    limit: float = 600.0,
    bring_up: bool = True,
    cpu_bus: Callable[[Any], Any] = lambda bus: bus,
    cpu_latency: float = 100e-9,
    **boot_options: Any,
) -> Any:
    """Build a rig, bring it up, run ``scenario`` and return what it returns."""
    platform = VirtualPlatform()
    tree = tree if tree is not None else devicetree.load(devicetree.builtin())
    endpoint = ReferenceEndpoint.of(tree, bar_sizes, guard)
    link = ReferenceLink(
        platform, endpoint, wide_bars=wide_bars, msi_vectors_log2=vectors_log2, cpu_latency=cpu_latency
    )
    lines = irq_lines(tree, link)
    software = boot(platform, cpu_bus(link.cpu), lines, tree, bar_sizes, wide_bars=wide_bars, **boot_options)
    device = PciDevice(platform, link, link.receiver, vector_limit=vector_limit)
    host = PciEndpointTest(device, release=release, store_bytes=store_bytes)
    rig = Rig(platform, endpoint, link, software, device, host)

    async def main():
        if bring_up:
            await rig.bring_up(irq_type)
        return await scenario(rig)

    return platform.run(main(), limit=limit)
