"""Doorbells from the vNTB's host to its endpoint: which slot, how soon, and what happens without interrupts."""

import errno
import random
from dataclasses import replace

import pytest
from vntb_rig import MX8, RK3588, RK3588_BARS, TREES, run_vntb

from epbell_models.linux import pci_epf_vntb_doorbell
from epbell_models.linux.msi import MsiMessage

SHARED = ("imx8-edma", "rk3588")


# -- from the host -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tree", "config", "bars"), TREES)
def test_bit_k_is_slot_k_plus_2(tree, config, bars):
    async def scenario(rig):
        places = {
            "mu": [(0x208, 2), (0x20C, 3)],
            "edma": [(0xA0, 0), (0xA0, 0)],
            "polling": [(8, 3), (12, 4)],
        }
        for bit in range(2):
            assert await rig.host.peer_db_set(1 << bit) == 0
            await rig.tick()
            heard = [0, 1] if tree in SHARED else [bit]
            assert rig.ours.take() == heard, "an interrupt that all slots share is all of them"
            assert rig.vntb.ntb.db_read() == sum(1 << k for k in heard)
            assert rig.vntb.ntb.db_clear(0b11) == 0
            assert rig.vntb.ntb.db_read() == 0
        assert rig.stores() == places[rig.vntb.backend]

    run_vntb(scenario, tree=tree, config=config, bars=bars)


@pytest.mark.parametrize(("tree", "backend"), [("imx8", "mu"), ("imx8-edma", "edma"), ("hdma", "polling")])
def test_only_the_lowest_bit_is_rung(tree, backend):
    async def scenario(rig):
        assert rig.vntb.backend == backend
        assert await rig.host.peer_db_set(0b10) == 0
        assert await rig.host.peer_db_set(0b11) == 0
        await rig.tick()
        assert len(rig.stores()) == 2
        assert rig.vntb.ntb.db_read() == 0b11

    run_vntb(scenario, tree=tree)


def test_slots_0_and_1_are_not_listened_to():
    async def scenario(rig):
        await rig.device.write32(2, 0, 1)
        await rig.device.write32(2, 4, 2)
        await rig.tick()
        assert rig.ours.take() == []
        assert await rig.device.read(2, 0, 8) == bytes([1, 0, 0, 0, 2, 0, 0, 0]), "nobody has looked at them"

    run_vntb(scenario, tree="hdma")


def test_messages_of_slots_0_and_1_reach_nobody():
    async def scenario(rig):
        await rig.device.write32(2, 0x200, 0)
        await rig.device.write32(2, 0x204, 1)
        await rig.tick()
        assert rig.ours.take() == []
        assert rig.vntb.ntb.db_read() == 0
        assert await rig.host.peer_db_set(1) == 0
        await rig.tick()
        assert rig.ours.take() == [0]

    run_vntb(scenario)


@pytest.mark.parametrize(("vectors", "outcome"), [(4, -errno.EINVAL), (8, 0), (16, 0)])
def test_four_slots_have_two_doorbells(vectors, outcome):
    async def scenario(rig):
        assert rig.host.db_valid_mask() == (1 << vectors - 2) - 1
        assert rig.vntb.ntb.db_valid_mask() == 0b11
        assert await rig.host.peer_db_set(0b100) == outcome
        await rig.tick()
        assert rig.ours.take() == []
        # The host does not learn how many slots there are: it stores what it finds, 0, to where the BAR begins.
        assert rig.stores() == ([] if outcome else [(0, 0)])
        assert await rig.host.peer_db_set(0b10) == 0
        await rig.tick()
        assert rig.ours.take() == [1], "no damage was done"

    run_vntb(scenario, msi_limit=vectors)


def test_no_bit_rings_the_unused_slot():
    async def scenario(rig):
        assert await rig.host.peer_db_set(0) == 0
        await rig.tick()
        assert rig.stores() == [(4, 2)]
        assert rig.ours.take() == []

    run_vntb(scenario, tree="hdma")


# -- polling -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hz", "most"), [(None, 5e-3), (250, 8e-3)])
def test_a_polled_ring_waits_for_the_next_run(hz, most):
    async def scenario(rig):
        waits = await pings(rig, 40)
        assert most < max(waits) + 0.5e-3
        assert max(waits) < most + 0.1e-3
        assert min(waits) < most / 5

    run_vntb(scenario, tree="hdma", config=replace(MX8, hz=hz))


