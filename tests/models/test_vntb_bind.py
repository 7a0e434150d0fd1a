"""Binding pci-epf-vntb: what the host finds in the control block, which BARs there are, and every way to fail."""

import errno
import struct
from dataclasses import replace

import pytest
from vntb_rig import BARS, MX8, RK3588, RK3588_BARS, run_vntb

from epbell_models.devicetree import Region
from epbell_models.linux.epc_features import NO_BAR, EpcFeatures, bar_features
from epbell_models.linux.irqdesc import IrqFlag
from epbell_models.linux.pci_epc_mem import EpcMemory
from epbell_models.linux.pci_epf_vntb_config import VntbConfig, assign_bars

# struct epf_ntb_ctrl, packed: command, argument, status, link, topology, addr, size, then words, then the slots.
LAYOUT = struct.Struct("<IIHHIQQIIIII32I32I")


async def control_block(rig):
    data = await rig.device.read(0, 0, LAYOUT.size)
    values = LAYOUT.unpack(data)
    return values[:12], values[12:44], values[44:]


def nothing_left(rig):
    """Say whether an unbound function holds memory, addresses, windows, doorbells or interrupts."""
    software, epf = rig.board.software, rig.vntb.epf
    assert epf.bars == [None] * 6
    assert epf.doorbells == []
    assert not epf.device.virqs
    assert software.epc.memory is None or software.epc.memory.used == 0
    assert software.controller.bar_to_window == {}
    everything = software.epc.pool.alloc(0x20_0000)
    assert everything is not None, "all of the memory is free"
    software.epc.pool.free(everything)
    names = {action.name for desc in software.core.descs.values() for action in desc.actions}
    assert "pci_epf_vntb_db" not in names
    return True


def test_the_block_has_the_kernels_layout():
    async def scenario(rig):
        assert LAYOUT.size == 0x134
        head, data, offsets = await control_block(rig)
        assert head == (0, 0, 0, 0, 0, 0, 0, 2, 0, 0x134, 16, 4)
        assert data == tuple(range(1, 9)) + (0,) * 24
        assert offsets == (0,) * 32

    run_vntb(scenario, tree="hdma", config=replace(MX8, db_count=8))


@pytest.mark.parametrize(
    ("tree", "config", "bars", "data", "offsets"),
    [
        ("imx8", MX8, BARS, (0, 1, 2, 3), (0x200, 0x204, 0x208, 0x20C)),
        ("imx8-edma", MX8, BARS, (0,) * 4, (0xA0,) * 4),
        ("rk3588", RK3588, RK3588_BARS, (0,) * 4, (0xA0,) * 4),
    ],
)
def test_interrupts_put_message_and_offset_into_the_block(tree, config, bars, data, offsets):
    async def scenario(rig):
        head, words, places = await control_block(rig)
        assert head[-1] == 0, "an entry has no size"
        assert (words[:4], places[:4]) == (data, offsets)
        assert words[4:] == places[4:] == (0,) * 28

    run_vntb(scenario, tree=tree, config=config, bars=bars)


@pytest.mark.parametrize("tree", ["imx8", "hdma"])
def test_the_memory_was_zeroed_first(tree):
    async def scenario(rig):
        rig.board.endpoint.ram[:] = b"\xa5" * len(rig.board.endpoint.ram)
        await rig.bring_up()
        head, _, _ = await control_block(rig)
        assert head[:9] == (0, 0, 0, 0, 0, 0, 0, 2, 0)
        assert [await rig.host.spad_read(n) for n in range(16)] == [0] * 16
        assert [await rig.host.peer_spad_read(0, n) for n in range(16)] == [0] * 16
        await rig.tick()
        assert rig.vntb.ntb.db_read() == 0, "no word in memory is a ring"

    run_vntb(scenario, tree=tree, bring_up=False)


@pytest.mark.parametrize(
    ("release", "count", "error"),
    [
        ("newest", 0, -errno.EINVAL),
        ("newest", 1, -errno.EINVAL),
        ("newest", 2, -errno.EINVAL),
        ("newest", 3, 0),
        ("newest", 32, 0),
        ("newest", 33, -errno.EINVAL),
        ("v7.1", 0, -errno.EINVAL),
        ("v7.1", 1, 0),
        ("v7.1", 32, 0),
        ("v7.1", 33, -errno.EINVAL),
    ],
)
def test_number_of_doorbell_slots(release, count, error):
    async def scenario(rig):
        assert await rig.board.software.start() == error
        if error:
            assert nothing_left(rig)

    run_vntb(scenario, config=replace(MX8, db_count=count, release=release), bring_up=False)


