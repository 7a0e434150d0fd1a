"""Commands of the host to the vNTB, memory windows both ways, the link, and the scratchpads."""

import errno
import random
from dataclasses import replace

import pytest
from vntb_rig import MX8, run_vntb

from epbell_models.host.ntb_hw_epf_regs import EpfRegisters
from epbell_models.linux.dw_iatu import Way
from epbell_models.ntb import MwAddress, MwAlign
from epbell_models.platform import BusError

CONFIGURE_DB, TEARDOWN_DB, CONFIGURE_MW, TEARDOWN_MW, LINK_UP, LINK_DOWN = range(1, 7)


async def send(rig, command, argument=0):
    """Send a command as the host's driver does and return what it makes of the answer."""
    return await EpfRegisters(rig.device, 1e-3).send(command, argument)


async def head(rig):
    """Return COMMAND, ARGUMENT, and COMMAND_STATUS with LINK_STATUS above it."""
    return [await rig.device.read32(0, offset) for offset in (0, 4, 8)]


# -- commands ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "hz", "most"),
    [("hdma", None, 5e-3), ("hdma", 250, 8e-3), ("imx8", None, 0.5), ("imx8", 250, 0.5)],
)
def test_a_command_takes_up_to_a_period(tree, hz, most):
    async def scenario(rig):
        source, times = random.Random(3), []
        for _ in range(12):
            await rig.platform.sleep(source.uniform(0, most))
            start = rig.platform.now()
            assert await send(rig, TEARDOWN_DB) == 0
            times.append(rig.platform.now() - start)
        assert most / 2 < max(times) < most + 2e-3 < 1
        assert min(times) < most / 2

    run_vntb(scenario, tree=tree, config=replace(MX8, hz=hz))


def test_the_answer_and_what_is_left_of_it():
    async def scenario(rig):
        await rig.device.write32(0, 4, 0x1234_5678)
        await rig.device.write32(0, 0, LINK_UP)
        await rig.tick()
        assert await head(rig) == [0, 0, 0x0001_0001]
        await rig.device.write(0, 8, bytes(2))
        assert await send(rig, LINK_DOWN, 7) == 0
        assert await head(rig) == [0, 0, 0]

    run_vntb(scenario, tree="hdma")


@pytest.mark.parametrize("tree", ["hdma", "imx8"])
def test_a_dropped_command_times_out_after_a_second(tree):
    async def scenario(rig):
        await rig.vntb.commands.stop()
        start = rig.platform.now()
        assert await rig.host.link_enable() == -errno.ETIMEDOUT
        assert 1.0 <= rig.platform.now() - start < 1.01
        assert rig.host.log == ["ntb_hw_epf: Fail to enable link"]
        assert await rig.host.link_disable() == -errno.ETIMEDOUT
        rig.vntb.commands.start()
        await rig.tick()
        assert await rig.host.link_enable() == 0

    run_vntb(scenario, tree=tree)


def test_the_work_ends_between_two_commands():
    async def scenario(rig):
        await rig.vntb.commands.stop()
        await rig.device.write32(0, 0, LINK_UP)
        rig.vntb.commands.start()
        await rig.platform.sleep(150e-9)
        await rig.vntb.commands.stop()
        assert rig.board.endpoint.cpu_read32(rig.vntb.control.address + 8) == 0x0001_0001

    run_vntb(scenario, tree="imx8")


@pytest.mark.parametrize("command", [7, 8, 0xFFFF_FFFF])
def test_an_unknown_command_is_taken_and_not_answered(command):
    async def scenario(rig):
        assert await send(rig, command, 1) == -errno.ETIMEDOUT
        assert await head(rig) == [0, 0, 0]
        assert rig.log[-1] == f"pci_epf_vntb: UNKNOWN command: {command}"
        assert await send(rig, LINK_UP) == 0, "the next one works"

    run_vntb(scenario, tree="hdma")


def test_commands_are_one_at_a_time():
    async def scenario(rig):
        registers, answers = EpfRegisters(rig.device, 1e-3), []

        async def one(command):
            answers.append((command, await registers.send(command, 0)))

        for command in (LINK_UP, LINK_DOWN, LINK_UP, 9):
            rig.platform.spawn(one(command), "command")
        await rig.platform.sleep(2)
        assert answers == [(LINK_UP, 0), (LINK_DOWN, 0), (LINK_UP, 0), (9, -errno.ETIMEDOUT)]
        assert rig.ours.take() == ["link"] * 3

    run_vntb(scenario, tree="hdma")


