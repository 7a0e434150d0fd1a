"""The host's driver on the endpoint's software: doorbells with every interrupt type, transfers, halves of BARs."""

import random

import pytest

from epbell_models import devicetree
from epbell_models.selftest.model import ModelTarget

INTX, MSI, MSIX = range(3)


def run(scenario, name="imx8", **options):
    target = ModelTarget(devicetree.load(devicetree.builtin(name)), msix_vectors=16, **options)

    async def main():
        return await scenario(target, await target.bring_up())

    return target.platform.run(main())


@pytest.mark.parametrize("name", ["imx8", "imx8-edma", "rk3588", "hdma"])
@pytest.mark.parametrize("order", [(INTX, MSI, MSIX), (MSIX, INTX, MSI)])
def test_row07_db_irq_types(name, order):
    """Three interrupts of each kind: one per command, one per ring, none twice."""

    async def scenario(target, host):
        results, fired = [], []
        for irq_type in order * 2:
            assert await host.set_irqtype(irq_type) == 0
            results.append(await host.doorbell_test())
            await target.platform.sleep(5e-3)
            fired.append((target.device.fired[0], sum(target.device.fired)))
        return results, fired, target.link.intx.rises

    assert run(scenario, name) == ([0] * 6, [(3, 3)] * 6, 6)


@pytest.mark.parametrize("irq_type", [INTX, MSI, MSIX])
def test_row32_xfer_sizes(irq_type):
    """Every size from buffers that begin anywhere; what lies around them stays as it is."""
    source = random.Random(irq_type)
    sizes = [*range(1, 9), 0xFFF, 0x1000, 0x1001, *(source.randrange(1, 0x4000) for _ in range(20))]

    async def scenario(target, host):
        memory = target.link.host_memory
        assert await host.set_irqtype(irq_type) == 0
        results = set()
        for size in sizes:
            memory.allocate(source.randrange(1, 0x1400), 1)
            fence = memory.allocate(64, 1)
            memory.poke(fence, b"\x5a" * 64)
            results |= {await test(size) for test in (host.read_test, host.write_test, host.copy_test)}
            assert memory.peek(fence, 64) == b"\x5a" * 64
        return results, target.software.controller.outbound, memory.dropped

    assert run(scenario) == ({0}, {}, [])


def test_row33_subrange_swap():
    """What the host wrote into the halves is in RAM the other way round; the BAR is where it was."""

    async def scenario(target, host):
        device = target.device
        before = [await device.bar_register(bar) for bar in range(6)]
        assert await host.set_irqtype(MSI) == 0
        results = [await host.bar_subrange_test(bar) for bar in range(1, 6)]
        ends = []
        for bar in range(1, 6):
            size = device.resources[bar].size
            ends.append([(await device.read(bar, at, 1))[0] for at in (0, size // 2 - 1, size // 2, size - 1)])
        return results, ends, [await device.bar_register(bar) for bar in range(6)] == before, host.statuses

    results, ends, unmoved, statuses = run(scenario, windows=8)
    assert results == [0] * 5
    assert ends == [[0xA1 + 8 * bar] * 2 + [0xA0 + 8 * bar] * 2 for bar in range(1, 6)]
    assert unmoved
    assert statuses == [1 << 14 | 1 << 6, 1 << 16 | 1 << 6] * 5


def test_a_transfer_from_memory_that_is_not_the_endpoints_fails():
    async def scenario(target, host):
        assert await host.set_irqtype(MSI) == 0
        memory = target.link.host_memory
        allocate = memory.allocate

        def beyond(size, alignment=8):
            return allocate(size, alignment) + 0x10_0000

        memory.allocate = beyond
        results = [await test(100) for test in (host.write_test, host.read_test, host.copy_test)]
        memory.allocate = allocate
        return results, await host.copy_test(100), len(memory.dropped) > 0

    results, after, dropped = run(scenario)
    assert results == [-5, -5, -5]
    assert (after, dropped) == (0, True)
