"""Boot the endpoint's software: everything from the device tree to a running function driver."""

from collections.abc import Mapping

from ..devicetree import DeviceTree
from ..ntb import NtbCosts
from ..platform import Bus, IrqLine, Platform
from .dma import CoherentPool, DmaMappings
from .dw_edma import DwEdma, Hook
from .faults import Faults
from .gic import Gic
from .imx_mu_msi import ImxMuMsi
from .irq import IrqCore
from .msi import MsiDevice, platform_device_msi_init_and_alloc_irqs
from .pci_epc import EpcFeatures, Generation, PciEpc, bar_features
from .pci_epf_test import DEFAULT_BAR_SIZES, PciEpfTest
from .pci_epf_vntb import PciEpfVntb
from .pci_epf_vntb_config import VntbConfig
from .pcie_dw_ep import REGION_ALIGN, DwPcieEp

__all__ = [
    "EndpointSoftware",
    "boot",
]


class EndpointSoftware:
    """The endpoint processor's software.

    Attributes
    ----------
    log
        What the kernel would have printed.
    core, gic
        Interrupt core and root controller.
    messaging_units
        MSI controllers by node name.
    consumers
        Other devices with messages from one of these.
    edma
        The eDMA; None until it is probed, and when the controller goes on without one.
    epc, controller
        Endpoint controller core and its driver.
    mappings
        Registers mapped for the controller; none is left when no doorbell is.
    faults
        What is to fail.
    """

    def __init__(
        self,
        platform: Platform,
        cpu_bus: Bus,
        irq_lines: Mapping[int, IrqLine],
        tree: DeviceTree,
        features: EpcFeatures,
        *,
        mu_immutable: bool,
        doorbell_command: bool,
        announce_doorbell: bool,
        spurious_window: int,
        generation: Generation,
        polling: bool,
        msix_interrupts: int,
        before_doorbell_irq: Hook | None,
        vntb: VntbConfig | None,
        vntb_costs: NtbCosts | None,
    ) -> None:
        self.log: list[str] = []
        self.faults = Faults.of(tree.bootargs)
        self.mappings = DmaMappings(self.faults)
        self._before_doorbell_irq = before_doorbell_irq
        self.core = IrqCore(platform, self.log, spurious_window=spurious_window)
        self.gic = Gic(self.core, irq_lines)
        self.messaging_units = {
            node.name: ImxMuMsi(self.core, cpu_bus, node, immutable=mu_immutable)
            for node in tree.messaging_units
            if node.layout is not None
        }
        parent = tree.endpoint.msi_parent
        domain = self.messaging_units.get(parent.name) if parent is not None else None
        self.consumers = [
            (MsiDevice(consumer.name, self.messaging_units.get(consumer.parent), self.faults), consumer.vectors)
            for consumer in tree.msi_consumers
        ]
        self._edma = DwEdma(self.core, cpu_bus, tree.endpoint.edma, faults=self.faults)
        self.controller = DwPcieEp(platform, cpu_bus, tree.endpoint, features, self.log)
        pool = CoherentPool(tree.endpoint.memory)
        self.epc = PciEpc(
            platform,
            cpu_bus,
            self.controller,
            pool,
            domain,
            generation=generation,
            faults=self.faults,
            mappings=self.mappings,
            window=tree.endpoint.addr_space,
        )
        self._function: PciEpfTest | PciEpfVntb
        if vntb is not None:
            self._function = PciEpfVntb(self.core, self.epc, vntb, vntb_costs)
        else:
            self._function = PciEpfTest(
                self.core,
                self.epc,
                DEFAULT_BAR_SIZES,
                doorbell_command=doorbell_command,
                announce_doorbell=announce_doorbell,
                polling=polling,
                msix_interrupts=msix_interrupts,
            )

    @property
    def function(self) -> PciEpfTest:
        """The function driver, pci-epf-test; RuntimeError when it is another."""
        if not isinstance(self._function, PciEpfTest):
            raise RuntimeError(f"The endpoint was booted with {self._function.epf.name}, not with pci_epf_test")
        return self._function

    @property
    def vntb(self) -> PciEpfVntb:
        """The function driver, pci-epf-vntb; RuntimeError when it is another."""
        if not isinstance(self._function, PciEpfVntb):
            raise RuntimeError(f"The endpoint was booted with {self._function.epf.name}, not with pci_epf_vntb")
        return self._function

    @property
    def edma(self) -> DwEdma | None:
        """The eDMA that the controller has found."""
        return self.controller.edma

    async def start(self) -> int:
        """Take interrupts, probe the controllers, start the function; 0 or the first error."""
        self.gic.start()
        for unit in self.messaging_units.values():
            error = await unit.probe(self.gic)
            if error:
                await self.gic.stop()
                return error
        self._probe_consumers()
        await self.controller.probe()
        error = await self.controller.detect_edma(self._edma, self.gic, self._before_doorbell_irq)
        if not error:
            error = await self._function.start()
        if error:
            await self.gic.stop()
        return error

    def _probe_consumers(self) -> None:
        for device, vectors in self.consumers:
            error = platform_device_msi_init_and_alloc_irqs(device, vectors, lambda index, message: None)
            if error:
                self.log.append(f"{device.name}: Failed to allocate MSI: {error}")

    async def after_reset(self) -> int:
        """Set everything up again that a reset by the host has taken: hot reset, or the link was lost.

        As the interrupt handlers of controllers with a reset line of the host's: the functions hear that the controller
        goes away, it is initialised, and the functions hear that. 0 or a negative errno.
        """
        await self.epc.deinit_notify()
        await self.controller.init_registers()
        for unit in self.messaging_units.values():
            await unit.restore()
        return await self.epc.init_notify()

    async def stop(self) -> None:
        """Stop the function and take no more interrupts."""
        await self._function.stop()
        await self.gic.stop()


