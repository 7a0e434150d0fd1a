"""The controller page: identity, interrupts towards the host, counters of refusals and of bells, what failed."""

from collections import deque
from collections.abc import Callable

from .edma import PERSONALITIES, EdmaPage
from .intx import Intx
from .msi import MsiQueue
from .msix import Msix
from .mu import MessagingUnit
from .outbound import Cause
from .ram import Ram

__all__ = [
    "ControllerPage",
]

_IDENTITY = 0x4550_424C
_VERSION = 0x0000_0100
_VECTORS = 4
_BELLS, _EDMA_BELL = 0x100, 0x140
_COUNTERS = {
    0x018: "msi_sent",
    0x01C: "msi_refused",
    0x020: "writes_refused",
    0x024: "reads_refused",
    0x028: "unsupported",
    0x02C: "discontinued",
    0x030: "malformed",
    0x068: "outbound_failed",
    0x0AC: "flrs",
}
_MSI_RAISE, _MSI_STATUS = 0x010, 0x014
_CLEAR = 0x040
_INTX = 0x044
_MSIX_RAISE, _MSIX_STATUS = 0x048, 0x04C
_MSIX_TABLE, _MSIX_PBA, _MSIX_SIZE = 0x050, 0x054, 0x058
_OUTBOUND_CAUSE, _OUTBOUND_ADDRESS = 0x060, 0x064
_MSI_MASK, _MSI_PENDING = 0x06C, 0x070
_MSIX_SENT, _MSIX_HELD, _MSIX_MERGED = 0x074, 0x078, 0x07C
_MSI_HELD, _MSI_MERGED, _INTX_MERGED, _MSIX_REFUSED = 0x0B0, 0x0B4, 0x0B8, 0x0BC
_BARS = 0x090
_FUNCTION = 0x0A8


