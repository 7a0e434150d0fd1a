"""What the endpoint's pins show, as named tuples with clock cycles; decoding follows AMD PG213.

A cycle is named by the clock edge that ends it: a beat of cycle n was taken by the flip-flops at edge n.
"""

import functools
import struct
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.sidebands import check_completion_beat, check_steady

__all__ = [
    "MEM_READ",
    "MEM_WRITE",
    "CompletionReader",
    "CpuAccess",
    "LineReader",
    "PacketReader",
    "Request",
    "RequestReader",
    "SentCompletion",
]

MEM_READ = 0
MEM_WRITE = 1
_MESSAGE = 12
_CARRIERS = frozenset({MEM_WRITE, 3, 4, 5, 6, 10, 11})
"""Kinds with a payload: writes to memory, I/O and configuration, atomics; a message may have one."""
_DESCRIPTOR = 4
"""Dwords before the payload."""
_CC_RESERVED = 1 << 7 | 0x3F << 10 | 3 << 30
"""Of the first dword of a completion's descriptor."""


class Request(NamedTuple):
    """A request of the host, as it came through the CQ stream, with cycles of its beats.

    ``decided`` is the beat in which the windows are asked: the first one with payload, else the last one.
    """

    first: int
    decided: int
    last: int
    kind: int
    bar: int
    function: int
    address: int
    length: int
    first_be: int
    last_be: int
    tag: int
    requester: int
    tc: int
    attr: int
    payload: bytes
    discontinued: bool
    at: int = 0
    hint: int = 0
    """Of ``tuser``: TPH present in bit 0, its type in bits 2:1, the steering tag in bits 10:3."""
    descriptor: bytes = b""

    @property
    def posted(self) -> bool:
        """Whether no completion is due."""
        return self.kind == MEM_WRITE or self.kind >= _MESSAGE

    @property
    def malformed(self) -> bool:
        """Whether its payload is not what its header says, or the length is 0; a message is never called so."""
        if self.kind >= _MESSAGE:
            return False
        carried = 4 * self.length if self.kind in _CARRIERS else 0
        return not self.length or len(self.payload) != carried

    @property
    def enables(self) -> int:
        """Which bytes count, bit n for byte n."""
        if self.length < 2:
            return self.first_be if self.length else 0
        last = 4 * (self.length - 1)
        return self.first_be | (1 << last) - (1 << 4) | self.last_be << last


class SentCompletion(NamedTuple):
    """A completion of the endpoint, as it went through the CC stream."""

    first: int
    last: int
    status: int
    byte_count: int
    lower_address: int
    length: int
    tag: int
    requester: int
    tc: int
    attr: int
    data: bytes
    discontinued: bool
    at: int = 0
    locked: bool = False
    poisoned: bool = False
    completer: int = 0
    own_completer: bool = False
    ecrc: bool = False
    reserved: int = 0


class CpuAccess(NamedTuple):
    """An access of the CPU: cycles of request (address and data) and answer; strobes 0 for a read; response 0 OKAY."""

    started: int
    ended: int
    address: int
    data: int
    strobes: int
    response: int


class BeatCheck(Protocol):
    """What ``tuser`` of a beat must be like: its bits, the stream's dwords, its place in the packet, its dwords."""

    def __call__(self, user: int, lanes: int, *, first: bool, last: bool, count: int) -> None:
        """Raise an `AssertionError` if it is not."""


Seen = TypeVar("Seen")


