"""Function-level reset and D3hot in the reference endpoint: what is forgotten, what stays, and who learns of it."""

import pytest
from interrupts import (
    CONTROLLER,
    INTX,
    MASTER,
    MSI_RAISE,
    POWER,
    SIZE,
    World,
    flr,
    hot_reset,
    line,
    run,
    wake,
)

from epbell_models.platform import BusError
from epbell_models.reference.endpoint import ReferenceEndpoint

FUNCTION, FLRS, COUNTERS = (CONTROLLER + at for at in (0x0A8, 0x0AC, 0x040))
MSI_STATUS, CAUSE = CONTROLLER + 0x014, CONTROLLER + 0x060
MU_A, MU_B, EDMA, IATU, APERTURE = 0x5D27_0000, 0x5D30_0000, 0x5F09_0000, 0x5F31_0000, 0x7000_0000
TR0, RSR = 0x200, 0x12C
FLR, LOW_POWER = 1 << 0, 1 << 2
BUS_MASTER = 1 << 17
SIZES = (0x1_0000, 0, 0, 0, 0, 0)


def test_the_processor_learns_of_it():
    endpoint = ReferenceEndpoint(SIZES)
    seen = []

    def look():
        seen.append((endpoint.cpu_read32(FUNCTION), endpoint.cpu_read32(FLRS)))

    look()
    for _ in range(2):
        endpoint.flr()
        look()
    for value, strobes in ((1, 0b1110), (2, 0xF), (1, 0b0001)):
        endpoint.cpu_write32(FUNCTION, value, strobes)
        look()
    endpoint.flr()
    endpoint.cpu_write32(COUNTERS, 1)
    look()
    endpoint.reset()
    look()
    assert seen == [(0, 0), (FLR, 1), (FLR, 2), (FLR, 2), (FLR, 2), (0, 2), (FLR, 0), (0, 0)]


def test_what_is_the_processors_own_stays():
    endpoint = ReferenceEndpoint(SIZES)
    for offset, value in ((0x114, MU_B), (0x104, 0xC000_0000)):
        endpoint.cpu_write32(IATU + offset, value)
    endpoint.host_write(0, TR0, bytes(4))
    endpoint.cpu_write32(EDMA + 0x4C, 1)
    endpoint.cpu_write32(0x6000_0000, 0x1234)
    endpoint.cpu_write32(SIZE, 1 << 31 | 5)
    endpoint.flr()
    assert endpoint.irq_edma
    assert endpoint.cpu_read32(MU_A + RSR) & 1
    assert endpoint.cpu_read32(0x6000_0000) == 0x1234
    assert endpoint.cpu_read32(SIZE) == 1 << 31 | 5
    endpoint.host_write(0, TR0, bytes(4))
    assert [endpoint.cpu_read32(CONTROLLER + 0x100 + at) for at in (0, 4, 8)] == [2, 1, 0]


@pytest.mark.parametrize(("reset", "flrs"), [(flr, 1), (hot_reset, 0), (wake, 0)])
def test_only_a_function_level_reset_is_one(reset, flrs):
    async def scenario(world):
        await reset(world)
        return world.read(FUNCTION, FLRS)

    assert run(scenario, no_soft_reset=False) == (flrs, flrs)


def test_d3hot_shows_and_bus_mastering_stays():
    async def scenario(world):
        await world.config(command=MASTER)
        seen = []
        for state in (3, 0):
            await world.link.config_write32(POWER + 4, state)
            word, status = world.read(FUNCTION, MSI_STATUS)
            seen.append((word, status & BUS_MASTER))
        return seen

    assert run(scenario) == [(LOW_POWER, BUS_MASTER), (0, BUS_MASTER)]


def test_d3hot_by_hand():
    """Without a configuration space: `power` alone holds everything back."""
    endpoint = ReferenceEndpoint(SIZES)
    controller = endpoint.controller
    controller.enabled = controller.master = controller.intx.allowed = True
    controller.multiple = 2
    endpoint.power(d3hot=True)
    endpoint.cpu_write32(MSI_RAISE, 3)
    endpoint.cpu_write32(INTX, 1)
    assert not controller.due
    endpoint.power(d3hot=False)
    assert (controller.next_msi(), controller.intx.next()) == (3, True)
    controller.intx.sent()
    endpoint.power(d3hot=True)
    assert controller.intx.next() is False, "deasserted in D3hot"
    controller.intx.sent()
    assert controller.intx.pending, "and still wanted"
    endpoint.power(d3hot=False)
    assert controller.intx.next() is True


def mapped():
    world = World()
    for offset, value in ((0x08, APERTURE), (0x10, APERTURE + 0xFFF), (0x14, 0x8000_0000), (0x04, 1 << 31)):
        world.write(IATU + offset, value)
    world.link.host_memory.grant(0x8000_0000, 0x1000)
    return world


async def status(access):
    with pytest.raises(BusError) as caught:
        await access
    return caught.value.status


@pytest.mark.parametrize(("state", "cause"), [(3, 2), (0, 0)])
def test_outbound_in_d3hot(state, cause):
    async def scenario(world):
        await world.config(command=MASTER)
        await world.link.config_write32(POWER + 4, state)
        access = world.link.cpu.read32(APERTURE)
        return await status(access) if cause else await access, world.read(CAUSE)

    assert mapped().run(scenario) == ("CA" if cause else 0, (cause,))


def test_a_reset_ends_the_reads_under_way():
    async def scenario(world):
        await world.config(command=MASTER)
        world.platform.spawn(resets(world), "flr")
        return await status(world.link.cpu.read32(APERTURE)), world.read(CAUSE)

    async def resets(world):
        await world.platform.sleep(600e-9)
        world.endpoint.flr()

    assert mapped().run(scenario) == ("TIMEOUT", (6,))


def test_intx_after_a_reset_and_in_d3hot():
    async def scenario(world):
        world.write(INTX, 1)
        seen = [await line(world)]
        for state in (3, 0):
            await world.link.config_write32(POWER + 4, state)
            seen.append(await line(world))
        await flr(world)
        return [*seen, await line(world)]

    assert run(scenario) == [(True, 1), (False, 1), (True, 2), (False, 2)]