class ControllerPage:
    """Registers that only the endpoint's processor reaches.

    Cycle counts are the one thing a model without a clock cannot know; they read zero.

    Parameters
    ----------
    mu
        The Messaging Unit whose bells are counted.
    edma
        The eDMA whose bell is counted.
    windows, guard, lines
        What FEATURES reports: inbound windows, whether there is a guard, interrupt lines of the eDMA.
    ram
        Where the table and the pending bits of MSI-X are.

    Attributes
    ----------
    msi, msix, intx
        The ways to interrupt the host. They hold the function's settings too.
    on_raise
        Called when an interrupt was raised.
    cause, failed_address
        Why and where the processor's last failed access to the host failed.
    bars
        The function's six base address registers, as the host reads them.
    resets
        Goes up with every reset of the function, in whatever way.
    flr
        The host has reset the function since the processor last cleared this.
    """

    def __init__(
        self,
        mu: MessagingUnit,
        edma: EdmaPage,
        windows: int,
        guard: bool,
        lines: int = 1,
        *,
        ram: Ram | None = None,
    ) -> None:
        self._mu = mu
        self._edma = edma
        self._features = windows << 8 | _VECTORS << 16 | guard << 24
        self._features |= PERSONALITIES.index(edma.personality) << 25 | lines << 27
        self._bells_at_clear = self._bells()
        self.msi = MsiQueue()
        self.msix = Msix(Ram(0x1_0000) if ram is None else ram)
        self.intx = Intx()
        self.cause = Cause.NONE
        self.failed_address = 0
        self.bars = [0] * 6
        self.flr = False
        self.resets = 0
        self._master = self._d3hot = False
        self.on_raise: Callable[[], None] = lambda: None
        self.counts = dict.fromkeys(_COUNTERS.values(), 0)

    # -- the function's settings, the same for every way to interrupt --------------------------------------------------

    @property
    def queue(self) -> deque[int]:
        """MSIs on their way."""
        return self.msi.queue

    @property
    def enabled(self) -> bool:
        """Whether the host enabled MSI."""
        return self.msi.enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self.msi.enabled = value

    @property
    def multiple(self) -> int:
        """Log2 of the MSI vectors that the host granted."""
        return self.msi.multiple

    @multiple.setter
    def multiple(self, value: int) -> None:
        self.msi.multiple = value

    @property
    def master(self) -> bool:
        """Whether the host enabled bus mastering."""
        return self._master

    @master.setter
    def master(self, value: bool) -> None:
        self._master = value
        self._follow()

    @property
    def d3hot(self) -> bool:
        """Whether the function is in D3hot: nothing leaves, whatever else the host allows."""
        return self._d3hot

    @d3hot.setter
    def d3hot(self, value: bool) -> None:
        self._d3hot = self.intx.asleep = value
        self._follow()

    @property
    def may_request(self) -> bool:
        """Whether the function may make requests now."""
        return self._master and not self._d3hot

    def _follow(self) -> None:
        self.msi.master = self.msix.master = self.may_request
        self.msix.update()

    @property
    def due(self) -> bool:
        """Whether a message to the host is to be sent now."""
        return self.msi.due or bool(self.msix.queue) or self.intx.due

    def next_msi(self) -> int | None:
        """Take the MSI that may be sent now, None when there is none or the host does not let us."""
        vector = self.msi.next()
        self.counts["msi_sent"] += vector is not None
        return vector

    def fail(self, cause: Cause, address: int) -> None:
        """Note why an access of the processor to the host failed."""
        self.cause, self.failed_address = cause, address
        self.counts["outbound_failed"] += 1

    # -- registers -----------------------------------------------------------------------------------------------------

    def read32(self, offset: int) -> int:
        """Read a register; reserved offsets read zero."""
        if offset in _COUNTERS:
            return min(0xFFFF_FFFF, self.counts[_COUNTERS[offset]])
        if _BELLS <= offset < _EDMA_BELL + 0x10 and offset & 0xC != 0xC:
            return self._bell(offset - _BELLS >> 4, offset >> 2 & 0x3)
        if _BARS <= offset < _BARS + 4 * len(self.bars):
            return self.bars[(offset - _BARS) // 4]
        constants = {0x000: _IDENTITY, 0x004: _VERSION, 0x008: self._features}
        read = {
            _MSI_STATUS: self._msi_status,
            _INTX: lambda: self.intx.level | self.intx.busy << 8 | self.intx.asserted << 9,
            _MSIX_STATUS: self._msix_status,
            _MSIX_TABLE: lambda: self.msix.table,
            _MSIX_PBA: lambda: self.msix.pba,
            _MSIX_SIZE: lambda: self.msix.last | self.msix.on << 31,
            _OUTBOUND_CAUSE: lambda: int(self.cause),
            _OUTBOUND_ADDRESS: lambda: self.failed_address,
            _MSI_MASK: lambda: self.msi.mask,
            _MSI_PENDING: lambda: self.msi.pending,
            _MSIX_SENT: lambda: self.msix.sent,
            _MSIX_HELD: lambda: self.msix.held,
            _MSIX_MERGED: lambda: self.msix.merged,
            _MSI_HELD: lambda: self.msi.held,
            _MSI_MERGED: lambda: self.msi.merged,
            _INTX_MERGED: lambda: self.intx.merged,
            _MSIX_REFUSED: lambda: self.msix.refused,
            _FUNCTION: lambda: self.flr | self._d3hot << 2,
        }.get(offset)
        return constants.get(offset, 0) if read is None else read()

    def write32(self, offset: int, value: int, strobes: int = 0xF) -> None:
        """Write the bytes of a register that ``strobes`` selects."""
        mask = sum(0xFF << 8 * lane for lane in range(4) if strobes >> lane & 1)
        if offset == _MSIX_RAISE and strobes & 0b11:
            self.msix.raise_(value & mask & 0x7FF)
            self.on_raise()
        elif offset in (_MSIX_TABLE, _MSIX_PBA, _MSIX_SIZE):
            self._set_up_msix(offset, value, mask)
        elif strobes & 1:
            self._write_byte_0(offset, value)

    def reset(self, mu: MessagingUnit) -> None:
        """Forget what is queued and counted; count the bells of ``mu`` and of the eDMA from now on."""
        self._mu = mu
        self.msi.forget()
        self.msix.reset()
        self.intx.reset()
        self.cause, self.failed_address = Cause.NONE, 0
        self.flr = False
        self._clear()

    def function_reset(self) -> None:
        """Forget what the host was to be told, as a reset of the function does; registers but INTX.LEVEL stay."""
        self.resets += 1
        self.msi.forget()
        self.msix.forget()
        self.intx.reset()

    def _write_byte_0(self, offset: int, value: int) -> None:
        if offset == _MSI_RAISE:
            self.msi.raise_(value & 0x1F)
            self.on_raise()
        elif offset == _CLEAR and value & 1:
            self._clear()
        elif offset == _INTX:
            self.intx.level = bool(value & 1)
            if value & 2:
                self.intx.pulse()
            self.on_raise()
        elif offset == _OUTBOUND_CAUSE and not value & 0x7:
            self.cause = Cause.NONE
        elif offset == _FUNCTION and value & 1:
            self.flr = False

    def _set_up_msix(self, offset: int, value: int, mask: int) -> None:
        word = self.read32(offset) & ~mask | value & mask
        if offset == _MSIX_TABLE:
            self.msix.table = word & ~0x7
        elif offset == _MSIX_PBA:
            self.msix.pba = word & ~0x7
        else:
            self.msix.last, self.msix.on = word & 0x7FF, bool(word >> 31)
        self.msix.update()

    def _msi_status(self) -> int:
        msi = self.msi
        msi.update()
        status = msi.enabled | msi.multiple << 1 | self.master << 17
        busy = bool(msi.queue) or bool(msi.pending & ~msi.mask)
        return status | msi.room << 8 | busy << 16

    def _msix_status(self) -> int:
        msix = self.msix
        status = msix.enabled | msix.function_mask << 1 | msix.room << 8
        return status | bool(msix.queue) << 16 | self.master << 17 | bool(msix.pending) << 18

    def _clear(self) -> None:
        self.counts = dict.fromkeys(self.counts, 0)
        self.msix.clear_counts()
        self.msi.held = self.msi.merged = self.intx.merged = 0
        self._bells_at_clear = self._bells()

    def _bells(self) -> list[tuple[int, ...]]:
        """Return rung, merged and delivered of every vector, then of the eDMA."""
        return [*self._mu.bells(), (self._edma.rung, self._edma.merged, self._edma.delivered)]

    def _bell(self, bell: int, which: int) -> int:
        return min(0xFFFF_FFFF, self._bells()[bell][which] - self._bells_at_clear[bell][which])
