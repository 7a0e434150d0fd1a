"""What pci-epf-test does besides doorbells, command by command: transfers, interrupts, swapped halves of a BAR."""

import errno
import zlib

import pytest
from rig import Rig, run_rig

from epbell_models import devicetree
from epbell_models.linux.pci_epf_test_transfer import crc32_le
from epbell_models.reference.outbound import Cause
from epbell_models.selftest.model import ModelTarget

READ, WRITE, COPY, SETUP, CLEAR = 0x8, 0x10, 0x20, 0x100, 0x200
SIZES = [1, 3, 4, 4095, 4096, 4097, 10_000]


def run(scenario, **options):
    return run_rig(scenario, **options)


async def transfer(rig: Rig, command: int, size: int, *, source: int = 0, target: int = 0, checksum: int = 0) -> int:
    """Give a transfer command and return STATUS once it is done."""
    for offset, value in ((0x0C, source), (0x10, source >> 32), (0x14, target), (0x18, target >> 32), (0x1C, size)):
        await rig.device.write32(0, offset, value & 0xFFFF_FFFF)
    await rig.device.write32(0, 0x20, checksum)
    return await rig.command(command, wait=20e-3 + size * 100e-9 if size < 1 << 21 else 20e-3)


def host_bytes(count: int) -> bytes:
    return bytes(index * 7 + (index >> 8) & 0xFF for index in range(count))


def test_checksum_is_crc32_without_the_final_inversion():
    assert crc32_le(b"123456789") == 0xCBF4_3926 ^ 0xFFFF_FFFF == zlib.crc32(b"123456789") ^ 0xFFFF_FFFF


# -- transfers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("skew", [0, 1, 4094])
def test_read_compares_the_hosts_bytes(size, skew):
    async def scenario(rig: Rig):
        memory, data = rig.link.host_memory, host_bytes(size)
        address = memory.allocate(size + skew, 4096) + skew
        memory.poke(address, data)
        good = await transfer(rig, READ, size, source=address, checksum=crc32_le(data))
        bad = await transfer(rig, READ, size, source=address, checksum=crc32_le(data) ^ 1)
        return good, bad, rig.device.fired[0], rig.software.controller.outbound, rig.software.epc.memory.used

    assert run(scenario) == (0x41, 0x42, 2, {}, 0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("skew", [0, 1, 4094])
def test_write_fills_the_hosts_bytes_and_no_others(size, skew):
    async def scenario(rig: Rig):
        memory = rig.link.host_memory
        start = memory.allocate(size + skew + 64, 4096)
        status = await transfer(rig, WRITE, size, target=start + skew)
        data = memory.peek(start + skew, size)
        assert rig.register(0x20) == crc32_le(data)
        around = memory.peek(start, skew) + memory.peek(start + skew + size, 64)
        again = await transfer(rig, WRITE, size, target=start + skew)
        return status, again, set(around), size < 4 or memory.peek(start + skew, size) != data, memory.dropped

    assert run(scenario) == (0x44, 0x44, {0}, True, [])


def test_write_gives_posted_writes_a_millisecond():
    async def scenario(rig: Rig):
        target = rig.link.host_memory.allocate(64)
        before = len(rig.device.fired)
        for offset, value in ((0x14, target & 0xFFFF_FFFF), (0x18, target >> 32), (0x1C, 64), (0x28, 1), (0x24, 1)):
            await rig.device.write32(0, offset, value)
        await rig.device.write32(0, 0x04, WRITE)
        while not any(rig.link.host_memory.peek(target, 64)):
            await rig.platform.sleep(10e-6)
        stored = rig.platform.now()
        while not rig.device.fired[0]:
            await rig.platform.sleep(10e-6)
        return before, rig.platform.now() - stored

    before, waited = run(scenario)
    assert before
    assert 0.98e-3 <= waited <= 2.1e-3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("source_skew", "target_skew"), [(0, 0), (1, 4094), (4095, 2)])
def test_copy(size, source_skew, target_skew):
    async def scenario(rig: Rig):
        memory, data = rig.link.host_memory, host_bytes(size)
        source = memory.allocate(size + source_skew, 4096) + source_skew
        target = memory.allocate(size + target_skew, 4096) + target_skew
        memory.poke(source, data)
        status = await transfer(rig, COPY, size, source=source, target=target)
        return status, memory.peek(target, size) == data, rig.software.epc.memory.used

    assert run(scenario) == (0x50, True, 0)