def test_two_polled_rings_are_one():
    async def scenario(rig):
        await rig.tick()
        for _ in range(2):
            assert await rig.host.peer_db_set(0b10) == 0
        await rig.tick()
        assert rig.ours.take() == [1]
        assert await rig.device.read(2, 0, 16) == bytes(16), "the words are cleared"

    run_vntb(scenario, tree="hdma")


def test_a_polled_word_is_zeroed_after_the_client_was_told():
    async def scenario(rig):
        seen = []
        epf, endpoint = rig.vntb.epf, rig.board.endpoint
        rig.ours.db_event = lambda vector: seen.append(endpoint.cpu_read32(epf.bars[2].phys_addr + 8))
        assert await rig.host.peer_db_set(1) == 0
        await rig.tick()
        assert seen == [3]

    run_vntb(scenario, tree="hdma")


async def pings(rig, count):
    """Ring at random times; return how long each took to be heard."""
    source = random.Random(7)
    waits = []
    for _ in range(count):
        await rig.platform.sleep(source.uniform(0, 20e-3))
        assert await rig.host.peer_db_set(1) == 0
        start = rig.platform.now()
        while not rig.ours.heard:
            await rig.platform.sleep(10e-6)
        waits.append(rig.ours.heard[0][0] - start)
        rig.ours.take()
    return waits


@pytest.mark.parametrize("tree", ["imx8", "imx8-edma"])
def test_interrupts_are_much_sooner_than_polling(tree):
    async def scenario(rig):
        return await pings(rig, 100)

    polled = run_vntb(scenario, tree="hdma")
    interrupts = run_vntb(scenario, tree=tree)
    assert max(interrupts) < 1e-3
    assert max(interrupts) < sum(polled) / len(polled) / 5


# -- falling back ------------------------------------------------------------------------------------------------------


def test_more_slots_than_channels_are_polled():
    async def scenario(rig):
        assert rig.vntb.backend == "polling"
        assert rig.vntb.reason == "Failed to allocate MSI (-ENOSPC)"
        assert await rig.device.read32(0, 0x30) == 4
        for bit in range(3):
            assert await rig.host.peer_db_set(1 << bit) == 0
        await rig.tick()
        assert rig.ours.take() == [0, 1, 2]

    run_vntb(scenario, config=replace(MX8, db_count=5))


async def rings(rig):
    """Ring both bits and say whether they are heard as polled ones."""
    assert rig.vntb.backend == "polling"
    assert rig.vntb.epf.doorbells == []
    for bit in range(2):
        assert await rig.host.peer_db_set(1 << bit) == 0
    await rig.tick()
    return rig.ours.take() == [0, 1]


@pytest.mark.parametrize("slot", range(4))
def test_an_interrupt_that_is_not_to_be_had(slot):
    async def scenario(rig):
        core, left = rig.board.software.core, [slot]
        request = core.request_irq

        async def refuse(virq, handler, flags, name, cookie):
            left[0] -= name == "pci_epf_vntb_db"
            return -errno.EBUSY if left[0] < 0 else await request(virq, handler, flags, name, cookie)

        core.request_irq = refuse
        await rig.bring_up()
        assert "Failed to request doorbell IRQ" in rig.vntb.reason
        assert rig.vntb.reason.endswith("(-EBUSY)")
        names = [action.name for desc in core.descs.values() for action in desc.actions]
        assert "pci_epf_vntb_db" not in names
        assert await rings(rig)

    run_vntb(scenario, bring_up=False)


def test_a_bar_that_cannot_be_aimed():
    async def scenario(rig):
        epc = rig.board.software.epc
        set_bar = epc.set_bar

        async def refuse(bar):
            return -errno.EINVAL if bar.phys_addr == 0x5D30_0000 else await set_bar(bar)

        epc.set_bar = refuse
        await rig.bring_up()
        assert rig.vntb.reason == "Doorbell BAR set failed (-EINVAL)"
        assert await rings(rig)

    run_vntb(scenario, bring_up=False)


