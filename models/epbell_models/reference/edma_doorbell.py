"""Registers of a DesignWare eDMA that is a doorbell only: DMA_CTRL, and INT_STATUS, INT_MASK and INT_CLEAR.

What a driver has to find before it takes the emulated interrupt, at the offsets of the whole eDMA. The table is this
file's own, so that a wrong table elsewhere cannot agree with itself.
"""

__all__ = ["DoorbellRegisters"]

_DMA_CTRL = 0x008
_MASK_OF_WRITES, _MASK_OF_READS = 0x054, 0x0A8


class DoorbellRegisters:
    """One register block, offsets relative to its base. No channel ever reports anything.

    Parameters
    ----------
    write_channels, read_channels
        Numbers of channels that DMA_CTRL tells, 1 to 8 each.

    Attributes
    ----------
    size
        Bytes that the registers take.
    rings, clears
        Offsets of both INT_STATUS and both INT_CLEAR.
    irq
        Whether a channel asks for an interrupt: never.
    """

    size = 0x100
    rings = (0x04C, 0x0A0)
    clears = (0x058, 0x0AC)
    irq = False

    def __init__(self, write_channels: int, read_channels: int) -> None:
        self._control = read_channels << 16 | write_channels
        ones = (1 << write_channels) - 1, (1 << read_channels) - 1
        self._all = {"wr": ones[0], "rd": ones[1]}
        self._masks = {_MASK_OF_WRITES: ones[0] << 16 | ones[0], _MASK_OF_READS: ones[1] << 16 | ones[1]}

    def reset(self) -> None:
        """Do nothing: there is nothing to reset."""

    def masked(self, pulse: str) -> int:
        """Return the channels whose interrupt of an input, such as ``"wr_done"``, does not get out: all of them."""
        return self._all[pulse[:2]]

    def read(self, offset: int) -> int:
        """Return what a read shows; what is not there reads zero, and so do INT_STATUS and INT_CLEAR."""
        return self._control if offset == _DMA_CTRL else self._masks.get(offset, 0)

    def step(self, write: tuple[int, int, int] | None, done: tuple[int, int], abort: tuple[int, int]) -> None:
        """Advance by one clock: nothing is stored, and what channels report comes to nothing."""
