"""The endpoint controller's driver by itself: what it finds out of the windows, what it writes, what it refuses."""

import errno

import pytest
from rig import Rig, run_rig

from epbell_models.devicetree import Region
from epbell_models.linux.dma import CoherentPool
from epbell_models.linux.dw_ep_irq import HostInterrupts
from epbell_models.linux.dw_iatu import DwIatu, Way
from epbell_models.linux.epc_features import EpcFeatures, EpfBar, IrqKind, Submap, bar_features
from epbell_models.linux.pci_epc import PciEpc
from epbell_models.linux.pci_epc_mem import EpcMemory
from epbell_models.platform import VirtualPlatform
from epbell_models.reference.address_map import DEFAULT_MAP
from epbell_models.reference.endpoint import ReferenceEndpoint

PAGE = Region(0x5F31_0000, 0x1_0000)
CONTROLLER = 0x5F01_0000
SIZES = (0x4000,) * 6
ON = 1 << 31


class Windows:
    """A page of windows as silicon may have it; every access is kept."""

    def __init__(self, inbound=6, outbound=6, granule=0x1000, upper_limit=0xFFFF_FFFF, comes_on=True):
        self.counts = {0x100: inbound, 0x000: outbound}
        self.granule = granule
        self.upper_limit = upper_limit
        self.comes_on = comes_on
        self.words = {}
        self.trace = []

    async def read32(self, address):
        offset = address - PAGE.address
        value = self.words.get(offset, 0)
        if self._exists(offset) and offset & 0xFF == 0x10:
            value |= self.granule - 1
        self.trace.append(("read", offset, value))
        return value

    async def write32(self, address, value):
        offset = address - PAGE.address
        self.trace.append(("write", offset, value))
        if self._exists(offset):
            self.words[offset] = value & self._writable(offset & 0xFF)

    def _exists(self, offset):
        return offset // 0x200 < self.counts[offset & 0x100]

    def _writable(self, register):
        if register == 0x20:
            return self.upper_limit
        if register == 0x04 and not self.comes_on:
            return 0x7FFF_FFFF
        return 0xFFFF_FFFF & -self.granule if register in (0x08, 0x10, 0x14) else 0xFFFF_FFFF


def ask(windows, question, *, detect=True):
    """Return what a question to a driver on these windows gives, and what it wrote."""
    platform, log = VirtualPlatform(), []
    iatu = DwIatu(platform, windows, PAGE, log)

    async def main():
        if detect:
            await iatu.detect()
        windows.trace.clear()
        return await question(iatu)

    result = platform.run(main())
    return result, [(offset, value) for kind, offset, value in windows.trace if kind == "write"], log


async def found(iatu):
    return iatu.count[Way.INBOUND], iatu.count[Way.OUTBOUND], iatu.align, iatu.limit


# -- detection ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hardware", "expected"),
    [
        ({}, (6, 6, 0x1000, (1 << 64) - 1)),
        ({"inbound": 16, "outbound": 1}, (16, 1, 0x1000, (1 << 64) - 1)),
        ({"outbound": 0}, (6, 0, 0x1000, (1 << 64) - 1)),
        ({"inbound": 0}, (0, 6, 0x1000, (1 << 64) - 1)),
        ({"granule": 0x1_0000}, (6, 6, 0x1_0000, (1 << 64) - 1)),
        ({"upper_limit": 0}, (6, 6, 0x1000, (1 << 32) - 1)),
        ({"upper_limit": 0xFF}, (6, 6, 0x1000, (1 << 40) - 1)),
        ({"inbound": 200, "outbound": 200}, (128, 128, 0x1000, (1 << 64) - 1)),
    ],
)
def test_detection(hardware, expected):
    result, _, log = ask(Windows(**hardware), found)
    assert (result, log) == (expected, [])


def test_no_windows_at_all():
    result, _, log = ask(Windows(0, 0), found)
    assert result[:2] == (0, 0)
    assert log == ["No iATU regions found"]


@pytest.mark.parametrize(("inbound", "outbound"), [(1, 16), (6, 6), (16, 1)])
def test_detection_on_the_reference_switches_nothing_on(inbound, outbound):
    platform = VirtualPlatform()
    endpoint = ReferenceEndpoint(SIZES, windows=inbound, outbound_windows=outbound)

    class Bus:
        async def read32(self, address):
            return endpoint.cpu_read32(address)

        async def write32(self, address, value):
            endpoint.cpu_write32(address, value)

    iatu = DwIatu(platform, Bus(), PAGE, [])
    platform.run(iatu.detect())
    assert platform.run(found(iatu)) == (inbound, outbound, 0x1000, (1 << 64) - 1)
    assert not any(region.active for region in (*endpoint.windows.in_force, *endpoint.outbound.in_force))