@pytest.mark.parametrize("size", [1_024_000, 1_024_001])
def test_linuxs_longest_transfers(size):
    async def scenario(rig: Rig):
        memory, data = rig.link.host_memory, host_bytes(size)
        source, target = memory.allocate(size), memory.allocate(size)
        memory.poke(source, data)
        status = [await transfer(rig, READ, size, source=source, checksum=crc32_le(data))]
        status.append(await transfer(rig, WRITE, size, target=target))
        assert rig.register(0x20) == crc32_le(memory.peek(target, size))
        status.append(await transfer(rig, COPY, size, source=source, target=target))
        return status, memory.peek(target, size) == data

    assert run(scenario) == ([0x41, 0x44, 0x50], True)


def test_a_mapping_may_reach_less_than_asked(monkeypatch):
    """A controller whose driver maps at most a page at a time is asked again and again, either side by itself."""

    async def scenario(rig: Rig):
        driver, memory, data = rig.software.controller, rig.link.host_memory, host_bytes(9000)
        monkeypatch.setattr(driver, "align_addr", lambda address, size: (address & ~0xFFF, 0x1000, address & 0xFFF))
        maps = []
        program = driver.map_addr

        async def note(address, pci_addr, size):
            maps.append(pci_addr & 0xF_FFFF)
            return await program(address, pci_addr, size)

        monkeypatch.setattr(driver, "map_addr", note)
        source, target = memory.allocate(0x4000, 1 << 20) + 1, memory.allocate(0x4000, 1 << 20) + 2000
        memory.poke(source, data)
        status = await transfer(rig, COPY, 9000, source=source, target=target)
        return status, memory.peek(target, 9000) == data, maps[:6]

    # From source offset 1 and target offset 2000 on: 2096 bytes, then 1999, ...
    assert run(scenario) == (0x50, True, [0, 0, 0, 0x1000, 0x1000, 0x1000])


def test_no_bytes_are_read_written_and_copied_well():
    async def scenario(rig: Rig):
        return [
            await transfer(rig, READ, 0, checksum=0xFFFF_FFFF),
            await transfer(rig, WRITE, 0),
            await transfer(rig, COPY, 0),
        ]

    assert run(scenario) == [0x41, 0x44, 0x50]


def test_more_than_the_kernel_can_allocate():
    async def scenario(rig: Rig):
        return [await transfer(rig, command, 0xFFFF_FFFF) for command in (READ, WRITE, COPY)], rig.device.fired[0]

    assert run(scenario) == ([0x42, 0x48, 0x60], 3)


@pytest.mark.parametrize("windows", [1, 2])
def test_windows_run_out(dts, windows):
    """COPY needs two at a time; the address that could not be mapped is the invalid one."""

    async def scenario(rig: Rig):
        memory = rig.link.host_memory
        source, target = memory.allocate(64), memory.allocate(64)
        one = await transfer(rig, WRITE, 64, target=target)
        two = await transfer(rig, COPY, 64, source=source, target=target)
        return one, two, rig.software.controller.outbound, rig.software.epc.memory.used, rig.software.log

    tree = dts(("num-ob-windows = <6>", f"num-ob-windows = <{windows}>"))
    said = ["No free outbound window", "pci_epf_test: Failed to map destination address"] if windows == 1 else []
    assert run(scenario, tree=tree) == (0x44, 0x160 if windows == 1 else 0x50, {}, 0, said)


def test_all_windows_taken():
    async def scenario(rig: Rig):
        epc = rig.software.epc
        taken = [await epc.mem_map(0x1_0000_0000 * (n + 1), 4096) for n in range(6)]
        refused = await epc.mem_map(0x1000, 4096)
        status = [await transfer(rig, command, 64) for command in (READ, WRITE, COPY)]
        for mapping in taken:
            await epc.mem_unmap(mapping)
        return refused, status, epc.memory.used

    assert run(scenario) == (-errno.EINVAL, [0xC2, 0x148, 0xE0], 0)


def test_without_addr_space_nothing_can_be_mapped(dts):
    async def scenario(rig: Rig):
        return [await transfer(rig, command, 64) for command in (READ, WRITE, COPY)], await rig.host.doorbell_test()

    tree = dts(('"addr_space"', '"something-else"'))
    assert run(scenario, tree=tree) == ([0xC2, 0x148, 0xE0], 0)


@pytest.mark.parametrize("cause", [Cause.UNSUPPORTED, Cause.ABORTED, Cause.POISONED, Cause.TIMEOUT])
def test_host_that_does_not_answer(cause):
    async def scenario(rig: Rig):
        memory, data = rig.link.host_memory, host_bytes(64)
        source, target = memory.allocate(64), memory.allocate(64)
        memory.poke(source, data)
        memory.fail(source + 32, cause)
        status = [await transfer(rig, READ, 64, source=source, checksum=crc32_le(data))]
        status.append(await transfer(rig, COPY, 64, source=source, target=target))
        memory.heal()
        status.append(await transfer(rig, READ, 64, source=source, checksum=crc32_le(data)))
        crashes = sum("the kernel would crash here" in line for line in rig.software.log)
        return status, crashes, rig.software.controller.outbound, rig.software.epc.memory.used

    assert run(scenario) == ([0x42, 0x60, 0x41], 2, {}, 0)


