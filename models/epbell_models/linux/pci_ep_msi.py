"""Doorbells for endpoint functions: from an MSI controller, or from the endpoint controller itself.

Follows drivers/pci/endpoint/pci-ep-msi.c. -ENODEV from the first backend means "this endpoint has no such controller",
and the second is asked; every other error is final.
"""

import errno

from .irqdesc import IrqFlag
from .msi import MsiMessage, msi_get_virq, platform_device_msi_free_irqs_all, platform_device_msi_init_and_alloc_irqs
from .pci_ep_embedded import alloc_doorbell_embedded, free_doorbell_embedded
from .pci_epc import NO_BAR
from .pci_epf import DoorbellKind, DoorbellMessage, PciEpf

__all__ = [
    "pci_epf_alloc_doorbell",
    "pci_epf_free_doorbell",
]


async def pci_epf_alloc_doorbell(epf: PciEpf, count: int, log: list[str]) -> int:
    """Allocate ``count`` doorbells into ``epf.doorbells``.

    Returns 0; -EINVAL for any function but the controller's first, -EBUSY when doorbells are allocated already, the
    error of the MSI controller's allocation (-ENOSPC when channels run out), or, without an MSI controller that is
    fit for it, the error of `alloc_doorbell_embedded`. ``epf.msi_error`` keeps what the MSI controller's answer was.
    """
    if epf.epc.functions[0] is not epf:
        log.append("Doorbell doesn't support multiple EPF")
        return -errno.EINVAL
    if epf.doorbells:
        return -errno.EBUSY
    error = epf.msi_error = _alloc_msi(epf, count, log)
    if error != -errno.ENODEV:
        return error
    error = await alloc_doorbell_embedded(epf, count, log)
    if error:
        log.append(f"Failed to allocate doorbell: {error}")
        return error
    log.append("Using embedded (DMA) doorbell fallback")
    return 0


def pci_epf_free_doorbell(epf: PciEpf) -> None:
    """Return every doorbell; nothing happens without any. Their interrupts must have been freed."""
    if not epf.doorbells:
        return
    if epf.doorbells[0].kind is DoorbellKind.MSI:
        platform_device_msi_free_irqs_all(epf.device)
    else:
        free_doorbell_embedded(epf)
    epf.doorbells.clear()


def _alloc_msi(epf: PciEpf, count: int, log: list[str]) -> int:
    """Allocate from the MSI controller behind ``msi-parent``; -ENODEV when there is none that is fit for it."""
    domain = epf.device.domain
    if domain is None:
        log.append("Can't find MSI domain for EPC")
        return -errno.ENODEV
    if not domain.msi_parent:
        return -errno.ENODEV
    if not domain.immutable:
        log.append("Mutable MSI controller not supported")
        return -errno.ENODEV
    if epf.epc.faults.kcalloc_fails():
        return -errno.ENOMEM
    messages: dict[int, MsiMessage] = {}
    error = platform_device_msi_init_and_alloc_irqs(epf.device, count, messages.__setitem__)
    if error:
        log.append("Failed to allocate MSI")
        return error
    epf.doorbells.extend(
        DoorbellMessage(messages[n], msi_get_virq(epf.device, n), IrqFlag.NONE, DoorbellKind.MSI, NO_BAR)
        for n in range(count)
    )
    return 0