def test_linux_looks_at_the_answer_every_few_microseconds():
    async def scenario(rig):
        trace = rig.board.link.memory.trace
        before = len(trace)
        start = rig.platform.now()
        assert await rig.host.link_enable() == 0
        looks = [access for access in trace[before:] if access.kind == "read"]
        assert len(looks) == pytest.approx((rig.platform.now() - start) / 7.9e-6, rel=0.01)
        assert {access.length for access in looks} == {2}

    run_vntb(scenario, tree="hdma", poll_seconds=7.5e-6)


# -- the endpoint reaches the host's memory ----------------------------------------------------------------------------


@pytest.mark.parametrize("tree", ["imx8", "hdma"])
def test_the_endpoint_reaches_what_the_host_offers(tree):
    async def scenario(rig):
        ours, host = rig.vntb.ntb, rig.host
        assert ours.mw_count(0) == ours.peer_mw_count() == host.mw_count(0) == host.peer_mw_count() == 2
        for index, size in enumerate((0x4000, 0x1_0000)):
            buffer = host.dma_alloc(size)
            assert await host.mw_set_trans(0, index, buffer, size) == 0
            where = await ours.peer_mw_get_addr(index)
            assert (where.base, where.size) == (rig.vntb.windows.addresses[index], size)
            data = random.Random(index).randbytes(size)
            await ours.peer_mw_write(index, 0, data)
            await rig.platform.sleep(1e-3)
            assert await host.dma_read(buffer, size) == data
            await host.dma_write(buffer + 0x123, b"hello")
            assert await ours.peer_mw_read(index, 0x123, 5) == b"hello"
            assert await host.mw_clear_trans(0, index) == 0
            with pytest.raises(BusError):
                await ours.peer_mw_read(index, 0, 4)
            host.dma_free(buffer)
        assert rig.board.software.controller.outbound == {}

    run_vntb(scenario, tree=tree)


def test_a_window_that_cannot_be_mapped_is_an_error_that_linux_ignores():
    async def scenario(rig):
        buffer = rig.host.dma_alloc(0x8000)
        for offset, size in ((0x10, 0x1000), (0, 0)):
            address = buffer + offset
            assert await rig.host.mw_set_trans(0, 0, address, size) == 0
            assert rig.log[-1] == "pci_epf_vntb: Failed to map memory window 0 address"
            assert await send(rig, CONFIGURE_MW) == -errno.EINVAL
            assert await head(rig) == [0, 0, 0]
        assert rig.board.software.controller.outbound == {}
        assert await rig.host.mw_set_trans(0, 0, buffer, 0x1000) == 0
        assert await rig.vntb.ntb.peer_mw_read(0, 0, 4) == bytes(4)

    run_vntb(scenario, tree="hdma")


def test_a_window_mapped_twice_stays_where_it_was():
    async def scenario(rig):
        first, second = rig.host.dma_alloc(0x1000), rig.host.dma_alloc(0x1000)
        await rig.host.dma_write(first, b"old!")
        await rig.host.dma_write(second, b"new!")
        for buffer in (first, second):
            assert await rig.host.mw_set_trans(0, 0, buffer, 0x1000) == 0
        controller = rig.board.software.controller
        assert len(controller.outbound) == 2, "the kernel does not look"
        assert await rig.vntb.ntb.peer_mw_read(0, 0, 4) == b"old!"
        assert await rig.host.mw_clear_trans(0, 0) == 0
        assert await rig.vntb.ntb.peer_mw_read(0, 0, 4) == b"new!"
        assert await rig.host.mw_clear_trans(0, 0) == 0
        assert await rig.host.mw_clear_trans(0, 0) == 0
        assert controller.outbound == {}

    run_vntb(scenario, tree="hdma")


def test_more_windows_than_the_controller_has():
    async def scenario(rig):
        buffer = rig.host.dma_alloc(0x1000)
        for _ in range(rig.board.software.controller.iatu.count[Way.OUTBOUND]):
            assert await rig.host.mw_set_trans(0, 0, buffer, 0x1000) == 0
        assert not [line for line in rig.log if "window" in line]
        assert await send(rig, CONFIGURE_MW) == -errno.EINVAL
        assert "No free outbound window" in rig.log

    run_vntb(scenario, tree="hdma")


@pytest.mark.parametrize(("index", "answer"), [(2, 0), (3, 0), (4, -errno.EINVAL), (0xFFFF_FFFF, -errno.EINVAL)])
def test_windows_that_are_not_there(index, answer):
    async def scenario(rig):
        buffer = rig.host.dma_alloc(0x1000)
        assert await rig.host.mw_set_trans(0, 0, buffer, 0x1000) == 0
        assert await send(rig, CONFIGURE_MW, index) == answer
        outbound = rig.board.software.controller.outbound
        assert list(outbound.values())[1:] == ([] if answer else [0]), "to the kernel they are at address 0"
        assert await send(rig, TEARDOWN_MW, index) == 0
        assert list(outbound.values()) == [rig.vntb.windows.addresses[0]]

    run_vntb(scenario, tree="hdma")


