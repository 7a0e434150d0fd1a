"""What the tests of the eDMA's driver share: stores past every window, the driver's writes, a listener."""

from rig import Rig

from epbell_models import devicetree
from epbell_models.linux.irqdesc import IrqFlag, IrqReturn


def shipped(name: str = "imx8-edma") -> devicetree.DeviceTree:
    return devicetree.load(devicetree.builtin(name))


def store(rig: Rig, offset: int = 0xA0, data: int = 0) -> None:
    """Let a store of the host arrive at the registers, past every window."""
    rig.endpoint.cpu_write32(rig.endpoint.map["edma"].base + offset, data)
    rig.link.settle()


def stores(rig: Rig, since: int = 0) -> list[tuple[int, int]]:
    """Return the processor's writes to the eDMA: offset and word."""
    base = rig.endpoint.map["edma"].base
    trace = rig.link.cpu.trace[since:]
    return [(a.address - base, a.value) for a in trace if a.kind == "write" and base <= a.address < base + 0x1_0000]


def taken(rig: Rig) -> int:
    return sum(rig.software.gic.taken[i.spi] for i in rig.software.controller._node.edma.interrupts)


async def listen(rig: Rig, *, threaded=False, notify=None) -> list[int]:
    """Request the doorbell's interrupt; return a list that grows with each run of the handler."""
    runs: list[int] = []
    cookie = object()

    async def handler(irq, dev_id):
        runs.append(rig.endpoint.edma.rung)
        if notify is not None:
            await notify()
        return IrqReturn.HANDLED

    core, virq = rig.software.core, rig.software.edma.db_irq
    if threaded:
        flags = IrqFlag.SHARED | IrqFlag.ONESHOT
        assert await core.request_threaded_irq(virq, None, handler, flags, "listener", cookie) == 0
    else:
        assert await core.request_irq(virq, handler, IrqFlag.SHARED, "listener", cookie) == 0
    return runs
