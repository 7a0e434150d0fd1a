"""What the requester streams show: requests that the endpoint sends to the host, and what comes back."""

import struct
from dataclasses import dataclass

from epbell_tb.endpoint.packets import PacketReader
from epbell_tb.endpoint.sidebands import check_request_beat

__all__ = [
    "Answer",
    "AnswerReader",
    "SentRequest",
    "SentRequestReader",
]

_ANSWER = 12
"""Bytes of the descriptor of a completion."""


@dataclass(frozen=True)
class SentRequest:
    """A request of the endpoint, as it went through the RQ stream."""

    first: int
    last: int
    kind: int
    address: int
    length: int
    first_be: int
    last_be: int
    tag: int
    requester: int
    own_requester: bool
    completer: int
    at: int
    tc: int
    attr: int
    poisoned: bool
    ecrc: bool
    data: bytes
    discontinued: bool
    offered: int = 0
    """First cycle in which its first beat was on the stream, taken or not."""
    behind: int | None = None
    """First cycle of those up to it in all of which the stream was busy with requests before it; None: of none."""


@dataclass(frozen=True)
class Answer:
    """A packet of the RC stream: error code, whether it ends the request, and the completion."""

    first: int
    last: int
    error: int
    ends: bool
    length: int
    status: int
    poisoned: bool
    tag: int
    data: bytes
    discontinued: bool

    @property
    def good(self) -> bool:
        """Whether it brings the dword that was asked for."""
        whole = self.ends and self.length == 1 and len(self.data) == 4
        return whole and not (self.error or self.status or self.poisoned or self.discontinued)


class SentRequestReader(PacketReader[SentRequest]):
    """Requests that the endpoint sent through the RQ stream."""

    discontinue = 11, 36
    check = staticmethod(check_request_beat)

    def packet(self, packet: bytes, first: int, last: int) -> None:
        """Report a whole packet."""
        low, high, third, fourth = struct.unpack_from("<4L", packet)
        request = SentRequest(
            first=first, last=last, kind=third >> 11 & 0xF, address=high << 32 | low & ~3, length=third & 0x7FF,
            first_be=self._user & 0xF, last_be=self._user >> (8 if self._wide else 4) & 0xF, tag=fourth & 0xFF,
            requester=third >> 16, own_requester=bool(fourth >> 24 & 1), completer=fourth >> 8 & 0xFFFF, at=low & 3,
            tc=fourth >> 25 & 0x7, attr=fourth >> 28 & 0x7, poisoned=bool(third >> 15 & 1), ecrc=bool(fourth >> 31),
            data=packet[16:], discontinued=self._discontinued, offered=self.offered_since,
            behind=self.busy_since,
        )  # fmt: skip
        self._report(request)


class AnswerReader(PacketReader[Answer]):
    """Completions and notices that the endpoint took from the RC stream."""

    discontinue = 42, 96

    @property
    def coming(self) -> int | None:
        """Tag of the packet under way, None if there is none, or its descriptor is not there yet."""
        if self.open_since is None or len(self._data) < _ANSWER:
            return None
        return self._data[8]

    def packet(self, packet: bytes, first: int, last: int) -> None:
        """Report a whole packet."""
        one, two, three = struct.unpack_from("<3L", packet)
        answer = Answer(
            first=first, last=last, error=one >> 12 & 0xF, ends=bool(one >> 30 & 1), length=two & 0x7FF,
            status=two >> 11 & 0x7, poisoned=bool(two >> 14 & 1), tag=three & 0xFF, data=packet[12:],
            discontinued=self._discontinued,
        )  # fmt: skip
        self._report(answer)
