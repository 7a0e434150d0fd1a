"""Doorbells for endpoint functions, from an MSI controller (drivers/pci/endpoint/pci-ep-msi.c).

The MSI controller is the one backend. -ENODEV from it means "this endpoint has no such controller"; every other error
is final.
"""

import errno

from .msi import MsiMessage, msi_get_virq, platform_device_msi_free_irqs_all, platform_device_msi_init_and_alloc_irqs
from .pci_epf import DoorbellMessage, PciEpf

__all__ = [
    "pci_epf_alloc_doorbell",
    "pci_epf_free_doorbell",
]


def pci_epf_alloc_doorbell(epf: PciEpf, count: int, log: list[str]) -> int:
    """Allocate ``count`` doorbells into ``epf.doorbells``.

    Returns 0; -EINVAL for any function but the controller's first, -EBUSY when doorbells are allocated already, -ENODEV
    without an immutable MSI parent domain, or the allocation's error (-ENOSPC when channels run out).
    """
    if epf.epc.functions[0] is not epf:
        log.append("MSI doorbell only supports the first function")
        return -errno.EINVAL
    if epf.doorbells:
        return -errno.EBUSY
    return _alloc_msi(epf, count, log)


def pci_epf_free_doorbell(epf: PciEpf) -> None:
    """Return every doorbell; nothing happens without any. Their interrupts must have been freed."""
    if epf.doorbells:
        platform_device_msi_free_irqs_all(epf.device)
        epf.doorbells.clear()


def _alloc_msi(epf: PciEpf, count: int, log: list[str]) -> int:
    domain = epf.device.domain
    if domain is None:
        log.append("Can't find MSI domain for EPC")
        return -errno.ENODEV
    if not domain.msi_parent:
        return -errno.ENODEV
    if not domain.immutable:
        log.append("Mutable MSI controller not supported")
        return -errno.ENODEV
    messages: dict[int, MsiMessage] = {}
    error = platform_device_msi_init_and_alloc_irqs(epf.device, count, messages.__setitem__)
    if error:
        log.append("Failed to allocate MSI")
        return error
    epf.doorbells.extend(DoorbellMessage(messages[n], msi_get_virq(epf.device, n)) for n in range(count))
    return 0
