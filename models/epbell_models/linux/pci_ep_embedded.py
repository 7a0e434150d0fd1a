"""Doorbells from the endpoint controller itself: the embedded backend of drivers/pci/endpoint/pci-ep-msi.c.

The controller offers one register where any store interrupts. However many doorbells are asked for, all are that one:
same address, same word, same interrupt, which therefore must be shared.

It exists in two forms. ``"v7"`` is the series as first posted with aux resources, ``"merged"`` what the kernel took:

| | v7 | merged |
|---|---|---|
| how many resources | asked for with no array at all | an operation of its own |
| no such operation (either of them), none of it | -ENODEV | -EOPNOTSUPP as it is; -ENODEV |
| two doorbells | the first, with a warning about each other | the first |
| word to store | 0 | as the resource says |
| address | as the resource says, not checked | a multiple of 4 (else -EINVAL), mapped for DMA (else -EIO) |
"""

import errno
from dataclasses import replace

from .dma import PAGE_SIZE
from .irqdesc import IrqFlag
from .msi import MsiMessage
from .pci_epc import NO_BAR, AuxKind, AuxResource, PciEpc
from .pci_epf import DoorbellKind, DoorbellMessage, PciEpf

__all__ = [
    "alloc_doorbell_embedded",
    "free_doorbell_embedded",
]

_WORD = 4


async def alloc_doorbell_embedded(epf: PciEpf, count: int, log: list[str]) -> int:
    """Fill ``epf.doorbells`` with ``count`` equal ones.

    Returns 0; -ENODEV when the controller has no doorbell, -EINVAL when it is not aligned, -EIO when it cannot be
    mapped, -ENOMEM, or the error of the controller's driver.
    """
    found = await _find(epf, log)
    if isinstance(found, int):
        return found
    entry = _entry_v7(found) if epf.epc.generation == "v7" else _entry_merged(epf.epc, found)
    if isinstance(entry, int):
        return entry
    if epf.epc.faults.kcalloc_fails():
        _unmap(epf.epc, entry)
        return -errno.ENOMEM
    epf.doorbells.extend(replace(entry) for _ in range(count))
    return 0


def free_doorbell_embedded(epf: PciEpf) -> None:
    """Undo the mapping that all doorbells share."""
    _unmap(epf.epc, epf.doorbells[0])


async def _find(epf: PciEpf, log: list[str]) -> AuxResource | int:
    """Return the controller's doorbell, or a negative errno."""
    epc, function = epf.epc, epf.epc.functions.index(epf)
    v7 = epc.generation == "v7"
    count = await (epc.get_aux_resources(None, 0, function) if v7 else epc.get_aux_resources_count(function))
    if count == 0 or (v7 and count == -errno.EOPNOTSUPP):
        return -errno.ENODEV
    if count < 0:
        return count
    if epc.faults.kcalloc_fails():
        return -errno.ENOMEM
    resources: list[AuxResource] = []
    error = await epc.get_aux_resources(resources, count, function)
    if v7 and error == -errno.EOPNOTSUPP:
        return -errno.ENODEV
    if error < 0:
        return error
    doorbells = [resource for resource in resources if resource.kind is AuxKind.DOORBELL_MMIO]
    if v7:
        log.extend("Duplicate DOORBELL_MMIO resource found" for _ in doorbells[1:])
    return doorbells[0] if doorbells else -errno.ENODEV


def _entry_v7(found: AuxResource) -> DoorbellMessage:
    offset = 0 if found.bar == NO_BAR else found.bar_offset
    message = MsiMessage(found.phys_addr, 0)
    return DoorbellMessage(message, found.irq, IrqFlag.SHARED, DoorbellKind.EMBEDDED, found.bar, offset)


def _entry_merged(epc: PciEpc, found: AuxResource) -> DoorbellMessage | int:
    """Map the doorbell's page, unless a BAR shows it anyway, and return the entry or a negative errno."""
    address = found.phys_addr
    if address % _WORD:
        return -errno.EINVAL
    if found.bar != NO_BAR:
        message = MsiMessage(address, found.data)
        return DoorbellMessage(
            message, found.irq, IrqFlag.SHARED, DoorbellKind.EMBEDDED, found.bar, found.bar_offset
        )
    within = address % PAGE_SIZE
    size = -(-(within + _WORD) // PAGE_SIZE) * PAGE_SIZE
    iova = epc.mappings.map_resource(address - within, size)
    if iova is None:
        return -errno.EIO
    message = MsiMessage(iova + within, found.data)
    return DoorbellMessage(
        message, found.irq, IrqFlag.SHARED, DoorbellKind.EMBEDDED, iova_base=iova, iova_size=size
    )


def _unmap(epc: PciEpc, entry: DoorbellMessage) -> None:
    if entry.iova_size:
        epc.mappings.unmap_resource(entry.iova_base, entry.iova_size)
