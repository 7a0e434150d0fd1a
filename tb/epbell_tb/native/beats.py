"""Packets of the hard block as beats: requests of the host on CQ, completions of the host on RC (AMD PG213)."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from epbell_models.reference.outbound import Cause
from epbell_tb.native.wire import BEAT, USER

__all__ = ["Packet", "Placed", "answer", "request"]

_WIDE = 16
_MOST = 1024
_GOOD_BYTES = 4
_BAD = {
    Cause.UNSUPPORTED: (2, 1, 0), Cause.ABORTED: (2, 4, 0), Cause.POISONED: (1, 0, 1), Cause.TIMEOUT: (9, 0, 0),
}  # fmt: skip
"""Error code of the descriptor, completion status, whether it is poisoned."""


@dataclass(frozen=True)
class Placed:
    """Where a request goes.

    Parameters
    ----------
    bar : int
        Number of the BAR.
    size : int
        Bytes of the BAR.
    address : int
        PCI address of the first dword, a multiple of 4.
    """

    bar: int
    size: int
    address: int


@dataclass(frozen=True)
class Packet:
    """A packet but for its payload: descriptor, and ``tkeep``, ``tlast`` and the bytes of ``tuser`` of each beat."""

    lanes: int
    descriptor: bytes
    beats: tuple[tuple[int, bool, bytes], ...]

    def packed(self, payload: bytes, gaps: tuple[int, ...] = ()) -> bytes:
        """Return its beats as `epbell_tb.native.wire.Wire.send` takes them, with so many clocks before each.

        The payload has as many bytes as the packet was made for.
        """
        data, size = self.descriptor + payload, 4 * self.lanes
        return b"".join([
            BEAT.pack(gaps[number] if gaps else 0, keep, last, user, data[size * number : size * (number + 1)])
            for number, (keep, last, user) in enumerate(self.beats)
        ])


@functools.lru_cache(maxsize=4096)
def request(
    lanes: int,
    kind: int,
    place: Placed,
    length: int,
    first_be: int,
    last_be: int,
    *,
    tag: int = 0,
    payload: bool = False,
    discontinue: bool = False,
) -> Packet:
    """Return a request of the host.

    Parameters
    ----------
    lanes : int
        Dwords of the stream: 2, 4, 8 or 16.
    kind : int
        Request type of the descriptor, 4 bits.
    place : Placed
        Where it goes.
    length : int
        Dwords, 1 to 1024.
    first_be, last_be : int
        Byte enables of the first and of the last dword; the last is 0 for one dword.
    tag : int
        8 bits.
    payload : bool
        Whether as many dwords follow as ``length`` says.
    discontinue : bool
        Whether the hard block says in the last beat that the payload is no good.

    Raises
    ------
    ValueError
        If the length is not from 1 to 1024 dwords.
    """
    if not 1 <= length <= _MOST:
        raise ValueError(f"A request must have 1 to {_MOST} dwords, not {length}")
    high = length | kind << 11 | tag << 32 | place.bar << 48 | (place.size.bit_length() - 1) << 51
    descriptor = place.address.to_bytes(8, "little") + high.to_bytes(8, "little")
    wide = lanes == _WIDE
    enables = [0] * 4
    if payload:
        enables += [first_be] if length == 1 else [first_be, *[0xF] * (length - 2), last_be]
    start = first_be | last_be << (8 if wide else 4) | 1 << (80 if wide else 40)
    stop = 1 << (96 if wide else 41) if discontinue else 0
    ends = (86, 88) if wide else None
    return _packet(lanes, descriptor, enables, start, stop, lane_enables=16 if wide else 8, ends=ends)


@functools.lru_cache(maxsize=256)
def answer(lanes: int, tag: int, *, address: int, cause: Cause | None = None) -> Packet:
    """Return the completion of a read of one dword, which follows if the completion is good or poisoned.

    Parameters
    ----------
    lanes : int
        Dwords of the stream: 2, 4, 8 or 16.
    tag : int
        Of the read.
    address : int
        Of the read.
    cause : Cause, optional
        Why it is no good: UNSUPPORTED, ABORTED, POISONED or TIMEOUT.
    """
    error, status, poisoned = (0, 0, 0) if cause is None else _BAD[cause]
    dwords = int(cause in (None, Cause.POISONED))
    one = address & 0x7F | error << 12 | _GOOD_BYTES << 16 | 1 << 30
    two = dwords | status << 11 | poisoned << 14
    descriptor = b"".join(word.to_bytes(4, "little") for word in (one, two, tag))
    wide = lanes == _WIDE
    enables = [0] * 3 + [0xF] * dwords
    start = 1 << (64 if wide else 32)
    return _packet(lanes, descriptor, enables, start, 0, lane_enables=0, ends=(76, 80) if wide else (34, 35))


def _packet(
    lanes: int,
    descriptor: bytes,
    enables: list[int],
    start: int,
    stop: int,
    *,
    lane_enables: int,
    ends: tuple[int, int] | None,
) -> Packet:
    """Cut a packet of so many dwords; ``tuser`` bits of its first beat and its last, and where others are.

    The byte enables of the lanes are from the bit ``lane_enables`` on; ``ends`` are the bit that says that a packet
    ends and the first one of the lane in which it does.
    """
    beats = []
    for first in range(0, len(enables), lanes):
        found = enables[first : first + lanes]
        last = first + lanes >= len(enables)
        user = (start if not first else 0) | (stop if last else 0)
        user |= sum(enable << lane_enables + 4 * lane for lane, enable in enumerate(found))
        if last and ends is not None:
            user |= 1 << ends[0] | len(found) - 1 << ends[1]
        beats.append(((1 << len(found)) - 1, last, user.to_bytes(USER, "little")))
    return Packet(lanes, descriptor, tuple(beats))
