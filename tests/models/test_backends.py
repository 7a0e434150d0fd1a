"""Every shipped device tree through Linux's DOORBELL test: which doorbell it gets, why, and what the host sees."""

import errno

import pytest
from rig import Rig, run_rig

from epbell_models import devicetree
from epbell_models.linux import pci_epf_test_doorbell
from epbell_models.linux.irqdesc import IrqFlag, IrqReturn
from epbell_models.linux.pci_ep_msi import pci_epf_alloc_doorbell

NO_BAR = 0xFFFF_FFFF
ENABLE, DISABLE = 0x40, 0x80
FELL_BACK = "Can't find MSI domain for EPC; Using embedded (DMA) doorbell fallback (-ENODEV)"
NO_DOORBELL = "Can't find MSI domain for EPC; Failed to allocate doorbell: -19 (-ENODEV)"
WORKING = {
    "imx8": ("mu", "", (1, 0x200, 0)),
    "imx8-edma": ("edma", FELL_BACK, (1, 0xA0, 0)),
    "rk3588": ("edma", FELL_BACK, (4, 0xA0, 0)),
    "hdma": ("polling", NO_DOORBELL, (0, 0x40, 1)),
}
FAILING = {
    "msi-enospc": "Failed to allocate MSI (-ENOSPC)",
    "msi-enomem": "Failed to allocate MSI (-ENOMEM)",
}


def shipped(name: str) -> devicetree.DeviceTree:
    return devicetree.load(devicetree.builtin(name))


def test_every_shipped_tree_is_here():
    assert sorted([*WORKING, *FAILING]) == sorted(devicetree.shipped())


@pytest.mark.parametrize("release", ["v6.17", "newest"])
@pytest.mark.parametrize("name", WORKING)
def test_a_hundred_doorbells(name, release):
    async def scenario(rig: Rig):
        before = [await rig.device.bar_register(bar) for bar in range(6)]
        results = {await rig.host.doorbell_test() for _ in range(100)}
        after = [await rig.device.bar_register(bar) for bar in range(6)]
        function, mappings = rig.software.function, rig.software.mappings
        counts = (rig.device.fired[0], function.irqs_raised, rig.endpoint.edma.rung, rig.endpoint.mu.bells()[0].rung)
        assert rig.host.statuses == [0x440, 0x240, 0x1040] * 100
        assert mappings.live == {}
        assert mappings.mapped == mappings.unmapped == (100 if name == "imx8-edma" else 0)
        assert [level for level in (rig.link.irq_mu, *rig.link.irq_edma) if level.level()] == []
        return results, before == after, function.backend, function.reason, rig.register(0x34), counts

    backend, reason, _ = WORKING[name]
    edma, mu = (100 if backend == "edma" else 0), (100 if backend == "mu" else 0)
    expected = ({0}, True, backend, reason, NO_BAR, (300, 300, edma, mu))
    assert run_rig(scenario, tree=shipped(name), release=release) == expected


@pytest.mark.parametrize("release", ["v6.17", "newest"])
@pytest.mark.parametrize("name", FAILING)
def test_an_error_is_final(name, release):
    """ENABLE_FAIL, one interrupt, and the eDMA that is there is not asked."""

    async def scenario(rig: Rig):
        assert rig.software.edma is not None
        assert rig.software.edma.db_irq
        results = [await rig.host.doorbell_test() for _ in range(3)]
        function = rig.software.function
        assert (function.backend, function.reason) == (None, FAILING[name])
        assert not any("fallback" in line for line in rig.software.log)
        # As after reset: an allocation that fails touches no register.
        assert rig.register(0x34) == 0
        return results, rig.host.statuses, rig.device.fired[0], rig.endpoint.edma.rung, rig.software.mappings.mapped

    expected = ([-errno.EINVAL] * 3, [0x840] * 3, 3, 0, 0)
    assert run_rig(scenario, tree=shipped(name), release=release) == expected


def test_hdma_without_polling():
    async def scenario(rig: Rig):
        result = await rig.host.doorbell_test()
        function = rig.software.function
        assert rig.software.edma is not None, "its channels work, it only has no doorbell"
        return result, rig.host.statuses, rig.device.fired[0], function.backend, function.reason

    expected = (-errno.EINVAL, [0x840], 1, None, NO_DOORBELL)
    assert run_rig(scenario, tree=shipped("hdma"), polling=False) == expected