class PacketReader(Generic[Seen]):
    """Beats of one stream, gathered to packets.

    A kind of stream says where ``tuser`` has discontinue, at up to 256 bits and at 512, and what every beat's ``tuser``
    must be like, if the endpoint drives it: that of the hard block's streams is its own affair.

    Parameters
    ----------
    lanes
        Dwords of the stream.
    report
        Called with each packet in the cycle of its last beat.

    Attributes
    ----------
    open_since
        Cycle of the first beat of a packet under way, None between packets.
    offered_since
        First cycle in which the latest packet's first beat was on the stream, taken or not.
    busy_since
        First cycle of those up to the latest packet in all of which a beat was on the stream.
    """

    discontinue: ClassVar[tuple[int, int]]
    check: ClassVar[BeatCheck | None] = None

    def __init__(self, lanes: int, report: Callable[[Seen], None]) -> None:
        self._lanes = lanes
        self._report = report
        self._wide = lanes == 16
        self._discontinue_bit = self.discontinue[self._wide]
        self._data = b""
        self._beats: list[int] = []  # cycles
        self._user = 0
        self._discontinued = False
        self.open_since: int | None = None
        self.offered_since = self.busy_since = 0
        self._idle = True

    def forget(self) -> None:
        """Forget the packet under way, as a reset does."""
        self._data, self.open_since = b"", None

    def beat(self, data: bytes, keep: int, user: int, last: bool, offered: int) -> None:
        """Take a beat that was accepted in this clock, and has been on the stream since `offered`."""
        now = cycle()
        first = self.open_since is None
        if self._idle:
            self._idle, self.busy_since = False, offered
        if first:
            self.open_since, self.offered_since = now, offered
            self._beats = []
            self._user = user
            self._discontinued = False
        if user >> self._discontinue_bit & 1:
            self._discontinued = True
        self._beats.append(now)
        count = keep.bit_length()
        assert keep == (1 << count) - 1, f"tkeep has a gap: {keep:#x}"
        assert last or count == self._lanes, f"tkeep {keep:#x} in the middle of a packet"
        if self.check is not None:
            self.check(user, self._lanes, first=first, last=last, count=count)
        packet = self._data + data[: 4 * count]
        if last:
            self._data, self.open_since = b"", None
            self.packet(packet, self._beats[0], now)
        else:
            self._data = packet

    def paused(self) -> None:
        """Look at a clock without ``tvalid``, which the endpoint must not have within a packet."""
        self._idle = True
        if self.check is not None:
            check_steady(self.open_since)

    @abstractmethod
    def packet(self, packet: bytes, first: int, last: int) -> None:
        """Report a whole packet, with the cycles of its first beat and of its last, which is now."""


class RequestReader(PacketReader[Request]):
    """Requests that the endpoint took from the CQ stream."""

    discontinue = 41, 96

    def packet(self, packet: bytes, first: int, last: int) -> None:
        """Report a whole packet."""
        decided = self._beats[min(_DESCRIPTOR // self._lanes, len(self._beats) - 1)]
        fields, more = _request_fields(packet[:16], self._user, self._wide)
        self._report(Request(first, decided, last, *fields, packet[16:], self._discontinued, *more))


_Fields: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int, int]


@functools.lru_cache(maxsize=1024)
def _request_fields(descriptor: bytes, user: int, wide: bool) -> tuple[_Fields, tuple[int, int, bytes]]:
    """Return the fields of a `Request` from ``kind`` to ``attr``, and those from ``at`` on.

    Hosts send the same descriptor again and again.
    """
    low, high, third, fourth = struct.unpack("<4L", descriptor)
    present, kind, tag = (97, 99, 103) if wide else (42, 43, 45)
    hint = user >> present & 1 | (user >> kind & 3) << 1 | (user >> tag & 0xFF) << 3
    fields = (
        third >> 11 & 0xF, fourth >> 16 & 0x7, fourth >> 8 & 0xFF, high << 32 | low & ~3, third & 0x7FF,
        user & 0xF, user >> (8 if wide else 4) & 0xF,
        fourth & 0xFF, third >> 16, fourth >> 25 & 0x7, fourth >> 28 & 0x7,
    )  # fmt: skip
    return fields, (low & 3, hint, descriptor)


class CompletionReader(PacketReader[SentCompletion]):
    """Completions that the endpoint sent through the CC stream."""

    discontinue = 0, 16
    check = staticmethod(check_completion_beat)

    def packet(self, packet: bytes, first: int, last: int) -> None:
        """Report a whole packet."""
        one, two, three = struct.unpack_from("<3L", packet)
        completion = SentCompletion(
            first=first, last=last, status=two >> 11 & 0x7, byte_count=one >> 16 & 0x1FFF, lower_address=one & 0x7F,
            length=two & 0x7FF, tag=three & 0xFF, requester=two >> 16, tc=three >> 25 & 0x7, attr=three >> 28 & 0x7,
            data=packet[12:], discontinued=self._discontinued, at=one >> 8 & 3, locked=bool(one >> 29 & 1),
            poisoned=bool(two >> 14 & 1), completer=three >> 8 & 0xFFFF, own_completer=bool(three >> 24 & 1),
            ecrc=bool(three >> 31), reserved=one & _CC_RESERVED | two & 1 << 15,
        )  # fmt: skip
        self._report(completion)


class LineReader:
    """Edges of an interrupt line, or of several that carry the same level.

    Parameters
    ----------
    lines
        How many there are.
    report
        Called with the new level, and the first cycle in which the line has it.
    """

    def __init__(self, lines: int, report: Callable[[bool, int], None]) -> None:
        self._high = (1 << lines) - 1
        self._report = report

    def edge(self, levels: int, now: int) -> None:
        """Take the levels of all lines, of which one has changed."""
        assert levels in (0, self._high), f"the lines carry different levels: {levels:#b}"
        self._report(bool(levels), now)