def test_a_register_that_cannot_be_mapped():
    async def scenario(rig):
        rig.board.software.faults.dma_map_resource = True
        await rig.bring_up()
        assert rig.vntb.reason.endswith("(-EIO)")
        assert await rings(rig)
        assert not rig.board.software.mappings.live

    run_vntb(scenario, tree="imx8-edma", bring_up=False)


def test_a_fixed_bar_that_is_not_the_one_for_doorbells():
    async def scenario(rig):
        core = rig.board.software.core
        request = core.request_irq

        async def refuse(virq, handler, flags, name, cookie):
            assert name != "pci_epf_vntb_db", "the BAR is looked at first"
            return await request(virq, handler, flags, name, cookie)

        core.request_irq = refuse
        await rig.enumerate()
        assert rig.vntb.reason.endswith("(-EINVAL)")
        assert rig.vntb.backend == "polling"
        assert rig.vntb.epf.doorbells == []

    config = replace(RK3588, db_bar=2, mw_bars=(3,))
    run_vntb(scenario, tree="rk3588", config=config, bars=(0x4000,) * 5 + (0,), bring_up=False)


def test_doorbells_that_only_some_bar_shows():
    async def scenario(rig):
        control = rig.vntb.doorbells
        publish = control._reuse

        async def spoil(barno):
            rig.vntb.epf.doorbells[3].bar = 1
            return await publish(barno)

        control._reuse = spoil
        await rig.enumerate()
        assert rig.vntb.reason.endswith("(-EINVAL)")
        assert rig.vntb.epf.doorbells == []

    run_vntb(scenario, tree="rk3588", config=RK3588, bars=RK3588_BARS, bring_up=False)


def test_a_mutable_domain_leads_to_the_edma():
    async def scenario(rig):
        assert rig.vntb.backend == "edma"

    run_vntb(scenario, mu_immutable=False)


# -- the window of all messages ----------------------------------------------------------------------------------------


def spread(monkeypatch, addresses):
    """Let the doorbells' messages be at these addresses."""
    alloc = pci_epf_vntb_doorbell.pci_epf_alloc_doorbell

    async def move(epf, count, log):
        error = await alloc(epf, count, log)
        for doorbell, address in zip(epf.doorbells, addresses, strict=not error):
            doorbell.message = MsiMessage(address, doorbell.message.data)
        return error

    monkeypatch.setattr(pci_epf_vntb_doorbell, "pci_epf_alloc_doorbell", move)


@pytest.mark.parametrize(
    ("addresses", "base"),
    [
        ((0x5D30_0200,) * 4, 0x5D30_0000),
        ((0x5D30_0204, 0x5D30_0200, 0x5D30_020C, 0x5D30_0208), 0x5D30_0000),
        ((0x5D30_3FF8, 0x5D30_3FFC, 0x5D30_3FF4, 0x5D30_3FF0), 0x5D30_0000),
        ((0x5D30_4000, 0x5D30_7FFC, 0x5D30_5000, 0x5D30_6000), 0x5D30_4000),
        # They cross a power of two, from an address that is no multiple of one; the BAR is the next larger window.
        ((0x5D30_2000, 0x5D30_1FFC, 0x5D30_2000, 0x5D30_1FFC), 0x5D30_0000),
        ((0x1_5D30_0000, 0x1_5D30_0004, 0x1_5D30_0008, 0x1_5D30_3FFC), 0x1_5D30_0000),
        # They cross a multiple of the BAR's size, by one word or by a lot.
        ((0x5D30_3FFC, 0x5D30_4000, 0x5D30_3FFC, 0x5D30_3FFC), None),
        ((0x5D30_0000, 0x5D30_0004, 0x5D30_FFFC, 0x5D30_8000), None),
        ((0x7FFF_FFFF_FFFF_F000, 0x8000_0000_0000_0000, 0, 0), None),
    ],
)
def test_the_window_covers_all_messages_or_is_not_used(monkeypatch, addresses, base):
    spread(monkeypatch, addresses)

    async def scenario(rig):
        if base is None:
            assert rig.vntb.reason.startswith("Doorbell BAR assign space failed")
            assert await rings(rig)
            return
        assert rig.vntb.backend == "mu"
        assert rig.vntb.epf.bars[2].phys_addr == base
        offsets = [await rig.device.read32(0, 0xB4 + 4 * slot) for slot in range(4)]
        assert offsets == [address - base for address in addresses]

    run_vntb(scenario)
