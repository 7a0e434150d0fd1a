"""The host's ntb_hw_epf: whom it binds to, with how many vectors, what it refuses, which BAR it takes for what."""

import errno
from dataclasses import replace

import pytest
from vntb_rig import MX8, RK3588, RK3588_BARS, run_vntb

from epbell_models.host.ntb_hw_epf import NtbHwEpf
from epbell_models.host.ntb_hw_epf_ids import find_map
from epbell_models.host.pci import BarResource
from epbell_models.ntb import MwAddress
from epbell_models.platform import VirtualPlatform

J721E = 0x104C, 0xB00D


# -- binding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "vectors"), [(1, 0), (2, 0), (4, 4), (8, 8), (16, 16), (32, 16)])
def test_at_least_four_vectors(limit, vectors):
    async def scenario(rig):
        await rig.enumerate()
        if not vectors:
            assert await rig.host.probe() == -errno.ENOSPC
            assert rig.host.log[0] == "ntb_hw_epf: Failed to get MSI interrupts"
            assert not rig.board.link.config.memory_enabled or not rig.board.link.config.bus_master
            return
        assert await rig.host.probe() == 0
        assert rig.host.vectors == vectors
        assert rig.host.db_valid_mask() == (1 << vectors - 2) - 1
        assert rig.host.db_vector_count() == vectors - 2
        assert [rig.host.db_vector_mask(n) for n in (-1, 0, vectors - 3, vectors - 2)] == [0, 1, 1 << vectors - 3, 0]

    run_vntb(scenario, tree="hdma", msi_limit=limit, bring_up=False)


@pytest.mark.parametrize(
    ("limit", "vectors", "kind"), [(3, 16, "MSI"), (4, 4, "MSIX"), (5, 5, "MSIX"), (32, 32, "MSIX")]
)
def test_msix_comes_first(limit, vectors, kind):
    async def scenario(rig):
        assert rig.device.irq_kind.name == kind
        assert rig.host.vectors == vectors
        assert rig.host.db_valid_mask() == (1 << vectors - 2) - 1
        argument = [access.value for access in rig.board.link.memory.trace if access.address & 0xFFF == 4]
        assert argument == [vectors | (0x1_0000 if kind == "MSIX" else 0)]

    run_vntb(scenario, tree="hdma", config=replace(MX8, msix_interrupts=32), msix_limit=limit)


@pytest.mark.parametrize(
    ("options", "release", "outcome"),
    [
        ({}, "newest", 0),
        ({}, "6.1", 0),
        ({"device": 0x0808}, "newest", -errno.ENODEV),
        ({"vendor": 0x16C3}, "newest", -errno.ENODEV),
    ],
)
def test_identities(options, release, outcome):
    async def scenario(rig):
        await rig.enumerate()
        assert await rig.host.probe() == outcome
        if outcome:
            assert not rig.board.link.config.memory_enabled

    run_vntb(scenario, tree="hdma", config=replace(MX8, **options), release=release, bring_up=False)


@pytest.mark.parametrize(("release", "outcome"), [("newest", 0), ("6.1", -errno.ENODEV)])
def test_r_car_is_newer_than_6_1(release, outcome):
    async def scenario(rig):
        await rig.enumerate()
        assert await rig.host.probe() == outcome

    run_vntb(
        scenario, tree="rk3588", config=RK3588, bars=RK3588_BARS, release=release, bring_up=False
    )


def test_6_1_does_not_tell_doorbells_apart():
    async def scenario(rig):
        assert rig.host.db_vector_count() == 1
        assert rig.host.db_vector_mask(5) == rig.host.db_valid_mask() == 0x3FFF

    run_vntb(scenario, tree="hdma", release="6.1")


def test_a_release_that_there_is_not():
    with pytest.raises(ValueError, match=r"'6\.1' or 'newest', not '5\.10'"):
        run_vntb(lambda rig: None, release="5.10")


def test_another_class_is_not_bound():
    async def scenario(rig):
        await rig.enumerate()
        rig.board.link.config._class = 0xFF_0000 << 8
        assert await rig.host.probe() == -errno.ENODEV

    run_vntb(scenario, tree="hdma", bring_up=False)


