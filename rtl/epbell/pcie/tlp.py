"""What a transaction-layer packet says (PCI Express Base Specification, sections 2.2.5 to 2.2.9), bus independent."""

from typing import Any

from amaranth.hdl import Cat, Mux, unsigned
from amaranth.lib import data, enum

__all__ = [
    "BOUNDARY",
    "HEADER",
    "CompletionStatus",
    "RequestType",
    "bytes_beside",
    "first_offset",
    "last_offset",
]

BOUNDARY = 4096
"""No memory request may cross a multiple of this many bytes."""


class RequestType(enum.Enum, shape=unsigned(4)):
    """Kinds of request, in the encoding of the UltraScale+ descriptors (PG213); 12 and above are messages."""

    MEM_READ = 0
    MEM_WRITE = 1
    IO_READ = 2
    IO_WRITE = 3
    FETCH_ADD = 4
    SWAP = 5
    CAS = 6
    MEM_READ_LOCKED = 7
    CFG_READ_0 = 8
    CFG_READ_1 = 9
    CFG_WRITE_0 = 10
    CFG_WRITE_1 = 11
    MSG = 12
    MSG_VENDOR = 13
    MSG_ATS = 14
    RESERVED = 15


class CompletionStatus(enum.Enum, shape=unsigned(3)):
    """Completion status."""

    SC = 0
    UR = 1
    CRS = 2
    CA = 4


HEADER = data.StructLayout({
    "address": 64,
    "length": 11,
    "kind": RequestType,
    "requester": 16,
    "tag": 8,
    "tc": 3,
    "attr": 3,
    "at": 2,
    "function": 8,
    "bar": 3,
    "first_be": 4,
    "last_be": 4,
    "tph": 11,
    "aperture": 6,
    "spare": 2,
})
"""A request's header.

``address``
    Byte address on the PCI bus; bits 1:0 are zero, the byte enables say the rest.
``length``
    Payload, or data wanted, in dwords: 1 to 1024.
``kind``
    :class:`RequestType`.
``requester``, ``tag``, ``tc``, ``attr``, ``at``
    Requester ID, tag, traffic class, attributes and address type, for the completion.
``function``
    Target function number.
``bar``
    BAR that the request hit; 6 is the expansion ROM.
``first_be``, ``last_be``
    Byte enables of the first and of the last dword; ``last_be`` counts only when there are two dwords or more.
``tph``
    Processing hint: present, type (2 bits) and steering tag (8 bits), bit 0 first.
``aperture``, ``spare``
    Size of the BAR and reserved bits, as the hard block gave them. Like ``tph``, only for what a refusal repeats.
"""


def first_offset(byte_enables: Any) -> Any:
    """Offset of the lowest enabled byte in a dword, 0 to 3; 0 when none is enabled."""
    be = byte_enables
    return Cat(~be[0] & (be[1] | (~be[2] & be[3])), ~be[0] & ~be[1] & (be[2] | be[3]))


def last_offset(byte_enables: Any) -> Any:
    """Bytes above the highest enabled one in a dword, 0 to 3; 0 when none is enabled."""
    return first_offset(Cat(*reversed(list(byte_enables))))


def bytes_beside(header: Any, single: Any) -> Any:
    """Bytes of a request's dwords before the first and behind the last enabled one; 3 of a zero-length read.

    The byte count of a request (2.3.1.1) is four times its dwords less these, and so 1 for a zero-length read.

    Parameters
    ----------
    header : HEADER
        The request's header.
    single : 1
        It is for one dword.

    Returns
    -------
    Value
        3 bits, 0 to 6.
    """
    first, last = first_offset(header.first_be), last_offset(header.last_be)
    alone = Mux(header.first_be.any(), first + last_offset(header.first_be), 3)
    return Mux(single, alone, first + last)[:3]
