"""The host's MSIs: two look like one, a second base is misaligned, and everything that is advertised is granted.

cocotbext-pcie 0.2.16, ``core.msi.MsiRegion`` and ``RootComplex.msi_alloc_vectors``: a vector is an Event, which is set
once however many messages came; vectors are numbered on without a gap, so that those of a second function do not begin
at a multiple of their number; a device gets as many as it advertises, whatever was asked for.

What we do: the host's interrupts are `epbell_models.host.msi` over the host's memory; `refuse_vectors` sees to it that
nobody uses the stock ones unaware. Gone when ``alloc_vectors`` aligns and a vector counts.
"""

from typing import Any, NoReturn

__all__ = [
    "refuse_vectors",
]


def refuse_vectors(root: Any) -> None:
    """Let a root complex refuse to hand out its own vectors."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("The host's vectors are those of epbell_models.host.msi, not the root complex's")

    root.msi_alloc_vectors = refuse
