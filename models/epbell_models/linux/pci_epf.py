"""An endpoint function and the memory behind its BARs (drivers/pci/endpoint/pci-epf-core.c)."""

import errno
from dataclasses import dataclass, field
from enum import Enum

from .epc_ops import EpcEvents
from .irqdesc import IrqFlag
from .msi import MsiDevice, MsiMessage
from .pci_epc import BAR_COUNT, NO_BAR, BarFlag, BarKind, EpfBar, PciEpc

__all__ = [
    "DoorbellKind",
    "DoorbellMessage",
    "PciEpf",
]

_SMALLEST_BAR = 128
_ADDRESS_BITS = 64


class DoorbellKind(Enum):
    """Where a doorbell comes from: an MSI controller, or the endpoint controller's own registers."""

    MSI = "msi"
    EMBEDDED = "embedded"


@dataclass
class DoorbellMessage:
    """One doorbell of a function: what the host must write, and the interrupt that follows.

    Attributes
    ----------
    message
        Address and word. Nobody need look at the address when ``bar`` says where it is.
    virq
        Linux number of the interrupt.
    irq_flags
        Flags that every request of it must have.
    kind
        Where it comes from.
    bar, offset
        BAR that shows it already, and the byte offset there; `NO_BAR` and 0 when none does.
    iova_base, iova_size
        Mapping behind the address; size 0 when there is none.
    """

    message: MsiMessage
    virq: int
    irq_flags: IrqFlag = IrqFlag.NONE
    kind: DoorbellKind = DoorbellKind.MSI
    bar: int = NO_BAR
    offset: int = 0
    iova_base: int = 0
    iova_size: int = 0


@dataclass(eq=False)
class PciEpf:
    """A function bound to a controller.

    Attributes
    ----------
    name
        Device name.
    epc
        Its controller.
    bars
        What is behind each BAR, None where nothing is.
    doorbells
        Doorbells allocated; empty when there are none.
    events
        Who is told when the controller is initialised and when it goes away; None for nobody.
    msi_error
        What the MSI controller's backend answered when doorbells were last allocated; 0 or a negative errno.
    """

    name: str
    epc: PciEpc
    bars: list[EpfBar | None] = field(default_factory=lambda: [None] * BAR_COUNT)
    doorbells: list[DoorbellMessage] = field(default_factory=list[DoorbellMessage])
    msi_error: int = 0
    events: EpcEvents | None = None

    def __post_init__(self) -> None:
        self.device = MsiDevice(self.name, self.epc.msi_domain, self.epc.faults)
        self.epc.functions.append(self)

    def alloc_space(self, size: int, barno: int) -> int | None:
        """Allocate memory for a BAR and note it; return its address, None when it does not fit.

        Sizes grow to 128 bytes and to a power of two; a BAR of fixed size gets that size.
        """
        required = self._required_size(size, barno)
        if required is None:
            return None
        align = self.epc.features.align
        address = self.epc.pool.alloc(-(-required // align) * align if align else required)
        if address is None:
            return None
        self.bars[barno] = EpfBar(barno, address, required, self._flags(required, barno))
        return address

    def free_space(self, barno: int) -> None:
        """Return a BAR's memory."""
        bar = self.bars[barno]
        if bar is not None:
            self.epc.pool.free(bar.phys_addr)
            self.bars[barno] = None

    def assign_space(self, size: int, barno: int, address: int) -> int:
        """Note that a BAR is to show ``size`` bytes from ``address`` on, which are not the function's own.

        The BAR is the smallest window, a power of two and aligned to that, which covers them; it grows as that of
        `alloc_space` does. It starts at a multiple of its size, rounded up to the controller's granularity.

        Returns
        -------
        int
            0; -EINVAL for no bytes, or for more than half of all addresses; -ENOMEM when no such window of that BAR
            covers them.
        """
        if size <= 0:
            return -errno.EINVAL
        limit = address + size - 1
        span = (address ^ limit).bit_length()
        if span >= _ADDRESS_BITS:
            return -errno.EINVAL
        required = self._required_size(max(2, 1 << span), barno)
        if required is None:
            return -errno.ENOMEM
        align = self.epc.features.align
        granule = -(-required // align) * align if align else required
        base = address // granule * granule
        if base + required <= limit:
            return -errno.ENOMEM
        self.bars[barno] = EpfBar(barno, base, required, self._flags(size, barno))
        return 0

    def align_inbound_addr(self, barno: int, address: int) -> tuple[int, int, int]:
        """Split an address into what a BAR's window must aim at and the offset within the BAR.

        Returns
        -------
        tuple
            0 or -EINVAL; base, rounded down to the BAR's size; offset.
        """
        bar = self.bars[barno] if 0 <= barno < BAR_COUNT else None
        if bar is None:
            return -errno.EINVAL, 0, 0
        return 0, address & ~(bar.size - 1), address & (bar.size - 1)

    def _required_size(self, size: int, barno: int) -> int | None:
        """Return what a BAR for ``size`` bytes must have, None when its size is fixed and less."""
        feature = self.epc.features.bars[barno]
        size = max(size, _SMALLEST_BAR)
        if feature.kind is BarKind.FIXED:
            return feature.fixed_size if size <= feature.fixed_size else None
        return 1 << (size - 1).bit_length()

    def _flags(self, size: int, barno: int) -> BarFlag:
        return BarFlag.MEM_64 if self.epc.features.bars[barno].only_64bit or size >> 32 else BarFlag.MEM_32
