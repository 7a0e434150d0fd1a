"""Registers of the DesignWare eDMA, version 0: what its two maps hold besides the emulation latch.

Written from the public description of the block (offsets, bits, resets as Linux's ``dw-edma-v0-regs.h`` and the
register texts that vendors print have them). The table is this file's own, so that a wrong table elsewhere cannot agree
with itself. A register whose fields no document names keeps all 32 bits.
"""

from typing import Final

__all__ = [
    "STROBED",
    "EdmaRegisters",
]

STROBED: Final = tuple(sum(0xFF << 8 * lane for lane in range(4) if strobes >> lane & 1) for strobes in range(16))
"""Bits that the byte strobes of one 32-bit write select."""

_ALL = 0xFFFF_FFFF
_DMA_CTRL = 0x008
_VIEWPORT_SEL = 0x0FC
_BANK = 0x100
_LIE = 1 << 3

# INT_STATUS, INT_MASK, INT_CLEAR, the error status that goes with ABORT, LINKED_LIST_ERR_EN, first IMWR_DATA.
_WRITE = (0x04C, 0x054, 0x058, 0x05C, 0x090, 0x070)
_READ = (0x0A0, 0x0A8, 0x0AC, 0x0B4, 0x0C4, 0x0DC)

# Storage that is there whatever the channels are.
_STORAGE = {
    0x000: _ALL,  # CTRL_DATA_ARB_PRIOR
    0x00C: 0x1,  # WRITE_ENGINE_EN
    0x010: 0x8000_0007,  # WRITE_DOORBELL, which starts a transfer and is nothing for the host: STOP, channel
    0x018: _ALL,  # WRITE_CHANNEL_ARB_WEIGHT_LOW
    0x01C: _ALL,
    0x02C: 0x1,  # READ_ENGINE_EN
    0x030: 0x8000_0007,  # READ_DOORBELL
    0x038: _ALL,  # READ_CHANNEL_ARB_WEIGHT_LOW
    0x03C: _ALL,
    0x060: _ALL,  # WRITE_DONE_IMWR_LOW
    0x064: _ALL,
    0x068: _ALL,  # WRITE_ABORT_IMWR_LOW
    0x06C: _ALL,
    0x0CC: _ALL,  # READ_DONE_IMWR_LOW
    0x0D0: _ALL,
    0x0D4: _ALL,  # READ_ABORT_IMWR_LOW
    0x0D8: _ALL,
}

# Only where no bank is in the way.
_UNROLL_STORAGE = {
    0x100: _ALL,  # WRITE_ENGINE_CHGROUP
    0x104: _ALL,  # READ_ENGINE_CHGROUP
    0x108: _ALL,  # WRITE_ENGINE_HSHAKE_CNT_LOW
    0x10C: _ALL,
    0x118: _ALL,  # READ_ENGINE_HSHAKE_CNT_LOW
    0x11C: _ALL,
}
_PWR_EN = (0x128, 0x168)

# CONTROL1 (CB TCB LLP LIE RIE, CS, CCS, LLE), CONTROL2, XFER_SIZE, SAR, DAR, LLP.
_CHANNEL = {0x00: 0x37F} | dict.fromkeys(range(0x04, 0x24, 4), _ALL)


class _Direction:
    """The interrupt registers of the write or of the read channels."""

    def __init__(self, offsets: tuple[int, ...], channels: int) -> None:
        self.status, self.mask_at, self.clear_at, self.error, self.list_errors, self.data = offsets
        self.channels = channels
        self.all = (1 << channels) - 1
        self.both = self.all << 16 | self.all
        self.reset()

    def reset(self) -> None:
        """Nothing done, nothing aborted, every channel masked."""
        self.done = self.abort = 0
        self.mask = self.both

    def step(self, done: int, abort: int, cleared: int) -> None:
        """Clear, then set: a pulse in the clock of its clear stays."""
        self.done = self.done & ~cleared | done & self.all
        self.abort = self.abort & ~(cleared >> 16) | abort & self.all

    def read(self, offset: int) -> int | None:
        """Return an interrupt register, None for any other."""
        if offset == self.status:
            return self.abort << 16 | self.done
        if offset == self.mask_at:
            return self.mask
        return self.abort if offset == self.error else None  # an abort has one kind of cause here

    def storage(self) -> dict[int, int]:
        """Return the storage that has bits for each channel."""
        halves = [0xFFFF if n < self.channels else 0 for n in range(8)]
        data = {self.data + 2 * n: halves[n + 1] << 16 | halves[n] for n in range(0, 8, 2)}
        return {self.list_errors: self.both, **data}


