"""Requests and completions on the UltraScale+ requester streams, written from the documents and not from the RTL.

Packing and field positions follow AMD PG213 ("Requester Interface" of 64, 128, 256 and of 512 bits).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WIDTHS = (64, 128, 256, 512)
RQ_USER = {64: 62, 128: 62, 256: 62, 512: 137}
RC_USER = {64: 75, 128: 75, 256: 75, 512: 161}

SC, UR, CRS, CA = 0, 1, 2, 4
NORMAL, POISONED, BAD_STATUS, BAD_LENGTH, MISMATCH, BAD_ADDRESS, INVALID_TAG = range(7)
FUNCTION_RESET, TIMEOUT = 8, 9

Beat = tuple[int, int, int, int]  # data, keep, user, last


@dataclass(frozen=True)
class Sent:
    """A request of the endpoint, as the host sees it."""

    write: bool
    address: int
    first_be: int
    data: int | None
    tag: int = 0
    tc: int = 0
    attr: int = 0
    ecrc: int = 0


def rq_packet(beats: list[Beat], width: int) -> Sent:
    """Unpack a request for one dword, and check every bit around it."""
    lanes = width // 32
    words: list[int] = []
    for number, (data, keep, user, last) in enumerate(beats):
        count = keep.bit_count()
        assert keep == (1 << count) - 1, "holes in tkeep"
        assert count > 0
        assert last == (number == len(beats) - 1)
        assert count == lanes or last, "a beat that is not full before the last one"
        assert user >> RQ_USER[width] == 0
        if width == 512:
            assert user & ~(0xF | 1 << 20 | 1 << 26 | 0xF << 28) == 0, "tuser"
            assert user >> 20 & 1 == (number == 0), "is_sop"
            assert user >> 26 & 1 == last, "is_eop"
            assert user >> 28 & 0xF == (count - 1 if last else 0), "is_eop0_ptr"
        else:
            assert user & ~0xF == 0, "tuser"
            assert user == beats[0][2], "tuser of a later beat"
        words += [data >> 32 * lane & 0xFFFFFFFF for lane in range(count)]
    d0, d1, d2, d3, *payload = words
    assert d0 & 3 == 0, "address type"
    assert d2 & 0x7FF == 1, "length"
    kind = d2 >> 11 & 0xF
    assert kind in (0, 1), "neither a memory read nor a memory write"
    assert d2 >> 15 == 0, "poisoned, or a requester ID"
    assert d3 >> 8 & 0x1FFFF == 0, "completer ID, or requester ID enable"
    assert len(payload) == kind
    return Sent(
        write=bool(kind),
        address=d1 << 32 | d0,
        first_be=beats[0][2] & 0xF,
        data=payload[0] if payload else None,
        tag=d3 & 0xFF,
        tc=d3 >> 25 & 7,
        attr=d3 >> 28 & 7,
        ecrc=d3 >> 31,
    )


@dataclass(frozen=True)
class Reply:
    """A packet of the hard block about a request; the defaults are those of the good completion for a dword."""

    tag: int
    payload: tuple[int, ...] = ()
    status: int = SC
    error: int = NORMAL
    completed: int = 1
    poisoned: int = 0
    length: int | None = None  # None: what the payload says
    byte_count: int = 4
    lower: int = 0
    requester: int = 0x0100
    completer: int = 0
    tc: int = 0
    attr: int = 0
    discontinue: int | None = None  # number of the beat that carries it

    @property
    def words(self) -> list[int]:
        length = len(self.payload) if self.length is None else self.length
        return [
            self.lower | self.error << 12 | self.byte_count << 16 | self.completed << 30,
            length | self.status << 11 | self.poisoned << 14 | self.requester << 16,
            self.tag | self.completer << 8 | self.tc << 25 | self.attr << 28,
            *self.payload,
        ]


def good(tag: int, data: int, **more: Any) -> Reply:
    return Reply(tag, (data,), **more)


def bad(tag: int, status: int, **more: Any) -> Reply:
    return Reply(tag, status=status, error=BAD_STATUS, **more)


def notice(tag: int, error: int = TIMEOUT) -> Reply:
    """The hard block gives a request up; all other fields are whatever they are."""
    return Reply(tag, status=5, error=error, poisoned=1, byte_count=0x1ABC, lower=0x5A5)


def rc_beats(reply: Reply, width: int) -> list[Beat]:
    """Pack a completion as the hard block does."""
    lanes = width // 32
    words = reply.words
    enables = [0, 0, 0] + [0xF] * len(reply.payload)
    beats = []
    for number, start in enumerate(range(0, len(words), lanes)):
        chunk, en = words[start : start + lanes], enables[start : start + lanes]
        last = start + lanes >= len(words)
        user = sum(be << 4 * lane for lane, be in enumerate(en))
        if width == 512:
            user |= (1 << 64 if number == 0 else 0) | ((1 << 76 | (len(chunk) - 1) << 80) if last else 0)
        else:
            user |= (1 << 32 if number == 0 else 0) | ((1 << 34 | (len(chunk) - 1) << 35) if last else 0)
        if number == reply.discontinue:
            user |= 1 << (96 if width == 512 else 42)
        data = sum(word << 32 * lane for lane, word in enumerate(chunk))
        beats.append((data, (1 << len(chunk)) - 1, user, int(last)))
    return beats