def test_transfers_while_doorbells_ring():
    async def scenario(rig: Rig):
        memory, data = rig.link.host_memory, host_bytes(4097)
        source = memory.allocate(4097)
        memory.poke(source, data)
        assert await rig.command(0x40) == 0x440
        bar, offset, word = await rig.published()
        good = 0
        for _ in range(3):
            await rig.device.write32(bar, offset, word)
            await rig.platform.sleep(2e-3)
            good += await transfer(rig, READ, 4097, source=source, checksum=crc32_le(data)) == 0x41
        return good, await rig.command(0x80), rig.device.fired[0]

    assert run(scenario) == (3, 0x1040, 8)


# -- interrupts --------------------------------------------------------------------------------------------------------


def test_intx_is_pulsed_if_the_controller_has_it():
    async def scenario(rig: Rig):
        await rig.command(1, irq_type=0, irq_number=0)
        return rig.software.function.irqs_raised, rig.register(0x30) >> 3 & 1

    assert run(scenario) == (0, 0)
    assert run(scenario, intx=True) == (1, 1)


def with_msix(scenario, vectors=8):
    """Run a scenario on a function with MSI-X, which the host has set up; it gets the target and the host's driver."""
    target = ModelTarget(devicetree.load(devicetree.builtin()), bar_sizes=(0x4000,) * 6, msix_vectors=vectors)

    async def main():
        host = await target.bring_up()
        assert await host.set_irqtype(2) == 0
        return await scenario(target, host)

    return target.platform.run(main())


def test_every_vector_of_msix_and_the_doorbell():
    async def scenario(target, host):
        results = [await host.msix_test(vector) for vector in range(1, 10)]
        return results, await host.doorbell_test(), target.device.fired

    assert with_msix(scenario) == ([0] * 8 + [-errno.EINVAL], 0, [4, 1, 1, 1, 1, 1, 1, 1])


def test_masked_vector_is_told_once_when_unmasked():
    async def scenario(target, host):
        device, platform = target.device, target.platform
        await device.write32(0, 0x80 + 12, 1)
        for _ in range(3):
            await device.write32(0, 0x24, 2)
            await device.write32(0, 0x28, 1)
            await device.write32(0, 0x04, 4)
            await platform.sleep(5e-3)
        held = list(device.fired), await device.read32(0, 0x08), await device.read32(0, 0x80 + 16 * 8)
        await device.write32(0, 0x80 + 12, 0)
        await platform.sleep(1e-3)
        return *held, device.fired, target.software.function.irqs_raised

    assert with_msix(scenario) == ([0] * 8, 0x40, 1, [1] + [0] * 7, 3)


@pytest.mark.parametrize("number", [0, 9])
def test_vectors_that_msix_lacks_are_not_raised(number):
    async def scenario(target, host):
        device = target.device
        for offset, value in ((0x24, 2), (0x28, number), (0x04, 4)):
            await device.write32(0, offset, value)
        await target.platform.sleep(5e-3)
        return target.software.function.irqs_raised, sum(device.fired), await device.read32(0, 0x08)

    assert with_msix(scenario) == (0, 0, 0x40)


# -- pieces of a BAR ---------------------------------------------------------------------------------------------------


def more_windows(dts):
    return dts(("num-ib-windows = <6>", "num-ib-windows = <7>"))


async def subrange(rig: Rig, command: int, bar: int) -> int:
    await rig.device.write32(0, 0x1C, bar)
    return await rig.command(command)