def test_reason_of_a_fallback_has_the_errno_that_the_msi_backend_returned(monkeypatch):
    """A kernel that fell back on another error than -ENODEV would have to show by its reason."""

    async def scenario(rig: Rig):
        async def fall_back(epf, count, log):
            error = await pci_epf_alloc_doorbell(epf, count, log)
            epf.msi_error = -errno.ENXIO
            return error

        monkeypatch.setattr(pci_epf_test_doorbell, "pci_epf_alloc_doorbell", fall_back)
        return await rig.host.doorbell_test(), rig.software.function.backend, rig.software.function.reason

    expected = (0, "edma", FELL_BACK.replace("ENODEV", "ENXIO"))
    assert run_rig(scenario, tree=shipped("imx8-edma")) == expected


@pytest.mark.parametrize("name", WORKING)
def test_published_words(name):
    async def scenario(rig: Rig):
        assert await rig.command(ENABLE) == 0x440
        where = await rig.published()
        return where, await rig.command(DISABLE), (await rig.published())[0]

    assert run_rig(scenario, tree=shipped(name)) == (WORKING[name][2], 0x1040, NO_BAR)


@pytest.mark.parametrize("name", WORKING)
def test_second_enable_is_busy_and_the_first_still_rings(name):
    async def scenario(rig: Rig):
        first = await rig.command(ENABLE)
        where = await rig.published()
        second = await rig.command(ENABLE)
        busy = rig.software.function.reason
        await rig.device.write32(0, 0x08, 0)
        await rig.device.write32(*where)
        await rig.platform.sleep(3e-3)
        return first, second, busy, await rig.published() == where, rig.register(0x08), await rig.command(DISABLE)

    assert run_rig(scenario, tree=shipped(name)) == (0x440, 0x840, "(-EBUSY)", True, 0x240, 0x1040)


@pytest.mark.parametrize("name", WORKING)
def test_disable_twice(name):
    async def scenario(rig: Rig):
        fresh = await rig.command(DISABLE)
        assert await rig.host.doorbell_test() == 0
        return fresh, await rig.command(DISABLE), rig.device.fired[0], rig.software.mappings.live

    assert run_rig(scenario, tree=shipped(name)) == (0x2040, 0x2040, 5, {})


@pytest.mark.parametrize("name", ["imx8", "imx8-edma", "hdma"])
def test_ring_after_disable_lands_in_memory(name):
    async def scenario(rig: Rig):
        await rig.command(ENABLE)
        bar, offset, data = await rig.published()
        await rig.command(DISABLE)
        fired, rung = rig.device.fired[0], rig.endpoint.edma.rung
        await rig.device.write32(bar, offset, 0xABCD_0000 | data)
        await rig.platform.sleep(0.1)
        return await rig.device.read32(bar, offset), rig.device.fired[0] - fired, rig.endpoint.edma.rung - rung

    data = WORKING[name][2][2]
    assert run_rig(scenario, tree=shipped(name)) == (0xABCD_0000 | data, 0, 0)


def test_ring_of_a_fixed_bar_after_disable_is_acknowledged():
    """The host can always store to a fixed BAR: the line must not stay high, and pci-epf-test hears nothing."""

    async def scenario(rig: Rig):
        assert await rig.host.doorbell_test() == 0
        fired = rig.device.fired[0]
        for _ in range(50):
            await rig.device.write32(4, 0xA0, 0)
            await rig.platform.sleep(1e-4)
        nobody = [line for line in rig.software.log if "nobody" in line]
        return rig.endpoint.edma.rung, rig.device.fired[0] - fired, rig.link.irq_edma[0].level(), nobody

    assert run_rig(scenario, tree=shipped("rk3588"), spurious_window=20) == (51, 0, False, [])


def test_fixed_bar_no_window_is_touched():
    async def scenario(rig: Rig):
        since = len(rig.link.cpu.trace)
        assert await rig.host.doorbell_test() == 0
        page = range(0xF430_0000, 0xF431_0000)
        touched = [access for access in rig.link.cpu.trace[since:] if access.address in page]
        return touched, rig.software.controller.bar_to_window

    assert run_rig(scenario, tree=shipped("rk3588")) == ([], {0: 0, 1: 1, 2: 2, 3: 3, 5: 4})


def test_fixed_bar_is_reserved_for_bar_tests():
    async def scenario(rig: Rig):
        assert await rig.host.doorbell_test() == 0
        bars = [await rig.host.bar_test(bar) for bar in range(6)]
        return rig.host.caps >> 6, bars, await rig.host.bars_test(), rig.endpoint.edma.rung

    result = run_rig(scenario, tree=shipped("rk3588"), store_bytes=64)
    assert result == (1 << 4, [0, 0, 0, 0, -errno.ENOBUFS, 0], 0, 1)


