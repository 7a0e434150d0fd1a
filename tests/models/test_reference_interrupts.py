"""Interrupts towards the host: MSI with masks, MSI-X with its table in RAM, INTx. Held back and sent once."""

import random

import pytest

from epbell_models.host.msi import MsiController
from epbell_models.host.pci import PciDevice, VectorKind
from epbell_models.platform import VirtualPlatform
from epbell_models.reference.capabilities import MsiCapability, MsixCapability, PciExpressCapability, PowerCapability
from epbell_models.reference.config_space import ConfigSpace
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.intx import Intx
from epbell_models.reference.link import ReferenceLink
from epbell_models.reference.msi import MsiQueue
from epbell_models.reference.msix import Msix
from epbell_models.reference.ram import Ram

SIZES = (0x2_0000, 0, 0, 0, 0, 0)
RAM, IATU, CONTROLLER, BAR = 0x6000_0000, 0x5F31_0000, 0x5F01_0000, 0x9000_0000
MSI_RAISE, INTX, MSIX_RAISE, MSIX_STATUS = (CONTROLLER + at for at in (0x010, 0x044, 0x048, 0x04C))
TABLE, PBA, SIZE = (CONTROLLER + at for at in (0x050, 0x054, 0x058))
MSI_MASK, MSI_PENDING = CONTROLLER + 0x06C, CONTROLLER + 0x070
SENT, HELD, MERGED = CONTROLLER + 0x074, CONTROLLER + 0x078, CONTROLLER + 0x07C
COMMAND, MSI, EXPRESS, MSIX, POWER = 0x04, 0x50, 0x70, 0xB0, 0x40
MEMORY, MASTER, INTX_DISABLE = 0x2, 0x4, 0x400
MESSAGES = 0xFEE0_0000


class World:
    """A function with every capability; the host's messages and INTx by number."""

    def __init__(self, vectors=8, multiple=5, **options):
        self.platform = VirtualPlatform()
        self.endpoint = ReferenceEndpoint(SIZES)
        config = ConfigSpace(
            SIZES,
            msi=MsiCapability(multiple, maskable=True),
            msix=MsixCapability(vectors),
            power=PowerCapability(**options),
            express=PciExpressCapability(),
            pin=1,
        )
        self.link = ReferenceLink(
            self.platform, self.endpoint, config=config, receiver=MsiController(MESSAGES, vectors=0x1_0000)
        )
        self.fired = []
        self.block = self.link.receiver.allocate(2048, self.fired.append)
        self.vectors = vectors
        for offset, value in ((0x14, RAM), (0x04, 0xC000_0000)):
            self.write(IATU + 0x100 + offset, value)

    def write(self, address, value, strobes=0xF):
        self.endpoint.cpu_write32(address, value, strobes)
        self.link.settle()

    def read(self, *addresses):
        return tuple(self.endpoint.cpu_read32(address) for address in addresses)

    async def config(self, **registers):
        places = {"command": COMMAND, "msi": MSI, "mask": MSI + 0x10, "msix": MSIX}
        for name, value in registers.items():
            await self.link.config_write32(places[name], value)

    async def pass_time(self):
        await self.platform.sleep(1e-3)
        fired, self.fired[:] = list(self.fired), []
        return fired

    async def set_up_msi(self, granted_log2=5):
        for at, value in ((0x4, MESSAGES), (0xC, 0)):
            await self.link.config_write32(MSI + at, value)
        await self.config(command=MEMORY | MASTER, msi=1 << 16 | granted_log2 << 20)

    async def set_up_msix(self, masked=(), enable=True):
        """Write the table through the BAR, as Linux does: every entry, then the enable bit."""
        self.write(TABLE, RAM + 0x80)
        self.write(PBA, RAM + 0x80 + 16 * self.vectors)
        self.write(SIZE, 1 << 31 | self.vectors - 1)
        await self.link.config_write32(0x10, BAR)
        await self.config(command=MEMORY | MASTER)
        for vector in range(self.vectors):
            entry = b"".join(word.to_bytes(4, "little") for word in (MESSAGES, 0, vector, vector in masked))
            await self.link.memory.write(BAR + 0x80 + 16 * vector, entry)
        await self.config(msix=enable << 31)

    async def mask_entry(self, vector, masked):
        await self.link.memory.write32(BAR + 0x80 + 16 * vector + 12, masked)

    async def pending_bits(self):
        data = await self.link.memory.read(BAR + 0x80 + 16 * self.vectors, (self.vectors + 63) // 64 * 8)
        word = int.from_bytes(data, "little")
        return {bit for bit in range(self.vectors) if word >> bit & 1}

    def run(self, scenario):
        async def main():
            self.link.start()
            return await scenario(self)

        return self.platform.run(main())


def run(scenario, **options):
    return World(**options).run(scenario)


# -- MSI ---------------------------------------------------------------------------------------------------------------


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

    assert run(scenario) == ([], [2, 31, 7])


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

    assert run(scenario) == ([], [4, 4, 1], [])


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
            assert msi.raise_(vector)
            queued.append(vector)
        elif action == 1:
            msi.mask = rng.getrandbits(32) & rng.getrandbits(32)
        elif action == 2:
            msi.enabled, msi.master = rng.random() < 0.8, rng.random() < 0.8
        got = msi.next()
        on = msi.enabled and msi.master
        while on and queued and msi.mask >> queued[0] & 1:
            masked.add(queued.pop(0))
        free = sorted(vector for vector in masked if not msi.mask >> vector & 1)
        expected = None
        if on and free:
            expected = free[0]
            masked.discard(expected)
        elif on and queued:
            expected = queued.pop(0)
        while on and queued and msi.mask >> queued[0] & 1:
            masked.add(queued.pop(0))
        assert (got, msi.pending, list(msi.queue)) == (expected, sum(1 << n for n in masked), queued)
        sent.append(got)
    assert sum(vector is not None for vector in sent) > 500


# -- MSI-X -------------------------------------------------------------------------------------------------------------


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


# -- INTx --------------------------------------------------------------------------------------------------------------


async def line(world):
    await world.platform.sleep(1e-3)
    return world.link.intx.level(), world.link.intx.rises


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


def test_pulses_while_one_is_under_way_become_one():
    async def scenario(world):
        world.write(INTX, 2)
        await world.platform.sleep(100e-9)
        for _ in range(3):
            world.write(INTX, 2)
        return await line(world)

    assert run(scenario) == (False, 2)


def test_the_level_says_all_a_pulse_could():
    async def scenario(world):
        world.write(INTX, 1)
        seen = [await line(world)]
        for value in (3, 0):
            world.write(INTX, value)
            seen.append(await line(world))
        return seen

    assert run(scenario) == [(True, 1), (True, 1), (False, 1)]


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


# -- resets ------------------------------------------------------------------------------------------------------------


async def flr(world):
    await world.link.config_write32(EXPRESS + 8, 0x8000)


async def hot_reset(world):
    world.link.reset_function()


async def wake(world):
    for state in (3, 0):
        await world.link.config_write32(POWER + 4, state)


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


def test_flr_deasserts_and_the_level_is_told_again():
    async def scenario(world):
        world.write(INTX, 1)
        await line(world)
        await flr(world)
        return world.link.intx.level(), await line(world)

    assert run(scenario) == (False, (True, 2))


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