# -- programming -------------------------------------------------------------------------------------------------------


def test_outbound_window_register_by_register():
    result, writes, _ = ask(
        Windows(), lambda iatu: iatu.program(Way.OUTBOUND, 2, 0x7000_3000, 0x12_3456_7000, 0x2000)
    )
    registers = [0x08, 0x0C, 0x10, 0x20, 0x14, 0x18, 0x00, 0x04]
    values = [0x7000_3000, 0, 0x7000_4FFF, 0, 0x3456_7000, 0x12, 0, ON]
    assert result == 0
    assert writes == [(0x400 + register, value) for register, value in zip(registers, values, strict=True)]


def test_inbound_window_by_address_does_not_look_at_the_function():
    result, writes, _ = ask(Windows(), lambda iatu: iatu.program(Way.INBOUND, 1, 0x8000_4000, 0x6000_0000, 0x1000))
    assert result == 0
    assert writes[-2:] == [(0x300, 0), (0x304, ON)]


def test_window_that_grows_beyond_4_gib():
    result, writes, _ = ask(Windows(), lambda iatu: iatu.program(Way.INBOUND, 0, 0xFFFF_F000, 0x6000_0000, 0x2000))
    assert result == 0
    assert (0x100, 1 << 13) in writes
    assert (0x120, 1) in writes


REFUSED = [
    ({}, (0x7000_0800, 0x1000, 0x1000)),
    ({}, (0x7000_0000, 0x1800, 0x1000)),
    ({}, (0x7000_0000, 0x1000, 0)),
    ({"granule": 0x1_0000}, (0x7000_1000, 0x1_0000, 0x1000)),
    ({"upper_limit": 0}, (0xFFFF_F000, 0x1000, 0x2000)),
]


@pytest.mark.parametrize(("hardware", "arguments"), REFUSED)
def test_what_a_window_cannot_do_is_not_written(hardware, arguments):
    result, writes, _ = ask(Windows(**hardware), lambda iatu: iatu.program(Way.OUTBOUND, 0, *arguments))
    assert (result, writes) == (-errno.EINVAL, [])


@pytest.mark.parametrize(("target", "size"), [(0x6000_0800, 0x400), (0x6000_1000, 0x2000)])
def test_a_bar_is_aligned_to_the_windows_and_to_itself(target, size):
    result, writes, _ = ask(Windows(), lambda iatu: iatu.program_bar(0, 1, target, size))
    assert (result, writes) == (-errno.EINVAL, [])


@pytest.mark.parametrize("way", Way)
def test_window_that_does_not_come_on(way):
    async def question(iatu):
        start = iatu._platform.now()
        return await iatu.program(way, 0, 0x1000, 0x2000, 0x1000), round((iatu._platform.now() - start) * 1e3)

    result, _, log = ask(Windows(comes_on=False), question)
    assert result == (-errno.ETIMEDOUT, 45)
    assert log == [f"{way.name.capitalize()} iATU is not being enabled"]


# -- addresses for outbound windows ------------------------------------------------------------------------------------


def test_addresses_are_powers_of_two_of_pages():
    memory = EpcMemory(Region(0x7000_0000, 0x1_0000), 0x1000)
    first = [memory.alloc(size) for size in (1, 0x1001, 0x3000, 0x1000)]
    assert first == [0x7000_0000, 0x7000_2000, 0x7000_4000, 0x7000_1000]
    assert memory.used == 0x1000 + 0x2000 + 0x4000 + 0x1000
    assert memory.alloc(0x8000) == 0x7000_8000
    assert memory.alloc(1) is None
    memory.free(0x7000_2000, 0x1001)
    assert memory.alloc(0x2000) == 0x7000_2000


def test_more_than_there_is():
    memory = EpcMemory(Region(0x7000_0000, 0x3800), 0x1000)
    assert memory.alloc(0x4000) is None
    assert [memory.alloc(1) for _ in range(4)] == [0x7000_0000, 0x7000_1000, 0x7000_2000, None]


@pytest.mark.parametrize(("address", "size"), [(0x7000_1000, 0x1000), (0x7000_0000, 0x1000)])
def test_only_what_was_handed_out_comes_back(address, size):
    memory = EpcMemory(Region(0x7000_0000, 0x1_0000), 0x1000)
    memory.alloc(0x2000)
    with pytest.raises(RuntimeError, match="Nothing of 0x1000 bytes was handed out"):
        memory.free(address, size)


@pytest.mark.parametrize("ask_for", [0, -1])
def test_no_bytes_cannot_be_mapped(ask_for):
    async def scenario(rig: Rig):
        return await rig.software.epc.mem_map(0x1000, ask_for)

    assert run_rig(scenario) == -errno.EINVAL