def test_probe_asks_for_these_registers():
    async def scenario(rig):
        await rig.enumerate()
        assert await rig.host.probe() == 0
        trace = [(access.kind[0], access.address & 0xFFF, access.length) for access in rig.board.link.memory.trace]
        polls = ("r", 0x08, 2)
        assert [access for access in trace if access != polls] == [
            ("r", 0x2C, 4),
            ("r", 0x28, 4),
            ("r", 0x20, 4),
            ("w", 0x04, 4),
            ("w", 0x00, 4),
            ("w", 0x08, 2),
            ("r", 0x2C, 4),
        ]
        await rig.host.remove()
        assert rig.board.link.memory.trace[len(trace)].value == 16, "TEARDOWN_DOORBELL names the vectors"
        assert rig.host.vectors == 0
        assert not rig.board.link.config.msi_enabled
        assert not rig.board.link.config.bus_master

    run_vntb(scenario, tree="hdma", bring_up=False)


def test_the_first_command_decides():
    async def scenario(rig):
        await rig.enumerate()
        await rig.vntb.commands.stop()
        assert await rig.host.probe() == -errno.ETIMEDOUT
        assert "ntb_hw_epf: Failed to configure doorbell" in rig.host.log
        assert rig.device.irq_kind is None
        assert rig.host.vectors == 0
        rig.vntb.commands.start()
        await rig.tick()
        assert await rig.host.probe() == 0, "nothing was left that is in the way"

    run_vntb(scenario, tree="hdma", bring_up=False)


def test_a_vector_that_cannot_be_requested():
    async def scenario(rig):
        await rig.enumerate()
        request = rig.device.request_irq

        async def refuse(index, handler):
            return -errno.EBUSY if index == 5 else await request(index, handler)

        rig.device.request_irq = refuse
        assert await rig.host.probe() == -errno.EBUSY
        assert "ntb_hw_epf: Failed to request irq" in rig.host.log
        assert rig.device.irq_kind is None

    run_vntb(scenario, tree="hdma", bring_up=False)


def test_nothing_works_before_it_is_bound():
    async def scenario(rig):
        with pytest.raises(RuntimeError, match="probe"):
            rig.host.mw_get_align(0, 0)

    run_vntb(scenario, tree="hdma", bring_up=False)


# -- indexes -----------------------------------------------------------------------------------------------------------


def test_indexes_are_looked_at():
    async def scenario(rig):
        host = rig.host
        assert host.mw_count(1) == -errno.EINVAL
        assert host.mw_get_align(1, 0) == -errno.EINVAL
        assert host.mw_get_align(0, -1) == -errno.EINVAL
        assert host.mw_get_align(0, 3) == -errno.EINVAL
        assert host.mw_get_align(0, 2) == -errno.EPERM, "one too many is let through, and has no BAR"
        assert await host.peer_mw_get_addr(3) == -errno.EINVAL
        assert await host.peer_mw_get_addr(2) == -errno.EPERM
        assert await host.mw_set_trans(1, 0, 0, 0x1000) == -errno.EINVAL
        assert await host.mw_set_trans(0, 3, 0, 0x1000) == -errno.EINVAL
        assert await host.mw_set_trans(0, 0, 0, 0x4001) == -errno.EINVAL
        assert host.log[-1] == "ntb_hw_epf: Size:0x4001 is greater than the MW size 0x4000"
        assert await host.spad_read(16) == await host.spad_read(-1) == 0
        assert await host.spad_write(16, 1) == -errno.EINVAL
        assert await host.peer_spad_read(0, 16) == await host.peer_spad_read(1, 0) == 0xFFFF_FFEA
        assert await host.peer_spad_write(0, 16, 1) == -errno.EINVAL
        assert await host.peer_spad_write(1, 0, 1) == -errno.EINVAL
        assert await host.peer_db_set(1 << 14) == -errno.EINVAL
        assert host.db_set_mask(1) == host.db_clear_mask(1) == 0

    run_vntb(scenario, tree="hdma")


# -- BAR maps, on a device that is memory and nothing else -------------------------------------------------------------


