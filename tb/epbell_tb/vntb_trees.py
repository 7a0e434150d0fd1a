"""Which doorbells pci-epf-vntb has on which device tree."""

__all__ = [
    "TREES",
    "backend_of",
]

TREES = {"polling": "msi-enomem", "mu": "imx8", "edma": "imx8-edma"}
"""Backend of the doorbells -> shipped device tree that leads Linux to it."""


def backend_of(tree: str) -> str:
    """Return the backend to which a shipped device tree leads four slots.

    Raises
    ------
    ValueError
        If that is not known.
    """
    for backend, name in TREES.items():
        if name == tree:
            return backend
    raise ValueError(
        f"Doorbells of a bridge are known for a device tree like one of {', '.join(TREES.values())}, not {tree!r}: "
        "give EPBELL_DTS one of these"
    )
