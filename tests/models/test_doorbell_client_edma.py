"""Doorbells that are all one: several listeners on the eDMA's kick, behind a BAR that is aimed at it or a fixed one."""

import errno
from dataclasses import replace

import pytest
from rig import Rig, run_rig

from epbell_models import devicetree
from epbell_models.linux.doorbell_client import DoorbellClient, PublishedDoorbell
from epbell_models.linux.dw_edma_core import EdmaWay

EDMA = pytest.mark.parametrize("name", ["imx8-edma", "rk3588"])


def shipped(name: str) -> devicetree.DeviceTree:
    return devicetree.load(devicetree.builtin(name))


async def open_client(rig: Rig, count: int, **options) -> DoorbellClient:
    client = DoorbellClient(rig.software.core, rig.software.function.epf, 2, **options)
    assert await client.open(count) == 0, rig.software.log
    return client


async def ring(rig: Rig, client: DoorbellClient, index: int = 0, data: int | None = None) -> None:
    where = client.published[index]
    await rig.device.write32(where.bar, where.offset, where.data if data is None else data)


@EDMA
@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("count", [1, 4, 9])
def test_a_kick_is_heard_by_all(name, threaded, count):
    async def scenario(rig: Rig):
        client = await open_client(rig, count, threaded=threaded)
        for index in range(count):
            await ring(rig, client, index)
            await rig.platform.sleep(1e-4)
            assert client.handled == [index + 1] * count
        virq = rig.software.edma.db_irq
        return client.published, len(rig.software.core.descs[virq].actions), rig.endpoint.edma.rung

    where = PublishedDoorbell(4, 0xA0, 0) if name == "rk3588" else PublishedDoorbell(2, 0xA0, 0)
    assert run_rig(scenario, tree=shipped(name)) == ([where] * count, 1, count)


@EDMA
@pytest.mark.parametrize("data", [0, 1, 2, 0xFFFF_FFFF])
def test_any_word_rings(name, data):
    async def scenario(rig: Rig):
        client = await open_client(rig, 2)
        await ring(rig, client, 1, data)
        await rig.platform.sleep(1e-4)
        return client.handled

    assert run_rig(scenario, tree=shipped(name)) == [1, 1]


@EDMA
@pytest.mark.parametrize("threaded", [False, True])
def test_500_rings_back_to_back(name, threaded):
    async def scenario(rig: Rig):
        last = []

        async def note(index):
            last.append(rig.endpoint.edma.rung)
            await rig.platform.sleep(3e-6)

        client = await open_client(rig, 1, notify=note, threaded=threaded)
        for _ in range(500):
            await ring(rig, client)
        await rig.platform.sleep(1e-3)
        edma = rig.endpoint.edma
        assert edma.rung == edma.merged + edma.delivered == 500
        assert not any(line.level() for line in rig.link.irq_edma)
        return last[-1], 1 <= client.handled[0] <= 500

    assert run_rig(scenario, tree=shipped(name)) == (500, True)


@EDMA
def test_payload_before_the_ring_is_visible_in_the_handler(name):
    async def scenario(rig: Rig):
        found = []

        async def look(index):
            base = rig.software.function.epf.bars[3].phys_addr
            found.append(await rig.link.cpu.read32(base + 0x40))

        client = await open_client(rig, 1, notify=look)
        for number in range(30):
            await rig.device.write32(3, 0x40, number)
            await ring(rig, client)
            await rig.platform.sleep(20e-6)
        return found

    assert run_rig(scenario, tree=shipped(name)) == list(range(30))


@EDMA
def test_open_and_close_leave_nothing(name):
    async def scenario(rig: Rig):
        await rig.device.write32(2, 0xA0, 0xAA55_AA55)
        touched = len([a for a in rig.link.cpu.trace if a.address in window])
        for _ in range(20):
            client = await open_client(rig, 3)
            await ring(rig, client)
            await rig.platform.sleep(1e-4)
            assert client.handled == [1, 1, 1]
            assert await client.close() == 0
            assert rig.software.function.epf.doorbells == []
        touched = len([a for a in rig.link.cpu.trace if a.address in window]) - touched
        mappings = rig.software.mappings
        return await rig.device.read32(2, 0xA0), mappings.live, mappings.mapped, mappings.unmapped, touched

    atu = shipped(name).endpoint.atu.address
    window = range(atu, atu + 0x1_0000)
    aimed, accesses = (0, 0) if name == "rk3588" else (20, 20 * 2 * 5)
    assert run_rig(scenario, tree=shipped(name)) == (0xAA55_AA55, {}, aimed, aimed, accesses)


@EDMA
def test_busy(name):
    async def scenario(rig: Rig):
        client = await open_client(rig, 2)
        other = DoorbellClient(rig.software.core, rig.software.function.epf, 3)
        busy = await client.open(1), await other.open(1)
        await ring(rig, client)
        await rig.platform.sleep(1e-4)
        return busy, client.handled, await client.close(), rig.software.mappings.live

    assert run_rig(scenario, tree=shipped(name)) == ((-errno.EBUSY, -errno.EBUSY), [1, 1], 0, {})


