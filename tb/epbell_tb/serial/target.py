"""A board as a target of Linux's selftest: both ends' software here, the endpoint at the other end of a serial port."""

from __future__ import annotations

from collections.abc import Callable

from epbell_models.host.pci import PciDevice
from epbell_models.host.pci_endpoint_test import PciEndpointTest
from epbell_models.linux.boot import EndpointSoftware, boot
from epbell_models.platform import IrqLine, VirtualPlatform
from epbell_models.selftest.harness import DmaEngine, Options, run, selected
from epbell_models.selftest.model import heading
from epbell_regs import offsets
from epbell_tb.serial.host import SerialHost
from epbell_tb.serial.link import Port

__all__ = ["SerialTarget", "selftest"]

_BAR_BASE = 0x8000_0000
_STORE = 512
_SPARE_SECONDS = 600.0
_BAD = ("MALFORMED", "UNSUPPORTED", "DISCONTINUED")
"""Counters of the endpoint that stay zero as long as the transport hands over what the host has sent."""


class SerialTarget:
    """`epbell_models.selftest.harness.Target` on a board.

    Parameters
    ----------
    port : Port
        The serial port.
    msix_vectors : int, optional
        How many MSI-X vectors the function offers, 1 to 2048; as many as BAR 0 has room for unless it is given.
    patience : float
        As of `Link`.

    Attributes
    ----------
    host : SerialHost
        The host and the CPU.
    """

    dma: DmaEngine = "none"

    def __init__(self, port: Port, *, msix_vectors: int | None = None, patience: float = 1.0) -> None:
        self.host = SerialHost(port, patience=patience)
        found = self.host.open(msix_vectors)
        self._heading = heading(
            f"a board, {found.width} bits", found.tree, None, self.host.msix_vectors
        )
        tree, platform = found.tree, self.host.platform
        lines: dict[int, IrqLine] = {unit.interrupt.spi: self.host.irq_mu for unit in tree.messaging_units}
        lines |= {interrupt.spi: self.host.irq_edma for interrupt in tree.endpoint.edma.interrupts}
        self.software: EndpointSoftware = boot(
            platform, self.host.cpu, lines, tree, found.bars, msix_interrupts=self.host.msix_vectors, intx=True
        )
        self.device = PciDevice(
            platform, self.host, self.host.receiver, vector_limit=32, msix_limit=2048, intx=self.host.intx
        )
        self.driver = PciEndpointTest(self.device, store_bytes=_STORE, memory=self.host.host_memory)

    @property
    def platform(self) -> VirtualPlatform:
        """Time and concurrency."""
        return self.host.platform

    def heading(self) -> str:
        """Return the board, the device tree, and how many windows and vectors there are."""
        return self._heading

    async def bring_up(self) -> PciEndpointTest:
        """Boot, enumerate, bind."""
        error = await self.software.start()
        if error:
            raise RuntimeError(f"The endpoint's software ends with {error}: {'; '.join(self.software.log)}")
        await self.device.scan()
        await self.device.assign(_BAR_BASE)
        error = await self.driver.probe()
        if error:
            raise RuntimeError(f"The host's driver does not bind: {error}")
        return self.driver

    def notes(self) -> list[str]:
        """Return the doorbell, how long all of it took Linux, and what the wire did."""
        function, counts = self.software.function, self.host.link.counts
        why = f" ({function.reason})" if function.reason else ""
        seconds, interrupts = self.platform.now(), function.irqs_raised
        wire = "{sent} messages to the board, {received} from it, {bad} bad frames, {missing} asked for, {repeated}"
        return [
            f"doorbell {function.backend or 'none'}{why}",
            f"{seconds:.3f} s of Linux's time, {self.host.requests} requests of the host, {interrupts} interrupts",
            wire.format(**counts) + " sent again",
        ]

    async def check(self) -> list[str]:
        """Return what the endpoint has counted that it must not have, a sentence each."""
        base, places = self.host.found.tree.endpoint.regs.address, offsets("controller")
        found = {name: await self.host.cpu.read32(base + places[name]) for name in _BAD}
        return [f"the endpoint has counted {count} in {name}" for name, count in found.items() if count]


def selftest(
    port: Port,
    options: Options,
    out: Callable[[str], None],
    *,
    msix_vectors: int | None = None,
    patience: float = 1.0,
) -> bool:
    """Run the tests on a board; return whether none failed.

    Parameters
    ----------
    port : Port
        The serial port.
    options : Options
        What to run.
    out : callable
        Takes every line.
    msix_vectors : int, optional
        How many MSI-X vectors the function offers.
    patience : float
        As of `Link`.

    Raises
    ------
    RuntimeError
        If the board does not answer, or the software does not come up on it.
    """
    target = SerialTarget(port, msix_vectors=msix_vectors, patience=patience)

    async def body() -> bool:
        good = (await run(target, options, out)).good
        complaints = await target.check()
        for complaint in complaints:
            out(f"# {complaint}")
        return good and not complaints

    return target.platform.run(body(), limit=len(selected(options)) * options.limit + _SPARE_SECONDS)