def test_mapping_starts_at_a_page():
    async def scenario(rig: Rig):
        epc = rig.software.epc
        mapping = await epc.mem_map(0x1_2345_6FFF, 2)
        found = mapping.map_pci_addr, mapping.map_size, mapping.address - mapping.base, mapping.pci_size
        reaches = rig.endpoint.outbound.translate(mapping.address)
        await epc.mem_unmap(mapping)
        return found, reaches, "no outbound window" in rig.endpoint.outbound.translate(mapping.address).reason

    assert run_rig(scenario) == ((0x1_2345_6000, 0x2000, 0xFFF, 2), 0x1_2345_6FFF, True)


def test_more_than_the_aperture_holds(dts):
    async def scenario(rig: Rig):
        return await rig.software.epc.mem_map(0x1000, 0x4001), await rig.software.epc.mem_map(0x800, 0x4000)

    tree = dts(("<0x70000000 0x10000000>", "<0x70000000 0x4000>"))
    assert run_rig(scenario, tree=tree) == (-errno.ENOMEM, -errno.ENOMEM)


def test_unmapping_what_is_not_mapped_does_nothing():
    async def scenario(rig: Rig):
        before = len(rig.link.cpu.trace)
        await rig.software.controller.unmap_addr(0x7000_0000)
        return len(rig.link.cpu.trace) - before

    assert run_rig(scenario) == 0


def test_driver_that_maps_nothing_and_has_no_msix():
    """The core then says that all went well, as the kernel's does."""

    class Bare:
        features = EpcFeatures(bar_features(SIZES))

    platform = VirtualPlatform()
    epc = PciEpc(platform, None, Bare(), CoherentPool(Region(0x6000_0000, 0x10_0000)), None)

    async def main():
        await epc.unmap_addr(0)
        return await epc.map_addr(0, 0, 1), await epc.set_msix(1, 0, 0), await epc.get_msix(), epc.unaligned_access

    assert platform.run(main()) == (0, 0, 0, False)


# -- pieces of a BAR ---------------------------------------------------------------------------------------------------


def bar_of(*pieces, size=0x4000):
    return EpfBar(2, 0x6000_8000, size, submap=tuple(Submap(*piece) for piece in pieces))


WRONG = [
    bar_of((0x6000_8000, 0x2000), (0x6000_A000, 0x1000)),
    bar_of((0x6000_8000, 0x2000), (0x6000_A000, 0x3000)),
    bar_of((0x6000_8000, 0x4000), (0x6000_A000, 0)),
    bar_of((0x6000_8800, 0x2000), (0x6000_A000, 0x2000)),
    bar_of((0x6000_8000, 0x1800), (0x6000_A000, 0x2800)),
]


@pytest.mark.parametrize("bar", WRONG)
def test_pieces_that_do_not_tile_leave_the_bar_alone(bar):
    async def scenario(rig: Rig):
        before = rig.window_target(2)
        return await rig.software.epc.set_bar(bar), rig.window_target(2) == before

    assert run_rig(scenario) == (-errno.EINVAL, True)


def test_bar_without_address_cannot_be_tiled():
    async def scenario(rig: Rig):
        rig.link.start()
        assert await rig.software.start() == 0
        error = await rig.software.epc.set_bar(bar_of((0x6000_A000, 0x2000), (0x6000_8000, 0x2000)))
        return error, rig.software.log

    said = ["BAR2 not assigned, cannot set up sub-range mappings"]
    assert run_rig(scenario, bring_up=False) == (-errno.EINVAL, said)


def test_bar_has_to_be_set_before_it_is_tiled():
    async def scenario(rig: Rig):
        epc = rig.software.epc
        await epc.clear_bar(rig.software.function.epf.bars[2])
        return await epc.set_bar(bar_of((0x6000_A000, 0x2000), (0x6000_8000, 0x2000)))

    assert run_rig(scenario) == -errno.EINVAL


def test_four_pieces_in_any_order_and_cleared(dts):
    async def scenario(rig: Rig):
        epc, places = rig.software.epc, [0x6000_A000, 0x6000_8000, 0x6000_B000, 0x6000_9000]
        assert await epc.set_bar(bar_of(*((place, 0x1000) for place in places))) == 0
        start = rig.link.config.bar_address(2)
        seen = [rig.endpoint.windows.translate(2, 0, at, start + at) for at in range(0, 0x4000, 0x1000)]
        used = rig.software.controller.bar_to_windows[2]
        await epc.clear_bar(rig.software.function.epf.bars[2])
        off = rig.endpoint.windows.translate(2, 0, 0, start)
        return seen == places, len(used), "no window" in off.reason, rig.software.controller.bar_to_windows

    tree = dts(("num-ib-windows = <6>", "num-ib-windows = <9>"))
    assert run_rig(scenario, tree=tree) == (True, 4, True, {})


