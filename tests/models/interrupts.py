"""A function with every way to interrupt its host, and a host that takes note; for the tests of interrupts."""

from epbell_models.host.msi import MsiController
from epbell_models.platform import VirtualPlatform
from epbell_models.reference.capabilities import MsiCapability, MsixCapability, PciExpressCapability, PowerCapability
from epbell_models.reference.config_space import ConfigSpace
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.link import ReferenceLink

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


async def line(world):
    await world.platform.sleep(1e-3)
    return world.link.intx.level(), world.link.intx.rises


async def flr(world):
    await world.link.config_write32(EXPRESS + 8, 0x8000)


async def hot_reset(world):
    world.link.reset_function()


async def wake(world):
    for state in (3, 0):
        await world.link.config_write32(POWER + 4, state)
