"""INTx: level and pulse, suppressed and delivered later; and what resets do to every kind of interrupt."""

import pytest
from interrupts import (
    COMMAND,
    CONTROLLER,
    HELD,
    INTX,
    INTX_DISABLE,
    MASTER,
    MERGED,
    MSI,
    MSI_PENDING,
    MSI_RAISE,
    MSIX_RAISE,
    POWER,
    SENT,
    SIZE,
    World,
    flr,
    hot_reset,
    line,
    run,
    wake,
)

from epbell_models.host.pci import PciDevice, VectorKind
from epbell_models.reference.intx import Intx

INTX_MERGED = CONTROLLER + 0x0B8


async def interrupt_status(world):
    return bool(await world.link.config_read32(COMMAND) >> 19 & 1)


def test_the_level_follows():
    async def scenario(world):
        seen = []
        for value in (1, 1, 0, 1):
            world.write(INTX, value)
            seen.append((*await line(world), *world.read(INTX), await interrupt_status(world)))
        return seen

    up = 0x201
    assert run(scenario) == [(True, 1, up, True), (True, 1, up, True), (False, 1, 0, False), (True, 2, up, True)]


def test_bus_mastering_does_not_matter_to_a_message():
    async def scenario(world):
        await world.config(command=0)
        world.write(INTX, 1)
        return await line(world)

    assert run(scenario) == (True, 1)


def test_a_pulse_is_both_messages():
    async def scenario(world):
        world.write(INTX, 2)
        busy = world.read(INTX)
        await world.platform.sleep(500e-9)
        high = world.link.intx.level(), *world.read(INTX)
        return busy, high, await line(world), world.read(INTX)

    assert run(scenario) == ((0,), (True, 0x300), (False, 1), (0,))


def test_the_host_hears_of_each_pulse():
    async def scenario(world):
        world.write(INTX, 2)
        await world.platform.sleep(100e-9)
        for _ in range(3):
            world.write(INTX, 2)
        return await line(world)

    assert run(scenario) == (False, 4)


def test_no_pulse_is_lost():
    """Sixteen can wait in hardware; whoever writes more has to."""

    async def scenario(world):
        for _ in range(20):
            world.write(INTX, 2)
        return await line(world), world.read(INTX_MERGED)

    assert run(scenario) == ((False, 20), (0,))


@pytest.mark.parametrize(("keeps", "told"), [("level", 1 + 16), ("disabled", 2 + 1)])
def test_pulses_that_nothing_lets_go_are_one_with_the_last(keeps, told):
    """The level keeps sixteen of them; while INTx is disabled, one waits, besides those that waited before."""

    async def scenario(world):
        world.write(INTX, 1 if keeps == "level" else 2)
        if keeps == "disabled":
            await line(world)
            world.write(INTX, 2)
            await line(world)
            await world.config(command=INTX_DISABLE)
        for _ in range(40):
            world.write(INTX, 3 if keeps == "level" else 2)
        quiet = await line(world)
        world.write(INTX, 0)
        await world.config(command=0)
        return quiet[0], (await line(world))[1], world.read(INTX_MERGED)[0]

    assert run(scenario) == (keeps == "level", told, 40 - (16 if keeps == "level" else 1))


def test_an_assertion_in_doubt_is_made_again():
    """Disabled for a moment while the message was under way: nobody knows whether it was sent."""
    intx = Intx()
    intx.allowed = True
    intx.pulse()
    assert intx.next() is True
    intx.allowed = False
    intx.pulse()
    intx.allowed = True
    intx.sent()
    told = []
    while (message := intx.next()) is not None:
        intx.sent()
        told.append(message)
    assert (told, intx.merged) == ([False, True, False], 1)


def test_a_pulse_waits_until_the_level_is_down():
    async def scenario(world):
        world.write(INTX, 1)
        seen = [await line(world)]
        for value in (3, 0):
            world.write(INTX, value)
            seen.append(await line(world))
        return seen

    assert run(scenario) == [(True, 1), (True, 1), (False, 2)]


def test_a_level_that_begins_in_a_pulse_keeps_the_line():
    async def scenario(world):
        world.write(INTX, 2)
        await world.platform.sleep(100e-9)
        world.write(INTX, 1)
        return await line(world)

    assert run(scenario) == (True, 1)


HUSH = {"interrupt disable": {"command": INTX_DISABLE}, "MSI": {"msi": 1 << 16}, "MSI-X": {"msix": 1 << 31}}


@pytest.mark.parametrize("hush", HUSH.values(), ids=HUSH)
@pytest.mark.parametrize("value", [1, 2])
def test_intx_is_suppressed_and_delivered_later(hush, value):
    async def scenario(world):
        await world.config(**hush)
        world.write(INTX, value)
        quiet = *await line(world), await interrupt_status(world)
        await world.config(**dict.fromkeys(hush, 0))
        return quiet, await line(world), await interrupt_status(world)

    level = value == 1
    assert run(scenario) == ((False, 0, True), (level, 1), level)


