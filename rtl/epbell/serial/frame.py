"""What is in a frame: its first dword, and the kinds of frames and of messages (docs/serial.md has the whole)."""

from typing import Any

from amaranth.hdl import Cat, Const, unsigned
from amaranth.lib import data, enum

__all__ = [
    "BYTE",
    "HEADER",
    "IDENTITY",
    "LONGEST",
    "MESSAGE",
    "SEQUENCE_BITS",
    "SLOTS",
    "VERSION",
    "Kind",
    "header",
]

BYTE: Any = 8
"""Shape of what crosses the wire at a time; Any, since to a type checker no shape is one that streams take."""

VERSION = 1
"""Of what is on the wire."""

IDENTITY = 0x4550_4253
"""First dword of a HELLO."""

SLOTS = 8
"""Messages that may be under way in a direction; at most half of what a sequence number can be."""

SEQUENCE_BITS = 4

LONGEST = 63
"""Dwords of the longest message."""

MESSAGE = 8
"""The first kind that is a message, with a sequence number of its own; the kinds below are about the link."""


class Kind(enum.Enum, shape=unsigned(4)):
    """Kinds of frames; the same number means one message to the board and another one from it."""

    STATE = 0
    AGAIN = 1
    RESET = 2
    HELLO = 3
    CQ_CC = 8
    RC_RQ = 9
    CPU = 10
    PINS = 11
    CONFIG = 12
    SETTLE = 13


HEADER = data.StructLayout({
    "kind": Kind,
    "room": 4,
    "sequence": SEQUENCE_BITS,
    "ack": SEQUENCE_BITS,
    "length": 6,
    "spare": 2,
    "epoch": 8,
})
"""First dword of a frame.

``room``: messages from ``ack`` on that the sender of this frame has places for, up to 8. ``sequence``: number of this
message; in other frames of the next one. ``ack``: number of the next message that the sender of this frame waits for.
``length``: dwords that follow, without the CRC. ``epoch``: number of the session, from RESET.
"""


def header(**fields: Any) -> Any:
    """Put together the first dword of a frame; `fields` are those of :data:`HEADER` but for ``spare``."""
    return Cat(*(_field(fields.get(str(name), 0), field.width) for name, field in HEADER))


def _field(value: Any, width: int) -> Any:
    if isinstance(value, int):
        return Const(value, width)
    return Cat(value, Const(0, width))[:width]
