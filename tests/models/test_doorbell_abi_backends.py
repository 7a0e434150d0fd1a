"""The rows of the doorbell ABI again, on the eDMA, in a fixed BAR and polled: the host must not be able to tell."""

import errno

import pytest
from rig import SMALL, Rig, run_rig

from epbell_models import devicetree

NO_BAR = 0xFFFF_FFFF
ENABLE, DISABLE = 0x40, 0x80
EVERY = pytest.mark.parametrize("name", ["imx8-edma", "rk3588", "hdma"])
EDMA = pytest.mark.parametrize("name", ["imx8-edma", "rk3588"])


def shipped(name: str) -> devicetree.DeviceTree:
    return devicetree.load(devicetree.builtin(name))


def fixed(name: str) -> int | None:
    return shipped(name).endpoint.fixed_bar


@EVERY
def test_row01_probe_caps(name):
    async def scenario(rig: Rig):
        rig.link.start()
        assert await rig.software.start() == 0
        await rig.device.scan()
        await rig.device.assign(0x8000_0000)
        assert await rig.host.probe() == 0
        reserved = 0 if fixed(name) is None else 1 << 6 + fixed(name)
        return [(a.kind, a.address & 0xFFF, a.length, a.value == 0x33 | reserved) for a in rig.link.memory.trace]

    assert run_rig(scenario, tree=shipped(name), bring_up=False) == [("read", 0x30, 4, True)]


@EVERY
def test_row05_db_then_bar(name):
    async def scenario(rig: Rig):
        ram = bytes(rig.endpoint.ram[SMALL[0] :])
        doorbell = await rig.host.doorbell_test()
        unchanged = bytes(rig.endpoint.ram[SMALL[0] :]) == ram
        bars = [await rig.host.bar_test(bar) for bar in range(6)]
        return doorbell, unchanged, bars, await rig.host.bars_test()

    bars = [-errno.ENOBUFS if bar == fixed(name) else 0 for bar in range(6)]
    assert run_rig(scenario, tree=shipped(name), store_bytes=64) == (0, True, bars, 0)


