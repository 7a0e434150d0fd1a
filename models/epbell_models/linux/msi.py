"""Message-signalled interrupts of platform devices: allocation from the domain that ``msi-parent`` names.

Follows kernel/irq/msi.c and drivers/base/platform-msi.c as far as a doorbell needs them.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .faults import Faults
from .irqdomain import IrqDomain

__all__ = [
    "MsiDevice",
    "MsiDomain",
    "MsiMessage",
    "msi_get_virq",
    "platform_device_msi_free_irqs_all",
    "platform_device_msi_init_and_alloc_irqs",
]


class MsiMessage(NamedTuple):
    """What a device must write, and where: a 32-bit word to a 64-bit address."""

    address: int
    data: int


class MsiDomain(IrqDomain):
    """A domain that hands out messages.

    Parameters
    ----------
    name
        Device name of the controller.
    msi_parent
        Whether other devices may stack their own MSI domain upon it.
    immutable
        Whether a message, once composed, stays valid until the interrupt is freed. The endpoint framework publishes a
        message to the host and therefore refuses a domain that is mutable.
    """

    def __init__(self, name: str, *, msi_parent: bool, immutable: bool) -> None:
        super().__init__(name)
        self.msi_parent = msi_parent
        self.immutable = immutable

    def alloc(self) -> int:
        """Allocate one interrupt; return its Linux number or a negative errno."""
        raise NotImplementedError

    def free(self, virq: int) -> None:
        """Return one interrupt."""
        raise NotImplementedError

    def compose_msg(self, virq: int) -> MsiMessage:
        """Return the message of an allocated interrupt."""
        raise NotImplementedError


@dataclass(eq=False)
class MsiDevice:
    """A device with messages of its own: the domain it inherits from its parent, and what it holds of it."""

    name: str
    domain: MsiDomain | None
    faults: Faults = field(default_factory=Faults)
    virqs: list[int] = field(default_factory=list[int])


WriteMsi = Callable[[int, MsiMessage], None]
"""Called with the index of a message and the message whenever it is composed."""


def platform_device_msi_init_and_alloc_irqs(device: MsiDevice, count: int, write_msi: WriteMsi) -> int:
    """Allocate ``count`` messages, all or none.

    Returns 0; -EINVAL without domain, -EEXIST twice, -ENOSPC when they run out, or the errno that is to be injected.
    """
    domain = device.domain
    if domain is None or count < 1:
        return -errno.EINVAL
    if device.virqs:
        return -errno.EEXIST
    if device.faults.platform_msi:
        return device.faults.platform_msi
    for index in range(count):
        virq = domain.alloc()
        if virq < 0:
            platform_device_msi_free_irqs_all(device)
            return -errno.ENOSPC
        device.virqs.append(virq)
        write_msi(index, domain.compose_msg(virq))
    return 0


def platform_device_msi_free_irqs_all(device: MsiDevice) -> None:
    """Return every message of ``device``; their actions must be gone."""
    if device.domain is not None:
        for virq in device.virqs:
            device.domain.free(virq)
    device.virqs.clear()


def msi_get_virq(device: MsiDevice, index: int) -> int:
    """Return the Linux number of message ``index``, 0 when there is none."""
    return device.virqs[index] if index < len(device.virqs) else 0
