"""The host's interrupt vectors: which kind a function gets, how its MSI-X table is written, INTx as a level."""

import errno

import pytest

from epbell_models.host.msi import MsiController
from epbell_models.host.pci import PciDevice, VectorKind
from epbell_models.platform import VirtualPlatform
from epbell_models.reference.capabilities import MsiCapability, MsixCapability
from epbell_models.reference.config_space import ConfigSpace
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.link import ReferenceLink

SIZES = (0x2_0000, 0, 0, 0, 0, 0)
RAM, IATU, CONTROLLER, BAR = 0x6000_0000, 0x5F31_0000, 0x5F01_0000, 0x9000_0000
MSI_RAISE, INTX, MSIX_RAISE, TABLE, PBA, SIZE = (CONTROLLER + at for at in (0x10, 0x44, 0x48, 0x50, 0x54, 0x58))
MSI_AT, MSIX_AT, COMMAND = 0x50, 0xB0, 0x04
ENABLE, MASK_ALL, INTX_DISABLE = 1 << 31, 1 << 30, 1 << 10
EVERY_KIND = (VectorKind.INTX, VectorKind.MSI, VectorKind.MSIX)


class World:
    """A function whose BAR 0 shows RAM with an MSI-X table in it; ``writes`` is what the host wrote where."""

    def __init__(self, msix=8, log2=5, pin=1, where=(0, 0x80), controller=None, **options):
        self.platform = VirtualPlatform()
        self.endpoint = ReferenceEndpoint(SIZES)
        config = ConfigSpace(
            SIZES,
            msi=MsiCapability(log2, maskable=True),
            msix=MsixCapability(msix, where) if msix else None,
            pin=pin,
        )
        self.receiver = MsiController(vectors=4096) if controller is None else controller
        self.link = ReferenceLink(self.platform, self.endpoint, config=config, receiver=self.receiver)
        self.device = PciDevice(self.platform, self.link, self.receiver, intx=self.link.intx, **options)
        self.writes = []
        self.seen = []
        for offset, value in ((0x14, RAM), (0x04, 0xC000_0000)):
            self.write(IATU + 0x100 + offset, value)
        if msix:
            for at, value in ((TABLE, RAM + where[1]), (PBA, RAM + where[1] + 16 * msix), (SIZE, ENABLE | msix - 1)):
                self.write(at, value)

    def write(self, address, value):
        self.endpoint.cpu_write32(address, value)
        self.link.settle()

    def watch(self):
        """Note what the host writes from now on, and reads of the table."""
        config_write, write, read = self.link.config_write32, self.link.memory.write, self.link.memory.read

        async def note_config(offset, value):
            self.writes.append((f"config {offset:#x}", value))
            await config_write(offset, value)

        async def note_write(address, data):
            self.writes.append((f"{address - BAR:#x}", int.from_bytes(data, "little")))
            await write(address, data)

        async def note_read(address, length):
            self.writes.append((f"{address - BAR:#x}", "read"))
            return await read(address, length)

        self.link.config_write32, self.link.memory.write, self.link.memory.read = note_config, note_write, note_read

    async def handler(self, index):
        self.seen.append(index)

    def run(self, scenario):
        async def main():
            self.link.start()
            await self.device.scan()
            await self.device.assign(BAR)
            await self.device.enable()
            await self.device.set_master()
            return await scenario(self, self.device)

        return self.platform.run(main())


def run(scenario, **options):
    return World(**options).run(scenario)


# -- MSI-X -------------------------------------------------------------------------------------------------------------


