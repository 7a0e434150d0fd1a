"""Endpoints small enough for boards: their parameters, and what a board tells the host of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from epbell.bar import Bar
from epbell.serial.board import SerialEndpoint
from epbell_models import devicetree
from epbell_models.devicetree import DeviceTree, Region

__all__ = ["IDENTITY", "LARGE", "SMALL", "Found", "Shape"]

IDENTITY = 0x4550_4253
"""First dword of what a board says of itself."""

_VERSION = 1


@dataclass(frozen=True)
class Shape:
    """An endpoint.

    Attributes
    ----------
    bars : tuple of int
        Bytes of the BARs.
    ram_size : int
        Bytes of the RAM behind them, which Linux's test function fills with what is behind each BAR.
    windows, outbound_windows : int
        8 inbound windows are enough to split each BAR.
    width : int
        Width of the PCIe streams in bits.
    """

    bars: tuple[int, ...]
    ram_size: int
    windows: int = 8
    outbound_windows: int = 6
    width: int = 64

    def board(self, divisor: int, *, clock: int = 0, patience: int = 1 << 20) -> SerialEndpoint:
        """Return it with its transport; parameters as of `SerialEndpoint`."""
        bars = tuple(Bar(size) for size in self.bars)
        return SerialEndpoint(
            self.width,
            divisor=divisor,
            clock=clock,
            patience=patience,
            bars=bars,
            ram_size=self.ram_size,
            windows=self.windows,
            outbound_windows=self.outbound_windows,
        )


LARGE = Shape((64 << 10, *(8 << 10 for _ in range(5))), 128 << 10)
"""With a BAR 0 for 2048 MSI-X vectors; 64 block RAMs of an ECP5."""

SMALL = Shape(tuple(8 << 10 for _ in range(6)), 64 << 10, windows=6, outbound_windows=2)
"""With half the RAM, a window for each BAR and two outbound ones, for FPGAs that have no more; BAR 0 has room for 400
MSI-X vectors."""


@dataclass(frozen=True)
class Found:
    """What a board has said of itself: the dwords of its HELLO.

    Raises
    ------
    ValueError
        If it is no board of this kind, or speaks another version.
    """

    words: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.words) != 4 or self.words[0] != IDENTITY:
            raise ValueError(f"A board must say {IDENTITY:#x} and three dwords of itself, not {self.words!r}")
        if self.words[1] & 0xFF != _VERSION:
            raise ValueError(f"The board must speak version {_VERSION} of the link, not {self.words[1] & 0xFF}")

    @property
    def width(self) -> int:
        """Width of the PCIe streams in bits."""
        return 32 * (self.words[1] >> 8 & 0xFF)

    @property
    def reads(self) -> int:
        """Non-posted requests that may be under way."""
        return self.words[1] >> 16 & 0xFF

    @property
    def windows(self) -> int:
        """Inbound windows."""
        return 1 + (self.words[1] >> 24 & 0xF)

    @property
    def outbound_windows(self) -> int:
        """Outbound windows."""
        return 1 + (self.words[1] >> 28)

    @cached_property
    def bars(self) -> tuple[int, ...]:
        """Bytes of each BAR, 0 for one that does not exist."""
        logs = [self.words[2] >> 5 * bar & 0x1F for bar in range(6)]
        return tuple(1 << log if log else 0 for log in logs)

    @property
    def clock(self) -> int:
        """Frequency of its clock in Hz."""
        return (self.words[3] & 0xFF_FFFF) * 1000

    @property
    def ram_size(self) -> int:
        """Bytes of RAM."""
        return 1 << (self.words[3] >> 24)

    @cached_property
    def tree(self) -> DeviceTree:
        """Device tree of a board: the one with the Messaging Unit, with the board's RAM and windows."""
        tree = devicetree.load(devicetree.builtin())
        endpoint = tree.endpoint
        memory = Region(endpoint.memory.address, self.ram_size)
        windows = {"inbound_windows": self.windows, "outbound_windows": self.outbound_windows}
        return replace(tree, endpoint=replace(endpoint, memory=memory, **windows))
