"""Every channel of the Messaging Unit as a doorbell behind one BAR: dispatch, masking, merging, order."""

import errno

import pytest
from rig import Rig, run_rig

from epbell_models.linux.doorbell_client import DoorbellClient
from epbell_models.linux.irqdesc import IrqFlag, IrqReturn

LAYOUTS = ["imx6sx", "imx7ulp", "imx8ulp"]
PAYLOAD_BAR = 3


async def open_client(rig: Rig, count: int = 4, **options) -> DoorbellClient:
    client = DoorbellClient(rig.software.core, rig.software.function.epf, 2, **options)
    assert await client.open(count) == 0, rig.software.log
    return client


async def ring(rig: Rig, client: DoorbellClient, index: int, data: int | None = None) -> None:
    where = client.published[index]
    await rig.device.write32(where.bar, where.offset, where.data if data is None else data)


def accounts(rig: Rig) -> list[tuple[int, int, int]]:
    return [tuple(bell) for bell in rig.endpoint.mu.bells()]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("threaded", [False, True])
def test_each_vector_alone(layout, threaded, dts):
    async def scenario(rig: Rig):
        client = await open_client(rig, threaded=threaded)
        seen = []
        for index in range(4):
            await ring(rig, client, index, 0xC0DE_0000 + index)
            await rig.platform.sleep(1e-3)
            seen.append(list(client.handled))
        return seen, rig.link.irq_mu.rises, rig.link.irq_mu.level(), [d.data for d in client.published]

    seen, rises, level, data = run_rig(scenario, tree=dts(("fsl,imx8ulp-mu-msi", f"fsl,{layout}-mu-msi")))
    assert seen == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert (rises, level, data) == (4, False, [0, 1, 2, 3])


def test_all_vectors_at_once():
    async def scenario(rig: Rig):
        client = await open_client(rig)
        for index in range(4):
            rig.platform.spawn(ring(rig, client, index), f"ring{index}")
        await rig.platform.sleep(1e-3)
        return client.handled, rig.software.gic.taken[191]

    handled, taken = run_rig(scenario)
    assert handled == [1, 1, 1, 1]
    assert taken <= 4


@pytest.mark.parametrize("threaded", [False, True])
def test_1000_rings_back_to_back(threaded):
    async def scenario(rig: Rig):
        last = []

        async def note(index):
            last.append(rig.endpoint.mu.bells()[0].rung)
            await rig.platform.sleep(3e-6)

        client = await open_client(rig, 1, notify=note, threaded=threaded)
        for _ in range(1000):
            await ring(rig, client, 0)
        await rig.platform.sleep(1e-3)
        return client.handled[0], last[-1], accounts(rig)[0], rig.link.irq_mu.level()

    handled, seen, (rung, merged, delivered), level = run_rig(scenario)
    assert seen == 1000, "a handler started after the last ring"
    assert (rung, merged + delivered, level) == (1000, 1000, False)
    assert 1 <= handled <= delivered < 1000 + threaded
    # The interrupt alone is as slow as its handler and merges in TRn; with a thread it merges in the thread's wake-up.
    assert (handled < delivered) if threaded else merged


@pytest.mark.parametrize("layout", LAYOUTS)
def test_payload_before_the_ring_is_visible_in_the_handler(layout, dts):
    async def scenario(rig: Rig):
        found = []

        async def look(index):
            base = rig.software.function.epf.bars[PAYLOAD_BAR].phys_addr
            found.append(await rig.link.cpu.read32(base + 0x40))

        client = await open_client(rig, 2, notify=look)
        for number in range(50):
            await rig.device.write32(PAYLOAD_BAR, 0x40, number)
            await ring(rig, client, number & 1)
            await rig.platform.sleep(20e-6)
        return found

    assert run_rig(scenario, tree=dts(("fsl,imx8ulp-mu-msi", f"fsl,{layout}-mu-msi"))) == list(range(50))


def test_masked_then_unmask_replays_once():
    async def scenario(rig: Rig):
        client = await open_client(rig)
        await client.disable(1)
        for _ in range(3):
            await ring(rig, client, 1)
            await rig.platform.sleep(1e-3)
        masked = (list(client.handled), rig.endpoint.cpu_read32(0x5D27_0128), accounts(rig)[1])
        await client.enable(1)
        await rig.platform.sleep(1e-3)
        return masked, client.handled, rig.endpoint.cpu_read32(0x5D27_0128)

    masked, handled, rcr = run_rig(scenario)
    # Lazily disabled: the first ring is consumed by the ack and masks; the second and third wait in RF1, merged.
    assert masked == ([0, 0, 0, 0], 0b1101, (3, 1, 1))
    assert handled[1] in (1, 2)
    assert handled[0] == handled[2] == handled[3] == 0
    assert rcr == 0b1111


