"""The endpoint's pins as messages say them: inputs that the hard block drives, outputs that it looks at."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["FromBoard", "ToBoard"]

_LEVELS = (
    ("function_status", 0, 4),
    ("power_state", 4, 3),
    ("flr_in_process", 7, 1),
    ("msi_enable", 8, 1),
    ("msi_multiple", 9, 3),
    ("msix_enable", 12, 1),
    ("msix_mask", 13, 1),
    ("msi_sent", 16, 1),
    ("msi_fail", 17, 1),
    ("msi_mask_update", 18, 1),
    ("intx_sent", 19, 1),
)
_DMA = ("wr_done", "wr_abort", "rd_done", "rd_abort")


@dataclass(frozen=True)
class ToBoard:
    """Inputs. Those from ``msi_sent`` on are pulses of one clock, the others stay as they are.

    Raises
    ------
    ValueError
        If one has more bits than there are.
    """

    function_status: int = 0
    power_state: int = 0
    flr_in_process: int = 0
    msi_enable: int = 0
    msi_multiple: int = 0
    msix_enable: int = 0
    msix_mask: int = 0
    msi_mask: int = 0
    msi_sent: int = 0
    msi_fail: int = 0
    msi_mask_update: int = 0
    intx_sent: int = 0
    wr_done: int = 0
    wr_abort: int = 0
    rd_done: int = 0
    rd_abort: int = 0

    def __post_init__(self) -> None:
        for name, _, bits in (*_LEVELS, *((name, 0, 8) for name in _DMA), ("msi_mask", 0, 32)):
            value = getattr(self, name)
            if not 0 <= value < 1 << bits:
                raise ValueError(f"{name} must have {bits} bits, not {value:#x}")

    def changed(self, **pins: int) -> ToBoard:
        """Return them with some of them changed."""
        return replace(self, **pins)

    def words(self) -> tuple[int, int, int]:
        """Return the message's dwords."""
        first = sum(getattr(self, name) << place for name, place, _ in _LEVELS)
        return first, self.msi_mask, sum(getattr(self, name) << 8 * index for index, name in enumerate(_DMA))


@dataclass(frozen=True)
class FromBoard:
    """Outputs: interrupt lines, INTA and Interrupt Status, the end of a reset, MSIs that are asked for and pending."""

    irq_mu: bool
    irq_edma: bool
    intx: bool
    intx_pending: bool
    flr_done: bool
    msi: int
    msi_pending: int

    @classmethod
    def of(cls, words: tuple[int, ...]) -> FromBoard:
        """Read the message's dwords."""
        levels, msi, pending = words
        irq_mu, irq_edma, intx, intx_pending, flr_done = (bool(levels >> bit & 1) for bit in range(5))
        return cls(irq_mu, irq_edma, intx, intx_pending, flr_done, msi, pending)