def test_table_is_written_masked_and_each_vector_unmasked_when_requested():
    async def scenario(world, device):
        device_id = await world.link.config_read32(MSIX_AT) & ~(ENABLE | MASK_ALL)
        world.watch()
        granted = await device.alloc_irq_vectors(1, 2, VectorKind.MSIX)
        allocated, world.writes = world.writes, []
        assert await device.request_irq(1, world.handler) == 0
        requested, world.writes = world.writes, []
        await device.free_irq(1)
        freed, world.writes = world.writes, []
        await device.free_irq_vectors()
        return device_id, granted, allocated, requested, freed, world.writes

    device_id, granted, allocated, requested, freed, ended = run(scenario)
    assert granted == 2
    assert allocated == [
        (f"config {MSIX_AT:#x}", device_id | ENABLE | MASK_ALL),
        ("0x80", 0xFEE0_0000), ("0x84", 0), ("0x88", 0),
        ("0x90", 0xFEE0_0000), ("0x94", 0), ("0x98", 1), ("0x98", "read"),
        (f"config {COMMAND:#x}", 0x6 | INTX_DISABLE),
        *((f"{0x8C + 16 * index:#x}", 1) for index in range(8)),
        (f"config {MSIX_AT:#x}", device_id | ENABLE),
    ]  # fmt: skip
    assert requested == [("0x9c", 0)]
    assert freed == [("0x9c", 1), ("0x9c", "read")]
    assert ended == [
        ("0x8c", 1), ("0x9c", 1), ("0x8c", "read"),
        (f"config {MSIX_AT:#x}", device_id), (f"config {COMMAND:#x}", 0x6),
    ]  # fmt: skip


def test_every_msix_vector_arrives_as_itself():
    async def scenario(world, device):
        granted = await device.alloc_irq_vectors(1, 2048, VectorKind.MSIX)
        for index in range(granted):
            assert await device.request_irq(index, world.handler) == 0
        for index in reversed(range(granted)):
            world.write(MSIX_RAISE, index)
        await world.platform.sleep(10e-3)
        return granted, world.seen, device.fired, device.irq_kind, world.receiver.strays

    granted, seen, fired, kind, strays = run(scenario, msix=2048)
    assert (granted, seen, kind, strays) == (2048, list(reversed(range(2048))), VectorKind.MSIX, [])
    assert fired == [1] * 2048


def test_a_vector_nobody_requested_stays_pending():
    async def scenario(world, device):
        await device.alloc_irq_vectors(1, 8, VectorKind.MSIX)
        world.write(MSIX_RAISE, 3)
        await world.platform.sleep(1e-3)
        before = list(device.fired)
        await device.request_irq(3, world.handler)
        await world.platform.sleep(1e-3)
        after = list(device.fired)
        await device.free_irq(3)
        world.write(MSIX_RAISE, 3)
        await world.platform.sleep(1e-3)
        return before, after, device.fired == after

    assert run(scenario) == ([0] * 8, [0, 0, 0, 1, 0, 0, 0, 0], True)


@pytest.mark.parametrize(
    ("limit", "room", "least", "most", "granted"),
    [(2048, 4096, 1, 2048, 8), (3, 4096, 1, 2048, 3), (2048, 5, 1, 8, 5), (2048, 4096, 1, 7, 7)],
)
def test_as_many_msix_vectors_as_there_are(limit, room, least, most, granted):
    async def scenario(world, device):
        result = await device.alloc_irq_vectors(least, most, VectorKind.MSIX)
        vectors = [device.irq_vector(index) for index in (0, result - 1, result)]
        await device.free_irq_vectors()
        return result, vectors, world.receiver.allocate(room, lambda index: None) is not None

    controller = MsiController(vectors=room)
    expected = (granted, [0, granted - 1, -errno.EINVAL], True)
    assert run(scenario, msix_limit=limit, controller=controller) == expected


@pytest.mark.parametrize(
    ("options", "least", "result"),
    [
        ({"msix": 0}, 1, -errno.EINVAL),
        ({"controller": MsiController(vectors=3)}, 4, -errno.ENOSPC),
        ({"where": (1, 0)}, 1, -errno.ENOMEM),
    ],
)
def test_msix_that_is_not_to_be_had(options, least, result):
    async def scenario(world, device):
        error = await device.alloc_irq_vectors(least, 8, VectorKind.MSIX)
        return error, device.irq_kind, world.link.config.msix_enabled, device.irq_vector(0)

    assert run(scenario, **options) == (result, None, False, -errno.EINVAL)


# -- MSI, and what is had instead --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("room", "granted"), [(8, 8), (7, 1), (1, 1), (0, -errno.ENOSPC)])
def test_msi_is_had_whole_or_as_one(room, granted):
    async def scenario(world, device):
        result = await device.alloc_irq_vectors(1, 8, VectorKind.MSI)
        return result, 1 << world.link.config.msi_multiple if result > 0 else result

    assert run(scenario, controller=MsiController(vectors=room)) == (granted, granted)


