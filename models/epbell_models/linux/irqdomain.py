"""Interrupt domains: a controller's own numbers mapped to Linux interrupt numbers (kernel/irq/irqdomain.c)."""

import errno

from .irqdesc import IrqDesc

__all__ = [
    "IrqDomain",
]


class IrqDomain:
    """The interrupts of one controller.

    Parameters
    ----------
    name
        As in debugfs: the controller's device name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.revmap: dict[int, IrqDesc] = {}

    def find_mapping(self, hwirq: int) -> int:
        """Return the Linux number of ``hwirq``, 0 when there is none."""
        desc = self.revmap.get(hwirq)
        return desc.data.irq if desc is not None else 0

    async def generic_handle(self, hwirq: int) -> int:
        """Run the flow handler of ``hwirq``; -EINVAL when it is not mapped."""
        desc = self.revmap.get(hwirq)
        if desc is None:
            return -errno.EINVAL
        await desc.handle_irq(desc)
        return 0
