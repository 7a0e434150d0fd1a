"""MSIs with mask bits: held back and sent once, none lost, none invented."""

import random

import pytest
from interrupts import (
    CONTROLLER,
    MASTER,
    MEMORY,
    MSI,
    MSI_MASK,
    MSI_PENDING,
    MSI_RAISE,
    run,
)

from epbell_models.reference.msi import MsiQueue

HELD_MSIS, MERGED_MSIS = CONTROLLER + 0x0B0, CONTROLLER + 0x0B4


def test_a_masked_msi_is_sent_once_at_unmask():
    async def scenario(world):
        await world.set_up_msi()
        await world.config(mask=0b1010)
        for vector in (1, 3, 1, 2, 1):
            world.write(MSI_RAISE, vector)
        seen = [await world.pass_time(), world.read(MSI_MASK, MSI_PENDING), await world.link.config_read32(MSI + 0x14)]
        await world.config(mask=0b1000)
        seen += [await world.pass_time(), world.read(MSI_MASK, MSI_PENDING), await world.link.config_read32(MSI + 0x14)]
        await world.config(mask=0)
        return [*seen, await world.pass_time(), world.read(MSI_PENDING, CONTROLLER + 0x18, CONTROLLER + 0x14)]

    expected = [[2], (0b1010, 0b1010), 0b1010, [1], (0b1000, 0b1000), 0b1000, [3], (0, 3, 0x2_100B)]
    assert run(scenario) == expected


def test_a_masked_msi_does_not_hold_up_the_others():
    async def scenario(world):
        await world.set_up_msi()
        await world.config(mask=1)
        for vector in range(3):
            world.write(MSI_RAISE, vector)
        return await world.pass_time(), world.read(CONTROLLER + 0x14)[0] >> 8 & 0x3F

    assert run(scenario) == ([1, 2], 16)


def test_more_than_the_queue_has_room_for():
    """While they may not be sent, none is refused, and none stands in the queue; each vector is sent once."""

    async def scenario(world):
        await world.set_up_msi()
        await world.config(msi=0)
        for number in range(80):
            world.write(MSI_RAISE, number % 20)
        seen = world.read(CONTROLLER + 0x14, CONTROLLER + 0x1C, HELD_MSIS, MERGED_MSIS, MSI_PENDING)
        await world.config(msi=1 << 16 | 4 << 20)
        return seen, await world.pass_time(), world.read(CONTROLLER + 0x14, MSI_PENDING)

    expected = (0x3_1000, 0, 20, 60, 0xF_FFFF), list(range(16)), (0x2_1009, 0)
    assert run(scenario) == expected


def test_what_was_held_back_goes_first():
    async def scenario(world):
        await world.set_up_msi()
        await world.config(mask=0x8000_0004)
        for vector in (31, 2):
            world.write(MSI_RAISE, vector)
        await world.config(command=MEMORY, mask=0)
        world.write(MSI_RAISE, 7)
        quiet = await world.pass_time()
        await world.config(command=MEMORY | MASTER)
        return quiet, await world.pass_time()

    assert run(scenario) == ([], [2, 7, 31])


@pytest.mark.parametrize("obstacle", [{"msi": 0}, {"command": MEMORY}])
def test_msis_wait_for_enable_and_bus_master(obstacle):
    async def scenario(world):
        await world.set_up_msi()
        await world.config(**obstacle)
        for vector in (4, 4, 1):
            world.write(MSI_RAISE, vector)
        quiet = await world.pass_time()
        await world.config(command=MEMORY | MASTER, msi=1 << 16 | 5 << 20)
        return quiet, await world.pass_time(), await world.pass_time()

    assert run(scenario) == ([], [1, 4], [])


def test_masks_count_for_what_a_vector_aliases_to():
    async def scenario(world):
        await world.set_up_msi(granted_log2=1)
        await world.config(mask=0b10)
        for vector in (7, 4, 3):
            world.write(MSI_RAISE, vector)
        seen = [await world.pass_time(), world.read(MSI_PENDING)]
        await world.config(mask=0)
        return [*seen, await world.pass_time()]

    assert run(scenario) == [[0], (0b10,), [1]]


def test_mask_bits_are_those_of_vectors_that_exist():
    async def scenario(world):
        await world.config(mask=0xFFFF_FFFF)
        return await world.link.config_read32(MSI + 0x10), await world.link.config_read32(MSI)

    assert run(scenario, multiple=2) == (0xF, 0x0184_7005)


def test_msi_queue_against_a_list_of_rules():
    """Raises, masks and settings at random; nothing is lost, invented, or sent while it may not be."""
    rng = random.Random(3)
    msi, masked, queued, sent = MsiQueue(), set(), [], []
    msi.multiple = 5
    for _ in range(5000):
        action = rng.randrange(5)
        if action == 0 and len(queued) < 10:
            vector = rng.randrange(32)
            msi.raise_(vector)
            queued.append(vector)
        elif action == 1:
            msi.mask = rng.getrandbits(32) & rng.getrandbits(32)
        elif action == 2:
            msi.enabled, msi.master = rng.random() < 0.8, rng.random() < 0.8
        got = msi.next()
        on = msi.enabled and msi.master
        while queued and not (on and not msi.mask >> queued[0] & 1):
            masked.add(queued.pop(0))
        free = sorted(vector for vector in masked if not msi.mask >> vector & 1)
        expected = None
        if on and free:
            expected = free[0]
            masked.discard(expected)
        elif on and queued:
            expected = queued.pop(0)
        while queued and not (on and not msi.mask >> queued[0] & 1):
            masked.add(queued.pop(0))
        assert (got, msi.pending, list(msi.queue)) == (expected, sum(1 << n for n in masked), queued)
        sent.append(got)
    assert sum(vector is not None for vector in sent) > 500
