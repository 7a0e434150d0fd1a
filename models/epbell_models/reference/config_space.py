"""Configuration space of a one-function endpoint: a type 0 header with memory BARs, and capabilities."""

from collections.abc import Callable

from .capabilities import Capability, MsiCapability, MsixCapability, PciExpressCapability, PowerCapability

__all__ = [
    "ConfigSpace",
]

_BARS = 6
_BAR0 = 0x10
_COMMAND = 0x04
_INTERRUPT = 0x3C
_MEMORY, _MASTER, _INTX_DISABLE = 1 << 1, 1 << 2, 1 << 10
_CAPABILITIES, _INTERRUPT_STATUS = 1 << 20, 1 << 19
_COMMAND_WRITABLE = 0x0546
_POWER_AT, _MSI_AT, _EXPRESS_AT, _MSIX_AT = 0x40, 0x50, 0x70, 0xB0


class ConfigSpace:
    """The registers a host sees before it may touch memory.

    Parameters
    ----------
    bar_sizes
        Sizes in bytes, powers of two from 16, 0 for a BAR that does not exist.
    wide_bars
        BARs that are the lower half of a 64-bit pair.
    vendor, device, class_code
        Identity, 16, 16 and 24 bits.
    msi_vectors_log2
        Log2 of the MSI vectors offered, 0 to 5.
    msi
        The MSI capability; None for one with 64-bit addresses and without mask bits.
    msix, power, express
        Further capabilities, None for none.
    pin
        Interrupt pin, 1 to 4 for INTA to INTD, 0 for none.

    Attributes
    ----------
    interrupt_status
        Whether the function has an INTx to tell of.
    on_function_reset
        Called after any reset of the function: a function-level one, a hot one, or a wake-up that is one.
    on_flr
        Called after a function-level reset, after that.
    """

    def __init__(
        self,
        bar_sizes: tuple[int, ...],
        wide_bars: tuple[int, ...] = (),
        *,
        vendor: int = 0x1957,
        device: int = 0x0808,
        class_code: int = 0xFF_0000,
        msi_vectors_log2: int = 5,
        msi: MsiCapability | None = None,
        msix: MsixCapability | None = None,
        power: PowerCapability | None = None,
        express: PciExpressCapability | None = None,
        pin: int = 0,
    ) -> None:
        if not 0 <= pin <= 4:
            raise ValueError(f"An interrupt pin is 0 to 4, not {pin!r}")
        self._identity = device << 16 | vendor
        self._class = class_code << 8
        self._sizes = bar_sizes
        self._wide = wide_bars
        self._pin = pin
        self.msi = MsiCapability(msi_vectors_log2) if msi is None else msi
        self.msix, self.power, self.express = msix, power, express
        places: list[tuple[int, Capability | None]] = [
            (_POWER_AT, power),
            (_MSI_AT, self.msi),
            (_EXPRESS_AT, express),
            (_MSIX_AT, msix),
        ]
        self._capabilities = {at: capability for at, capability in places if capability is not None}
        self.interrupt_status = False
        self.on_function_reset: Callable[[], None] = lambda: None
        self.on_flr: Callable[[], None] = lambda: None
        self._reset_header()

    @property
    def d0(self) -> bool:
        """Whether the function does anything but configuration."""
        return self.power is None or self.power.d0

    @property
    def bus_master(self) -> bool:
        """Whether the host set Bus Master Enable."""
        return bool(self._command & _MASTER)

    @property
    def memory_enabled(self) -> bool:
        """Whether memory requests are answered."""
        return bool(self._command & _MEMORY) and self.d0

    @property
    def master(self) -> bool:
        """Whether the function may make requests, MSIs included."""
        return self.bus_master and self.d0

    @property
    def msi_enabled(self) -> bool:
        """Whether the host enabled MSI."""
        return self.msi.enabled

    @property
    def msi_multiple(self) -> int:
        """Log2 of the vectors that the host granted."""
        return self.msi.multiple

    @property
    def msix_enabled(self) -> bool:
        """Whether the host enabled MSI-X."""
        return self.msix is not None and self.msix.enabled

    @property
    def msix_masked(self) -> bool:
        """Whether the host masked all of MSI-X."""
        return self.msix is not None and self.msix.function_mask

    @property
    def intx_allowed(self) -> bool:
        """Whether the function may assert its interrupt pin; a message, so bus mastering does not matter."""
        disabled = self._command & _INTX_DISABLE or self.msi_enabled or self.msix_enabled
        return bool(self._pin) and not disabled and self.d0

    def msi_message(self, vector: int) -> tuple[int, int]:
        """Return address and word of a vector; a vector beyond those granted aliases to one of them."""
        return self.msi.message(vector)

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
        for at, capability in self._capabilities.items():
            if at <= offset < at + capability.size:
                return capability.read32(offset - at) | (self._next(at) << 8 if offset == at else 0)
        return {
            0x00: self._identity,
            _COMMAND: _CAPABILITIES | self._command | (_INTERRUPT_STATUS if self.interrupt_status else 0),
            0x08: self._class,
            0x34: self._next(0),
            _INTERRUPT: self._line | self._pin << 8,
        }.get(offset, 0)

    def write32(self, offset: int, value: int) -> None:
        """Write a dword; read-only bits stay."""
        if offset == _COMMAND:
            self._command = value & _COMMAND_WRITABLE
        elif _BAR0 <= offset < _BAR0 + 4 * _BARS:
            bar = (offset - _BAR0) // 4
            self._bars[bar] = value & (0xFFFF_FFFF if bar - 1 in self._wide else self._mask(bar))
        elif offset == _INTERRUPT:
            self._line = value & 0xFF
        for at, capability in self._capabilities.items():
            if at <= offset < at + capability.size:
                capability.write32(offset - at, value)
        flr = self.express is not None and self.express.reset_asked
        if flr or (self.power and self.power.woken):
            self.reset()
        if flr:
            self.on_flr()

    def reset(self) -> None:
        """Do what a reset of the function does: everything the host set is gone."""
        self._reset_header()
        for capability in self._capabilities.values():
            capability.reset()
        self.on_function_reset()

    def _reset_header(self) -> None:
        self._command = 0
        self._bars = [0] * _BARS
        self._line = 0

    def _next(self, at: int) -> int:
        """Return where the capability after ``at`` is, 0 after the last."""
        return min((place for place in self._capabilities if place > at), default=0)

    def _read_bar(self, bar: int) -> int:
        return self._bars[bar] | (0x4 if bar in self._wide else 0)

    def _mask(self, bar: int) -> int:
        return ~(self._sizes[bar] - 1) & 0xFFFF_FFF0 if self._sizes[bar] else 0
