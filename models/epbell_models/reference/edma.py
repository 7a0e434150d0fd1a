"""Register-exact model of the eDMA page with its interrupt emulation: one step per clock.

A write to either INT_STATUS asserts the line, whatever its data; a write to either INT_CLEAR takes that back. Silicon
does so for tests, and Linux uses it as a doorbell. What the documents leave open is decided in the design: one latch
for both directions, set wins over clear, neither INT_MASK nor ENGINE_EN nor LIE gates it, and INT_STATUS never shows
it.
"""

from typing import Final, Literal

from ..devicetree import EdmaNode
from .edma_doorbell import DoorbellRegisters
from .edma_v0 import EdmaRegisters
from .hdma import HdmaRegisters

__all__ = [
    "PERSONALITIES",
    "EdmaPage",
    "EdmaPersonality",
]

EdmaPersonality = Literal["unroll", "legacy", "hdma"]
PERSONALITIES: Final[tuple[EdmaPersonality, ...]] = ("unroll", "legacy", "hdma")

_PAGE = 0x1_0000
_LEGACY_BASE = 0x970


class EdmaPage:
    """The 64 KiB page, its registers at ``base``.

    Parameters
    ----------
    personality
        ``"unroll"``: every channel has a block of its own. ``"legacy"``: one bank behind VIEWPORT_SEL. ``"hdma"``: the
        native HDMA, without emulation.
    write_channels, read_channels
        Number of channels, 1 to 8 each.
    base
        Byte offset of the registers in the page; None for 0x970 with ``"legacy"`` and 0 otherwise.
    doorbell_only
        Whether there is nothing but the emulation: the channels are named, and that is all. Not with ``"hdma"``.

    Attributes
    ----------
    latched
        The emulation latch.
    rung, merged, delivered
        Loss accounting: ``rung == merged + delivered + latched`` at any time.
    doorbells
        Offsets in the page of the words that ring.
    doorbell_only
        Whether channels neither hold anything nor end.

    Raises
    ------
    ValueError
        If a parameter is not one of these.

    Notes
    -----
    :meth:`step` is one clock edge. Reads show the state before it. At the edge clears take effect before sets: a pulse
    or a ring in the clock of its clear is not lost.
    """

    def __init__(
        self,
        personality: str = "unroll",
        write_channels: int = 4,
        read_channels: int = 4,
        base: int | None = None,
        *,
        doorbell_only: bool = False,
    ) -> None:
        if personality not in PERSONALITIES:
            raise ValueError(f"The personality of an eDMA is one of {', '.join(PERSONALITIES)}, not {personality!r}")
        for way, channels in (("write", write_channels), ("read", read_channels)):
            if not 1 <= channels <= 8:
                raise ValueError(f"An eDMA has 1 to 8 {way} channels, not {channels!r}")
        if doorbell_only and personality == "hdma":
            raise ValueError("An eDMA that is a doorbell only is unroll or legacy, not 'hdma'")
        self.personality: EdmaPersonality = personality
        self.doorbell_only = doorbell_only
        self.write_channels = write_channels
        self.read_channels = read_channels
        if doorbell_only:
            self._registers = DoorbellRegisters(write_channels, read_channels)
        elif personality == "hdma":
            self._registers = HdmaRegisters(write_channels, read_channels)
        else:
            self._registers = EdmaRegisters(write_channels, read_channels, personality == "legacy")
        self.base = (_LEGACY_BASE if personality == "legacy" else 0) if base is None else base
        last = _PAGE - self._registers.size
        if self.base % 4 or not 0 <= self.base <= last:
            raise ValueError(f"The registers of this eDMA start at a multiple of 4 up to {last:#x}, not {base!r}")
        self.doorbells = tuple(self.base + offset for offset in self._registers.rings)
        self._clears = tuple(self.base + offset for offset in self._registers.clears)
        self.reset()

    @staticmethod
    def of(node: EdmaNode) -> "EdmaPage":
        """Return the page that a device tree describes."""
        return EdmaPage(
            node.personality, node.write_channels, node.read_channels, node.offset, doorbell_only=node.doorbell_only
        )

    def reset(self) -> None:
        """Return registers, latch and counts to their reset values."""
        self._registers.reset()
        self.latched = False
        self.rung = self.merged = self.delivered = 0

    @property
    def irq(self) -> bool:
        """Level of the interrupt line, of each of them if there are several, after the last step."""
        return self.latched or self._registers.irq

    def masked(self, pulse: str) -> int:
        """Return the channels whose interrupt of an input, such as ``"wr_done"``, is masked, bit n for channel n."""
        return self._registers.masked(pulse)

    def step(
        self,
        write: tuple[int, int, int] | None,
        read: int | None,
        *,
        ring: bool = False,
        wr_done: int = 0,
        wr_abort: int = 0,
        rd_done: int = 0,
        rd_abort: int = 0,
    ) -> int:
        """Advance by one clock.

        Parameters
        ----------
        write
            ``(offset, data, strobes)`` that the bus writes in this clock; strobes bit n is byte n.
        read
            Offset that the bus reads in this clock.
        ring
            Whether the host's doorbell write arrives in this clock, past the bus.
        wr_done, wr_abort, rd_done, rd_abort
            Channels that end, or abort, in this clock, bit n for channel n.

        Returns
        -------
        int
            What the bus reads; 0 when it does not.
        """
        data = 0 if read is None else self._registers.read((read & 0xFFFC) - self.base)
        offset = None
        if write is not None:
            offset = write[0] & 0xFFFC if write[2] else None
            write = (offset - self.base, write[1], write[2]) if offset is not None else None
        self._registers.step(write, (wr_done, rd_done), (wr_abort, rd_abort))
        self._latch(bool(self.doorbells and ring) + (offset in self.doorbells), offset in self._clears)
        return data

    def _latch(self, rings: int, clear: bool) -> None:
        if clear and self.latched:
            self.delivered += 1
            self.latched = False
        if rings:
            self.rung += rings
            self.merged += rings - 1 + self.latched
            self.latched = True

    def read32(self, offset: int) -> int:
        """Spend one clock on one read."""
        return self.step(None, offset)

    def write32(self, offset: int, value: int, strobes: int = 0xF) -> None:
        """Spend one clock on one write."""
        self.step((offset, value, strobes), None)

    def ring(self) -> None:
        """Spend one clock on the host's doorbell write."""
        self.step(None, None, ring=True)

    def pulse(self, *, wr_done: int = 0, wr_abort: int = 0, rd_done: int = 0, rd_abort: int = 0) -> None:
        """Spend one clock in which channels end or abort."""
        self.step(None, None, wr_done=wr_done, wr_abort=wr_abort, rd_done=rd_done, rd_abort=rd_abort)
