"""The endpoint framework beyond one doorbell: functions, BARs, windows, life cycle."""

import errno

from rig import Rig, run_rig

from epbell_models.linux.doorbell_client import DoorbellClient
from epbell_models.linux.pci_ep_msi import pci_epf_alloc_doorbell, pci_epf_free_doorbell
from epbell_models.linux.pci_epc import EpfBar
from epbell_models.linux.pci_epf import PciEpf


def test_second_function_gets_no_doorbell():
    async def scenario(rig: Rig):
        other = PciEpf("second", rig.software.epc)
        other.bars[2] = rig.software.function.epf.bars[2]
        return await DoorbellClient(rig.software.core, other, 2).open(1)

    assert run_rig(scenario) == -errno.EINVAL


def test_a_bar_may_be_retargeted_but_not_resized():
    async def scenario(rig: Rig):
        epc, bar = rig.software.epc, rig.software.function.epf.bars[2]
        wrong_size = await rig.software.controller.set_bar(EpfBar(2, bar.phys_addr, bar.size // 2, bar.flags))
        other = await epc.set_bar(EpfBar(2, 0x6010_0000, bar.size, bar.flags))
        return wrong_size, other, rig.window_target(2), rig.software.controller.bar_to_window[2]

    assert run_rig(scenario) == (-errno.EINVAL, 0, 0x6010_0000, 2)


def test_64_bit_bars():
    async def scenario(rig: Rig):
        await rig.device.assign(0x12_0000_0000)
        results = [await rig.host.bar_test(bar) for bar in range(6)]
        return [found.address >> 32 for found in rig.device.resources if found], results, await rig.host.doorbell_test()

    sizes = (0x4000, 0, 0x4000, 0, 0x1_0000, 0)
    reserved = -errno.ENOBUFS
    expected = ([0x12] * 3, [0, reserved, 0, reserved, 0, reserved], 0)
    assert run_rig(scenario, bar_sizes=sizes, wide_bars=(0, 2, 4)) == expected


def test_too_few_windows(dts):
    async def scenario(rig: Rig):
        return rig.software.log, [rig.software.controller.bar_to_window.get(bar) for bar in range(6)]

    log, windows = run_rig(scenario, tree=dts(("num-ib-windows = <6>", "num-ib-windows = <2>")))
    assert windows == [0, 1, None, None, None, None]
    assert log.count("No free inbound window") == 4


def test_stop_and_start_again():
    async def scenario(rig: Rig):
        assert await rig.host.doorbell_test() == 0
        await rig.software.stop()
        off = rig.window_target(1)
        assert await rig.software.function.start() == 0
        rig.software.gic.start()
        return off, await rig.host.doorbell_test()

    off, again = run_rig(scenario)
    assert "no window" in off.reason
    assert again == 0


def test_enable_and_disable_retarget_in_place():
    """Target, CTRL1, CTRL2, a look whether it is on, and never off in between."""

    async def scenario(rig: Rig):
        since = len(rig.link.cpu.trace)
        assert await rig.host.doorbell_test() == 0
        page = range(0x5F31_0000, 0x5F32_0000)
        return [(a.kind, a.address - page.start, a.value) for a in rig.link.cpu.trace[since:] if a.address in page]

    on = 0xC008_0100

    def aimed(target):
        writes = [("write", 0x314, target), ("write", 0x318, 0), ("write", 0x300, 0), ("write", 0x304, on)]
        return [*writes, ("read", 0x304, on)]

    assert run_rig(scenario) == aimed(0x5D30_0000) + aimed(0x6000_4000)


def test_allocating_twice_is_busy_and_freeing_twice_is_fine():
    async def scenario(rig: Rig):
        epf, log = rig.software.function.epf, rig.software.log
        results = [await pci_epf_alloc_doorbell(epf, 4, log), await pci_epf_alloc_doorbell(epf, 1, log)]
        pci_epf_free_doorbell(epf)
        pci_epf_free_doorbell(epf)
        return results, await pci_epf_alloc_doorbell(epf, 5, log), rig.software.epc.msi_domain.revmap

    assert run_rig(scenario) == ([0, -errno.EBUSY], -errno.ENOSPC, {})
