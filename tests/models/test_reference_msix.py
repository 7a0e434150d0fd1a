"""MSI-X with its table in RAM: held back with a pending bit, merged, sent once."""

import random

import pytest
from interrupts import (
    BAR,
    HELD,
    MASTER,
    MEMORY,
    MERGED,
    MSIX_RAISE,
    MSIX_STATUS,
    PBA,
    SENT,
    SIZE,
    TABLE,
    World,
    run,
)

from epbell_models.reference.msix import Msix
from epbell_models.reference.ram import Ram


@pytest.mark.parametrize("vectors", [1, 8, 64, 2048])
def test_every_msix_vector(vectors):
    async def scenario(world):
        await world.set_up_msix()
        for vector in range(vectors):
            world.write(MSIX_RAISE, vector)
        return await world.platform.sleep(2e-3), await world.pass_time(), world.read(SENT, HELD, MERGED)

    assert run(scenario, vectors=vectors)[1:] == (list(range(vectors)), (vectors, 0, 0))


def test_raised_twice_is_sent_twice():
    async def scenario(world):
        await world.set_up_msix()
        for _ in range(3):
            world.write(MSIX_RAISE, 5)
        return await world.pass_time()

    assert run(scenario) == [5, 5, 5]


OBSTACLES = {
    "disabled": {"msix": 0},
    "function mask": {"msix": 0b11 << 30},
    "bus master": {"command": MEMORY},
}


@pytest.mark.parametrize("obstacle", OBSTACLES.values(), ids=OBSTACLES)
def test_msix_held_back_and_sent_once(obstacle):
    async def scenario(world):
        await world.set_up_msix()
        await world.config(**obstacle)
        for vector in (6, 0, 6, 6):
            world.write(MSIX_RAISE, vector)
        seen = [await world.pass_time(), await world.pending_bits(), world.read(SENT, HELD, MERGED)]
        status = world.read(MSIX_STATUS)[0]
        await world.config(command=MEMORY | MASTER, msix=1 << 31)
        seen += [await world.pass_time(), await world.pending_bits(), world.read(SENT, HELD, MERGED)]
        return [*seen, status >> 16 & 0b101, world.read(MSIX_STATUS)]

    expected = [[], {0, 6}, (0, 2, 2), [0, 6], set(), (2, 2, 2), 0b100, (0x0002_1001,)]
    assert run(scenario) == expected


def test_a_masked_entry_is_sent_when_the_host_unmasks_it():
    async def scenario(world):
        await world.set_up_msix(masked=(2, 3))
        for vector in (2, 3, 4, 2):
            world.write(MSIX_RAISE, vector)
        seen = [await world.pass_time(), await world.pending_bits()]
        await world.mask_entry(3, False)
        seen += [await world.pass_time(), await world.pending_bits()]
        await world.mask_entry(2, False)
        return [*seen, await world.pass_time(), await world.pending_bits(), world.read(SENT, HELD, MERGED)]

    assert run(scenario) == [[4], {2, 3}, [3], {2}, [2], set(), (3, 2, 1)]


def test_one_obstacle_of_two_is_enough():
    async def scenario(world):
        await world.set_up_msix(masked=(1,))
        await world.config(command=MEMORY)
        world.write(MSIX_RAISE, 1)
        await world.config(command=MEMORY | MASTER)
        seen = [await world.pass_time()]
        await world.config(msix=0b11 << 30)
        await world.mask_entry(1, False)
        seen.append(await world.pass_time())
        await world.config(msix=1 << 31)
        return [*seen, await world.pass_time(), await world.pass_time()]

    assert run(scenario) == [[], [], [1], []]


def test_the_message_is_the_entry_of_the_moment_it_leaves():
    async def scenario(world):
        await world.set_up_msix(masked=(1,))
        world.write(MSIX_RAISE, 1)
        await world.link.memory.write32(BAR + 0x80 + 16 + 8, 700)
        await world.mask_entry(1, False)
        seen = await world.pass_time()
        world.link.host_memory.grant(0x5_0000_1000, 8)
        await world.link.memory.write(BAR + 0x80 + 16, (0x5_0000_1007).to_bytes(8, "little") + b"\x44\x33\x22\x11")
        world.write(MSIX_RAISE, 1)
        return seen, await world.pass_time(), world.link.host_memory.peek(0x5_0000_1004, 4)

    assert run(scenario) == ([700], [], b"\x44\x33\x22\x11")