@pytest.mark.parametrize("bar", range(1, 6))
def test_halves_change_places(dts, bar):
    """Row 33: signatures by the order in the BAR, stores land in the other half, CLEAR puts all of it back."""

    async def scenario(rig: Rig):
        memory = rig.software.function.epf.bars[bar]
        half = memory.size // 2
        where = rig.link.config.bar_address(bar)
        setup = await subrange(rig, SETUP, bar)
        ends = [0, half - 4, half, 2 * half - 4]
        words = [await rig.device.read32(bar, end) for end in ends]
        await rig.device.write32(bar, 8, 0x1234_5678)
        await rig.device.write32(bar, half + 8, 0x9ABC_DEF0)
        swapped = [rig.endpoint.cpu_read32(memory.phys_addr + at) for at in (half + 8, 8)]
        clear = await subrange(rig, CLEAR, bar)
        assert [await rig.device.read32(bar, at) for at in (half + 8, 8)] == swapped
        assert rig.link.config.bar_address(bar) == where
        assert rig.software.controller.bar_to_windows == {}
        return setup, words, swapped, clear, await rig.host.doorbell_test(), await rig.host.bar_test(bar)

    first, second = (int.from_bytes(bytes([0x50 + 8 * bar + piece]) * 4, "little") for piece in (0, 1))
    words = [first, first, second, second]
    expected = (0x4040, words, [0x1234_5678, 0x9ABC_DEF0], 0x1_0040, 0, 0)
    assert run(scenario, tree=more_windows(dts)) == expected


def test_halves_of_a_64_bit_bar():
    async def scenario(rig: Rig):
        await rig.device.assign(0x12_0000_0000)
        setup = await subrange(rig, SETUP, 2)
        return setup, await rig.device.read32(2, 0), await rig.device.read32(2, 0x2000), await subrange(rig, CLEAR, 2)

    sizes = (0x4000, 0, 0x4000, 0, 0, 0)
    assert run(scenario, bar_sizes=sizes, wide_bars=(0, 2)) == (0x4040, 0x6060_6060, 0x6161_6161, 0x1_0040)


def test_pieces_need_a_window_each():
    """Six BARs have all six windows: NO_RESOURCE, and the BAR is as before, however often it is tried."""

    async def scenario(rig: Rig):
        status = [await subrange(rig, SETUP, bar) for bar in (2, 2, 5)]
        status.append(await subrange(rig, CLEAR, 2))
        return status, [await rig.host.bar_test(bar) for bar in range(6)], await rig.host.doorbell_test()

    fail = 0x4_8040
    assert run(scenario) == ([fail, fail, fail, 0x2_0040], [0] * 6, 0)


@pytest.mark.parametrize(
    ("bar", "said"),
    [(0, "test_reg_bar cannot be used"), (6, "Invalid barno: 6"), (0xFFFF_FFFF, "Invalid barno"), (3, "has no memory")],
)
def test_bars_that_cannot_be_tiled(bar, said):
    async def scenario(rig: Rig):
        return await subrange(rig, SETUP, bar), await subrange(rig, CLEAR, bar), rig.software.log[-1]

    setup, clear, line = run(scenario, bar_sizes=(0x4000, 0x4000, 0x4000, 0, 0, 0))
    assert (setup, clear) == (0x8040, 0x2_0040)
    assert said in line


@pytest.mark.parametrize("option", ["subrange_mapping", "dynamic_inbound_mapping"])
def test_controller_that_cannot_tile(option):
    async def scenario(rig: Rig):
        return rig.register(0x30) >> 4 & 1, await subrange(rig, SETUP, 1)

    assert run(scenario, **{option: False}) == (0, 0x8040)


def test_old_endpoint_knows_no_pieces():
    async def scenario(rig: Rig):
        return rig.register(0x30), await subrange(rig, SETUP, 1), rig.device.fired[0]

    assert run(scenario, doorbell_command=False, announce_doorbell=False) == (0x03, 0, 0)


@pytest.mark.parametrize("clear_first", [True, False])
def test_row34_subrange_on_db_bar(dts, clear_first):
    """The last to be set up has the BAR; whatever is undone first, it ends as memory, and the doorbell works again."""

    async def scenario(rig: Rig):
        enabled = await rig.command(0x40)
        bar, offset, word = await rig.published()
        setup = await subrange(rig, SETUP, bar)
        await rig.device.write32(bar, offset, word)
        await rig.platform.sleep(5e-3)
        rung = rig.register(0x08) & 0x200
        undo = [lambda: subrange(rig, CLEAR, bar), lambda: rig.command(0x80)]
        undone = [await step() for step in (undo if clear_first else reversed(undo))]
        return enabled, setup, rung, undone, await rig.host.bar_test(bar), await rig.host.doorbell_test()

    undone = [0x1_0040, 0x1040] if clear_first else [0x1040, 0x1_0040]
    assert run(scenario, tree=more_windows(dts)) == (0x440, 0x4040, 0, undone, 0, 0)


def test_every_shipped_tree_has_an_aperture_the_function_can_use():
    async def scenario(rig: Rig):
        target = rig.link.host_memory.allocate(100)
        return await transfer(rig, WRITE, 100, target=target)

    trees = (devicetree.load(devicetree.builtin(name)) for name in devicetree.shipped())
    assert {run(scenario, tree=tree) for tree in trees} == {0x44}
