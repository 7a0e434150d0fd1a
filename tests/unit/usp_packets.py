"""Requests and completions on the UltraScale+ completer streams, written from the documents and not from the RTL.

The packing of the streams follows AMD PG213, the completions a host may expect the PCI Express Base Specification,
2.2.9 and 2.3.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from epbell.bar import Bar

MEM_READ, MEM_WRITE, IO_READ, IO_WRITE, FETCH_ADD, SWAP, CAS, MEM_READ_LOCKED = range(8)
MSG, MSG_VENDOR, MSG_ATS = 12, 13, 14

SC, UR = 0, 1

BARS = (Bar(16 << 10), Bar(16 << 10), Bar(4 << 10), Bar(128), Bar(64 << 10, wide=True), None)
BAR_BASE = (0x80000000, 0x80004000, 0x80008000, 0x80009080, 0x12_00010000)  # what the host assigned


@dataclass(frozen=True)
class Request:
    """A request of the host."""

    kind: int
    bar: int
    offset: int  # in the BAR
    length: int = 1  # dwords
    first_be: int = 0xF
    last_be: int | None = None  # None: what the length asks for
    payload: tuple[int, ...] = ()
    tag: int = 0
    requester: int = 0x0100
    function: int = 0
    tc: int = 0
    attr: int = 0
    at: int = 0
    tph: tuple[int, int, int] = (0, 0, 0)  # present, type, steering tag
    reserved: int = 0  # bits 79 and 127 of the descriptor
    discontinue: frozenset[int] = frozenset()  # numbers of the beats that carry it

    @property
    def last(self) -> int:
        if self.last_be is not None:
            return self.last_be
        return 0xF if self.length > 1 else 0

    @property
    def enables(self) -> list[int]:
        """Byte enables of every dword."""
        if self.length == 1:
            return [self.first_be]
        return [self.first_be, *([0xF] * (self.length - 2)), self.last]

    @property
    def address(self) -> int:
        return BAR_BASE[self.bar] + self.offset

    @property
    def descriptor(self) -> list[int]:
        """The four dwords of the completer request descriptor."""
        bar = BARS[self.bar] if self.bar < len(BARS) else None
        value = (
            (self.address & ~3 | self.at)
            | self.length << 64
            | self.kind << 75
            | (self.reserved & 1) << 79
            | self.requester << 80
            | self.tag << 96
            | self.function << 104
            | self.bar << 112
            | (bar.size.bit_length() - 1 if bar else 0) << 115
            | self.tc << 121
            | self.attr << 124
            | self.reserved >> 1 << 127
        )
        return [value >> shift & 0xFFFFFFFF for shift in (0, 32, 64, 96)]


def write(bar: int, offset: int, *payload: int, **more: Any) -> Request:
    return Request(MEM_WRITE, bar, offset, len(payload), payload=payload, **more)


def read(bar: int, offset: int, length: int = 1, **more: Any) -> Request:
    return Request(MEM_READ, bar, offset, length, **more)


@dataclass(frozen=True)
class Beat:
    """A beat of the CQ stream."""

    data: int
    keep: int
    user: int
    last: int


def cq_beats(request: Request, width: int) -> list[Beat]:
    """Pack a request as the hard block does."""
    lanes = width // 32
    r = request
    words = r.descriptor + list(r.payload)
    enables = [0, 0, 0, 0] + (r.enables if r.payload else [])
    beats = []
    for number, start in enumerate(range(0, len(words), lanes)):
        chunk, en = words[start : start + lanes], enables[start : start + lanes]
        big = width == 512
        user = 0
        if start == 0:
            user |= r.first_be | r.last << (8 if big else 4) | 1 << (80 if big else 40)
            for value, at in zip(r.tph, (97, 99, 103) if big else (42, 43, 45), strict=True):
                user |= value << at
        last = start + lanes >= len(words)
        if big and last:
            user |= 1 << 86 | (len(chunk) - 1) << 88
        if number in r.discontinue:
            user |= 1 << (96 if big else 41)
        for lane, be in enumerate(en):
            user |= be << ((16 if big else 8) + 4 * lane)
        data = sum(word << 32 * lane for lane, word in enumerate(chunk))
        beats.append(Beat(data, (1 << len(chunk)) - 1, user, int(last)))
    return beats


@dataclass
class Completion:
    """A completion as the host sees it."""

    tag: int
    status: int
    length: int
    byte_count: int
    lower: int
    data: list[int]
    requester: int
    function: int = 0
    tc: int = 0
    attr: int = 0
    at: int = 0
    locked: int = 0
    cycle: int = field(default=0, compare=False)  # of the first beat


def cc_packet(beats: list[tuple[int, int, int, int]], width: int, cycle: int) -> Completion:
    """Unpack beats (data, keep, user, last) and check everything around the packet."""
    lanes = width // 32
    words: list[int] = []
    for number, (data, keep, user, last) in enumerate(beats):
        count = keep.bit_count()
        assert keep == (1 << count) - 1, "holes in tkeep"
        assert count > 0
        assert last == (number == len(beats) - 1)
        assert count == lanes or last, "a beat that is not full before the last one"
        if width == 512:
            sop, eop, lane = user & 3, user >> 6 & 3, user >> 8 & 15
            assert sop == (number == 0)
            assert user >> 2 & 15 == 0, "is_sop_ptr"
            assert eop == last
            assert lane == (count - 1 if last else 0), "is_eop0_ptr"
            assert user >> 12 & 31 == 0, "second packet or discontinue"
        else:
            assert user == 0
        words += [data >> 32 * k & 0xFFFFFFFF for k in range(count)]
    d0, d1, d2, *payload = words
    assert d0 & 0b11 << 30 == 0
    assert d0 & 0x1 << 7 == 0
    assert d0 & 0x3F << 10 == 0
    assert d1 & 0b11 << 14 == 0
    assert d2 & (0xFF << 16 | 1 << 24 | 1 << 31) == 0, "bus number or completer ID enable"
    length = d1 & 0x7FF
    if d1 >> 11 & 7 == SC:
        assert len(payload) == length, "length field and packet differ"
    else:
        assert (length, len(payload)) == (0, 5), "a refusal has no data, but five dwords of the request"
    return Completion(
        tag=d2 & 0xFF,
        status=d1 >> 11 & 7,
        length=length,
        byte_count=d0 >> 16 & 0x1FFF,
        lower=d0 & 0x7F,
        data=payload,
        requester=d1 >> 16,
        function=d2 >> 8 & 0xFF,
        tc=d2 >> 25 & 7,
        attr=d2 >> 28 & 7,
        at=d0 >> 8 & 3,
        locked=d0 >> 29 & 1,
        cycle=cycle,
    )


def repeated(request: Request) -> list[int]:
    """What a refusal says of its request (PG213, "Completions with Error Status (UR and CA)")."""
    present, kind, steering_tag = request.tph
    sideband = request.first_be | request.last << 4 | present << 8 | kind << 9 | steering_tag << 16
    return [sideband, *request.descriptor]


def expected_completions(request: Request, memory: bytes | None, mps: int) -> list[Completion]:
    """What a read is answered with, byte by byte; `memory` holds what the BAR shows, None when it is refused."""
    common = {
        "tag": request.tag,
        "requester": request.requester,
        "function": request.function,
        "tc": request.tc,
        "attr": request.attr,
        "at": request.at,
        "locked": int(request.kind == MEM_READ_LOCKED),
    }
    memory_read = request.kind in (MEM_READ, MEM_READ_LOCKED)
    wanted = [
        request.offset + 4 * dword + byte
        for dword, be in enumerate(request.enables)
        for byte in range(4)
        if be >> byte & 1
    ] or [request.offset]
    first, last = wanted[0], wanted[-1]
    if memory is None:
        count, lower = (last - first + 1, request.address + first - request.offset & 0x7F) if memory_read else (4, 0)
        return [Completion(status=UR, length=0, byte_count=count, lower=lower, data=repeated(request), **common)]
    completions = []
    begin, end = request.offset, request.offset + 4 * request.length
    while begin < end:
        stop = min(end, (begin // mps + 1) * mps)
        start = max(first, begin)
        words = [int.from_bytes(memory[k : k + 4], "little") for k in range(begin, stop, 4)]
        lower = request.address + start - request.offset & 0x7F
        completions.append(
            Completion(
                status=SC,
                length=(stop - begin) // 4,
                byte_count=last - start + 1,
                lower=lower,
                data=words,
                **common,
            )
        )
        begin = stop
    return completions


def apply_write(memory: bytearray, request: Request) -> None:
    """Carry out a memory write on a byte array, a byte at a time."""
    for dword, (word, be) in enumerate(zip(request.payload, request.enables, strict=True)):
        for byte in range(4):
            if be >> byte & 1:
                memory[request.offset + 4 * dword + byte] = word >> 8 * byte & 0xFF
