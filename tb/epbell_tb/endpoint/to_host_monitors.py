"""What the requester streams show: requests that the endpoint sends to the host, and what comes back."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from epbell_tb.endpoint.monitors import PacketMonitor, cycle
from epbell_tb.endpoint.sidebands import check_request_beat, check_steady

__all__ = [
    "Answer",
    "AnswerMonitor",
    "SentRequest",
    "SentRequestMonitor",
]


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


class SentRequestMonitor(PacketMonitor):
    """Requests that the endpoint sent through the RQ stream.

    Parameters
    ----------
    dut
        The endpoint.
    report
        Called with each request in the cycle of its last beat.
    """

    def __init__(self, dut: Any, report: Callable[[SentRequest], None]) -> None:
        self._report = report
        super().__init__(dut, "m_axis_rq")

    @property
    def _discontinue_bit(self) -> int:
        return 36 if self._wide else 11

    def _sideband(self, user: int, *, first: bool, last: bool, count: int) -> None:
        check_request_beat(user, self._lanes, first=first, last=last, count=count)

    def _paused(self) -> None:
        check_steady(self.open_since)

    def _packet(self, first: int, packet: bytes) -> None:
        low, high, third, fourth = struct.unpack_from("<4L", packet)
        request = SentRequest(
            first=first, last=cycle(), kind=third >> 11 & 0xF, address=high << 32 | low & ~3, length=third & 0x7FF,
            first_be=self._user & 0xF, last_be=self._user >> (8 if self._wide else 4) & 0xF, tag=fourth & 0xFF,
            requester=third >> 16, own_requester=bool(fourth >> 24 & 1), completer=fourth >> 8 & 0xFFFF, at=low & 3,
            tc=fourth >> 25 & 0x7, attr=fourth >> 28 & 0x7, poisoned=bool(third >> 15 & 1), ecrc=bool(fourth >> 31),
            data=packet[16:], discontinued=self._discontinued, offered=self.offered_since,
        )  # fmt: skip
        self._report(request)


class AnswerMonitor(PacketMonitor):
    """Completions and notices that the endpoint took from the RC stream.

    Parameters
    ----------
    dut
        The endpoint.
    report
        Called with each packet in the cycle of its last beat.
    """

    def __init__(self, dut: Any, report: Callable[[Answer], None]) -> None:
        self._report = report
        super().__init__(dut, "s_axis_rc")

    @property
    def _discontinue_bit(self) -> int:
        return 96 if self._wide else 42

    def _packet(self, first: int, packet: bytes) -> None:
        one, two, three = struct.unpack_from("<3L", packet)
        answer = Answer(
            first=first, last=cycle(), error=one >> 12 & 0xF, ends=bool(one >> 30 & 1), length=two & 0x7FF,
            status=two >> 11 & 0x7, poisoned=bool(two >> 14 & 1), tag=three & 0xFF, data=packet[12:],
            discontinued=self._discontinued,
        )  # fmt: skip
        self._report(answer)
