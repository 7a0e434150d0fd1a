"""Register-exact model of the i.MX Messaging Unit: both sides, one step per clock of the single-clock build.

Written from the register layouts as the public documents give them ("V1" of i.MX6SX, the i.MX7ULP layout, "V2" of
i.MX8ULP). The offsets below are this file's own, so that a wrong table elsewhere cannot agree with itself. What no
document settles is decided in docs/mu.md and repeated here beside the line that does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LAYOUTS",
    "MUR_CLOCKS",
    "BellCounts",
    "Layout",
    "MessagingUnit",
    "Side",
    "Write",
]

Layout = Literal["imx6sx", "imx7ulp", "imx8ulp"]
Side = Literal["a", "b"]
LAYOUTS: Final[tuple[Layout, ...]] = ("imx6sx", "imx7ulp", "imx8ulp")

MUR_CLOCKS: Final = 4
"""Clocks for which MURS (V1, 7ULP: RS) reads 1 after the clock that wrote MUR."""

# V1 and 7ULP put channel n of every four-bit group at bit 3 - n.
_REVERSED: Final = tuple(int(f"{value:04b}"[::-1], 2) for value in range(16))
# Bits selected by the byte strobes of one 32-bit write.
_STROBED: Final = tuple(sum(0xFF << (8 * lane) for lane in range(4) if strobes >> lane & 1) for strobes in range(16))


class Write(NamedTuple):
    """One 32-bit write: byte offset in the page, data, byte strobes (bit n: byte n)."""

    offset: int
    data: int
    strobes: int = 0xF


class BellCounts(NamedTuple):
    """What became of the words written to one TR: ``rung == merged + delivered + (1 if RF is set)``, across MUR too."""

    rung: int
    merged: int
    delivered: int


class _Face:
    """What one side holds. Masks are in channel order: bit n is channel n."""

    def __init__(self) -> None:
        self.rung = [0, 0, 0, 0]
        self.merged = [0, 0, 0, 0]
        self.delivered = [0, 0, 0, 0]
        self.ring = 0  # TRn written in this clock
        self.request = 0  # GIRn written 1 in this clock
        self.reset_request = 0  # MUR written 1 in this clock
        self.murip_soon = 0  # the far side wrote MUR in the last clock
        self.reset()

    def reset(self) -> None:
        """Return everything but the counts to its reset value."""
        self.data = [0, 0, 0, 0]  # TRn as written; the far side reads it as RRn
        self.full = 0  # TEn is 0 here, RFn is 1 at the far side
        self.gir = 0  # GIRn here, GIPn at the far side
        self.flags = 0
        self.rie = self.tie = self.gie = 0
        self.murie = self.murip = 0


class MessagingUnit:
    """Both sides of one MU.

    Parameters
    ----------
    layout
        ``"imx6sx"``, ``"imx7ulp"`` or ``"imx8ulp"``.

    Raises
    ------
    ValueError
        If the layout is not one of these.

    Notes
    -----
    :meth:`step` is one clock edge. Reads show the state before it. At the edge take effect, in this order: reads,
    writes that clear, writes that set, MUR. So set wins over clear, and MUR wins over everything but the far side's
    MURIP. A TR write with fewer than four strobes is ignored. FUP and EP read 0: with one clock nothing is ever under
    way. After MUR, MURS (RS) reads 1 for :data:`MUR_CLOCKS` clocks, in which both sides work normally.
    """

    def __init__(self, layout: str) -> None:
        if layout not in LAYOUTS:
            raise ValueError(f"The layout of a Messaging Unit is one of {', '.join(LAYOUTS)}, not {layout!r}")
        self.layout: Final = layout
        page = _PageV2 if layout == "imx8ulp" else _Page7ulp if layout == "imx7ulp" else _PageV1
        self._a = _Face()
        self._b = _Face()
        self._page_a = page(self, self._a, self._b)
        self._page_b = page(self, self._b, self._a)
        self.mur_left = 0

    def step(
        self,
        a_write: tuple[int, int, int] | None = None,
        a_read: int | None = None,
        b_write: tuple[int, int, int] | None = None,
        b_read: int | None = None,
    ) -> tuple[int, int]:
        """Advance by one clock.

        Parameters
        ----------
        a_write, b_write
            ``(offset, data, strobes)``, or a :class:`Write`, that side A or B makes in this clock.
        a_read, b_read
            Offset that side A or B reads in this clock.

        Returns
        -------
        tuple[int, int]
            What A and B read; 0 for a side that does not read.
        """
        a, b = self._a, self._b
        a_data = b_data = 0
        if a_read is not None:
            a_data = self._page_a.read(a_read)
        if b_read is not None:
            b_data = self._page_b.read(b_read)
        if a_read is not None:
            self._page_a.consume(a_read)
        if b_read is not None:
            self._page_b.consume(b_read)
        if self.mur_left:
            self.mur_left -= 1
        if a_write is not None:
            self._page_a.write(a_write)
        if b_write is not None:
            self._page_b.write(b_write)
        if a.murip_soon or b.murip_soon:
            a.murip |= a.murip_soon
            b.murip |= b.murip_soon
            a.murip_soon = b.murip_soon = 0
        if a.reset_request or b.reset_request:
            self._reset()
        else:
            if a_write is not None:
                _settle(a)
            if b_write is not None:
                _settle(b)
        return a_data, b_data

    @property
    def a_irq(self) -> bool:
        """Level of A's interrupt line, after the last step."""
        return self._page_a.irq()

    @property
    def b_irq(self) -> bool:
        """Level of B's interrupt line, after the last step."""
        return self._page_b.irq()

    def irq(self, side: str) -> bool:
        """Level of one side's interrupt line."""
        return self.a_irq if side == "a" else self.b_irq

    def irq_meanwhile(
        self,
        side: str,
        a_write: tuple[int, int, int] | None = None,
        b_write: tuple[int, int, int] | None = None,
    ) -> bool:
        """Level of one side's interrupt line while these writes are being made, before the edge that ends them.

        For a unit that decodes each access a clock ahead: a word that comes, and is not thrown away by a MUR of the
        same clock, holds the line already then.
        """
        pages = (self._page_a, a_write), (self._page_b, b_write)
        if any(write is not None and page.resets(write) for page, write in pages):
            return self.irq(side)
        (near, _), (far, write) = pages if side == "a" else pages[::-1]
        return self.irq(side) or bool(write is not None and far.rings(write) & near.enabled_words())

    def read32(self, side: str, offset: int) -> int:
        """Spend one clock on one read."""
        if side == "a":
            return self.step(None, offset, None, None)[0]
        return self.step(None, None, None, offset)[1]

    def write32(self, side: str, offset: int, data: int, strobes: int = 0xF) -> None:
        """Spend one clock on one write."""
        if side == "a":
            self.step((offset, data, strobes), None, None, None)
        else:
            self.step(None, None, (offset, data, strobes), None)

    def bells(self, source: str = "b") -> tuple[BellCounts, ...]:
        """Loss accounting of the four words that ``source`` writes. A word that MUR throws away counts as merged."""
        face = self._b if source == "b" else self._a
        return tuple(BellCounts(face.rung[n], face.merged[n], face.delivered[n]) for n in range(4))

    def unread(self, source: str) -> int:
        """TRn of ``source`` that the other side has not read, bit n for channel n."""
        return self._a.full if source == "a" else self._b.full

    def requested(self, source: str) -> int:
        """GIRn of ``source`` that are 1, bit n for channel n."""
        return self._a.gir if source == "a" else self._b.gir

    def enabled(self, side: str) -> tuple[int, int]:
        """RIEn and GIEn of a side: which words and which requests interrupt it, bit n for channel n."""
        face = self._a if side == "a" else self._b
        return face.rie, face.gie

    def _reset(self) -> None:
        """MUR, both sides at once.

        A TR write in the same clock never was. Words that waited are gone, and count as merged.
        """
        a, b = self._a, self._b
        a.murip_soon, b.murip_soon = b.reset_request, a.reset_request
        for face in (a, b):
            for n in range(4):
                face.merged[n] += face.full >> n & 1
            face.ring = face.request = face.reset_request = 0
            face.reset()
        self.mur_left = MUR_CLOCKS


