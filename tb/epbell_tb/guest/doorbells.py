"""Which doorbell the endpoint's Linux must get on each device tree that is shipped: written down, never asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from epbell_models import devicetree

__all__ = [
    "DOORBELLS",
    "Doorbell",
    "foreseen",
]


@dataclass(frozen=True)
class Doorbell:
    """A doorbell, or why there is none.

    Attributes
    ----------
    backend
        ``"mu"``, ``"edma"`` or ``"polling"``; None where the allocation has to fail.
    refusal
        What the endpoint's Linux then says; empty where there is a backend.
    """

    backend: str | None
    refusal: str = ""

    def complaint(self, backend: str | None, reason: str) -> str:
        """Return what is wrong with the doorbell that an endpoint had at its end; empty if nothing is."""
        if backend == self.backend and (self.backend or reason == self.refusal):
            return ""
        wanted = self.backend or f"none ({self.refusal})"
        why = f" ({reason})" if reason else ""
        return f"the doorbell is {backend or 'none'}{why}; on this device tree it has to be {wanted}"

    def of_bridge(self) -> Doorbell:
        """Return the same for pci-epf-vntb, which polls whatever the allocation ends with."""
        return Doorbell(self.backend or "polling")


DOORBELLS = {
    "imx8": Doorbell("mu"),
    "imx8-edma": Doorbell("edma"),
    "rk3588": Doorbell("edma"),
    "hdma": Doorbell("polling"),
    "msi-enomem": Doorbell(None, "Failed to allocate MSI (-ENOMEM)"),
    "msi-enospc": Doorbell(None, "Failed to allocate MSI (-ENOSPC)"),
}
"""By the device tree's name, with two inbound windows or more."""


def foreseen(dts: Path, windows: int | None) -> Doorbell | None:
    """Return the doorbell of a device tree; None for one that is not shipped, and without a window for a doorbell.

    Parameters
    ----------
    dts
        The device tree.
    windows
        How many inbound windows there are; None for as many as the device tree says.
    """
    if dts.stem not in devicetree.shipped() or dts != devicetree.builtin(dts.stem) or windows == 1:
        return None
    return DOORBELLS[dts.stem]