# -- the host reaches the endpoint's memory ----------------------------------------------------------------------------


@pytest.mark.parametrize("tree", ["imx8", "hdma"])
def test_the_host_reaches_what_the_endpoint_offers(tree):
    async def scenario(rig):
        ours, host = rig.vntb.ntb, rig.host
        registers = [await rig.device.bar_register(bar) for bar in range(6)]
        for index, (bar, size) in enumerate(((4, 0x4000), (5, 0x1_0000))):
            assert await host.peer_mw_read(index, 0, 4) == b"\xff" * 4, "nothing is there yet"
            assert ours.mw_get_align(0, index) == host.mw_get_align(0, index) == MwAlign(0x1000, 1, size)
            resource = rig.device.resources[bar]
            assert await host.peer_mw_get_addr(index) == MwAddress(resource.address, size)
            buffer = ours.dma_alloc(size)
            assert await ours.mw_set_trans(0, index, buffer, size) == 0
            assert rig.vntb.epf.bars[bar].phys_addr == buffer
            data = random.Random(index).randbytes(size)
            await host.peer_mw_write(index, 0, data)
            assert await ours.dma_read(buffer, size) == data
            await ours.dma_write(buffer + 0x10, b"there")
            assert await host.peer_mw_read(index, 0x10, 5) == b"there"
        assert [await rig.device.bar_register(bar) for bar in range(6)] == registers
        other = ours.dma_alloc(0x4000)
        await ours.dma_write(other, b"next")
        assert await ours.mw_set_trans(0, 0, other, 0x4000) == 0
        assert await host.peer_mw_read(0, 0, 4) == b"next"
        assert await ours.mw_clear_trans(0, 0) == 0
        assert await host.peer_mw_read(0, 0, 4) == b"next", "the kernel leaves it there"
        ours.dma_free(other)

    run_vntb(scenario, tree=tree)


@pytest.mark.parametrize("tree", ["imx8", "hdma"])
def test_a_window_large_enough_for_linux_network(tree):
    """Ten frames of 64 KiB must fit, and the endpoint's memory must hold the buffer beside the other BARs."""
    size = 0x10_0000
    assert size >= 10 * 0x1_0000

    async def scenario(rig):
        ours, host = rig.vntb.ntb, rig.host
        buffer, theirs = ours.dma_alloc(size), host.dma_alloc(size)
        assert await ours.mw_set_trans(0, 0, buffer, size) == 0
        assert await host.mw_set_trans(0, 0, theirs, size) == 0
        await host.peer_mw_write(0, size - 8, b"to them!")
        assert await ours.dma_read(buffer + size - 8, 8) == b"to them!"
        await ours.peer_mw_write(0, size - 8, b"to host!")
        await rig.platform.sleep(1e-3)
        assert await host.dma_read(theirs + size - 8, 8) == b"to host!"

    config = replace(MX8, mw_sizes=(size,), mw_bars=(4,))
    run_vntb(scenario, tree=tree, config=config, bars=(0x4000, 0, 0x4000, 0, size, 0))


@pytest.mark.parametrize(
    ("index", "offset", "size"), [(0, 0, 0x2000), (0, 0, 0x8000), (0, 0x1000, 0x4000), (0, 0x10, 0x4000)]
)
def test_a_translation_that_the_bar_cannot_have(index, offset, size):
    async def scenario(rig):
        ours = rig.vntb.ntb
        buffer = ours.dma_alloc(0x1_0000)
        assert await ours.mw_set_trans(0, 0, buffer, 0x4000) == 0
        assert await ours.mw_set_trans(0, index, buffer + 0x4000 + offset, size) == -errno.EINVAL
        assert rig.log[-1] == "pci_epf_vntb: failure set mw trans"
        await ours.dma_write(buffer, b"old!")
        assert await rig.host.peer_mw_read(0, 0, 4) == b"old!"
        assert await ours.mw_set_trans(0, 0, buffer + 0x4000, 0x4000) == 0

    run_vntb(scenario, tree="hdma")


@pytest.mark.parametrize("index", [-1, 2])
def test_a_translation_of_no_window(index):
    async def scenario(rig):
        for size in (0x4000, 0x1_0000):
            assert await rig.vntb.ntb.mw_set_trans(0, index, 0x6000_0000, size) == -errno.EINVAL

    run_vntb(scenario, tree="hdma")


def test_windows_outlive_the_link():
    async def scenario(rig):
        ours = rig.vntb.ntb
        buffer = ours.dma_alloc(0x4000)
        assert await ours.mw_set_trans(0, 0, buffer, 0x4000) == 0
        assert await rig.host.link_enable() == await rig.host.link_disable() == 0
        await rig.host.peer_mw_write(0, 0, b"data")
        assert await ours.dma_read(buffer, 4) == b"data"

    run_vntb(scenario, tree="hdma")


