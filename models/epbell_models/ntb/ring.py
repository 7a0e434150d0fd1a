"""A ring of frames in a memory window, and the header behind each frame.

Follows `struct ntb_payload_header` and `ntb_transport_setup_qp_mw` of drivers/ntb/ntb_transport.c. The header is the
last 12 bytes of a frame's place: version, length, flags, each a little-endian word. The last word of the ring is where
the receiver says which frame it took last.
"""

from dataclasses import dataclass

__all__ = [
    "DONE",
    "HEADER_SIZE",
    "LINK_DOWN",
    "Ring",
]

HEADER_SIZE = 12
DONE, LINK_DOWN = 1 << 0, 1 << 1
_WORD = 4


@dataclass(frozen=True)
class Ring:
    """Places of frames, as offsets.

    Parameters
    ----------
    start
        Where the ring begins.
    size
        Its bytes, the receiver's word included.
    mtu
        Most bytes of a frame's place. There are at least two places, so that it may be less.
    """

    start: int
    size: int
    mtu: int

    def __post_init__(self) -> None:
        if self.frame <= HEADER_SIZE:
            raise ValueError(
                f"Two frames with headers of {HEADER_SIZE} bytes, of up to {self.mtu!r} bytes in all each, do not fit "
                f"{self.size!r} bytes: use a larger window or MTU"
            )

    @property
    def frame(self) -> int:
        """Bytes of a place."""
        return min(self.mtu, (self.size - _WORD) // 2)

    @property
    def entries(self) -> int:
        """How many places there are."""
        return (self.size - _WORD) // self.frame

    @property
    def taken(self) -> int:
        """Offset of the receiver's word."""
        return self.start + self.size - _WORD

    @property
    def payload(self) -> int:
        """Most bytes of data in a frame."""
        return self.frame - HEADER_SIZE

    def data(self, index: int) -> int:
        """Return the offset of a place."""
        return self.start + self.frame * index

    def version(self, index: int) -> int:
        """Return the offset of a place's version, which is its header's."""
        return self.data(index) + self.payload

    def length(self, index: int) -> int:
        """Return the offset of a place's length."""
        return self.version(index) + _WORD

    def flags(self, index: int) -> int:
        """Return the offset of a place's flags."""
        return self.version(index) + 2 * _WORD