def test_ring_while_the_handler_runs_is_not_lost():
    async def scenario(rig: Rig):
        async def slow(index):
            if client.handled[index] == 1:
                await ring(rig, client, index)
            await rig.platform.sleep(10e-6)

        client = await open_client(rig, 1, notify=slow)
        await ring(rig, client, 0)
        await rig.platform.sleep(1e-3)
        return client.handled[0], accounts(rig)[0]

    assert run_rig(scenario) == (2, (2, 0, 2))


@pytest.mark.parametrize("step", range(0, 24, 2))
def test_ring_at_any_moment_around_the_ack(step):
    async def scenario(rig: Rig):
        heard = []

        async def note(index):
            heard.append(rig.endpoint.mu.bells()[0].rung)

        client = await open_client(rig, 1, notify=note)
        await ring(rig, client, 0)
        await rig.platform.sleep(step * 25e-9)
        await ring(rig, client, 0)
        await rig.platform.sleep(1e-3)
        return heard[-1], accounts(rig)[0], rig.link.irq_mu.level()

    last, (rung, merged, delivered), level = run_rig(scenario)
    assert (last, rung, merged + delivered, level) == (2, 2, 2, False)


def test_two_clients_share_the_unit():
    """Another device takes two channels: each hears its own, and a fifth channel does not exist."""

    async def scenario(rig: Rig):
        heard = []
        core, unit = rig.software.core, rig.software.epc.msi_domain

        async def handler(irq, dev_id):
            heard.append(dev_id)
            return IrqReturn.HANDLED

        others = [unit.alloc(), unit.alloc()]
        for virq in others:
            assert await core.request_irq(virq, handler, IrqFlag.NONE, "other", virq) == 0
        client = DoorbellClient(core, rig.software.function.epf, 2)
        refused = await client.open(3)
        leaked = len(unit.revmap)
        assert await client.open(2) == 0
        assert unit.alloc() == -errno.ENOSPC
        await ring(rig, client, 0)
        await ring(rig, client, 1)
        await rig.device.write32(2, 0x200, 99)
        await rig.platform.sleep(1e-3)
        return refused, leaked, [d.data for d in client.published], client.handled, heard == [others[0]]

    assert run_rig(scenario) == (-errno.ENOSPC, 2, [2, 3], [1, 1], True)


def test_one_vector_shared_by_two_handlers():
    async def scenario(rig: Rig):
        heard = []
        core, unit = rig.software.core, rig.software.epc.msi_domain
        virq = unit.alloc()

        async def handler(irq, dev_id):
            heard.append(dev_id)
            return IrqReturn.HANDLED

        for name in ("one", "two"):
            assert await core.request_irq(virq, handler, IrqFlag.SHARED, name, name) == 0
        rig.endpoint.mu.write32("b", 0x200, 0)
        rig.link.settle()
        await rig.platform.sleep(1e-3)
        await core.free_irq(virq, "one")
        rig.endpoint.mu.write32("b", 0x200, 0)
        rig.link.settle()
        await rig.platform.sleep(1e-3)
        return heard

    assert run_rig(scenario) == ["one", "two", "two"]


def test_close_puts_memory_back():
    async def scenario(rig: Rig):
        await rig.device.write32(2, 0x200, 0xAA55_AA55)
        client = await open_client(rig)
        await ring(rig, client, 0)
        await rig.platform.sleep(1e-3)
        assert await client.close() == 0
        await rig.device.write32(2, 0x204, 1)
        await rig.platform.sleep(1e-3)
        word = await rig.device.read32(2, 0x200)
        return word, client.handled, rig.link.irq_mu.level(), rig.endpoint.cpu_read32(0x5D27_0128)

    assert run_rig(scenario) == (0xAA55_AA55, [1, 0, 0, 0], False, 0)


def test_spurious_level_is_switched_off():
    """A handler that never takes the interrupt on: after the window of interrupts it is disabled, with a message."""

    async def scenario(rig: Rig):
        core, unit = rig.software.core, rig.software.epc.msi_domain
        virq = unit.alloc()

        async def nobody(irq, dev_id):
            return IrqReturn.NONE

        assert await core.request_irq(virq, nobody, IrqFlag.NONE, "nobody", rig) == 0
        for _ in range(1100):
            rig.endpoint.mu.write32("b", 0x200, 0)
            rig.link.settle()
            await rig.platform.sleep(2e-6)
        return core.descs[virq].disabled, rig.software.log, rig.endpoint.cpu_read32(0x5D27_0128)

    disabled, log, rcr = run_rig(scenario, spurious_window=1000)
    assert disabled
    assert any("nobody cared" in line for line in log)
    assert rcr == 0
