"""Where the three layouts of the Messaging Unit keep what; typed in from the public documents, see docs/mu.md.

Tables of their own: neither the RTL's register maps nor the models' are looked at, so that an error in one of them
cannot agree with itself.
"""

from dataclasses import dataclass, field

__all__ = ["MAPS", "Map"]


@dataclass(frozen=True)
class Map:
    """One layout, the same for both sides.

    Attributes
    ----------
    tr, rr : int
        Offsets of TR0 and RR0.
    fields : dict
        Kind of bit -> offset of its register and the bits of channels 0, 1, ...
    constants : dict
        Offset -> bits that always read 1.
    """

    tr: int
    rr: int
    fields: dict[str, tuple[int, tuple[int, ...]]]
    constants: dict[int, int] = field(default_factory=dict)

    @property
    def split(self) -> bool:
        """Whether each kind of bit has a register of its own, and MUR its own interrupt."""
        return "MURIP" in self.fields


def _shared(sr: int, cr: int) -> dict[str, tuple[int, tuple[int, ...]]]:
    return {
        "GIP": (sr, (31, 30, 29, 28)),
        "RF": (sr, (27, 26, 25, 24)),
        "TE": (sr, (23, 22, 21, 20)),
        "MURS": (sr, (7,)),
        "F in": (sr, (0, 1, 2)),
        "GIE": (cr, (31, 30, 29, 28)),
        "RIE": (cr, (27, 26, 25, 24)),
        "TIE": (cr, (23, 22, 21, 20)),
        "GIR": (cr, (19, 18, 17, 16)),
        "MUR": (cr, (5,)),
        "F out": (cr, (0, 1, 2)),
    }


_SPLIT: dict[str, tuple[int, tuple[int, ...]]] = {
    "MUR": (0x008, (0,)),
    "MURIE": (0x008, (1,)),
    "MURS": (0x00C, (0,)),
    "MURIP": (0x00C, (1,)),
    "GIRP": (0x00C, (4,)),
    "TEP": (0x00C, (5,)),
    "RFP": (0x00C, (6,)),
    "F out": (0x100, (0, 1, 2)),
    "F in": (0x104, (0, 1, 2)),
    "GIE": (0x110, (0, 1, 2, 3)),
    "GIR": (0x114, (0, 1, 2, 3)),
    "GIP": (0x118, (0, 1, 2, 3)),
    "TIE": (0x120, (0, 1, 2, 3)),
    "TE": (0x124, (0, 1, 2, 3)),
    "RIE": (0x128, (0, 1, 2, 3)),
    "RF": (0x12C, (0, 1, 2, 3)),
}

MAPS = {
    "imx6sx": Map(0x00, 0x10, _shared(0x20, 0x24)),
    "imx7ulp": Map(0x20, 0x40, _shared(0x60, 0x64), {0x00: 0x0100_0001, 0x64: 0x0000_0100}),
    "imx8ulp": Map(0x200, 0x280, _SPLIT, {0x000: 0x0309_000F, 0x004: 0x0304_0404, 0x010: 0x0000_0014}),
}