class MemoryDevice:
    """A function whose BARs are plain memory; the first has a control block, and commands are OK at once."""

    header_type = 0

    def __init__(self, platform, identity, sizes, *, windows=4, spads=8):
        self.platform = platform
        self.vendor, self.device = identity
        starts = range(0x8000_0000, 0x8000_0000 + 0x10_0000 * len(sizes), 0x10_0000)
        self.resources = [
            BarResource(start, size, False, False) if size else None
            for start, size in zip(starts, sizes, strict=True)
        ]
        self.bars = [bytearray(size) for size in sizes]
        self.enabled = False
        for offset, value in ((0x20, windows), (0x24, 0x400), (0x28, 0x134), (0x2C, spads), (0x30, 4), (0x3C, 3)):
            self.bars[0][offset : offset + 4] = value.to_bytes(4, "little")

    async def class_code(self):
        return 0x05_0000

    async def enable(self):
        self.enabled = True

    async def disable(self):
        self.enabled = False

    async def set_master(self):
        assert self.enabled

    async def alloc_irq_vectors(self, least, most, *kinds):
        return most

    async def request_irq(self, index, handler):
        return 0

    async def free_irq_vectors(self):
        pass

    async def read(self, bar, offset, length):
        return bytes(self.bars[bar][offset : offset + length])

    async def write(self, bar, offset, data):
        self.bars[bar][offset : offset + len(data)] = data

    async def read32(self, bar, offset):
        return int.from_bytes(await self.read(bar, offset, 4), "little")

    async def write32(self, bar, offset, value):
        await self.write(bar, offset, value.to_bytes(4, "little"))
        if (bar, offset) == (0, 0):
            self.bars[0][8] = 1


def with_device(identity, sizes, scenario, **options):
    platform = VirtualPlatform()
    device = MemoryDevice(platform, identity, sizes, **options)
    host = NtbHwEpf(device, None)
    return platform.run(scenario(device, host))


def test_j721e_has_scratchpads_and_a_window_of_its_own():
    async def scenario(device, host):
        assert await host.probe() == 0
        await host.peer_spad_write(0, 2, 0x55)
        assert await device.read32(1, 8) == 0x55, "the peer's row is in BAR 1"
        await host.spad_write(2, 0x66)
        assert await device.read32(0, 0x134 + 8) == 0x66
        # The first window shares a BAR with the doorbells and starts behind them.
        assert await host.peer_db_set(1) == 0
        assert await device.read32(2, 8) == 3
        assert await host.peer_mw_get_addr(0) == MwAddress(0x8020_0400, 0xC00)
        assert await host.peer_mw_get_addr(1) == MwAddress(0x8030_0000, 0x2000)
        await host.peer_mw_write(0, 4, b"here")
        assert await host.peer_mw_read(0, 4, 4) == bytes(device.bars[2][0x404:0x408]) == b"here"
        assert [host.mw_get_align(0, n).most for n in range(4)] == [0x1000, 0x2000, 0x4000, 0x8000]
        assert host.mw_get_align(0, 4) == -errno.EINVAL

    with_device(J721E, (0x1000, 0x1000, 0x1000, 0x2000, 0x4000, 0x8000), scenario)


@pytest.mark.parametrize(("windows", "outcome"), [(0, 0), (4, 0), (5, -errno.EINVAL), (0xFFFF_FFFF, -errno.EINVAL)])
def test_number_of_windows(windows, outcome):
    async def scenario(device, host):
        assert await host.probe() == outcome
        assert device.enabled == (not outcome)

    with_device(J721E, (0x1000,) * 6, scenario, windows=windows)


@pytest.mark.parametrize(("identity", "missing"), [(J721E, 0), (J721E, 1), (J721E, 2), ((0x1957, 0x809), 2)])
def test_a_bar_that_is_missing(identity, missing):
    async def scenario(device, host):
        device.resources[missing] = None
        assert await host.probe() == -errno.EIO
        assert host.log == ["ntb_hw_epf: Failed to init PCI"]
        assert not device.enabled

    with_device(identity, (0x1000,) * 6, scenario)


def test_a_bridge_is_not_bound():
    async def scenario(device, host):
        device.header_type = 1
        assert await host.probe() == -errno.ENODEV
        assert not device.enabled

    with_device(J721E, (0x1000,) * 6, scenario)


def test_the_maps():
    maps = {identity: find_map(*identity, "newest") for identity in (J721E, (0x1957, 0x0809), (0x1912, 0x0030))}
    assert {identity: (m.config, m.peer_spad, m.db, m.windows) for identity, m in maps.items()} == {
        J721E: (0, 1, 2, (2, 3, 4, 5)),
        (0x1957, 0x0809): (0, 0, 2, (4, 5, -1, -1)),
        (0x1912, 0x0030): (0, 0, 4, (2, -1, -1, -1)),
    }
    assert find_map(0x1957, 0x0808, "newest") is None