def boot(
    platform: Platform,
    cpu_bus: Bus,
    irq_lines: Mapping[int, IrqLine],
    tree: DeviceTree,
    bar_sizes: tuple[int, ...],
    *,
    wide_bars: tuple[int, ...] = (),
    mu_immutable: bool = True,
    dynamic_inbound_mapping: bool = True,
    subrange_mapping: bool = True,
    msix_interrupts: int = 0,
    intx: bool = False,
    doorbell_command: bool = True,
    announce_doorbell: bool = True,
    spurious_window: int = 100_000,
    generation: Generation = "merged",
    polling: bool = True,
    before_doorbell_irq: Hook | None = None,
    vntb: VntbConfig | None = None,
    vntb_costs: NtbCosts | None = None,
) -> EndpointSoftware:
    """Put the endpoint's software together; ``await software.start()`` runs it.

    Parameters
    ----------
    platform
        Time and concurrency.
    cpu_bus
        The processor's bus.
    irq_lines
        Line of each shared peripheral interrupt, by the number in the device tree.
    tree
        The device tree.
    bar_sizes
        Sizes in bytes of the six BARs that the hardware has; 0 where it has none.
    wide_bars
        BARs that are the lower half of a 64-bit pair.
    mu_immutable
        Whether the Messaging Unit's domain is flagged immutable; see `ImxMuMsi`.
    dynamic_inbound_mapping
        Whether the controller's features say that a BAR can be re-targeted while the host uses it.
    subrange_mapping
        Whether they say that a BAR can be tiled.
    msix_interrupts
        Vectors of MSI-X that the hardware offers, 0 when it has none. Its capability must have the table at 0x80 of the
        register BAR and the pending bits right behind.
    intx
        Whether the hardware has INTx.
    doorbell_command, announce_doorbell
        See `PciEpfTest`: both False is Linux before v6.17, the second alone False is v6.17 to v7.0.
    spurious_window
        See `IrqCore`.
    generation
        Form of the embedded doorbell: ``"v7"`` as first posted, ``"merged"`` as in the kernel.
    polling
        See `PciEpfTest`.
    before_doorbell_irq
        See `DwEdma.probe`.
    vntb
        What configfs says of pci-epf-vntb, which then is the function; None for pci-epf-test. Its vectors of MSI-X are
        those that it names itself.
    vntb_costs
        What the processor takes its time for in pci-epf-vntb; nothing if None.
    """
    features = EpcFeatures(
        bar_features(bar_sizes, wide_bars, tree.endpoint.fixed_bar),
        align=REGION_ALIGN,
        msix_capable=msix_interrupts > 0,
        intx_capable=intx,
        dynamic_inbound_mapping=dynamic_inbound_mapping,
        subrange_mapping=subrange_mapping,
    )
    return EndpointSoftware(
        platform,
        cpu_bus,
        irq_lines,
        tree,
        features,
        mu_immutable=mu_immutable,
        doorbell_command=doorbell_command,
        announce_doorbell=announce_doorbell,
        spurious_window=spurious_window,
        generation=generation,
        polling=polling,
        msix_interrupts=msix_interrupts,
        before_doorbell_irq=before_doorbell_irq,
        vntb=vntb,
        vntb_costs=vntb_costs,
    )
