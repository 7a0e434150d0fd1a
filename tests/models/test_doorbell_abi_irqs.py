"""The doorbell ABI, continued: what goes wrong between ring and interrupt, and which interrupt is sent."""

import errno

import pytest
from rig import Rig, run_rig

ENABLE, DISABLE = 0x40, 0x80


def lose_rings(rig: Rig, monkeypatch):
    """Let stores to the doorbell's page vanish on their way."""
    host_write = rig.endpoint.host_write

    def write(bar, *where, **more):
        return [] if rig.window_target(bar) == 0x5D30_0000 else host_write(bar, *where, **more)

    monkeypatch.setattr(rig.endpoint, "host_write", write)


def test_row21_db_lost(monkeypatch):
    async def scenario(rig: Rig):
        lose_rings(rig, monkeypatch)
        start = rig.platform.now()
        result = await rig.host.doorbell_test()
        return result, rig.platform.now() - start, rig.host.statuses, rig.window_target(1)

    result, took, statuses, target = run_rig(scenario)
    assert (result, statuses, target) == (-errno.EINVAL, [0x440, 0, 0x1040], 0x6000_4000)
    assert 1.0 < took < 1.1


@pytest.mark.parametrize(("release", "result"), [("newest", -errno.EINVAL), ("v6.17", 0)])
def test_row22_db_lost_disable(release, result):
    async def scenario(rig: Rig):
        async def freeze():
            # The poll ends with the ring's interrupt: the command DISABLE is never picked up.
            while not rig.register(0x08) & 0x200:
                await rig.platform.sleep(1e-6)
            rig.software.function._stopping = True

        rig.platform.spawn(freeze(), "freeze")
        return await rig.host.doorbell_test(), rig.host.statuses

    assert run_rig(scenario, release=release) == (result, [0x440, 0x240, 0x240])


def test_row23_db_late_irq(monkeypatch):
    async def scenario(rig: Rig):
        thread = rig.software.function.doorbell.thread

        async def late(irq, dev_id):
            await rig.platform.sleep(1.0005)
            return await thread(irq, dev_id)

        monkeypatch.setattr(rig.software.function.doorbell, "thread", late)
        result = await rig.host.doorbell_test()
        await rig.platform.sleep(2)
        return result, rig.host.statuses[:2], rig.device.fired[0], rig.window_target(1)

    result, statuses, fired, target = run_rig(scenario)
    assert (result, statuses) == (-errno.EINVAL, [0x440, 0])
    assert (fired, target) == (3, 0x6000_4000), "the ring's own interrupt came, and the disable was carried out"


def test_row24_db_spurious_irq():
    """One interrupt too many wakes the host before the ring's own, and it then misses DOORBELL_SUCCESS."""

    async def scenario(rig: Rig):
        async def extra():
            while rig.register(0x08) != 0x440:
                await rig.platform.sleep(1e-7)
            rig.link.receiver.deliver(0)
            rig.link.receiver.deliver(0)

        rig.platform.spawn(extra(), "extra")
        return await rig.host.doorbell_test(), rig.host.statuses[:2]

    assert run_rig(scenario, cpu_latency=20e-6) == (-errno.EINVAL, [0x440, 0])


@pytest.mark.parametrize("cpu_latency", [1e-9, 100e-9, 10e-6])
def test_row25_status_before_msi(cpu_latency):
    """Every interrupt finds IRQ_RAISED: the host's handler completes as often as it fires."""

    async def scenario(rig: Rig):
        seen = []
        read32 = rig.device.read32

        async def spy(bar, offset):
            value = await read32(bar, offset)
            if offset == 0x08:
                seen.append(value)
            return value

        rig.device.read32 = spy
        assert {await rig.host.doorbell_test() for _ in range(5)} == {0}
        return seen

    statuses = run_rig(scenario, cpu_latency=cpu_latency)
    assert len(statuses) == 5 * 6
    assert all(status & 0x40 for status in statuses)


@pytest.mark.parametrize("delay_us", [0, 1, 2, 3, 5, 8, 13, 400, 900, 998])
def test_row26_status_race(delay_us):
    """A ring close to a poll: both the command's interrupt and the doorbell's come."""

    async def scenario(rig: Rig):
        await rig.command(ENABLE)
        where = await rig.published()
        fired = rig.device.fired[0]
        await rig.device.write32(0, 0x04, 2)
        await rig.platform.sleep(delay_us * 1e-6)
        await rig.device.write32(*where)
        await rig.platform.sleep(10e-3)
        return rig.device.fired[0] - fired, rig.register(0x08) & 0x40, await rig.command(DISABLE)

    assert run_rig(scenario) == (2, 0x40, 0x1040)


def test_row27_stale_flags_dma():
    async def scenario(rig: Rig):
        await rig.device.write32(0, 0x2C, 1)
        failed = await rig.host.doorbell_test()
        fired = rig.device.fired[0]
        await rig.device.write32(0, 0x2C, 0)
        return failed, fired, rig.host.statuses, await rig.host.doorbell_test()

    assert run_rig(scenario) == (-errno.EINVAL, 0, [0, 0x440, 0x240, 0x1040], 0)


@pytest.mark.parametrize("number", [0, 5, 0xFFFF_FFFF])
def test_row28_irq_number_zero_or_over_count(number):
    async def scenario(rig: Rig):
        status = await rig.command(2, irq_number=number)
        return status, sum(rig.device.fired), await rig.host.msi_test(4)

    assert run_rig(scenario, vectors_log2=2) == (0x40, 0, 0)


def test_row28_irq_type_beyond_msix():
    async def scenario(rig: Rig):
        return await rig.command(2, irq_type=3), sum(rig.device.fired), await rig.host.msi_test(1)

    assert run_rig(scenario) == (0, 0, 0)


def test_row29_cmd_two_bits():
    async def scenario(rig: Rig):
        return await rig.command(0x48), rig.device.fired[0], await rig.host.doorbell_test()

    assert run_rig(scenario) == (0, 0, 0)


def test_row30_irqtype_switch():
    """The ring interrupts as IRQ_TYPE and IRQ_NUMBER are when it comes, not as they were at enable."""

    async def scenario(rig: Rig):
        await rig.command(ENABLE, irq_number=1)
        where = await rig.published()
        await rig.device.write32(0, 0x28, 7)
        await rig.device.write32(*where)
        await rig.platform.sleep(1e-3)
        return rig.device.fired[:8]

    assert run_rig(scenario) == [1, 0, 0, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("log2", range(6))
def test_row31_msi_vectors(log2):
    async def scenario(rig: Rig):
        count = len(rig.device.fired)
        results = [await rig.host.msi_test(number) for number in range(1, count + 2)]
        return count, results, rig.device.fired

    count = 1 << log2
    assert run_rig(scenario, vectors_log2=log2) == (count, [0] * count + [-errno.EINVAL], [1] * count)


def test_row31_host_grants_fewer():
    async def scenario(rig: Rig):
        return len(rig.device.fired), await rig.host.msi_test(3), await rig.command(2, irq_number=5), rig.device.fired

    assert run_rig(scenario, vector_limit=6) == (4, 0, 0x40, [0, 0, 1, 0])


def test_row31_wrong_vector_is_eio():
    async def scenario(rig: Rig):
        async def wrong():
            await rig.platform.sleep(100e-6)
            rig.endpoint.cpu_write32(rig.registers + 0x28, 2)

        rig.platform.spawn(wrong(), "wrong")
        return await rig.host.msi_test(1)

    assert run_rig(scenario) == -errno.EIO