def test_fixed_bar_serves_when_no_other_is_left():
    """No BAR but the one with the registers, and the one that shows the eDMA."""

    async def scenario(rig: Rig):
        return await rig.host.doorbell_test()

    assert run_rig(scenario, tree=shipped("rk3588"), bar_sizes=(0x4000, 0, 0, 0, 0x4000, 0)) == 0


def test_nothing_of_a_failed_enable_is_left():
    """No BAR for the doorbell: what was mapped is unmapped, and the interrupt is free."""

    async def scenario(rig: Rig):
        results = [await rig.host.doorbell_test() for _ in range(2)]
        mappings = rig.software.mappings
        assert rig.software.function.backend is None
        return results, rig.register(0x34), mappings.live, mappings.mapped

    result = run_rig(scenario, tree=shipped("imx8-edma"), bar_sizes=(0x4000, 0, 0, 0, 0, 0))
    assert result == ([-errno.EINVAL] * 2, NO_BAR, {}, 2)


@pytest.mark.parametrize("name", WORKING)
def test_stop_with_the_doorbell_enabled_leaves_nothing(name):
    async def scenario(rig: Rig):
        assert await rig.command(ENABLE) == 0x440
        await rig.software.function.stop()
        actions = [a for desc in rig.software.core.descs.values() for a in desc.actions if "doorbell" in a.name]
        assert rig.software.mappings.live == {}
        assert await rig.software.function.start() == 0
        return actions, await rig.host.doorbell_test()

    assert run_rig(scenario, tree=shipped(name)) == ([], 0)


def test_embedded_interrupt_is_shared():
    """Another driver listens to the same doorbell."""

    async def scenario(rig: Rig):
        heard = []

        async def handler(irq, dev_id):
            heard.append(dev_id)
            return IrqReturn.HANDLED

        core, edma = rig.software.core, rig.software.edma
        assert await core.request_irq(edma.db_irq, handler, IrqFlag.SHARED, "other", "other") == 0
        alone = await core.request_irq(edma.db_irq, handler, IrqFlag.NONE, "alone", "alone")
        return alone, await rig.host.doorbell_test(), heard

    assert run_rig(scenario, tree=shipped("imx8-edma")) == (-errno.EBUSY, 0, ["other"])


def test_other_devices_hold_their_messages():
    async def scenario(rig: Rig):
        (device, vectors), = rig.software.consumers
        return device.name, vectors, len(device.virqs), rig.software.log

    assert run_rig(scenario, tree=shipped("msi-enospc")) == ("remote-processor", 4, 4, [])


def test_too_many_messages_wanted(tmp_path):
    text = devicetree.builtin("msi-enospc").read_text(encoding="utf-8").replace("vectors = <4>", "vectors = <5>")
    (tmp_path / "five.dts").write_text(text, encoding="utf-8")

    async def scenario(rig: Rig):
        return await rig.host.doorbell_test(), rig.software.log

    tree = devicetree.load(tmp_path / "five.dts")
    assert run_rig(scenario, tree=tree) == (0, ["remote-processor: Failed to allocate MSI: -28"])


@pytest.mark.parametrize("fault", ["ENOSPC", "ENOMEM", "EINVAL", "EBUSY", "ENODEV"])
def test_any_error_but_enodev_is_final(fault, dts):
    async def scenario(rig: Rig):
        return await rig.host.doorbell_test(), rig.software.function.backend

    chosen = f'chosen {{ bootargs = "fault_inject.platform_msi={fault}"; }};\n gic: inter'
    expected = (0, "edma") if fault == "ENODEV" else (-errno.EINVAL, None)
    assert run_rig(scenario, tree=dts(("gic: inter", chosen))) == expected


@pytest.mark.parametrize("name", ["imx8-edma", "rk3588"])
def test_stale_use_dma_flag_silences_every_backend(name):
    async def scenario(rig: Rig):
        await rig.device.write32(0, 0x2C, 1)
        return await rig.host.doorbell_test(), rig.device.fired[0], rig.endpoint.edma.rung

    assert run_rig(scenario, tree=shipped(name)) == (-errno.EINVAL, 0, 0)


def test_polled_word_is_zeroed_on_enable_and_rings_once():
    async def scenario(rig: Rig):
        await rig.device.write32(0, 0x40, 7)
        assert await rig.command(ENABLE) == 0x440
        stale = await rig.device.read32(0, 0x40), rig.device.fired[0]
        await rig.device.write32(0, 0x08, 0)
        for _ in range(3):
            await rig.device.write32(0, 0x40, 1)
        await rig.platform.sleep(5e-3)
        return stale, rig.register(0x08), rig.device.fired[0], await rig.device.read32(0, 0x40)

    assert run_rig(scenario, tree=shipped("hdma")) == ((0, 1), 0x240, 2, 0)
