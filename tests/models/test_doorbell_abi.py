"""The doorbell ABI between pci_endpoint_test and pci-epf-test, row by row; the numbers are those of docs/models.md."""

import errno

import pytest
from rig import LINUX, SMALL, Rig, run_rig

NO_BAR = 0xFFFF_FFFF
ENABLE, DISABLE = 0x40, 0x80
LAYOUTS = ["imx6sx", "imx7ulp", "imx8ulp"]


def test_row01_probe_caps():
    async def scenario(rig: Rig):
        rig.link.start()
        assert await rig.software.start() == 0
        await rig.device.scan()
        await rig.device.assign(0x8000_0000)
        assert await rig.host.probe() == 0
        return [(a.kind, a.address, a.length, a.value) for a in rig.link.memory.trace]

    assert run_rig(scenario, bring_up=False) == [("read", 0x8001_0030, 4, 0x33)]


def test_row02_regmap_rw():
    async def scenario(rig: Rig):
        for offset in range(0, 0x40, 4):
            if offset != 0x04:
                await rig.device.write32(0, offset, 0xA500_0000 | offset)
        words = [await rig.device.read32(0, offset) for offset in range(0, 0x40, 4)]
        await rig.device.write32(0, 0x24, 1)
        await rig.device.write32(0, 0x2C, 0)
        await rig.device.write32(0, 0x04, 1 << 30)
        await rig.platform.sleep(2e-3)
        return words, await rig.device.read32(0, 0x04), rig.device.refused_reads

    words, command, refused = run_rig(scenario)
    assert words == [0 if offset == 4 else 0xA500_0000 | offset for offset in range(0, 0x40, 4)]
    assert command == 0, "picked up within a poll"
    assert refused == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_row03_db_happy(layout, dts):
    async def scenario(rig: Rig):
        result = await rig.host.doorbell_test()
        return result, rig.host.statuses, rig.register(0x34), rig.device.fired[0], rig.software.function.irqs_raised

    tree = dts(("fsl,imx8ulp-mu-msi", f"fsl,{layout}-mu-msi"))
    assert run_rig(scenario, tree=tree) == (0, [0x440, 0x240, 0x1040], NO_BAR, 3, 3)


def test_row03_db_happy_published_words():
    async def scenario(rig: Rig):
        assert await rig.command(ENABLE) == 0x440
        return await rig.published(), rig.window_target(1)

    assert run_rig(scenario) == ((1, 0x200, 0), 0x5D30_0000)


@pytest.mark.parametrize("release", ["v6.17", "newest"])
def test_row04_db_repeat_100(release):
    async def scenario(rig: Rig):
        before = [await rig.device.bar_register(bar) for bar in range(6)]
        results = {await rig.host.doorbell_test() for _ in range(100)}
        after = [await rig.device.bar_register(bar) for bar in range(6)]
        return results, before == after, rig.device.fired[0]

    assert run_rig(scenario, release=release) == ({0}, True, 300)


def test_row05_db_then_bar():
    async def scenario(rig: Rig):
        ram = bytes(rig.endpoint.ram[SMALL[0] :])
        doorbell = await rig.host.doorbell_test()
        unchanged = bytes(rig.endpoint.ram[SMALL[0] :]) == ram
        bars = [await rig.host.bar_test(bar) for bar in range(6)]
        return doorbell, unchanged, bars, await rig.host.bars_test()

    assert run_rig(scenario, store_bytes=64) == (0, True, [0] * 6, 0)


def test_row05_bars_dword_by_dword():
    async def scenario(rig: Rig):
        first = len(rig.link.memory.trace)
        result = await rig.host.bars_test()
        stores = [a for a in rig.link.memory.trace[first:] if a.kind == "write"]
        return result, {a.length for a in stores}, len(stores), stores[1].value

    sizes = (0x4000, 0x400, 0, 0, 0, 0)
    assert run_rig(scenario, bar_sizes=sizes) == (0, {4}, 1 + 0x100, 0xA100_0000)


