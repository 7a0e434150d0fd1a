"""Registers of the native HDMA: a block for every channel, no global one, and no interrupt emulation.

Written from the public description of the block (Linux's ``dw-hdma-v0-regs.h``). Its databook says that the test
interrupt of the older DMA does not exist here: a write to INT_STAT does nothing.
"""

from .edma_v0 import STROBED

__all__ = [
    "HdmaRegisters",
]

_ALL = 0xFFFF_FFFF
_INT_STAT, _INT_SETUP, _INT_CLEAR = 0x84, 0x88, 0x8C
_STOP, _ABORT = 1 << 0, 1 << 2
_LOCAL_STOP, _LOCAL_ABORT = 1 << 4, 1 << 6

_STORAGE = {
    0x00: 0x1,  # CH_EN
    0x04: 0x1,  # DOORBELL, which starts a transfer and is nothing for the host
    0x08: _ALL,  # PREFETCH
    0x10: _ALL,  # LLP
    0x14: _ALL,
    0x18: _ALL,  # CYCLE_SYNC
    0x1C: _ALL,  # XFER_SIZE
    0x20: _ALL,  # SAR
    0x24: _ALL,
    0x28: _ALL,  # DAR
    0x2C: _ALL,
    0x30: _ALL,  # WATERMARK_EN
    0x34: _ALL,  # CONTROL1
    0x38: _ALL,  # FUNC_NUM
    0x80: _ALL,  # CH_STAT
    _INT_SETUP: 0x7D,  # masks of stop and abort; remote and local enables of either
    0x90: _ALL,  # MSI_STOP
    0x94: _ALL,
    0x98: _ALL,  # MSI_WATERMARK
    0x9C: _ALL,
    0xA0: _ALL,  # MSI_ABORT
    0xA4: _ALL,
    0xA8: _ALL,  # MSI_MSGDATA
}


class _Channel:
    """One channel's block."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.status = 0
        self.held = dict.fromkeys(_STORAGE, 0)

    @property
    def irq(self) -> bool:
        setup = self.held[_INT_SETUP]
        asking = self.status & ~setup
        stopped, aborted = asking & _STOP and setup & _LOCAL_STOP, asking & _ABORT and setup & _LOCAL_ABORT
        return bool(stopped or aborted)

    def step(self, write: tuple[int, int, int] | None, done: bool, abort: bool) -> None:
        register, data, strobes = write if write is not None else (None, 0, 0)
        selected = STROBED[strobes]
        if register == _INT_CLEAR:
            self.status &= ~(data & selected)
        elif register in _STORAGE:
            selected &= _STORAGE[register]
            self.held[register] = self.held[register] & ~selected | data & selected
        self.status |= (_STOP if done else 0) | (_ABORT if abort else 0)


class HdmaRegisters:
    """All channels: write channel n at ``0x200 * n``, read channel n 0x100 further.

    Parameters
    ----------
    write_channels, read_channels
        Number of channels, 1 to 8 each.

    Attributes
    ----------
    size
        Bytes that the registers take.
    rings, clears
        Empty: there is no latch.
    """

    rings: tuple[int, ...] = ()
    clears: tuple[int, ...] = ()

    def __init__(self, write_channels: int, read_channels: int) -> None:
        self._channels = {(0, n): _Channel() for n in range(write_channels)}
        self._channels |= {(1, n): _Channel() for n in range(read_channels)}
        self.size = 0x200 * max(write_channels, read_channels)

    def reset(self) -> None:
        """Return every register to its reset value."""
        for channel in self._channels.values():
            channel.reset()

    def masked(self, pulse: str) -> int:
        """Return the channels whose interrupt of an input, such as ``"wr_done"``, is masked, bit n for channel n."""
        bit = _ABORT if pulse.endswith("abort") else _STOP
        own = {n: one for (read, n), one in self._channels.items() if read == pulse.startswith("rd")}
        return sum(1 << n for n, one in own.items() if one.held[_INT_SETUP] & bit)

    @property
    def irq(self) -> bool:
        """Whether a channel asks for an interrupt: unmasked and with its local enable."""
        return any(channel.irq for channel in self._channels.values())

    def read(self, offset: int) -> int:
        """Return what a read shows; it has no side effect, and what is not there reads zero."""
        channel = self._channels.get((offset >> 8 & 1, offset >> 9))
        if channel is None:
            return 0
        register = offset & 0xFF
        return channel.status if register == _INT_STAT else channel.held.get(register, 0)

    def step(self, write: tuple[int, int, int] | None, done: tuple[int, int], abort: tuple[int, int]) -> None:
        """Advance by one clock: a write, and what the write and the read channels report."""
        for (read, n), channel in self._channels.items():
            own = write is not None and (write[0] >> 8 & 1, write[0] >> 9) == (read, n)
            here = (write[0] & 0xFF, write[1], write[2]) if own and write is not None else None
            channel.step(here, bool(done[read] >> n & 1), bool(abort[read] >> n & 1))