@pytest.mark.parametrize(
    ("config", "bars", "error", "said"),
    [
        (VntbConfig(mw_sizes=(0x4000,)), (0x4000, 0x4000, 0, 0, 0, 0), -errno.EINVAL, "Fail to get NTB function BAR"),
        (replace(MX8, spad_count=2048), BARS, -errno.ENOMEM, "Config/Status/SPAD alloc region fail"),
        (replace(MX8, mw_sizes=(0x4000, 0x8000)), BARS, -errno.EINVAL, "MW set failed"),
    ],
)
def test_binding_fails_and_leaves_nothing(config, bars, error, said):
    async def scenario(rig):
        assert await rig.board.software.start() == error
        assert any(said in line for line in rig.log), rig.log
        assert nothing_left(rig)

    run_vntb(scenario, config=config, bars=bars, bring_up=False, tree="hdma")


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        (1, "Doorbell BAR set failed"),
        (2, "MW set failed"),
        (3, "MW set failed"),
    ],
)
@pytest.mark.parametrize("tree", ["imx8", "hdma"])
def test_too_few_inbound_windows(tree, windows, said):
    async def scenario(rig):
        assert await rig.board.software.start() == -errno.EINVAL
        assert any(said in line for line in rig.log), rig.log
        assert nothing_left(rig)

    run_vntb(scenario, tree=tree, windows=windows, bring_up=False)


@pytest.mark.parametrize(("tree", "windows"), [("hdma", None), ("imx8", 1)])
def test_no_memory_for_polled_doorbells(tree, windows):
    async def scenario(rig):
        pool = rig.board.software.epc.pool
        held = [pool.alloc(0x10_0000), *(pool.alloc(0x4000) for _ in range(63))]
        assert await rig.board.software.start() == -errno.ENOMEM
        assert "pci_epf_vntb: Failed to allocate OB address" in rig.log
        for address in held:
            pool.free(address)
        assert nothing_left(rig)

    run_vntb(scenario, tree=tree, windows=windows, bring_up=False)


@pytest.mark.parametrize("room", [0, 0x4000])
def test_no_addresses_for_outbound_windows(room):
    async def scenario(rig):
        epc = rig.board.software.epc
        epc.memory = EpcMemory(Region(0x7000_0000, room), 0x1000) if room else None
        assert await rig.board.software.start() == -errno.ENOMEM
        assert "pci_epf_vntb: Failed to allocate source address" in rig.log
        assert nothing_left(rig)

    run_vntb(scenario, bring_up=False)


def test_a_controller_without_messages():
    async def scenario(rig):
        epc = rig.board.software.epc
        epc.features = replace(epc.features, msi_capable=False)
        assert await rig.board.software.start() == -errno.EINVAL
        assert "pci_epf_vntb: MSI or MSI-X is required for doorbell" in rig.log
        assert nothing_left(rig)

    run_vntb(scenario, bring_up=False)


def test_msix_that_the_controller_does_not_have():
    async def scenario(rig):
        rig.board.software.controller.features = replace(rig.board.software.controller.features, msix_capable=False)
        assert await rig.board.software.start() == -errno.EINVAL
        assert "pci_epf_vntb: MSI-X configuration failed" in rig.log
        assert nothing_left(rig)

    run_vntb(scenario, config=replace(MX8, msix_interrupts=16), bring_up=False)


@pytest.mark.parametrize("tree", ["imx8", "imx8-edma", "hdma"])
def test_unbound_and_bound_again(tree):
    async def scenario(rig):
        await rig.host.remove()
        await rig.vntb.stop()
        assert nothing_left(rig)
        assert await rig.vntb.start() == 0
        assert await rig.host.probe() == 0, rig.host.log
        rig.host.set_ctx(rig.theirs)
        assert await rig.host.peer_db_set(1) == 0
        await rig.tick()
        assert 0 in rig.ours.take()
        assert await rig.vntb.ntb.peer_db_set(1) == 0
        await rig.tick()
        assert rig.theirs.take() == [0]

    run_vntb(scenario, tree=tree)


def test_an_unbound_function_rings_nobody():
    async def scenario(rig):
        await rig.vntb.stop()
        assert await rig.vntb.ntb.peer_db_set(1) == 0
        await rig.platform.sleep(1e-3)
        assert rig.vntb.irqs_raised == 0
        assert rig.theirs.take() == []

    run_vntb(scenario)


