"""A device for the host's test driver with a function behind it that a test writes itself: no software, no hardware."""

import errno
from types import SimpleNamespace

from epbell_models.host.pci_endpoint_test import PciEndpointTest
from epbell_models.platform import VirtualPlatform
from epbell_models.reference.host_memory import HostMemory

COMMAND, STATUS, SIZE, CHECKSUM, IRQ_TYPE, IRQ_NUMBER, CAPS = 0x04, 0x08, 0x1C, 0x20, 0x24, 0x28, 0x30
RAISED = 1 << 6
NAMES = {
    0x04: "COMMAND", 0x08: "STATUS", 0x0C: "SRC", 0x10: "SRC_HI", 0x14: "DST", 0x18: "DST_HI", 0x1C: "SIZE",
    0x20: "CHECKSUM", 0x24: "IRQ_TYPE", 0x28: "IRQ_NUMBER", 0x2C: "FLAGS", 0x30: "CAPS",
}  # fmt: skip


class StubDevice:
    """What the driver takes for its `PciDevice`. ``answer(stub, command)`` is the endpoint; it returns STATUS or None.

    A millisecond after a command STATUS is set and the interrupt comes that the driver asked for, unless the answer is
    None. ``trace`` has every access to the register block: ("W" or "R", register's name, value).
    """

    header_type = 0

    def __init__(self, platform, answer, sizes=(0x1000, 0x1000, 0, 0x1001, 4, 0x1000), vectors=(1, 32, 2048)):
        self.platform = platform
        self.resources = [SimpleNamespace(size=size) if size else None for size in sizes]
        self.bars = [bytearray(size) for size in sizes]
        self.memory = HostMemory()
        self.trace = []
        self.freed = 0
        self.wrong_vector = 0
        self._answer = answer
        self._offered = vectors
        self._handlers = {}
        self._count = 0

    def register(self, offset):
        return int.from_bytes(self.bars[0][offset : offset + 4], "little")

    def set_register(self, offset, value):
        self.bars[0][offset : offset + 4] = value.to_bytes(4, "little")

    async def enable(self):
        pass

    async def set_master(self):
        pass

    async def disable(self):
        pass

    async def alloc_irq_vectors(self, least, most, *kinds):
        (kind,) = kinds
        offered = self._offered[kind.value]
        if offered < least:
            return -errno.ENOSPC
        self._count = min(most, offered)
        return self._count

    async def free_irq_vectors(self):
        self.freed += 1
        self._count = 0
        self._handlers.clear()

    def irq_vector(self, index):
        return index if 0 <= index < self._count else -errno.EINVAL

    async def request_irq(self, index, handler):
        self._handlers[index] = handler
        return 0

    async def read32(self, bar, offset):
        await self.platform.sleep(1e-6)
        value = int.from_bytes(self.bars[bar][offset : offset + 4], "little")
        if bar == 0:
            self.trace.append(("R", NAMES[offset], value))
        return value

    async def write32(self, bar, offset, value):
        await self.platform.sleep(1e-6)
        self.bars[bar][offset : offset + 4] = value.to_bytes(4, "little")
        if bar == 0:
            self.trace.append(("W", NAMES[offset], value))
            if offset == COMMAND and value:
                self.platform.spawn(self._serve(value), "stub")

    async def read(self, bar, offset, length):
        await self.platform.sleep(1e-6)
        return bytes(self.bars[bar][offset : offset + length])

    async def write(self, bar, offset, data):
        await self.platform.sleep(1e-6)
        self.bars[bar][offset : offset + len(data)] = data

    async def _serve(self, command):
        await self.platform.sleep(1e-3)
        self.set_register(COMMAND, 0)
        status = self._answer(self, command)
        if status is None:
            return
        self.set_register(STATUS, status | RAISED)
        index = max(0, self.register(IRQ_NUMBER) - 1) + self.wrong_vector
        if index in self._handlers:
            await self._handlers[index](index)

    def take_trace(self):
        """Return what was accessed since the last call, without the interrupt handler's and the probe's reads."""
        trace, self.trace = self.trace, []
        return [step for step in trace if step[0] == "W" or step[1] not in ("STATUS", "CAPS")]


def run_stub(scenario, answer=lambda stub, command: 0, *, caps=0x3F, limit=60.0, driver=None, **options):
    """Run ``scenario(device, host)`` on a stub, bound and with the capabilities given."""
    platform = VirtualPlatform()
    device = StubDevice(platform, answer, **options)
    device.set_register(CAPS, caps)
    host = PciEndpointTest(device, **({"memory": device.memory} if driver is None else driver))

    async def main():
        assert await host.probe() == 0
        return await scenario(device, host)

    return platform.run(main(), limit=limit)