def test_a_bar_that_cannot_be_aimed_leaves_nothing(monkeypatch):
    async def scenario(rig: Rig):
        async def refuse(bar):
            return -errno.EINVAL

        client = DoorbellClient(rig.software.core, rig.software.function.epf, 2)
        with monkeypatch.context() as patch:
            patch.setattr(rig.software.controller, "set_bar", refuse)
            refused = await client.open(2)
        state = client.published, dict(rig.software.mappings.live), list(rig.software.function.epf.doorbells)
        return refused, state, await client.open(2)

    assert run_rig(scenario, tree=shipped("imx8-edma")) == (-errno.EINVAL, ([], {}, []), 0)


def test_no_such_bar():
    async def scenario(rig: Rig):
        client = DoorbellClient(rig.software.core, rig.software.function.epf, 3)
        return await client.open(2), rig.software.mappings.live

    sizes = (0x4000, 0x4000, 0x4000, 0, 0, 0)
    assert run_rig(scenario, tree=shipped("imx8-edma"), bar_sizes=sizes) == (-errno.EINVAL, {})


def test_a_bar_of_its_own_is_not_needed_when_one_is_fixed():
    async def scenario(rig: Rig):
        client = DoorbellClient(rig.software.core, rig.software.function.epf, 3)
        opened = await client.open(2)
        await ring(rig, client)
        await rig.platform.sleep(1e-4)
        return opened, client.handled, await client.close()

    sizes = (0x4000, 0x4000, 0, 0, 0x4000, 0)
    assert run_rig(scenario, tree=shipped("rk3588"), bar_sizes=sizes) == (0, [1, 1], 0)


def fixed_bar_0() -> devicetree.DeviceTree:
    tree = shipped("rk3588")
    return replace(tree, endpoint=replace(tree.endpoint, fixed_bar=0))


async def start(rig: Rig) -> None:
    rig.link.start()
    assert await rig.software.start() == 0
    await rig.device.scan()
    await rig.device.assign(0x8000_0000)
    await rig.device.enable()


def test_the_fixed_bar_may_be_the_first():
    """BAR 0 is a BAR like any other: nothing is mapped, and no window is aimed."""

    async def scenario(rig: Rig):
        await start(rig)
        aimed = dict(rig.software.controller.bar_to_window), rig.window_target(2)
        client = await open_client(rig, 2)
        await ring(rig, client)
        await rig.platform.sleep(1e-4)
        assert client.published == [PublishedDoorbell(0, 0xA0, 0)] * 2
        assert (rig.software.controller.bar_to_window, rig.window_target(2)) == aimed
        return client.handled, rig.software.mappings.mapped, await client.close()

    assert run_rig(scenario, tree=fixed_bar_0(), bring_up=False) == ([1, 1], 0, 0)


def test_the_test_functions_doorbell_in_a_fixed_bar_0(monkeypatch):
    """The function's registers are in BAR 1 then; enable and disable touch no window."""

    async def scenario(rig: Rig):
        async def refuse(bar):
            raise AssertionError(f"BAR{bar.barno} is aimed")

        await start(rig)
        monkeypatch.setattr(rig.software.controller, "set_bar", refuse)
        block = rig.software.function.epf.bars[1].phys_addr

        def words() -> list[int]:
            return [rig.endpoint.cpu_read32(block + word) for word in (0x34, 0x38, 0x3C)]

        doorbell = rig.software.function.doorbell
        await doorbell.enable()
        enabled = doorbell.backend, words()
        await rig.device.write32(0, 0xA0, 0)
        await rig.platform.sleep(1e-3)
        rung = rig.endpoint.cpu_read32(block + 0x08) & 0x200
        await doorbell.disable()
        return enabled, rung, words()[0], rig.software.mappings.mapped, rig.software.function.epf.doorbells

    expected = (("edma", [0, 0xA0, 0]), 0x200, 0xFFFF_FFFF, 0, [])
    assert run_rig(scenario, tree=fixed_bar_0(), bring_up=False) == expected


def test_disabled_and_enabled_again():
    async def scenario(rig: Rig):
        client = await open_client(rig, 2)
        await client.disable(0)
        for _ in range(3):
            await ring(rig, client, 1)
            await rig.platform.sleep(1e-4)
        while_disabled = list(client.handled), rig.link.irq_edma[0].level()
        await client.enable(0)
        await rig.platform.sleep(1e-3)
        return while_disabled, client.handled

    assert run_rig(scenario, tree=shipped("imx8-edma")) == (([0, 0], False), [1, 1])


@EDMA
def test_dma_ends_while_doorbells_ring(name):
    """Spurious rings are legal, lost ones are not, and every end of a channel is counted."""

    async def scenario(rig: Rig):
        edma = rig.software.edma
        heard = []

        async def note(index):
            heard.append(rig.endpoint.edma.rung)

        client = await open_client(rig, 1, notify=note)
        for way in EdmaWay:
            await edma.start_channel(way, 1)
        for number in range(100):
            rig.link.pulse(wr_done=2 * (number % 3 == 0), rd_abort=2 * (number % 5 == 0))
            await ring(rig, client)
            await rig.platform.sleep(number % 9 * 3e-7 + 5e-6)
            assert heard[-1] == number + 1, number
        writes = edma.channels[0]
        return edma.done[1], edma.aborted[writes + 1], client.handled[0] >= 100

    assert run_rig(scenario, tree=shipped(name)) == (34, 20, True)