def test_disabling_deasserts():
    async def scenario(world):
        world.write(INTX, 1)
        seen = [await line(world)]
        for command in (INTX_DISABLE, 0):
            await world.config(command=command)
            seen.append((*await line(world), *world.read(INTX)))
        return seen

    assert run(scenario) == [(True, 1), (False, 1, 0x001), (True, 2, 0x201)]


def test_changes_while_a_message_is_under_way():
    """The final level counts; each message is acknowledged before the next."""
    intx = Intx()
    intx.allowed = True
    intx.level = True
    assert intx.next() is True
    for level in (False, True, False):
        intx.level = level
        assert intx.next() is None
    intx.sent()
    assert intx.next() is False
    intx.level = True
    intx.sent()
    assert (intx.next(), intx.next()) == (True, None)
    intx.sent()
    assert intx.next() is None


def test_only_byte_0_of_intx():
    world = World()
    world.write(INTX, 0x3, 0b1110)
    assert world.read(INTX) == (0,)


RESETS = [(flr, True), (hot_reset, True), (wake, False)]


@pytest.mark.parametrize(("reset", "keeps"), RESETS, ids=["FLR", "hot reset", "D3hot to D0"])
def test_a_reset_leaves_no_interrupt_behind(reset, keeps):
    async def scenario(world):
        await world.set_up_msix(masked=(1,))
        await world.set_up_msi()
        await world.config(mask=4, command=MASTER)
        world.write(MSI_RAISE, 2)
        world.write(MSIX_RAISE, 1)
        await world.config(command=0)
        world.write(MSI_RAISE, 3)
        await world.pass_time()
        await reset(world)
        seen = world.read(MSI_PENDING, SIZE)
        await world.set_up_msix()
        await world.set_up_msi()
        quiet = await world.pass_time(), await world.pending_bits()
        world.write(MSIX_RAISE, 1)
        world.write(MSI_RAISE, 2)
        return seen, quiet, await world.pass_time()

    assert run(scenario, no_soft_reset=keeps) == ((0, 0x8000_0007), ([], set()), [2, 1])


def test_d3hot_keeps_interrupts_until_d0():
    async def scenario(world):
        await world.set_up_msi()
        await world.link.config_write32(POWER + 4, 3)
        world.write(MSI_RAISE, 5)
        world.write(INTX, 1)
        quiet = await world.pass_time(), await line(world)
        await world.link.config_write32(POWER + 4, 0)
        return quiet, await world.pass_time(), world.link.config.memory_enabled

    assert run(scenario) == (([], (False, 0)), [5], True)


def test_flr_deasserts_and_the_level_is_gone():
    async def scenario(world):
        world.write(INTX, 1)
        await line(world)
        await flr(world)
        seen = world.link.intx.level(), await line(world), world.read(INTX), await interrupt_status(world)
        world.write(INTX, 1)
        return seen, await line(world)

    assert run(scenario) == ((False, (False, 1), (0,), False), (True, 2))


def test_counters_are_cleared_with_the_others():
    async def scenario(world):
        await world.set_up_msix(masked=(1,))
        for vector in (1, 1, 2):
            world.write(MSIX_RAISE, vector)
        await world.pass_time()
        before = world.read(SENT, HELD, MERGED)
        world.write(CONTROLLER + 0x40, 1)
        return before, world.read(SENT, HELD, MERGED)

    assert run(scenario) == ((1, 1, 1), (0, 0, 0))


def test_a_reset_overtakes_a_message():
    async def scenario(world):
        world.write(INTX, 2)
        await world.platform.sleep(100e-9)
        world.link.reset_function()
        return await line(world), world.read(INTX)

    assert run(scenario) == ((False, 0), (0,))


def test_linux_takes_msis_of_a_function_with_everything():
    async def scenario(world):
        device = PciDevice(world.platform, world.link, world.link.receiver)
        await device.scan()
        await device.assign(0x9000_0000)
        await device.enable()
        await device.set_master()
        await world.config(mask=0xFFFF_FFFF)
        granted = await device.alloc_irq_vectors(1, 32, VectorKind.MSI)
        for vector in (0, 31, 31):
            world.write(MSI_RAISE, vector)
        await world.pass_time()
        fired = list(device.fired)
        await device.free_irq_vectors()
        return granted, fired[0], fired[31], sum(fired), await world.link.config_read32(MSI + 0x10)

    assert run(scenario) == (32, 1, 2, 3, 0)


def test_linux_takes_intx():
    async def scenario(world):
        device = PciDevice(world.platform, world.link, world.link.receiver)
        await device.scan()
        granted = await device.alloc_irq_vectors(1, 1, VectorKind.INTX)
        world.write(INTX, 1)
        await world.link.intx.wait_high()
        return granted, await line(world)

    assert run(scenario) == (1, (True, 1))
