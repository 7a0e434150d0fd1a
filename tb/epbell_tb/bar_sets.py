"""Sets of BARs that the benches run on."""

from epbell.bar import DEFAULT_BARS, Bar

__all__ = ["BAR_SETS"]

BAR_SETS: dict[str, tuple[Bar | None, ...]] = {
    "everyday": DEFAULT_BARS,
    "linux": (*(Bar(128 << 10) for _ in range(5)), Bar(1 << 20)),
    "wide": (Bar(16 << 10, wide=True), None, Bar(16 << 10, wide=True), None, Bar(64 << 10, wide=True), None),
    "msix": (Bar(64 << 10), *DEFAULT_BARS[1:]),
}
"""Small 32-bit ones, those that Linux's test function asks for, 64-bit pairs, and a BAR 0 for 2048 MSI-X vectors."""