# -- interrupts --------------------------------------------------------------------------------------------------------


class Page:
    """A controller page with queues that are never empty enough."""

    def __init__(self, msi=0, msix=0):
        self.words = {CONTROLLER + 0x014: msi, CONTROLLER + 0x04C: msix}
        self.writes = []

    async def read32(self, address):
        return self.words.get(address, 0)

    async def write32(self, address, value):
        self.writes.append((address - CONTROLLER, value))


def interrupts(page, question, *, intx=True):
    platform, log = VirtualPlatform(), []
    features = EpcFeatures(bar_features(SIZES), msix_capable=True, intx_capable=intx)
    driver = HostInterrupts(platform, page, CONTROLLER, features, log)
    return platform.run(question(driver)), page.writes, log


def test_table_is_switched_on_last():
    _, writes, _ = interrupts(Page(), lambda driver: driver.set_msix(64, 0x6000_0080))
    assert writes == [(0x058, 0), (0x050, 0x6000_0080), (0x054, 0x6000_0480), (0x058, ON | 63)]


@pytest.mark.parametrize("number", [0, 65, 2049])
def test_vectors_that_the_table_lacks(number):
    async def question(driver):
        await driver.set_msix(64, 0x6000_0080)
        return await driver.raise_irq(IrqKind.MSIX, number)

    result, writes, _ = interrupts(Page(msix=0x3F01), question)
    assert result == -errno.EINVAL
    assert len(writes) == 4


@pytest.mark.parametrize(("kind", "name"), [(IrqKind.MSI, "MSI"), (IrqKind.MSIX, "MSI-X")])
def test_queue_that_stays_full(kind, name):
    async def question(driver):
        await driver.set_msix(64, 0x6000_0080)
        return await driver.raise_irq(kind, 1)

    result, writes, log = interrupts(Page(msi=1, msix=1), question)
    assert (result, log, len(writes)) == (-errno.ETIMEDOUT, [f"{name} queue stays full"], 4)


def test_msix_is_raised_though_the_host_has_it_disabled():
    """The hardware keeps it pending; who asks for the count first learns that there is none."""

    async def question(driver):
        await driver.set_msix(64, 0x6000_0080)
        return await driver.get_msix(), await driver.raise_irq(IrqKind.MSIX, 64)

    result, writes, _ = interrupts(Page(msix=0x1000), question)
    assert result == (-errno.EINVAL, 0)
    assert writes[-1] == (0x048, 63)


@pytest.mark.parametrize(("capable", "result", "writes"), [(True, 0, [(0x044, 2)]), (False, -errno.EINVAL, [])])
def test_intx_is_one_pulse(capable, result, writes):
    assert interrupts(Page(), lambda driver: driver.raise_irq(IrqKind.INTX, 0), intx=capable)[:2] == (result, writes)


def test_function_puts_the_table_behind_its_registers_all_zero():
    async def scenario(rig: Rig):
        rig.endpoint.ram[:0x1000] = bytes([0xFF]) * 0x1000
        rig.link.start()
        assert await rig.software.start() == 0
        block, msix = rig.registers, rig.endpoint.controller.msix
        start = block - DEFAULT_MAP["ram"].base
        zeroed = not any(rig.endpoint.ram[start + 0x80 : start + 0x80 + 65 * 16 + 16])
        where = msix.table - block, msix.pba - block, msix.last, msix.on
        await rig.software.stop()
        return where, zeroed, msix.on

    where = (0x80, 0x80 + 65 * 16, 64, True)
    assert run_rig(scenario, bring_up=False, msix_interrupts=65) == (where, True, False)


@pytest.mark.parametrize(("vectors", "error"), [(1008, 0), (1009, -errno.ENOMEM)])
def test_table_has_to_fit_into_the_register_bar(vectors, error):
    async def scenario(rig: Rig):
        return await rig.software.start()

    assert run_rig(scenario, bring_up=False, msix_interrupts=vectors) == error


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((0, 0, 0x80), -errno.EINVAL), ((2049, 0, 0x80), -errno.EINVAL), ((8, 0, 0x84), -errno.EINVAL),
     ((1, 1, 0x3FF0), -errno.EINVAL), ((1, 1, 0x3FE8), 0), ((2048, 0, 0x80), -errno.EINVAL)],
)  # fmt: skip
def test_tables_that_cannot_be(arguments, error):
    async def scenario(rig: Rig):
        return await rig.software.epc.set_msix(*arguments)

    assert run_rig(scenario, msix_interrupts=8) == error


def test_controller_without_msix_takes_no_table():
    async def scenario(rig: Rig):
        return await rig.software.epc.set_msix(8, 0, 0x80), await rig.software.epc.get_msix(), rig.register(0x30) & 4

    assert run_rig(scenario) == (-errno.EINVAL, 0, 0)
