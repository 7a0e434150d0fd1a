"""Requester streams of the UltraScale+ integrated block for PCI Express (AMD PG213), DWORD-aligned, no straddling.

Every bit position of the descriptors and of ``tuser`` is in this file and nowhere else.

==========================  =====================  ==========================
RQ ``tuser``                64, 128, 256: 62 bits  512: 137 bits
==========================  =====================  ==========================
first, last byte enables    3:0, 7:4               3:0, 11:8
start of packet, its lane                          20, 23:22
end of packet, its lane                            26, 31:28
==========================  =====================  ==========================

The other bits of RQ ``tuser`` are zero: no address offset, nothing discontinued, no hints, no sequence number, no
parity.

==========================  =====================  ==========================
RC ``tuser``                64, 128, 256: 75 bits  512: 161 bits
==========================  =====================  ==========================
start of packet             32                     64
discontinue                 42                     96
==========================  =====================  ==========================
"""

from typing import Any, ClassVar

from amaranth.hdl import Cat, Const, Mux, unsigned
from amaranth.lib import data, enum

from epbell.pcie.tlp import CompletionStatus, RequestType
from epbell.pcie.usp import Stream, placed

__all__ = [
    "COMPLETION_DWORDS",
    "REQUEST_DWORDS",
    "ErrorCode",
    "RequesterCompletion",
    "RequesterRequest",
    "completion_header",
    "completion_sideband",
    "completion_user",
    "request_descriptor",
    "request_enables",
    "request_user",
]

REQUEST_DWORDS = 4
"""Dwords of a request descriptor."""

COMPLETION_DWORDS = 3
"""Dwords of a completion descriptor."""


class ErrorCode(enum.Enum, shape=unsigned(4)):
    """What the hard block says about a completion; the last two are no completions but notices of its own."""

    NONE = 0
    POISONED = 1
    BAD_STATUS = 2
    BAD_LENGTH = 3
    MISMATCH = 4
    BAD_ADDRESS = 5
    INVALID_TAG = 6
    FUNCTION_RESET = 8
    TIMEOUT = 9


class RequesterRequest(Stream):
    """``s_axis_rq`` of the hard block: requests to the host, the endpoint is the sender.

    Parameters
    ----------
    width : int
        Width of ``tdata`` in bits: 64, 128, 256 or 512.

    Attributes
    ----------
    tdata, tkeep, tuser, tlast, tvalid : Out
        ``width``, ``width / 32``, 62 (137 at 512), 1 and 1 bits.
    tready : In(1)

    Raises
    ------
    ValueError
        If `width` is none of those.
    """

    _user_width: ClassVar[dict[int, int]] = {64: 62, 128: 62, 256: 62, 512: 137}


class RequesterCompletion(Stream):
    """``m_axis_rc`` of the hard block: completions of the host, the hard block is the sender.

    Parameters
    ----------
    width : int
        Width of ``tdata`` in bits: 64, 128, 256 or 512.

    Attributes
    ----------
    tdata, tkeep, tuser, tlast, tvalid : Out
        ``width``, ``width / 32``, 75 (161 at 512), 1 and 1 bits.
    tready : In(1)

    Raises
    ------
    ValueError
        If `width` is none of those.
    """

    _user_width: ClassVar[dict[int, int]] = {64: 75, 128: 75, 256: 75, 512: 161}


def request_descriptor(*, address: Any, write: Any, tag: Any, tc: Any, attr: Any, ecrc: Any) -> Any:
    """Put together the 128-bit requester request descriptor of a memory request for one dword.

    The hard block fills in the bus number (requester ID enable is 0); function 0 is the requester.
    """
    kind = Mux(write, Const(RequestType.MEM_WRITE.value, 4), Const(RequestType.MEM_READ.value, 4))
    first = (Const(0, 2), address[2:64])  # untranslated
    second = (Const(1, 11), kind, Const(0, 1), Const(0, 16))  # length, type, not poisoned, requester
    third = (tag[0:8], Const(0, 17), tc[0:3], attr[0:3], ecrc[0:1])  # between: completer ID, requester ID enable
    return Cat(*first, *second, *third)


def request_enables(width: int, tuser: Any) -> Any:
    """Return the byte enables of the first dword and of the last, 4 bits each, of an RQ packet's first beat."""
    return Cat(tuser[0:4], tuser[8:12] if width == 512 else tuser[4:8])


def request_user(width: int, *, first_be: Any, sop: Any, eop: Any, last_lane: Any) -> Any:
    """``tuser`` of an RQ beat; the last byte enables of a request for one dword are zero."""
    if width != 512:
        return Cat(first_be[0:4], Const(0, 58))
    lane: Any = last_lane[0:4] & eop.replicate(4)
    return Cat(first_be[0:4], Const(0, 16), sop[0:1], Const(0, 5), eop[0:1], Const(0, 1), lane, Const(0, 105))


_COMPLETION_USER = data.StructLayout({"sop": 1, "discontinue": 1})
_COMPLETION_HEADER = data.StructLayout({
    "error": ErrorCode,
    "completed": 1,
    "length": 11,
    "status": CompletionStatus,
    "poisoned": 1,
    "tag": 8,
})


def completion_user(width: int, tuser: Any) -> Any:
    """Start of packet and discontinue of an RC beat (members sop, discontinue)."""
    return data.View(_COMPLETION_USER, Cat(tuser[64], tuser[96]) if width == 512 else Cat(tuser[32], tuser[42]))


def completion_sideband(width: int, *, sop: Any, discontinue: Any) -> Any:
    """``tuser`` of an RC beat, as the hard block drives it but for byte enables, end of packet and parity."""
    total = RequesterCompletion(width).members["tuser"].shape
    places = (64, 96) if width == 512 else (32, 42)
    return placed(total, [(place, bit, 1) for place, bit in zip(places, (sop, discontinue), strict=True)])


def completion_header(descriptor: Any) -> Any:
    """View what a requester needs to know of the 96-bit requester completion descriptor.

    Members: ``error``, ``completed`` (no more completions will come for the tag), ``length`` in dwords, ``status``,
    ``poisoned``, ``tag``.
    """
    d = descriptor
    return data.View(_COMPLETION_HEADER, Cat(d[12:16], d[30], d[32:43], d[43:46], d[46], d[64:72]))