@pytest.mark.parametrize("vector", [8, 9, 2047])
def test_a_vector_that_does_not_exist(vector):
    async def scenario(world):
        await world.set_up_msix()
        world.write(MSIX_RAISE, vector)
        return await world.pass_time(), world.endpoint.controller.msix.refused, world.read(SENT, HELD, MERGED)

    assert run(scenario) == ([], 1, (0, 0, 0))


def test_nothing_is_raised_before_it_is_set_up():
    async def scenario(world):
        await world.set_up_msix()
        world.write(SIZE, 7)
        world.write(MSIX_RAISE, 0)
        return await world.pass_time(), world.endpoint.controller.msix.refused

    assert run(scenario) == ([], 1)


def test_registers_of_msix():
    world = World()
    for register in (TABLE, PBA, SIZE, MSIX_RAISE):
        world.write(register, 0xFFFF_FFFF)
    assert world.read(TABLE, PBA, SIZE, MSIX_RAISE) == (0xFFFF_FFF8, 0xFFFF_FFF8, 0x8000_07FF, 0)
    world.write(TABLE, 0, 0b0010)
    world.write(SIZE, 0, 0b1000)
    assert world.read(TABLE, SIZE) == (0xFFFF_00F8, 0x7FF)
    world.endpoint.reset()
    assert world.read(TABLE, PBA, SIZE, MSIX_STATUS) == (0, 0, 0, 0x1000)


@pytest.mark.parametrize(("strobes", "raised"), [(1, [0x34]), (2, [0x200]), (3, [0x234]), (0xF, [0x234]), (0xC, [])])
def test_which_bytes_raise(strobes, raised):
    async def scenario(world):
        await world.set_up_msix()
        world.write(MSIX_RAISE, 0xFFFF_FA34, strobes)
        return await world.pass_time()

    assert run(scenario, vectors=1024) == raised


def test_pending_bits_beyond_a_dword():
    async def scenario(world):
        await world.set_up_msix(enable=False)
        for vector in (0, 31, 32, 63, 64, 99):
            world.write(MSIX_RAISE, vector)
        held = await world.pending_bits()
        await world.config(msix=1 << 31)
        return held, await world.pass_time(), await world.pending_bits()

    assert run(scenario, vectors=100) == ({0, 31, 32, 63, 64, 99}, [0, 31, 32, 63, 64, 99], set())


def test_msix_accounts_for_every_event():
    """raised == sent + merged + still held, at any time."""
    rng = random.Random(11)
    ram = Ram(0x1000)
    msix = Msix(ram)
    msix.table, msix.pba, msix.last, msix.on = 0x80, 0x100, 7, True
    raised = sent = 0
    for _ in range(5000):
        action = rng.randrange(4)
        if action == 0:
            msix.raise_(rng.randrange(8))
            raised += 1
        elif action == 1:
            ram.write32(0x80 + 16 * rng.randrange(8) + 12, rng.randrange(2))
        elif action == 2:
            msix.enabled, msix.master, msix.function_mask = (rng.random() < chance for chance in (0.8, 0.8, 0.2))
        msix.update()
        assert raised == msix.sent + msix.merged + len(msix.pending) + len(msix.queue)
        assert ram.read32(0x100) == sum(1 << vector for vector in msix.pending)
        may = msix.enabled and msix.master and not msix.function_mask
        unmasked = {vector for vector in range(8) if may and not ram.read32(0x80 + 16 * vector + 12)}
        assert not unmasked & msix.pending
        assert set(msix.queue) <= unmasked
        if rng.random() < 0.5:
            assert (msix.next() is not None) == bool(unmasked and msix.sent > sent)
            sent = msix.sent
    assert sent > 500
