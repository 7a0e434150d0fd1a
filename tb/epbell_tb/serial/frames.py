"""Frames as they are on the wire: flags, escapes, CRC-32, and the first dword (docs/serial.md)."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["LONGEST", "WINDOW", "Frame", "FrameReader", "Kind", "dwords", "encode", "joined"]

LONGEST = 63
"""Dwords of the longest message."""

WINDOW = 8
"""Messages that may be under way in a direction."""

_FLAG, _ESCAPE, _FLIP = 0x7E, 0x7D, 0x20
_ESCAPED = bytes([_ESCAPE])
_ENDS = bytes([_FLAG])
_LEAST = 8  # bytes of a frame: its first dword and the CRC


class Kind(IntEnum):
    """Kinds of frames; those from CQ_CC on are messages."""

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


@dataclass(frozen=True)
class Frame:
    """A frame.

    Attributes
    ----------
    kind : int
        One of `Kind`, or another number below 16.
    words : tuple of int
        Dwords behind the first one.
    epoch : int
        Number of the session.
    sequence, ack, room : int
        Number of this message; of the next one that the sender waits for; how many from there on it has places for.
    """

    kind: int
    words: tuple[int, ...] = ()
    epoch: int = 0
    sequence: int = 0
    ack: int = 0
    room: int = WINDOW


def encode(frame: Frame) -> bytes:
    """Return a frame as bytes for the wire, flags at both ends.

    Raises
    ------
    ValueError
        If it is longer than frames may be.
    """
    if len(frame.words) > LONGEST:
        raise ValueError(f"A frame must have {LONGEST} dwords or fewer behind its first one, not {len(frame.words)}")
    first = frame.kind | frame.room << 4 | frame.sequence << 8 | frame.ack << 12 | len(frame.words) << 16
    packed = struct.pack(f"<{1 + len(frame.words)}I", first | frame.epoch << 24, *frame.words)
    packed += binascii.crc32(packed).to_bytes(4, "little")
    for special in (_ESCAPE, _FLAG):
        packed = packed.replace(bytes([special]), bytes([_ESCAPE, special ^ _FLIP]))
    return _ENDS + packed + _ENDS


class FrameReader:
    """Finds frames in bytes, whatever else there is between them.

    Attributes
    ----------
    bad : int
        How many stretches between two flags were no frame.
    """

    def __init__(self) -> None:
        self.bad = 0
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes; yield the frames that they complete."""
        *whole, self._rest = (self._rest + data).split(_ENDS)
        for stretch in whole:
            if not stretch:
                continue
            frame = _decode(stretch)
            if frame is None:
                self.bad += 1
            else:
                yield frame


def _decode(stretch: bytes) -> Frame | None:
    """Return what is between two flags, None if it is no frame."""
    first, *escaped = stretch.split(_ESCAPED)
    if not all(escaped):
        return None
    data = first + b"".join([bytes([part[0] ^ _FLIP]) + part[1:] for part in escaped])
    if len(data) < _LEAST or len(data) % 4 or binascii.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        return None
    head, *words = struct.unpack(f"<{len(data) // 4 - 1}I", data[:-4])
    if head >> 16 & 0x3F != len(words):
        return None
    return Frame(head & 0xF, tuple(words), head >> 24, head >> 8 & 0xF, head >> 12 & 0xF, head >> 4 & 0xF)


def dwords(data: bytes) -> tuple[int, ...]:
    """Return bytes as dwords, little-endian."""
    return struct.unpack(f"<{len(data) // 4}I", data)


def joined(words: Sequence[int]) -> bytes:
    """Return dwords as bytes, little-endian."""
    return struct.pack(f"<{len(words)}I", *words)