@EVERY
def test_row06_bar_then_db_then_read(name):
    async def scenario(rig: Rig):
        pattern = bytes(range(256)) * (SMALL[1] // 256)
        await rig.device.write(1, 0, pattern)
        assert await rig.host.doorbell_test() == 0
        return await rig.device.read(1, 0, len(pattern)) == pattern

    assert run_rig(scenario, tree=shipped(name))


@EVERY
@pytest.mark.parametrize(("irq_type", "result"), [(0, -errno.ENOSPC), (1, 0), (2, -errno.EINVAL), (3, 0)])
def test_row07_db_irq_types(name, irq_type, result):
    async def scenario(rig: Rig):
        return await rig.host.set_irqtype(irq_type), await rig.host.doorbell_test()

    expected = (result, 0 if result == 0 else -errno.EINVAL)
    assert run_rig(scenario, tree=shipped(name), irq_type=None) == expected


@EVERY
def test_row08_db_undefined_irq(name):
    async def scenario(rig: Rig):
        accesses = len(rig.link.memory.trace)
        return await rig.host.doorbell_test(), len(rig.link.memory.trace) - accesses

    assert run_rig(scenario, tree=shipped(name), irq_type=None) == (-errno.EINVAL, 0)


@EVERY
def test_row09_db_no_cap(name):
    async def scenario(rig: Rig):
        accesses = len(rig.link.memory.trace)
        return await rig.host.doorbell_test(), len(rig.link.memory.trace) - accesses

    assert run_rig(scenario, tree=shipped(name), dynamic_inbound_mapping=False) == (-errno.EOPNOTSUPP, 0)


@EVERY
def test_row10_db_old_ep(name):
    async def scenario(rig: Rig):
        return await rig.host.doorbell_test(), rig.device.fired[0], rig.endpoint.edma.rung

    options = {"doorbell_command": False, "announce_doorbell": False, "release": "v6.17"}
    assert run_rig(scenario, tree=shipped(name), **options) == (-errno.EINVAL, 0, 0)


@EVERY
def test_row11_db_old_host(name):
    async def scenario(rig: Rig):
        results = {await rig.host.bar_test(bar) for bar in range(6) if bar != fixed(name)}
        results |= {await rig.host.msi_test(vector) for vector in (1, 2, 32)}
        return results, rig.endpoint.edma.rung, [line.rises for line in rig.link.irq_edma]

    lines = [0] * shipped(name).endpoint.edma.lines
    assert run_rig(scenario, tree=shipped(name)) == ({0}, 0, lines)


@EDMA
@pytest.mark.parametrize("generation", ["v7", "merged"])
def test_row12_every_errno_of_the_embedded_doorbell(name, generation, monkeypatch):
    async def scenario(rig: Rig):
        results = []
        for error in (errno.EIO, errno.ENOMEM, errno.EINVAL):
            async def fail(error=error):
                return -error

            with monkeypatch.context() as patch:
                patch.setattr(rig.software.controller, "get_aux_resources_count", fail)
                results.append(await rig.host.doorbell_test())
            assert rig.software.function.reason.endswith(f"(-{errno.errorcode[error]})")
        return results, rig.host.statuses, rig.device.fired[0], await rig.host.doorbell_test()

    expected = ([-errno.EINVAL] * 3, [0x840] * 3, 3, 0)
    statuses = run_rig(scenario, tree=shipped(name), generation=generation)
    assert (statuses[0], statuses[1][:3], statuses[2], statuses[3]) == expected


@EDMA
def test_row14_db_enable_fail_irq(name):
    """Somebody holds the doorbell's interrupt and does not share it."""

    async def scenario(rig: Rig):
        async def handler(irq, dev_id):
            return 0

        core, virq = rig.software.core, rig.software.edma.db_irq
        assert await core.request_irq(virq, handler, 0, "alone", rig) == 0
        failed = await rig.host.doorbell_test()
        state = rig.register(0x34), rig.software.mappings.live, rig.window_target(1)
        await core.free_irq(virq, rig)
        assert not any("already-free" in line for line in rig.software.log)
        return failed, rig.host.statuses[0], state, await rig.host.doorbell_test()

    assert run_rig(scenario, tree=shipped(name)) == (-errno.EINVAL, 0x840, (NO_BAR, {}, 0x6000_4000), 0)


def test_row15_db_enable_fail_setbar(monkeypatch):
    async def scenario(rig: Rig):
        async def refuse(bar):
            return -errno.EINVAL

        with monkeypatch.context() as patch:
            patch.setattr(rig.software.controller, "set_bar", refuse)
            failed = await rig.host.doorbell_test()
        actions = [a for desc in rig.software.core.descs.values() for a in desc.actions if "doorbell" in a.name]
        state = rig.register(0x34), rig.software.mappings.live, rig.software.function.backend, actions
        return failed, state, await rig.host.doorbell_test()

    assert run_rig(scenario, tree=shipped("imx8-edma")) == (-errno.EINVAL, (NO_BAR, {}, None, []), 0)


@pytest.mark.parametrize(("name", "offset"), [("imx8", 0x200), ("imx8-edma", 0xA0)])
def test_everything_is_published_before_the_bar_is_aimed(name, offset, monkeypatch):
    """A host that rings as soon as the window is on must find where."""

    async def scenario(rig: Rig):
        set_bar, seen = rig.software.controller.set_bar, []

        async def look(bar):
            seen.append([rig.register(word) for word in (0x34, 0x38, 0x3C)])
            return await set_bar(bar)

        for word in (0x34, 0x38, 0x3C):
            rig.endpoint.cpu_write32(rig.registers + word, 0x5A5A)
        monkeypatch.setattr(rig.software.controller, "set_bar", look)
        assert await rig.command(ENABLE) == 0x440
        return await rig.command(DISABLE), seen

    # The second is the disable's own, which puts the memory back.
    assert run_rig(scenario, tree=shipped(name)) == (0x1040, [[1, offset, 0], [NO_BAR, offset, 0]])


@EVERY
@pytest.mark.parametrize("bar", [6, NO_BAR])
def test_row18_db_bar_range(name, bar):
    async def scenario(rig: Rig):
        where = {"imx8-edma": 1, "rk3588": 4, "hdma": 0}[name]

        async def scribble():
            while rig.register(0x08) & 0x400 == 0 or rig.register(0x34) != where:
                await rig.platform.sleep(1e-6)
            rig.endpoint.cpu_write32(rig.registers + 0x34, bar)

        rig.platform.spawn(scribble(), "scribble")
        result = await rig.host.doorbell_test()
        return result, rig.endpoint.edma.rung, list(rig.host.statuses), await rig.host.doorbell_test()

    assert run_rig(scenario, tree=shipped(name)) == (-errno.ERANGE, 0, [0x440], -errno.EINVAL)


def test_row20_db_ring_before_enable():
    async def scenario(rig: Rig):
        await rig.device.write32(1, 0xA0, 0)
        await rig.platform.sleep(0.1)
        return rig.endpoint.edma.rung, rig.link.irq_edma[0].rises, rig.device.fired[0]

    assert run_rig(scenario, tree=shipped("imx8-edma")) == (0, 0, 0)


def test_row20_db_ring_before_enable_of_a_fixed_bar():
    """It is acknowledged, and no more, until Linux replays it at the next request.

    That interrupt comes before the enable's own and lacks ENABLE_SUCCESS: the host gives up without disabling.
    """

    async def scenario(rig: Rig):
        for _ in range(5):
            await rig.device.write32(4, 0xA0, 0)
            await rig.platform.sleep(1e-3)
        quiet = rig.endpoint.edma.rung, rig.device.fired[0], rig.link.irq_edma[0].level()
        failed = [await rig.host.doorbell_test() for _ in range(2)]
        busy = rig.software.function.reason
        await rig.command(DISABLE)
        return quiet, failed, busy, [await rig.host.doorbell_test() for _ in range(3)]

    expected = ((5, 0, False), [-errno.EINVAL] * 2, "(-EBUSY)", [0, 0, 0])
    assert run_rig(scenario, tree=shipped("rk3588")) == expected


@EVERY
def test_row21_db_lost(name, monkeypatch):
    async def scenario(rig: Rig):
        host_write = rig.endpoint.host_write
        lost = {"imx8-edma": (1, 0xA0), "rk3588": (4, 0xA0), "hdma": (0, 0x40)}[name]

        def write(bar, offset, *where, **more):
            return [] if (bar, offset) == lost else host_write(bar, offset, *where, **more)

        monkeypatch.setattr(rig.endpoint, "host_write", write)
        start = rig.platform.now()
        result = await rig.host.doorbell_test()
        return result, 1.0 < rig.platform.now() - start < 1.1, rig.host.statuses, rig.window_target(1)

    assert run_rig(scenario, tree=shipped(name)) == (-errno.EINVAL, True, [0x440, 0, 0x1040], 0x6000_4000)


@EVERY
@pytest.mark.parametrize(("release", "result"), [("newest", -errno.EINVAL), ("v6.17", 0)])
def test_row22_db_lost_disable(name, release, result):
    async def scenario(rig: Rig):
        async def freeze():
            while not rig.register(0x08) & 0x200:
                await rig.platform.sleep(1e-6)
            rig.software.function._stopping = True

        rig.platform.spawn(freeze(), "freeze")
        return await rig.host.doorbell_test(), rig.host.statuses

    assert run_rig(scenario, tree=shipped(name), release=release) == (result, [0x440, 0x240, 0x240])


@EDMA
def test_row23_db_late_irq(name, monkeypatch):
    async def scenario(rig: Rig):
        thread = rig.software.function.doorbell.thread

        async def late(irq, dev_id):
            await rig.platform.sleep(1.0005)
            return await thread(irq, dev_id)

        monkeypatch.setattr(rig.software.function.doorbell, "thread", late)
        result = await rig.host.doorbell_test()
        await rig.platform.sleep(2)
        return result, rig.host.statuses[:2], rig.device.fired[0], rig.window_target(1), rig.software.mappings.live

    assert run_rig(scenario, tree=shipped(name)) == (-errno.EINVAL, [0x440, 0], 3, 0x6000_4000, {})


@EVERY
def test_row25_status_before_msi(name):
    async def scenario(rig: Rig):
        deliver, seen = rig.link.receiver.deliver, []

        def look(word):
            seen.append(rig.register(0x08) & 0x40)
            return deliver(word)

        rig.link.receiver.deliver = look
        return [await rig.host.doorbell_test() for _ in range(3)], seen

    assert run_rig(scenario, tree=shipped(name), cpu_latency=5e-6) == ([0] * 3, [0x40] * 9)


@EVERY
def test_row26_command_and_doorbell_together(name):
    """A command is picked up while the doorbell rings: both end, whatever that does to STATUS."""

    async def scenario(rig: Rig):
        assert await rig.command(ENABLE) == 0x440
        where = await rig.published()
        for step in range(20):
            fired = rig.device.fired[0]
            await rig.device.write32(0, 0x04, 0x02)
            await rig.platform.sleep(step * 1e-4)
            await rig.device.write32(*where)
            await rig.platform.sleep(10e-3)
            assert rig.device.fired[0] == fired + 2, step
        return await rig.command(DISABLE)

    assert run_rig(scenario, tree=shipped(name)) == 0x1040


@EVERY
def test_row28_irq_number_over_count(name):
    async def scenario(rig: Rig):
        assert await rig.command(ENABLE) == 0x440
        where, fired = await rig.published(), rig.device.fired[0]
        await rig.device.write32(0, 0x28, 33)
        await rig.device.write32(*where)
        await rig.platform.sleep(5e-3)
        silent = rig.device.fired[0] - fired
        return silent, rig.register(0x08) & 0x200, await rig.command(DISABLE), await rig.host.doorbell_test()

    assert run_rig(scenario, tree=shipped(name)) == (0, 0x200, 0x1040, 0)


@EVERY
def test_row29_cmd_two_bits(name):
    async def scenario(rig: Rig):
        await rig.command(ENABLE | 0x08)
        return rig.device.fired[0], rig.software.function.backend, await rig.host.doorbell_test()

    assert run_rig(scenario, tree=shipped(name)) == (0, None, 0)


@EVERY
def test_row30_vector_switched_between_enable_and_ring(name):
    async def scenario(rig: Rig):
        assert await rig.command(ENABLE, irq_number=1) == 0x440
        where = await rig.published()
        await rig.device.write32(0, 0x28, 5)
        await rig.device.write32(*where)
        await rig.platform.sleep(5e-3)
        return rig.device.fired[0], rig.device.fired[4]

    assert run_rig(scenario, tree=shipped(name)) == (1, 1)


@EDMA
def test_row31_doorbell_beside_every_vector(name):
    async def scenario(rig: Rig):
        results = {await rig.host.msi_test(vector) for vector in range(1, 33)}
        return results, await rig.host.doorbell_test(), await rig.host.msi_test(33)

    assert run_rig(scenario, tree=shipped(name)) == ({0}, 0, -errno.EINVAL)


@EDMA
@pytest.mark.parametrize("generation", ["v7", "merged"])
def test_both_generations(name, generation):
    async def scenario(rig: Rig):
        results = {await rig.host.doorbell_test() for _ in range(10)}
        mapped = rig.software.mappings.mapped
        return results, mapped, rig.software.mappings.live

    mapped = 10 if generation == "merged" and name == "imx8-edma" else 0
    assert run_rig(scenario, tree=shipped(name), generation=generation) == ({0}, mapped, {})


def test_word_of_the_resource_is_what_the_host_stores(monkeypatch):
    """Another controller may want a word of its own: the merged form hands it on, v7 did not."""

    async def scenario(rig: Rig):
        offer = rig.software.controller.get_aux_resources

        async def other(resources, room):
            error = await offer(resources, room)
            resources[0] = type(resources[0])(**{**resources[0].__dict__, "data": 0x5AFE_0001})
            return error

        monkeypatch.setattr(rig.software.controller, "get_aux_resources", other)
        return await rig.host.doorbell_test(), (await rig.published())[2], rig.link.memory.trace

    for generation, data in (("merged", 0x5AFE_0001), ("v7", 0)):
        result, published, trace = run_rig(scenario, tree=shipped("imx8-edma"), generation=generation)
        rings = [access.value for access in trace if access.kind == "write" and access.address & 0xFFFF == 0x40A0]
        assert (result, published, rings) == (0, data, [data])
