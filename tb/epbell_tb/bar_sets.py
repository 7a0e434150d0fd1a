"""Sets of BARs that the benches run on."""

from epbell.bar import DEFAULT_BARS, Bar

__all__ = [
    "BAR_SETS",
    "COMMON_SETS",
]

BAR_SETS: dict[str, tuple[Bar | None, ...]] = {
    "everyday": DEFAULT_BARS,
    "linux": (*(Bar(128 << 10) for _ in range(5)), Bar(1 << 20)),
    "wide": (Bar(16 << 10, wide=True), None, Bar(16 << 10, wide=True), None, Bar(64 << 10, wide=True), None),
    "msix": (Bar(64 << 10), *DEFAULT_BARS[1:]),
    "sizes": (Bar(4 << 10), Bar(128), Bar(2 << 20, wide=True), None, Bar(16 << 20, wide=True), None),
    "small": (Bar(2 << 10), Bar(128), Bar(256), Bar(512), Bar(1 << 10), Bar(4 << 10)),
    "guest": (*(Bar(4 << 10) for _ in range(5)), Bar(8 << 10)),
    "halves": tuple(Bar(8 << 10) for _ in range(6)),
    "large": (Bar(8 << 10), Bar(32 << 10), Bar(256 << 10), Bar(512 << 10), Bar(1 << 20), Bar(2 << 20)),
}
"""Small 32-bit ones, those that Linux's test function asks for, 64-bit pairs, a BAR 0 for 2048 MSI-X vectors; those
that a guest's kernel fills, a dword at a time, and such as it also cuts in halves; others for scenarios about sizes."""

COMMON_SETS = ("everyday", "linux", "wide")
"""Those on which every scenario runs. Of the others not every BAR has memory behind it, or can have a doorbell."""
