"""The host's driver core, without any endpoint software behind it."""

import ast
import errno
import sys
from pathlib import Path

import pytest
from rig import SMALL

import epbell_models
from epbell_models.host.completion import Completion
from epbell_models.host.msi import MsiController
from epbell_models.host.pci import PciDevice, VectorKind
from epbell_models.host.pci_endpoint_test import PciEndpointTest
from epbell_models.linux.pci_epc import bar_features
from epbell_models.platform import VirtualPlatform
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.link import ReferenceLink


def world(sizes=SMALL, wide=(), log2=5, **options):
    platform = VirtualPlatform()
    link = ReferenceLink(platform, ReferenceEndpoint(sizes), wide_bars=wide, msi_vectors_log2=log2)
    return platform, link, PciDevice(platform, link, link.receiver, **options)


def test_scan_sizes_and_keeps_what_was_assigned():
    platform, link, device = world()

    async def main():
        await device.scan()
        sizes = [found.size for found in device.resources]
        end = await device.assign(0x9000_0000)
        await device.enable()
        again = PciDevice(platform, link, link.receiver)
        await again.scan()
        return sizes, end, again.resources == device.resources, link.config.memory_enabled, device.vendor, device.device

    assert platform.run(main()) == (list(SMALL), 0x9002_4000, True, True, 0x1957, 0x0808)


def test_wide_bars_take_two():
    platform, link, device = world((0x4000, 0, 0, 0x8000, 0, 0), (0, 3))

    async def main():
        await device.scan()
        await device.assign(0x1F_F000_0000)
        await device.enable()
        return [found and (found.address, found.wide) for found in device.resources], link.config.decode(0x1F_F000_8004)

    bars, decoded = platform.run(main())
    assert bars == [(0x1F_F000_8000, True), None, None, (0x1F_F000_0000, True), None, None]
    assert decoded == (0, 4)


def test_refused_read_shows_all_ones_and_is_noted():
    platform, _, device = world()

    async def main():
        await device.scan()
        await device.assign(0x8000_0000)
        await device.enable()
        return await device.read32(1, 0), await device.read(1, 4, 3), device.refused_reads

    word, data, refused = platform.run(main())
    assert (word, data, len(refused)) == (0xFFFF_FFFF, b"\xff\xff\xff", 2)


@pytest.mark.parametrize(
    ("log2", "limit", "least", "most", "result"),
    [(5, 32, 1, 32, 32), (5, 32, 1, 5, 4), (2, 32, 1, 32, 4), (5, 1, 1, 32, 1), (0, 32, 2, 32, -errno.ENOSPC)],
)
def test_msi_vectors_granted(log2, limit, least, most, result):
    platform, link, device = world(log2=log2, vector_limit=limit)

    async def main():
        await device.scan()
        count = await device.alloc_irq_vectors(least, most, VectorKind.MSI)
        return count, link.config.msi_enabled, 1 << link.config.msi_multiple if count > 0 else 0

    assert platform.run(main()) == (result, result > 0, max(0, result))


def test_vectors_are_counted_even_when_they_come_together():
    platform, link, device = world()
    seen = []

    async def handler(index):
        seen.append(index)

    async def main():
        await device.scan()
        await device.set_master()
        assert await device.alloc_irq_vectors(1, 4, VectorKind.MSI) == 4
        assert await device.request_irq(2, handler) == 0
        assert await device.request_irq(4, handler) == -errno.EINVAL
        for _ in range(3):
            link.receiver.deliver(2)
        link.receiver.deliver(60)
        await platform.sleep(1e-3)
        await device.free_irq_vectors()
        return device.fired, link.config.msi_enabled, device.irq_vector(0)

    fired, enabled, vector = platform.run(main())
    assert (fired, seen, enabled, vector) == ([0, 0, 3, 0], [2, 2, 2], False, -errno.EINVAL)
    assert link.receiver.strays == [60]


def test_msi_blocks_are_aligned_after_an_odd_one():
    controller = MsiController(vectors=64)
    blocks = [controller.allocate(count, lambda index: None) for count in (1, 32, 32)]
    assert [block and block.data for block in blocks] == [0, 32, None]
    controller.release(blocks[0])
    assert controller.allocate(32, lambda index: None).data == 0


def test_msi_waits_for_bus_master():
    platform, link, device = world()

    async def main():
        link.start()
        await device.scan()
        await device.alloc_irq_vectors(1, 1, VectorKind.MSI)
        link.endpoint.controller.write32(0x10, 0)
        link.settle()
        await platform.sleep(1e-3)
        before = device.fired[0]
        await device.set_master()
        await platform.sleep(1e-3)
        return before, device.fired[0]

    assert platform.run(main()) == (0, 1)


def test_memory_space_disabled_reaches_nothing():
    platform, link, device = world()

    async def main():
        await device.scan()
        await device.assign(0x8000_0000)
        await device.write32(0, 0, 1)
        return await device.read32(0, 0), link.memory.dropped

    assert platform.run(main()) == (0xFFFF_FFFF, [0x8001_0000])


def test_completion_counts():
    platform = VirtualPlatform()
    completion = Completion(platform)

    async def main():
        completion.complete()
        completion.complete()
        waits = [await completion.wait(0.1) for _ in range(3)]
        completion.complete()
        completion.rearm()
        return waits, await completion.wait(0.1), platform.now()

    waits, after, now = platform.run(main())
    assert (waits, after) == ([True, True, False], False)
    assert now == pytest.approx(0.2)


@pytest.mark.parametrize("options", [{"release": "v5.0"}, {"store_bytes": 0}, {"store_bytes": 6}])
def test_wrong_parameters_of_the_driver(options):
    _, _, device = world()
    with pytest.raises(ValueError, match=f"not {next(iter(options.values()))!r}"):
        PciEndpointTest(device, **options)


LAST = (0x4000, 0, 0, 0, 0, 0x4000)
WRONG_BARS = [((1, 2, 3), ()), ((0x4000,) * 6, (0,)), (LAST, (5,)), (LAST, (1,)), ((3, 0, 0, 0, 0, 0), ())]


@pytest.mark.parametrize(("sizes", "wide"), WRONG_BARS)
def test_wrong_bar_sizes(sizes, wide):
    with pytest.raises(ValueError, match="not "):
        bar_features(sizes, wide)


def test_models_import_neither_rtl_nor_simulator():
    """A model that shares a table with what it checks proves nothing."""
    allowed = {"epbell_models", "epbell_regs", "devicetree"}
    found = set()
    for path in Path(epbell_models.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").split(".")[0])
    assert found - allowed <= set(sys.stdlib_module_names)
    assert "asyncio" in found