def _settle(face: _Face) -> None:
    """Apply what one side set in this clock, after everything that cleared."""
    if face.ring:
        for n in range(4):
            if face.ring >> n & 1:
                face.rung[n] += 1
                face.merged[n] += face.full >> n & 1
        face.full |= face.ring
        face.ring = 0
    if face.request:
        # GIR written 1 while it is 1 asks again: the far GIP is latched anew, which shows only against a W1C in this
        # clock.
        face.gir |= face.request
        face.request = 0


class _Page:
    """One side's register window: what is common to the layouts."""

    tr_base = 0x00
    rr_base = 0x10
    mur: tuple[int, int]
    """Offset and bit of MUR."""

    def __init__(self, unit: MessagingUnit, near: _Face, far: _Face) -> None:
        self._unit = unit
        self._near = near
        self._far = far
        self._rr = {self.rr_base + 4 * n: n for n in range(4)}
        self._tr = {self.tr_base + 4 * n: n for n in range(4)}
        self._readers = self._make_readers()
        self._writers = self._make_writers()

    def _make_readers(self) -> dict[int, Callable[[], int]]:
        raise NotImplementedError

    def _make_writers(self) -> dict[int, Callable[[int, int], None]]:
        raise NotImplementedError

    def read(self, offset: int) -> int:
        """Return what a read shows; reserved offsets read zero."""
        offset &= 0xFFFC
        n = self._rr.get(offset)
        if n is not None:
            return self._far.data[n]  # when empty too: the last word, with no effect
        n = self._tr.get(offset)
        if n is not None:
            return self._near.data[n]
        reader = self._readers.get(offset)
        return 0 if reader is None else reader()

    def consume(self, offset: int) -> None:
        """Apply the side effect of a read: RRn empties the far TRn."""
        n = self._rr.get(offset & 0xFFFC)
        if n is not None:
            far = self._far
            bit = 1 << n
            if far.full & bit:
                far.full ^= bit
                far.delivered[n] += 1

    def write(self, write: tuple[int, int, int]) -> None:
        """Store and clear at once, note what is to be set."""
        offset, data, strobes = write
        offset &= 0xFFFC
        n = self._tr.get(offset)
        if n is not None:
            if strobes == 0xF:  # a doorbell is one whole 32-bit store
                self._near.data[n] = data
                self._near.ring = 1 << n
            return
        writer = self._writers.get(offset)
        if writer is not None:
            writer(data, _STROBED[strobes])

    def rings(self, write: tuple[int, int, int]) -> int:
        """Return the channel of the word that a write sends, as a bit; 0 if it sends none."""
        offset, _, strobes = write
        n = self._tr.get(offset & 0xFFFC)
        return 1 << n if n is not None and strobes == 0xF else 0

    def resets(self, write: tuple[int, int, int]) -> bool:
        """Whether a write is a MUR."""
        offset, data, strobes = write
        at, bit = self.mur
        return offset & 0xFFFC == at and bool(_STROBED[strobes] & data & 1 << bit)

    def enabled_words(self) -> int:
        """RIEn, bit n for channel n."""
        return self._near.rie

    def irq(self) -> bool:
        """Level of this side's interrupt line."""
        near, far = self._near, self._far
        return bool((far.full & near.rie) | (far.gir & near.gie) | (~near.full & near.tie) | (near.murip & near.murie))