def test_the_software_says_which_function_it_has():
    async def scenario(rig):
        assert rig.board.software.vntb.epf.name == "pci_epf_vntb.0"
        with pytest.raises(RuntimeError, match=r"booted with pci_epf_vntb\.0, not with pci_epf_test"):
            _ = rig.board.software.function

    run_vntb(scenario, bring_up=False)


# -- BARs and configuration --------------------------------------------------------------------------------------------


def features(sizes, wide=(), fixed_bar=None):
    return EpcFeatures(bar_features(sizes, wide, fixed_bar))


ALL = (0x1000,) * 6


@pytest.mark.parametrize(
    ("config", "sizes", "wide", "expected"),
    [
        (VntbConfig(), ALL, (), (0, 1, (2,))),
        (VntbConfig(mw_sizes=(1,) * 4), ALL, (), (0, 1, (2, 3, 4, 5))),
        (VntbConfig(mw_sizes=(1,) * 2), (1, 0, 1, 0, 1, 0), (0, 2, 4), (0, 2, (4,))),
        (VntbConfig(mw_sizes=(1,) * 4), (1, 1, 1, 1, 0, 0), (), (0, 1, (2, 3))),
        (VntbConfig(db_bar=2, mw_bars=(4, 5), mw_sizes=(1, 1)), ALL, (), (0, 2, (4, 5))),
        (VntbConfig(ctrl_bar=4, mw_bars=(0,)), ALL, (), (4, 1, (0,))),
        (VntbConfig(mw_bars=(0, NO_BAR), mw_sizes=(1, 1)), ALL, (), (1, 2, (0, 3))),
        (VntbConfig(mw_bars=(2, NO_BAR, 5), mw_sizes=(1,) * 3), (1, 1, 1, 0, 0, 1), (), (0, 1, (2,))),
        (VntbConfig(), (1, 1, 0, 0, 0, 0), (), None),
        (VntbConfig(mw_bars=(5,)), (1, 0, 0, 0, 0, 1), (), None),
    ],
)
def test_bars_that_configfs_does_not_name(config, sizes, wide, expected):
    sizes = tuple(0x1000 if size else 0 for size in sizes)
    bars = assign_bars(config, features(sizes, wide))
    assert (None if bars is None else (bars.ctrl, bars.db, bars.windows)) == expected


def test_a_reserved_bar_is_had_by_name_only():
    shown = features(ALL, fixed_bar=1)
    chosen = assign_bars(VntbConfig(), shown)
    assert chosen is not None
    assert chosen.db == 2
    named = assign_bars(VntbConfig(db_bar=1), shown)
    assert named is not None
    assert named.db == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mw_sizes": ()}, "1 to 4 memory windows"),
        ({"mw_sizes": (1,) * 5}, "1 to 4 memory windows"),
        ({"mw_bars": (1, 2)}, "for each memory window at most"),
        ({"ctrl_bar": 6}, "A BAR is 0 to 5, or -1 for any, not 6"),
        ({"mw_bars": (-2,)}, "not -2"),
        ({"release": "v6.1"}, "'v7.1' or 'newest', not 'v6.1'"),
        ({"msix_interrupts": 4, "spad_count": 218}, "room for 217 scratchpads, not 218"),
        ({"hz": 0}, "jiffies"),
    ],
)
def test_configuration_that_cannot_be(options, said):
    with pytest.raises(ValueError, match=said):
        VntbConfig(**options)


@pytest.mark.parametrize(
    ("hz", "milliseconds", "seconds"),
    [(None, 5, 5e-3), (250, 5, 8e-3), (250, 500, 0.5), (1000, 5, 5e-3), (100, 5, 10e-3), (300, 5, 2 / 300)],
)
def test_delays_are_whole_jiffies(hz, milliseconds, seconds):
    assert VntbConfig(hz=hz).delay(milliseconds) == pytest.approx(seconds)


def test_shared_interrupt_is_requested_once():
    async def scenario(rig):
        virq = rig.vntb.epf.doorbells[0].virq
        actions = rig.board.software.core.descs[virq].actions
        assert [action.name for action in actions] == ["pci_epf_vntb_db"]
        assert actions[0].flags & IrqFlag.SHARED

    run_vntb(scenario, tree="imx8-edma")