class EdmaRegisters:
    """One register block, offsets relative to its base.

    Parameters
    ----------
    write_channels, read_channels
        Number of channels, 1 to 8 each.
    legacy
        Whether the channels share one bank behind VIEWPORT_SEL.

    Attributes
    ----------
    size
        Bytes that the registers take.
    rings, clears
        Offsets of both INT_STATUS and both INT_CLEAR.
    """

    def __init__(self, write_channels: int, read_channels: int, legacy: bool) -> None:
        self._legacy = legacy
        self._directions = (_Direction(_WRITE, write_channels), _Direction(_READ, read_channels))
        self._control = read_channels << 16 | write_channels
        self._writable = dict(_STORAGE)
        for direction in self._directions:
            self._writable |= direction.storage()
        if legacy:
            self._writable[_VIEWPORT_SEL] = 0x8000_0007
        else:
            self._writable |= _UNROLL_STORAGE
            for first, direction in zip(_PWR_EN, self._directions, strict=True):
                self._writable |= dict.fromkeys(range(first, first + 4 * direction.channels, 4), _ALL)
        self._blocks = [[self._block(read, n) for n in range(d.channels)] for read, d in enumerate(self._directions)]
        for block in (*self._blocks[0], *self._blocks[1]):
            self._writable |= {block + register: mask for register, mask in _CHANNEL.items()}
        self.size = 0x200 if legacy else 0x200 + 0x200 * max(write_channels, read_channels)
        self.rings = tuple(direction.status for direction in self._directions)
        self.clears = tuple(direction.clear_at for direction in self._directions)
        self.reset()

    def reset(self) -> None:
        """Return every register to its reset value."""
        self._held = dict.fromkeys(self._writable, 0)
        for direction in self._directions:
            direction.reset()

    def masked(self, pulse: str) -> int:
        """Return the channels whose interrupt of an input, such as ``"wr_done"``, is masked, bit n for channel n."""
        direction = self._directions[pulse.startswith("rd")]
        return direction.mask >> (16 if pulse.endswith("abort") else 0) & direction.all

    @property
    def irq(self) -> bool:
        """Whether a channel asks for an interrupt: unmasked and enabled by its LIE."""
        for direction, blocks in zip(self._directions, self._blocks, strict=True):
            asking = direction.done & ~direction.mask | direction.abort & ~(direction.mask >> 16)
            if asking and any(asking >> n & 1 and self._held[block] & _LIE for n, block in enumerate(blocks)):
                return True
        return False

    def read(self, offset: int) -> int:
        """Return what a read shows; it has no side effect, and what is not there reads zero."""
        if offset == _DMA_CTRL:
            return self._control
        for direction in self._directions:
            value = direction.read(offset)
            if value is not None:
                return value
        return self._held.get(self._locate(offset), 0)

    def step(self, write: tuple[int, int, int] | None, done: tuple[int, int], abort: tuple[int, int]) -> None:
        """Advance by one clock: a write, and what the write and the read channels report."""
        offset, data, selected = (None, 0, 0) if write is None else (write[0], write[1], STROBED[write[2]])
        for n, direction in enumerate(self._directions):
            direction.step(done[n], abort[n], data & selected if offset == direction.clear_at else 0)
            if offset == direction.mask_at:
                direction.mask = (direction.mask & ~selected | data & selected) & direction.both
        if offset is not None:
            where = self._locate(offset)
            if where in self._writable:
                selected &= self._writable[where]
                self._held[where] = self._held[where] & ~selected | data & selected

    def _block(self, read: int, channel: int) -> int:
        """Return where a channel is kept: its place in the unroll map, in a bank too far out for any offset."""
        return (0x1_0000 if self._legacy else 0) + 0x200 + 0x200 * channel + 0x100 * read

    def _locate(self, offset: int) -> int:
        """Send an offset in the bank to the channel that the viewport selects; any other is itself."""
        if not self._legacy or not _BANK <= offset < _BANK + 0x100:
            return offset
        viewport = self._held[_VIEWPORT_SEL]
        return self._block(viewport >> 31, viewport & 0x7) + offset - _BANK