class _PageV1(_Page):
    """Layout of i.MX6SX: everything but the words is in SR and CR, channels in reversed order."""

    sr_offset = 0x20
    cr_offset = 0x24
    mur = cr_offset, 5
    cr_constant = 0

    def _make_readers(self) -> dict[int, Callable[[], int]]:
        return {self.sr_offset: self._read_sr, self.cr_offset: self._read_cr}

    def _make_writers(self) -> dict[int, Callable[[int, int], None]]:
        return {self.sr_offset: self._write_sr, self.cr_offset: self._write_cr}

    def _read_sr(self) -> int:
        near, far = self._near, self._far
        status = _REVERSED[far.gir] << 28 | _REVERSED[far.full] << 24 | _REVERSED[near.full ^ 0xF] << 20
        return status | (self._unit.mur_left > 0) << 7 | far.flags

    def _read_cr(self) -> int:
        near = self._near
        enables = _REVERSED[near.gie] << 28 | _REVERSED[near.rie] << 24 | _REVERSED[near.tie] << 20
        return enables | _REVERSED[near.gir] << 16 | self.cr_constant | near.flags

    def _write_sr(self, data: int, mask: int) -> None:
        self._far.gir &= ~_REVERSED[(data & mask) >> 28]

    def _write_cr(self, data: int, mask: int) -> None:
        near = self._near
        if mask >> 24 & 1:
            near.gie = _REVERSED[data >> 28 & 0xF]
            near.rie = _REVERSED[data >> 24 & 0xF]
        if mask >> 16 & 1:
            near.tie = _REVERSED[data >> 20 & 0xF]
            near.request = _REVERSED[data >> 16 & 0xF]  # a 0 asks for nothing and takes nothing back
        if mask & 1:
            near.flags = data & 7
            near.reset_request = data >> 5 & 1


