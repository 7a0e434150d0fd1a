"""Capabilities of a function's configuration space: power management, MSI, PCI Express, MSI-X.

After the PCI Express Base Specification, 7.5.2 (power management), 7.5.3 (PCI Express), 7.7.1 (MSI) and 7.7.2 (MSI-X).
Offsets are within the capability; the second byte of each, the pointer to the next, belongs to whoever chains them.
"""

from typing import Protocol

__all__ = [
    "Capability",
    "MsiCapability",
    "MsixCapability",
    "PciExpressCapability",
    "PowerCapability",
]

_D0, _D3HOT = 0, 3


class Capability(Protocol):
    """What configuration space needs of one."""

    size: int

    def read32(self, offset: int) -> int:
        """Read a dword."""
        ...

    def write32(self, offset: int, value: int) -> None:
        """Write a dword; read-only bits stay."""
        ...

    def reset(self) -> None:
        """Return to the state after a reset of the function."""
        ...


class MsiCapability:
    """MSI.

    Parameters
    ----------
    vectors_log2
        Log2 of the vectors offered, 0 to 5.
    wide
        Whether addresses have 64 bits.
    maskable
        Whether there are mask and pending bits.

    Attributes
    ----------
    pending
        What the pending bits read.
    """

    def __init__(self, vectors_log2: int = 5, *, wide: bool = True, maskable: bool = False) -> None:
        if not 0 <= vectors_log2 <= 5:
            raise ValueError(f"The log2 of the number of MSI vectors is 0 to 5, not {vectors_log2!r}")
        names = ["address", *(["upper"] if wide else []), "data", *(["mask", "pending"] if maskable else [])]
        self._name_at = dict(enumerate(names, 1))
        self._constant = 0x05 | vectors_log2 << 17 | wide << 23 | maskable << 24
        self._writable = {
            "address": 0xFFFF_FFFC,
            "upper": 0xFFFF_FFFF,
            "data": 0xFFFF,
            "mask": (1 << (1 << vectors_log2)) - 1,
            "pending": 0,
        }
        self.size = 4 + 4 * len(names)
        self.pending = 0
        self.reset()

    def reset(self) -> None:
        """Disable it and zero its registers."""
        self._control = 0
        self._values = dict.fromkeys(self._writable, 0)

    @property
    def enabled(self) -> bool:
        """Whether the host enabled MSI."""
        return bool(self._control >> 16 & 1)

    @property
    def multiple(self) -> int:
        """Log2 of the vectors that the host granted."""
        return self._control >> 20 & 0x7

    @property
    def mask(self) -> int:
        """Vectors that may not be sent, bit n for vector n."""
        return self._values["mask"]

    def message(self, vector: int) -> tuple[int, int]:
        """Return address and word of a vector; a vector beyond those granted aliases to one of them."""
        low = (1 << self.multiple) - 1
        return self._values["upper"] << 32 | self._values["address"], self._values["data"] & ~low | vector & low

    def read32(self, offset: int) -> int:
        """Read a dword."""
        name = self._name_at.get(offset // 4)
        if name == "pending":
            return self.pending
        return self._constant | self._control if name is None else self._values[name]

    def write32(self, offset: int, value: int) -> None:
        """Write a dword; read-only bits stay."""
        name = self._name_at.get(offset // 4)
        if name is None:
            self._control = value & 0x0071_0000
        else:
            self._values[name] = value & self._writable[name]


class MsixCapability:
    """MSI-X; table and pending bits are memory behind BARs.

    Parameters
    ----------
    vectors
        1 to 2048.
    table, pba
        BAR and offset of both; None for the pending bits right behind the table.
    """

    size = 12

    def __init__(
        self, vectors: int = 2048, table: tuple[int, int] = (0, 0x80), pba: tuple[int, int] | None = None
    ) -> None:
        if not 1 <= vectors <= 2048:
            raise ValueError(f"A function has 1 to 2048 MSI-X vectors, not {vectors!r}")
        pba = (table[0], table[1] + 16 * vectors) if pba is None else pba
        for bar, offset in (table, pba):
            if not 0 <= bar < 6 or offset % 8:
                raise ValueError(f"Table and PBA are at multiples of 8 in BAR 0 to 5, not {(bar, offset)!r}")
        self.vectors = vectors
        self._where = table[1] | table[0], pba[1] | pba[0]
        self.reset()

    def reset(self) -> None:
        """Disable it, and unmask the function."""
        self._control = 0

    @property
    def enabled(self) -> bool:
        """Whether the host enabled MSI-X."""
        return bool(self._control >> 31)

    @property
    def function_mask(self) -> bool:
        """Whether no vector may be sent."""
        return bool(self._control >> 30 & 1)

    def read32(self, offset: int) -> int:
        """Read a dword."""
        return (self._control | self.vectors - 1 << 16 | 0x11, *self._where)[offset // 4]

    def write32(self, offset: int, value: int) -> None:
        """Write a dword; read-only bits stay."""
        if offset == 0:
            self._control = value & 0xC000_0000


class PowerCapability:
    """Power management with D0 and D3hot.

    Parameters
    ----------
    no_soft_reset
        Whether the function keeps its settings from D3hot to D0.

    Attributes
    ----------
    woken
        Whether the write just made asks for a reset, since it led from D3hot to D0. Whoever resets clears it.
    """

    size = 8

    def __init__(self, *, no_soft_reset: bool = True) -> None:
        self._no_soft_reset = no_soft_reset
        self.woken = False
        self.reset()

    def reset(self) -> None:
        """Return to D0."""
        self._state = _D0
        self.woken = False

    @property
    def d0(self) -> bool:
        """Whether the function does anything but configuration."""
        return self._state == _D0

    def read32(self, offset: int) -> int:
        """Read a dword."""
        return 0x0003_0001 if offset == 0 else self._state | self._no_soft_reset << 3

    def write32(self, offset: int, value: int) -> None:
        """Write a dword; a state that the function lacks (D1, D2) changes nothing."""
        if offset == 4 and value & 0x3 in (_D0, _D3HOT):
            self.woken = not self._no_soft_reset and self._state == _D3HOT and value & 0x3 == _D0
            self._state = value & 0x3


class PciExpressCapability:
    """PCI Express endpoint, version 2, with function-level reset.

    Attributes
    ----------
    reset_asked
        Whether the write just made starts a function-level reset. Whoever resets clears it.
    """

    size = 0x3C

    # Relaxed ordering and no snoop allowed, read requests of at most 512 bytes.
    _CONTROL_AT_RESET = 0x2810
    # A function-level reset keeps the payload size, which the whole link agreed on.
    _PAYLOAD_SIZE = 0x00E0

    def __init__(self) -> None:
        self.reset_asked = False
        self._control = self._CONTROL_AT_RESET

    def reset(self) -> None:
        """Return to the state after a function-level reset."""
        self.reset_asked = False
        self._control = self._CONTROL_AT_RESET | self._control & self._PAYLOAD_SIZE

    def read32(self, offset: int) -> int:
        """Read a dword."""
        # Version 2; role-based error reporting and function-level reset; one lane of 2.5 GT/s, and that is up.
        return {
            0x00: 0x0002_0010,
            0x04: 0x1000_8000,
            0x08: self._control,
            0x0C: 0x0000_0011,
            0x10: 0x0011_0000,
        }.get(offset, 0)

    def write32(self, offset: int, value: int) -> None:
        """Write a dword; read-only bits stay."""
        if offset == 0x08:
            self._control = value & 0x78FF
            self.reset_asked = bool(value & 0x8000)
