"""Configuration space of a one-function endpoint: a type 0 header with memory BARs and an MSI capability."""

__all__ = [
    "ConfigSpace",
]

_BARS = 6
_BAR0 = 0x10
_COMMAND = 0x04
_MSI = 0x50
_MSI_CAPABILITY = 0x05
_MEMORY, _MASTER = 1 << 1, 1 << 2
_COMMAND_WRITABLE = 0x0546
_MSI_WRITABLE = 0x0071_0000


class ConfigSpace:
    """The registers a host sees before it may touch memory.

    Parameters
    ----------
    bar_sizes
        Sizes in bytes, powers of two from 16, 0 for a BAR that does not exist.
    wide_bars
        BARs that are the lower half of a 64-bit pair.
    vendor, device
        Identity.
    msi_vectors_log2
        Log2 of the MSI vectors offered, 0 to 5.
    """

    def __init__(
        self,
        bar_sizes: tuple[int, ...],
        wide_bars: tuple[int, ...] = (),
        *,
        vendor: int = 0x1957,
        device: int = 0x0808,
        msi_vectors_log2: int = 5,
    ) -> None:
        self._identity = device << 16 | vendor
        self._sizes = bar_sizes
        self._wide = wide_bars
        self._command = 0
        self._bars = [0] * _BARS
        self._line = 0
        self._msi_control = 0x0080_0000 | msi_vectors_log2 << 17 | _MSI_CAPABILITY
        self._msi = [0, 0, 0]

    @property
    def memory_enabled(self) -> bool:
        """Whether memory requests are answered."""
        return bool(self._command & _MEMORY)

    @property
    def master(self) -> bool:
        """Whether the function may send MSIs."""
        return bool(self._command & _MASTER)

    @property
    def msi_enabled(self) -> bool:
        """Whether the host enabled MSI."""
        return bool(self._msi_control >> 16 & 1)

    @property
    def msi_multiple(self) -> int:
        """Log2 of the vectors that the host granted."""
        return self._msi_control >> 20 & 0x7

    def msi_message(self, vector: int) -> tuple[int, int]:
        """Return address and word of a vector; a vector beyond those granted aliases to one of them."""
        mask = (1 << self.msi_multiple) - 1
        return self._msi[1] << 32 | self._msi[0], self._msi[2] & ~mask | vector & mask

    def bar_address(self, bar: int) -> int:
        """Return what the host wrote to a BAR, both halves."""
        low = self._bars[bar] & self._mask(bar)
        return self._bars[bar + 1] << 32 | low if bar in self._wide else low

    def decode(self, address: int) -> tuple[int, int] | None:
        """Return BAR and offset of a bus address, None when no BAR claims it."""
        if not self.memory_enabled:
            return None
        for bar, size in enumerate(self._sizes):
            base = self.bar_address(bar)
            if size and base <= address < base + size:
                return bar, address - base
        return None

    def read32(self, offset: int) -> int:
        """Read a dword; what is not implemented reads zero."""
        if _BAR0 <= offset < _BAR0 + 4 * _BARS:
            return self._read_bar((offset - _BAR0) // 4)
        if _MSI + 4 <= offset <= _MSI + 0xC:
            return self._msi[(offset - _MSI) // 4 - 1]
        return {
            0x00: self._identity,
            _COMMAND: 0x0010_0000 | self._command,
            0x08: 0xFF00_0000,
            0x34: _MSI,
            0x3C: self._line,
            _MSI: self._msi_control,
        }.get(offset, 0)

    def write32(self, offset: int, value: int) -> None:
        """Write a dword; read-only bits stay."""
        if offset == _COMMAND:
            self._command = value & _COMMAND_WRITABLE
        elif _BAR0 <= offset < _BAR0 + 4 * _BARS:
            bar = (offset - _BAR0) // 4
            self._bars[bar] = value & (0xFFFF_FFFF if bar - 1 in self._wide else self._mask(bar))
        elif offset == 0x3C:
            self._line = value & 0xFF
        elif offset == _MSI:
            self._msi_control = self._msi_control & ~_MSI_WRITABLE | value & _MSI_WRITABLE
        elif _MSI + 4 <= offset <= _MSI + 0xC:
            self._msi[(offset - _MSI) // 4 - 1] = value & (0xFFFF_FFFC if offset == _MSI + 4 else 0xFFFF_FFFF)

    def _read_bar(self, bar: int) -> int:
        return self._bars[bar] | (0x4 if bar in self._wide else 0)

    def _mask(self, bar: int) -> int:
        return ~(self._sizes[bar] - 1) & 0xFFFF_FFF0 if self._sizes[bar] else 0