# -- link --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tree", ["imx8", "imx8-edma", "hdma"])
def test_the_link_is_the_hosts(tree):
    async def scenario(rig):
        ours, host = rig.vntb.ntb, rig.host
        assert await ours.link_enable() == 0
        assert (await ours.link_is_up(), await host.link_is_up(), rig.ours.take()) == (0, 0, [])
        for _ in range(3):
            assert await host.link_enable() == 0
            assert (await ours.link_is_up(), await host.link_is_up(), rig.ours.take()) == (1, 1, ["link"])
            assert rig.vntb.commands.link_up
            assert await ours.link_disable() == 0
            assert await ours.link_is_up() == 1
            assert await host.link_disable() == 0
            assert (await ours.link_is_up(), await host.link_is_up(), rig.ours.take()) == (0, 0, ["link"])
            assert not rig.vntb.commands.link_up
        assert rig.theirs.take() == [], "nobody tells the host"
        assert rig.device.fired[0] == 0

    run_vntb(scenario, tree=tree)


def test_a_client_that_is_late_asks_for_itself():
    async def scenario(rig):
        rig.vntb.ntb.clear_ctx()
        assert await rig.host.link_enable() == 0
        assert rig.ours.take() == []
        assert rig.vntb.ntb.set_ctx(rig.ours) == 0
        assert rig.vntb.ntb.set_ctx(rig.ours) == -errno.EINVAL
        rig.vntb.ntb.link_event()
        assert rig.ours.take() == ["link"]
        assert await rig.vntb.ntb.link_is_up() == 1

    run_vntb(scenario, tree="hdma")


def test_the_link_has_one_bit():
    async def scenario(rig):
        await rig.device.write(0, 0x0A, b"\xa4\x5a")
        assert await rig.host.link_enable() == 0
        assert await rig.device.read(0, 0x0A, 2) == b"\xa5\x5a"
        assert await rig.host.link_disable() == 0
        assert await rig.device.read(0, 0x0A, 2) == b"\xa4\x5a"
        assert await rig.host.link_is_up() == 0

    run_vntb(scenario, tree="hdma")


# -- scratchpads -------------------------------------------------------------------------------------------------------


def test_scratchpads_cross_and_touch_nothing_else():
    async def scenario(rig):
        ours, host = rig.vntb.ntb, rig.host
        count = ours.spad_count()
        assert count == host.spad_count() == 16
        before = await rig.device.read(0, 0, 0x134)
        behind = await rig.device.read(0, 0x134 + 8 * count, 0x100)
        source = random.Random(11)
        values = [[source.getrandbits(32) for _ in range(count)] for _ in range(4)]
        for n in source.sample(range(count), count):
            assert await ours.spad_write(n, values[0][n]) == 0
            assert await ours.peer_spad_write(0, n, values[1][n]) == 0
        assert [await host.peer_spad_read(0, n) for n in range(count)] == values[0]
        assert [await host.spad_read(n) for n in range(count)] == values[1]
        for n in source.sample(range(count), count):
            assert await host.spad_write(n, values[2][n]) == 0
            assert await host.peer_spad_write(0, n, values[3][n]) == 0
        assert [await ours.peer_spad_read(0, n) for n in range(count)] == values[2]
        assert [await ours.spad_read(n) for n in range(count)] == values[3]
        assert await rig.device.read(0, 0x134, 4) == values[2][0].to_bytes(4, "little"), "the first row is the host's"
        assert await rig.device.read(0, 0, 0x134) == before
        assert await rig.device.read(0, 0x134 + 8 * count, 0x100) == behind

    run_vntb(scenario, tree="hdma")


def test_the_endpoint_goes_by_what_the_block_says():
    async def scenario(rig):
        await rig.device.write32(0, 0x28, 0x400)
        await rig.device.write32(0, 0x2C, 8)
        assert await rig.vntb.ntb.peer_spad_write(0, 1, 0x11) == 0
        assert await rig.vntb.ntb.spad_write(1, 0x22) == 0
        assert await rig.device.read32(0, 0x404) == 0x11
        assert await rig.device.read32(0, 0x424) == 0x22

    run_vntb(scenario, tree="hdma")


def test_ports_of_a_bridge_without_topology():
    async def scenario(rig):
        for ntb in (rig.vntb.ntb, rig.host):
            assert (ntb.port_number(), ntb.peer_port_count(), ntb.peer_port_number(0)) == (0, 1, 0)
            assert ntb.peer_port_number(1) == -errno.EINVAL
            assert (ntb.peer_port_idx(0), ntb.peer_port_idx(1)) == (0, -errno.EINVAL)

    run_vntb(scenario, bring_up=False)
