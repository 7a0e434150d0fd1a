"""Doorbells from the vNTB's endpoint to its host: which message, what becomes one, and the rules of v7.1 both ways."""

import errno
from dataclasses import replace

import pytest
from vntb_rig import MX8, TREES, run_vntb

# -- to the host -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tree", "config", "bars"), TREES)
def test_the_endpoint_rings_bit_k_with_msi_k_plus_3(tree, config, bars):
    async def scenario(rig):
        for bit in range(2):
            assert await rig.vntb.ntb.peer_db_set(1 << bit) == 0
            await rig.platform.sleep(1e-3)
            assert rig.theirs.take() == [bit]
            assert rig.host.db_read() == 1 << bit
            rig.host.db_clear(1 << bit)
            assert rig.host.db_read() == 0
        assert rig.device.fired[:5] == [0, 0, 1, 1, 0]
        assert rig.vntb.irqs_raised == 2
        assert not [line for line in rig.host.log if "reserved" in line]

    run_vntb(scenario, tree=tree, config=config, bars=bars)


def test_every_bit_that_16_vectors_have():
    async def scenario(rig):
        assert rig.vntb.ntb.db_valid_mask() == 0x3FFF
        assert await rig.vntb.ntb.peer_db_set(0xFFFF) == 0
        await rig.platform.sleep(1e-3)
        assert sorted(rig.theirs.take()) == list(range(14)), "what is not valid is forgotten"
        rig.host.db_clear(0x0F0F)
        assert rig.host.db_read() == 0x30F0
        assert rig.device.fired == [0, 0] + [1] * 14
        for bit in range(14):
            assert await rig.host.peer_db_set(1 << bit) == 0
        await rig.tick()
        assert rig.ours.take() == list(range(14))
        rig.vntb.ntb.db_clear(0x0F0F)
        assert rig.vntb.ntb.db_read() == 0x30F0

    run_vntb(scenario, tree="hdma", config=replace(MX8, db_count=16))


def test_rings_before_the_work_runs_are_one_interrupt_a_bit():
    async def scenario(rig):
        for _ in range(3):
            assert await rig.vntb.ntb.peer_db_set(0b01) == 0
            assert await rig.vntb.ntb.peer_db_set(0b10) == 0
        await rig.platform.sleep(1e-3)
        assert rig.theirs.take() == [0, 1]
        assert rig.device.fired[2:4] == [1, 1]

    run_vntb(scenario)


def test_what_was_not_raised_when_it_ends_never_is():
    async def scenario(rig):
        assert await rig.vntb.ntb.peer_db_set(0b11) == 0
        rig.vntb.peer.stop()
        rig.vntb.peer.start()
        await rig.platform.sleep(1e-3)
        assert rig.theirs.take() == []
        assert await rig.vntb.ntb.peer_db_set(0b01) == 0
        await rig.platform.sleep(1e-3)
        assert rig.theirs.take() == [0]

    run_vntb(scenario)


def test_a_storm_is_drained_in_more_than_one_run():
    async def scenario(rig):
        epc = rig.board.software.epc
        raise_irq, left = epc.raise_irq, [11]

        async def again(kind, number):
            left[0] -= 1
            if left[0]:
                await rig.vntb.ntb.peer_db_set(1)
            return await raise_irq(kind, number)

        epc.raise_irq = again
        await rig.vntb.ntb.peer_db_set(1)
        await rig.platform.sleep(5e-3)
        assert rig.vntb.irqs_raised == 11
        assert rig.device.fired[2] == 11

    run_vntb(scenario)


def test_a_host_without_messages_is_noted():
    async def scenario(rig):
        await rig.device.free_irq_vectors()
        assert await rig.vntb.ntb.peer_db_set(1) == 0
        await rig.platform.sleep(1e-3)
        assert f"pci_epf_vntb: Failed to raise IRQ for interrupt_num 3: {-errno.EINVAL}" in rig.log
        assert rig.vntb.irqs_raised == 0

    run_vntb(scenario)


@pytest.mark.parametrize(("msix_limit", "kind"), [(2048, "MSIX"), (2, "MSI")])
def test_msix_if_the_host_has_it_and_the_function_may(msix_limit, kind):
    async def scenario(rig):
        assert rig.device.irq_kind.name == kind
        assert rig.host.vectors == 16
        assert await rig.vntb.ntb.peer_db_set(0b11) == 0
        await rig.platform.sleep(1e-3)
        assert rig.theirs.take() == [0, 1]
        assert rig.board.endpoint.controller.counts["msi_sent"] == (0 if kind == "MSIX" else 2)
        assert [await rig.host.peer_spad_read(0, n) for n in range(16)] == [0] * 16, "the table is not on them"

    run_vntb(scenario, config=replace(MX8, msix_interrupts=16), msix_limit=msix_limit)


# -- v7.1 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tree", ["imx8", "hdma"])
def test_v7_1_reports_one_bit_higher(tree):
    async def scenario(rig):
        assert rig.vntb.ntb.db_valid_mask() == 0b1111
        assert (rig.vntb.ntb.db_vector_count(), rig.vntb.ntb.db_vector_mask(3)) == (1, 0b1111)
        assert await rig.host.peer_db_set(1) == 0
        await rig.tick()
        assert rig.ours.take() == [2]
        assert rig.vntb.ntb.db_read() == 0b10

    run_vntb(scenario, tree=tree, config=replace(MX8, release="v7.1"))


def test_v7_1_listens_to_slot_1():
    async def scenario(rig):
        await rig.device.write32(2, 0, 1)
        await rig.device.write32(2, 4, 2)
        await rig.tick()
        assert rig.ours.take() == [1]
        assert rig.vntb.ntb.db_read() == 0b1

    run_vntb(scenario, tree="hdma", config=replace(MX8, release="v7.1"))


def test_v7_1_rings_the_lowest_bit_at_once():
    async def scenario(rig):
        assert await rig.vntb.ntb.peer_db_set(0b110) == 0
        assert rig.vntb.irqs_raised == 1
        await rig.platform.sleep(1e-3)
        assert rig.theirs.take() == [1]
        assert await rig.vntb.ntb.peer_db_set(0) == 0
        await rig.platform.sleep(1e-3)
        assert rig.device.fired[:4] == [0, 1, 0, 1]
        assert rig.host.log == ["ntb_hw_epf: Unexpected reserved doorbell slot IRQ received"]
        await rig.device.free_irq_vectors()
        assert await rig.vntb.ntb.peer_db_set(1) == -errno.EINVAL

    run_vntb(scenario, config=replace(MX8, release="v7.1"))


@pytest.mark.parametrize(("vector", "mask"), [(-1, 0), (0, 1), (1, 2), (2, 0)])
def test_a_vector_is_a_bit(vector, mask):
    async def scenario(rig):
        assert rig.vntb.ntb.db_vector_count() == 2
        assert rig.vntb.ntb.db_vector_mask(vector) == mask
        assert rig.vntb.ntb.db_set_mask(3) == rig.vntb.ntb.db_clear_mask(3) == 0

    run_vntb(scenario)