def test_msi_data_are_aligned_behind_others():
    async def scenario(world, device):
        world.receiver.allocate(1, lambda index: None)
        granted = await device.alloc_irq_vectors(1, 8, VectorKind.MSI)
        for index in range(granted):
            assert await device.request_irq(index, world.handler) == 0
            world.write(MSI_RAISE, index)
        await world.platform.sleep(1e-3)
        return await world.link.config_read32(MSI_AT + 0xC), world.seen

    assert run(scenario) == (8, list(range(8)))


@pytest.mark.parametrize(
    ("options", "least", "kind", "count"),
    [
        ({}, 1, VectorKind.MSIX, 8),
        ({"msix": 0}, 1, VectorKind.MSI, 8),
        ({"controller": MsiController(vectors=0)}, 1, VectorKind.INTX, 1),
        ({"controller": MsiController(vectors=0), "pin": 0}, 1, None, -errno.ENOSPC),
        ({"controller": MsiController(vectors=0)}, 2, None, -errno.ENOSPC),
    ],
)
def test_the_best_kind_that_is_to_be_had(options, least, kind, count):
    async def scenario(world, device):
        granted = await device.alloc_irq_vectors(least, 8, *EVERY_KIND)
        config = world.link.config
        return granted, device.irq_kind, config.msix_enabled, config.msi_enabled, config.intx_allowed

    expected = (count, kind, kind is VectorKind.MSIX, kind is VectorKind.MSI)
    result = run(scenario, **options)
    assert result[:4] == expected
    assert result[4] == (kind in (None, VectorKind.INTX) and options.get("pin", 1) == 1)


def test_one_kind_at_a_time_and_nothing_left_of_it():
    async def scenario(world, device):
        results = []
        for kind in (*EVERY_KIND, *EVERY_KIND):
            granted = await device.alloc_irq_vectors(1, 8, kind)
            again = await device.alloc_irq_vectors(1, 8, VectorKind.INTX)
            await device.free_irq_vectors()
            config = world.link.config
            results.append((granted, again, config.msi_enabled, config.msix_enabled, config.intx_allowed))
        return results

    free = -errno.EINVAL, False, False, True
    assert run(scenario) == [(1, *free), (8, *free), (8, *free)] * 2


# -- INTx --------------------------------------------------------------------------------------------------------------


def test_each_pulse_is_one_interrupt():
    async def scenario(world, device):
        assert await device.alloc_irq_vectors(1, 1, VectorKind.INTX) == 1
        assert await device.request_irq(0, world.handler) == 0
        for _ in range(5):
            world.write(INTX, 2)
            await world.platform.sleep(50e-6)
        await device.free_irq_vectors()
        world.write(INTX, 2)
        await world.platform.sleep(50e-6)
        return world.seen, device.fired, world.link.intx.rises

    assert run(scenario) == ([0] * 5, [5], 6)


def test_intx_is_handled_while_it_is_high():
    async def scenario(world, device):
        await device.alloc_irq_vectors(1, 1, VectorKind.INTX)
        world.write(INTX, 1)
        await world.platform.sleep(50e-6)
        unheard = list(device.fired)

        async def deassert_the_third_time(index):
            await world.handler(index)
            if len(world.seen) == 3:
                world.write(INTX, 0)
            await world.platform.sleep(10e-6)

        await device.request_irq(0, deassert_the_third_time)
        await world.platform.sleep(1e-3)
        return unheard, world.seen, device.fired

    assert run(scenario) == ([0], [0, 0, 0], [3])


def test_a_line_that_stays_high_does_not_keep_its_vectors():
    async def scenario(world, device):
        await device.alloc_irq_vectors(1, 1, VectorKind.INTX)
        await device.request_irq(0, world.handler)
        world.write(INTX, 1)
        await world.platform.sleep(1e-3)
        await device.free_irq_vectors()
        count = len(world.seen)
        await world.platform.sleep(1e-3)
        return count > 100, len(world.seen) - count, device.irq_kind

    assert run(scenario) == (True, 0, None)