def test_row05_linux_bar_sizes():
    async def scenario(rig: Rig):
        bars = [await rig.host.bar_test(bar) for bar in range(6)]
        return bars, await rig.host.doorbell_test(), await rig.host.bars_test(), rig.window_target(5)

    result = run_rig(scenario, bar_sizes=LINUX, store_bytes=4096)
    assert result == ([0] * 6, 0, 0, 0x6010_0000)


def test_row06_bar_then_db_then_read():
    async def scenario(rig: Rig):
        pattern = bytes(range(256)) * (SMALL[1] // 256)
        await rig.device.write(1, 0, pattern)
        assert await rig.host.doorbell_test() == 0
        return await rig.device.read(1, 0, len(pattern)) == pattern

    assert run_rig(scenario)


IRQ_TYPES = [(0, -errno.ENOSPC), (1, 0), (2, -errno.EINVAL), (3, 0), (4, -errno.EINVAL)]


@pytest.mark.parametrize(("irq_type", "result"), IRQ_TYPES)
def test_row07_db_irq_types(irq_type, result):
    async def scenario(rig: Rig):
        return await rig.host.set_irqtype(irq_type), await rig.host.doorbell_test()

    assert run_rig(scenario, irq_type=None) == (result, 0 if result == 0 else -errno.EINVAL)


def test_row08_db_undefined_irq():
    async def scenario(rig: Rig):
        accesses = len(rig.link.memory.trace)
        return await rig.host.doorbell_test(), len(rig.link.memory.trace) - accesses

    assert run_rig(scenario, irq_type=None) == (-errno.EINVAL, 0)


def test_row09_db_no_cap():
    async def scenario(rig: Rig):
        accesses = len(rig.link.memory.trace)
        return rig.host.caps, await rig.host.doorbell_test(), len(rig.link.memory.trace) - accesses

    assert run_rig(scenario, dynamic_inbound_mapping=False) == (0x03, -errno.EOPNOTSUPP, 0)


@pytest.mark.parametrize(
    ("release", "announce", "result"),
    [("newest", False, -errno.EOPNOTSUPP), ("newest", True, 0), ("v6.17", False, 0), ("v6.17", True, 0)],
)
def test_row09_cap_gate_by_release(release, announce, result):
    async def scenario(rig: Rig):
        return await rig.host.doorbell_test()

    assert run_rig(scenario, release=release, announce_doorbell=announce) == result


def test_row10_db_old_ep():
    async def scenario(rig: Rig):
        writes = len(rig.link.memory.trace)
        start = rig.platform.now()
        result = await rig.host.doorbell_test()
        stores = [a for a in rig.link.memory.trace[writes:] if a.kind == "write"]
        return result, rig.platform.now() - start, len(stores), rig.device.fired[0], await rig.host.msi_test(1)

    options = {"doorbell_command": False, "announce_doorbell": False, "release": "v6.17"}
    result, took, stores, fired, later = run_rig(scenario, **options)
    assert (result, stores, fired, later) == (-errno.EINVAL, 3, 0, 0)
    assert took == pytest.approx(1.0, abs=0.01)


def test_row11_db_old_host():
    async def scenario(rig: Rig):
        results = [await rig.host.bar_test(bar) for bar in range(6)]
        results += [await rig.host.msi_test(vector) for vector in (1, 2, 32)]
        return results, rig.endpoint.mu.bells()[0].rung, rig.link.irq_mu.rises

    assert run_rig(scenario) == ([0] * 9, 0, 0)


NO_EDMA = ('interrupt-names = "dma";', "")
NO_MSI = {
    "no-msi-parent": ([("msi-parent = <&lsio_mu12>;", "")], {}, "Can't find MSI domain for EPC"),
    "unit-disabled": ([("#msi-cells = <0>;", '#msi-cells = <0>; status = "disabled";')], {}, "Can't find MSI domain"),
    "no-driver-s4": ([("imx8ulp-mu-msi", "imx8ulp-mu-msi-s4")], {}, "Can't find MSI domain for EPC"),
    "mutable": ([], {"mu_immutable": False}, "Mutable MSI controller not supported"),
}


@pytest.mark.parametrize("case", NO_MSI)
def test_row12_db_enable_fail_alloc_enodev(case, dts):
    edits, options, message = NO_MSI[case]

    async def scenario(rig: Rig):
        assert await rig.host.doorbell_test() == -errno.EINVAL
        function = rig.software.function
        assert (function.backend, function.reason) == (None, f"{said[0]}; Failed to allocate doorbell: -19 (-ENODEV)")
        return rig.host.statuses, rig.device.fired[0], rig.register(0x34), rig.window_target(1)

    said = ["Mutable MSI controller not supported" if case == "mutable" else "Can't find MSI domain for EPC"]
    assert message in said[0]
    statuses, fired, db_bar, target = run_rig(scenario, tree=dts(*edits, NO_EDMA), polling=False, **options)
    assert (statuses, fired) == ([0x840], 1)
    assert db_bar == 0, "an allocation that failed touches nothing: still as after reset"
    assert target == 0x6000_4000


@pytest.mark.parametrize("case", NO_MSI)
def test_row12_enodev_alone_falls_back(case, dts):
    edits, options, message = NO_MSI[case]

    async def scenario(rig: Rig):
        result = await rig.host.doorbell_test()
        return result, rig.software.function.backend, message in rig.software.function.reason

    assert run_rig(scenario, tree=dts(*edits), **options) == (0, "edma", True)


def test_row12_db_enable_fail_alloc_enospc():
    async def scenario(rig: Rig):
        for _ in range(4):
            assert rig.software.epc.msi_domain.alloc() > 0
        failed = await rig.host.doorbell_test()
        rig.software.epc.msi_domain.free(next(iter(rig.software.epc.msi_domain.revmap.values())).data.irq)
        return failed, rig.device.fired[0], await rig.host.doorbell_test()

    assert run_rig(scenario) == (-errno.EINVAL, 1, 0)


def test_row12_db_bar_is_no_bar_after_a_disable_and_a_failed_enable():
    async def scenario(rig: Rig):
        assert await rig.host.doorbell_test() == 0
        for _ in range(4):
            assert rig.software.epc.msi_domain.alloc() > 0
        return await rig.host.doorbell_test(), rig.register(0x34)

    assert run_rig(scenario) == (-errno.EINVAL, NO_BAR)


def test_row13_db_enable_fail_nobar():
    async def scenario(rig: Rig):
        results = [await rig.host.doorbell_test() for _ in range(2)]
        return results, rig.host.statuses, rig.register(0x34), rig.software.epc.msi_domain.revmap

    result = run_rig(scenario, bar_sizes=(0x4000, 0, 0, 0, 0, 0))
    assert result == ([-errno.EINVAL] * 2, [0x840, 0x840], NO_BAR, {})


def test_row14_db_enable_fail_irq(monkeypatch):
    async def scenario(rig: Rig):
        async def refuse(*args):
            return -errno.EBUSY

        with monkeypatch.context() as patch:
            patch.setattr(rig.software.core, "request_threaded_irq", refuse)
            failed = await rig.host.doorbell_test()
        return failed, rig.register(0x34), rig.software.log, await rig.host.doorbell_test()

    failed, db_bar, log, again = run_rig(scenario)
    assert (failed, db_bar, again) == (-errno.EINVAL, NO_BAR, 0)
    assert not any("already-free" in line for line in log), log
    assert any("Failed to request doorbell IRQ" in line for line in log)


class NeverEnables:
    """The processor's bus, but for windows that can be switched off: their CTRL2 then stays 0."""

    def __init__(self, bus):
        self.bus = bus
        self.dead = False

    def __getattr__(self, name):
        return getattr(self.bus, name)

    async def write32(self, address, value):
        if not (self.dead and address & 0xFFFF_00FF == 0x5F31_0004):
            await self.bus.write32(address, value)

    async def read32(self, address):
        return 0 if self.dead and address & 0xFFFF_00FF == 0x5F31_0004 else await self.bus.read32(address)


def test_row15_db_enable_fail_setbar():
    buses = []

    def wrap(bus):
        buses.append(NeverEnables(bus))
        return buses[0]

    async def scenario(rig: Rig):
        buses[0].dead = True
        failed = await rig.host.doorbell_test()
        target = rig.window_target(1)
        actions = [a.name for desc in rig.software.core.descs.values() for a in desc.actions if "doorbell" in a.name]
        buses[0].dead = False
        return failed, rig.register(0x34), target, actions, rig.software.log, await rig.host.doorbell_test()

    failed, db_bar, target, actions, log, again = run_rig(scenario, cpu_bus=wrap)
    assert (failed, db_bar, target, actions) == (-errno.EINVAL, NO_BAR, 0x6000_4000, [])
    assert "Inbound iATU is not being enabled" in log
    assert again == 0


def test_row15_window_too_fine_for_the_target():
    """A BAR below the windows' granularity cannot be aimed at TR0, which is not at a multiple of 4 KiB."""

    async def scenario(rig: Rig):
        return await rig.host.doorbell_test(), rig.host.statuses, rig.register(0x34)

    assert run_rig(scenario, bar_sizes=(0x4000, 0x200, 0, 0, 0, 0)) == (-errno.EINVAL, [0x840], NO_BAR)


def test_row16_db_double_enable():
    async def scenario(rig: Rig):
        first = await rig.command(ENABLE)
        where = await rig.published()
        second = await rig.command(ENABLE)
        await rig.device.write32(0, 0x08, 0)
        await rig.device.write32(where[0], where[1], where[2])
        await rig.platform.sleep(1e-3)
        return first, second, await rig.published() == where, rig.register(0x08), await rig.command(DISABLE)

    assert run_rig(scenario) == (0x440, 0x840, True, 0x240, 0x1040)


def test_row17_db_disable_without_enable():
    async def scenario(rig: Rig):
        fresh = await rig.command(DISABLE)
        after = (await rig.host.doorbell_test(), await rig.command(DISABLE))
        return fresh, after, rig.device.fired[0], rig.software.log

    fresh, after, fired, log = run_rig(scenario)
    assert (fresh, after, fired) == (0x2040, (0, 0x2040), 1 + 3 + 1)
    assert [line for line in log if "would crash" in line] == log[:1]


@pytest.mark.parametrize("bar", [6, NO_BAR])
def test_row18_db_bar_range(bar):
    async def scenario(rig: Rig):
        async def scribble():
            while rig.register(0x34) != 1:
                await rig.platform.sleep(1e-6)
            rig.endpoint.cpu_write32(rig.registers + 0x34, bar)

        rig.platform.spawn(scribble(), "scribble")
        result = await rig.host.doorbell_test()
        rung = rig.endpoint.mu.bells()[0].rung
        return result, rung, list(rig.host.statuses), await rig.host.doorbell_test()

    assert run_rig(scenario) == (-errno.ERANGE, 0, [0x440], -errno.EINVAL)


def test_row19_db_ring_after_disable():
    async def scenario(rig: Rig):
        await rig.command(ENABLE)
        bar, offset, _ = await rig.published()
        await rig.command(DISABLE)
        fired = rig.device.fired[0]
        await rig.device.write32(bar, offset, 0x1234_5678)
        await rig.platform.sleep(0.1)
        return rig.endpoint.mu.bells()[0].rung, rig.device.fired[0] - fired, await rig.device.read32(bar, offset)

    assert run_rig(scenario) == (0, 0, 0x1234_5678)


def test_row20_db_ring_before_enable():
    async def scenario(rig: Rig):
        await rig.device.write32(1, 0x200, 0)
        await rig.platform.sleep(0.1)
        return rig.endpoint.mu.bells()[0].rung, rig.link.irq_mu.rises, rig.device.fired[0], rig.software.gic.taken

    assert run_rig(scenario) == (0, 0, 0, {191: 0, 192: 0})
