"""Host and processor attached to a `ReferenceEndpoint`: buses that take time, interrupt lines, messages on their way.

With it the software models of both ends run against plain Python. Every access takes its latency before it is done, so
that tasks interleave as they would on two machines.
"""

from ..host.msi import MsiController
from ..platform import DrivenIrqLine, Platform
from .buses import Access, CpuBus, HostBus
from .config_space import ConfigSpace
from .endpoint import ReferenceEndpoint
from .host_memory import HostMemory
from .outbound_path import OutboundPath

__all__ = [
    "Access",
    "CpuBus",
    "HostBus",
    "ReferenceLink",
]


class ReferenceLink:
    """A host and a processor around one endpoint; also the `PciFunction` that the host's driver core wants.

    Parameters
    ----------
    platform
        Time and concurrency.
    endpoint
        The endpoint.
    wide_bars
        BARs that are the lower half of a 64-bit pair.
    msi_vectors_log2
        Log2 of the MSI vectors that the function offers.
    lines
        Number of the eDMA's interrupt lines; None for as many as the endpoint has.
    host_latency, cpu_latency, msi_latency
        Seconds that one access, or one interrupt message, takes.
    config
        The function's configuration space; None for one with MSI only, after ``wide_bars`` and ``msi_vectors_log2``.
    receiver
        The host's MSI controller; None for the default.
    completion_timeout
        Seconds after which a read of the processor ends that the host does not answer.
    host_memory, intx
        The host's memory and its end of INTx; None for ones of our own.

    Attributes
    ----------
    memory
        The host's bus.
    cpu
        The processor's bus.
    irq_mu
        The Messaging Unit's line.
    irq_edma
        The eDMA's lines, which rise and fall together.
    receiver
        The host's MSI controller.
    host_memory
        What the processor reaches through the outbound windows, and the function with its messages.
    intx
        The function's INTx line at the host. It goes up and down with the messages; ``rises`` counts the assertions.
    present
        Whether the link is up; configuration space reads all ones while it is not.
    """

    def __init__(
        self,
        platform: Platform,
        endpoint: ReferenceEndpoint,
        *,
        wide_bars: tuple[int, ...] = (),
        msi_vectors_log2: int = 5,
        lines: int | None = None,
        host_latency: float = 400e-9,
        cpu_latency: float = 100e-9,
        msi_latency: float = 400e-9,
        config: ConfigSpace | None = None,
        receiver: MsiController | None = None,
        completion_timeout: float = 12.5e-3,
        host_memory: HostMemory | None = None,
        intx: DrivenIrqLine | None = None,
    ) -> None:
        self.platform = platform
        self.endpoint = endpoint
        if config is None:
            config = ConfigSpace(endpoint.bar_sizes, wide_bars, msi_vectors_log2=msi_vectors_log2)
        self.config = config
        self.receiver = MsiController() if receiver is None else receiver
        self.host_memory = HostMemory() if host_memory is None else host_memory
        self.host_memory.doorbells[self.receiver.address] = lambda word: self.receiver.deliver(word)
        outbound = OutboundPath(platform, endpoint, self.host_memory, 2 * host_latency, completion_timeout)
        self.memory = HostBus(platform, endpoint, config, self.settle, host_latency)
        self.cpu = CpuBus(platform, endpoint, outbound, self.settle, cpu_latency)
        self.irq_mu = DrivenIrqLine(platform)
        self.irq_edma = tuple(DrivenIrqLine(platform) for _ in range(endpoint.edma_lines if lines is None else lines))
        self.intx = DrivenIrqLine(platform) if intx is None else intx
        self.present = True
        self._msi_latency = msi_latency
        self._msi_event = platform.event()
        config.on_function_reset = self._function_reset
        config.on_flr = self._flr
        self._follow()

    def start(self) -> None:
        """Start to send interrupts."""
        self.platform.spawn(self._send_interrupts(), "msi")

    def pulse(self, *, wr_done: int = 0, wr_abort: int = 0, rd_done: int = 0, rd_abort: int = 0) -> None:
        """Let channels of the eDMA end or abort, bit n for channel n."""
        self.endpoint.edma.pulse(wr_done=wr_done, wr_abort=wr_abort, rd_done=rd_done, rd_abort=rd_abort)
        self.settle()

    async def config_read32(self, offset: int) -> int:
        """Read one dword of configuration space."""
        await self.platform.sleep(self._msi_latency)
        return self.config.read32(offset) if self.present else 0xFFFF_FFFF

    async def config_write32(self, offset: int, value: int) -> None:
        """Write one dword of configuration space."""
        await self.platform.sleep(self._msi_latency)
        if self.present:
            self.config.write32(offset, value)
            self._follow()

    def reset_function(self) -> None:
        """Reset the function as a hot reset does; the endpoint's blocks are reset with `ReferenceEndpoint.reset`."""
        self.config.reset()
        self._follow()

    def lose(self) -> None:
        """Take the link down: a hot reset of the function, and a reset of all of the endpoint."""
        self.present = False
        self.endpoint.reset()
        self.reset_function()

    def settle(self) -> None:
        """Let the interrupt lines, the interrupts to the host and configuration space follow the endpoint's state."""
        self.irq_mu.drive(self.endpoint.irq_mu)
        irq_edma = self.endpoint.irq_edma
        for line in self.irq_edma:
            line.drive(irq_edma)
        controller = self.endpoint.controller
        self.config.msi.pending = controller.msi.pending
        self.config.interrupt_status = controller.intx.pending
        if controller.due:
            self._msi_event.set()

    def _follow(self) -> None:
        """Tell the endpoint what the host set."""
        config, controller = self.config, self.endpoint.controller
        controller.msi.enabled, controller.msi.multiple = config.msi.enabled, config.msi.multiple
        controller.msi.mask = config.msi.mask
        controller.msix.enabled, controller.msix.function_mask = config.msix_enabled, config.msix_masked
        controller.intx.allowed = config.intx_allowed
        controller.master = config.bus_master
        self.endpoint.power(d3hot=not config.d0)
        controller.bars = [config.read32(0x10 + 4 * bar) for bar in range(len(controller.bars))]
        self.settle()

    def _function_reset(self) -> None:
        self.endpoint.controller.function_reset()
        self.intx.drive(False)

    def _flr(self) -> None:
        self.endpoint.flr()
        self.settle()

    async def _send_interrupts(self) -> None:
        while True:
            await self._msi_event.wait()
            self._msi_event.clear()
            while await self._send_intx() or await self._send_msi() or await self._send_msix():
                self.settle()

    async def _send_intx(self) -> bool:
        intx = self.endpoint.controller.intx
        if intx.next() is None:
            return False
        await self.platform.sleep(self._msi_latency)
        intx.sent()
        self.intx.drive(intx.asserted)
        return True

    async def _send_msi(self) -> bool:
        vector = self.endpoint.controller.next_msi()
        if vector is None:
            return False
        # What was taken has left: address and word are those of now.
        address, data = self.config.msi_message(vector)
        await self._send(address, data)
        return True

    async def _send_msix(self) -> bool:
        message = self.endpoint.controller.msix.next()
        if message is None:
            return False
        await self._send(*message)
        return True

    async def _send(self, address: int, data: int) -> None:
        await self.platform.sleep(self._msi_latency)
        self.host_memory.write(address, data.to_bytes(4, "little"))