class _Page7ulp(_PageV1):
    """Layout of i.MX7ULP: V1's SR and CR, moved, with VER and PAR."""

    tr_base = 0x20
    rr_base = 0x40
    sr_offset = 0x60
    cr_offset = 0x64
    mur = cr_offset, 5
    cr_constant = 0x100  # CLKE

    def _make_readers(self) -> dict[int, Callable[[], int]]:
        return {0x00: lambda: 0x0100_0001, **super()._make_readers()}


class _PageV2(_Page):
    """Layout of i.MX8ULP: a register for each kind of bit, channel n at bit n."""

    tr_base = 0x200
    rr_base = 0x280
    mur = 0x008, 0

    def _make_readers(self) -> dict[int, Callable[[], int]]:
        near, far = self._near, self._far
        return {
            0x000: lambda: 0x0309_000F,
            0x004: lambda: 0x0304_0404,
            0x008: lambda: near.murie << 1,
            0x00C: self._read_sr,
            0x010: lambda: 0x14,
            0x100: lambda: near.flags,
            0x104: lambda: far.flags,
            0x110: lambda: near.gie,
            0x114: lambda: near.gir,
            0x118: lambda: far.gir,
            0x120: lambda: near.tie,
            0x124: lambda: near.full ^ 0xF,
            0x128: lambda: near.rie,
            0x12C: lambda: far.full,
        }

    def _make_writers(self) -> dict[int, Callable[[int, int], None]]:
        return {
            0x008: self._write_cr,
            0x00C: self._write_sr,
            0x100: self._write_fcr,
            0x110: self._write_gier,
            0x114: self._write_gcr,
            0x118: self._write_gsr,
            0x120: self._write_tcr,
            0x128: self._write_rcr,
        }

    def _read_sr(self) -> int:
        near, far = self._near, self._far
        # The documents disagree about the summary bits. Here: RFP any RF, TEP any TE that may interrupt (TE alone is 1
        # most of the time and would say nothing), GIRP any GIP.
        summary = bool(far.full) << 6 | bool(~near.full & near.tie) << 5 | bool(far.gir) << 4
        return summary | near.murip << 1 | (self._unit.mur_left > 0)

    def _write_cr(self, data: int, mask: int) -> None:
        if mask & 1:
            self._near.murie = data >> 1 & 1
            self._near.reset_request = data & 1

    def _write_sr(self, data: int, mask: int) -> None:
        if data & mask & 2:
            self._near.murip = 0

    def _write_fcr(self, data: int, mask: int) -> None:
        if mask & 1:
            self._near.flags = data & 7

    def _write_gier(self, data: int, mask: int) -> None:
        if mask & 1:
            self._near.gie = data & 0xF

    def _write_gcr(self, data: int, mask: int) -> None:
        self._near.request = data & mask & 0xF  # a 0 asks for nothing and takes nothing back

    def _write_gsr(self, data: int, mask: int) -> None:
        self._far.gir &= ~(data & mask & 0xF)

    def _write_tcr(self, data: int, mask: int) -> None:
        if mask & 1:
            self._near.tie = data & 0xF

    def _write_rcr(self, data: int, mask: int) -> None:
        if mask & 1:
            self._near.rie = data & 0xF
