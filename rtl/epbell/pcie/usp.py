"""Completer streams of the UltraScale+ integrated block for PCI Express (AMD PG213), DWORD-aligned, no straddling.

Every bit position of the descriptors and of ``tuser`` is in this file and nowhere else; those of the requester streams
are in :mod:`epbell.pcie.usp_requester`.

==========================  =====================  ==========================
CQ ``tuser``                64, 128, 256: 88 bits  512: 183 bits
==========================  =====================  ==========================
first, last byte enables    3:0, 7:4               3:0, 11:8
start of packet             40                     80
discontinue                 41                     96
hint present, type, tag     42, 44:43, 52:45       97, 100:99, 110:103
==========================  =====================  ==========================

CC ``tuser`` is all zero (no parity, nothing discontinued) at 64, 128 and 256 (33 bits); at 512 (81 bits) bit 0 is start
of packet in lane 0, bit 6 end of packet and bits 11:8 the lane of the last dword.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from amaranth.hdl import Cat, Const
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "WIDTHS",
    "CompleterCompletion",
    "CompleterRequest",
    "Stream",
    "check_width",
    "completion_descriptor",
    "completion_user",
    "placed",
    "refused_request",
    "request_header",
    "request_sideband",
    "request_user",
]

WIDTHS = (64, 128, 256, 512)
"""Widths of the streams in bits."""


def check_width(width: int) -> int:
    """Return `width` if the hard block has streams of that width.

    Raises
    ------
    ValueError
        If it has not.
    """
    if width not in WIDTHS:
        raise ValueError(f"The width of a PCIe stream must be 64, 128, 256 or 512 bits, not {width!r}")
    return width


class Stream(wiring.Signature):
    """An AXI4-Stream of the hard block, in the sender's view; each subclass says how wide its ``tuser`` is."""

    _user_width: ClassVar[dict[int, int]]

    def __init__(self, width: int) -> None:
        self._width = check_width(width)
        super().__init__({
            "tdata": Out(width),
            "tkeep": Out(width // 32),
            "tuser": Out(self._user_width[width]),
            "tlast": Out(1),
            "tvalid": Out(1),
            "tready": In(1),
        })

    @property
    def width(self) -> int:
        """Width of ``tdata`` in bits."""
        return self._width

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Stream) and self.width == other.width

    def __hash__(self) -> int:
        return hash((type(self), self._width))

    def __repr__(self) -> str:
        return f"{type(self).__module__.rpartition('.')[2]}.{type(self).__name__}(width={self.width})"


class CompleterRequest(Stream):
    """``s_axis_cq``: requests of the host, the hard block is the sender.

    Parameters
    ----------
    width : int
        Width of ``tdata`` in bits: 64, 128, 256 or 512.

    Attributes
    ----------
    tdata, tkeep, tuser, tlast, tvalid : Out
        ``width``, ``width / 32``, 88 (183 at 512), 1 and 1 bits.
    tready : In(1)

    Raises
    ------
    ValueError
        If `width` is none of those.
    """

    _user_width: ClassVar[dict[int, int]] = {64: 88, 128: 88, 256: 88, 512: 183}


class CompleterCompletion(Stream):
    """``m_axis_cc``: completions to the host, the endpoint is the sender.

    Parameters
    ----------
    width : int
        Width of ``tdata`` in bits: 64, 128, 256 or 512.

    Attributes
    ----------
    tdata, tkeep, tuser, tlast, tvalid : Out
        ``width``, ``width / 32``, 33 (81 at 512), 1 and 1 bits.
    tready : In(1)

    Raises
    ------
    ValueError
        If `width` is none of those.
    """

    _user_width: ClassVar[dict[int, int]] = {64: 33, 128: 33, 256: 33, 512: 81}


_REQUEST_USER = data.StructLayout({"first_be": 4, "last_be": 4, "sop": 1, "discontinue": 1, "tph": 11})


def request_user(width: int, tuser: Any) -> Any:
    """Byte enables, start of packet, discontinue and hint of a CQ beat (first_be, last_be, sop, discontinue, tph)."""
    if width == 512:
        parts = (tuser[0:4], tuser[8:12], tuser[80], tuser[96], tuser[97], tuser[99:101], tuser[103:111])
    else:
        parts = (tuser[0:4], tuser[4:8], tuser[40], tuser[41], tuser[42:53])
    return data.View(_REQUEST_USER, Cat(*parts))


def request_sideband(width: int, *, first_be: Any, last_be: Any, sop: Any, discontinue: Any, tph: Any) -> Any:
    """``tuser`` of a CQ beat, as the hard block drives it but for byte enables of each lane, end of packet and parity.

    Fields as of :func:`request_user`; all but `discontinue` count in the first beat of a packet only.
    """
    total = CompleterRequest(width).members["tuser"].shape
    places = (0, 8, 80, 96, 97, 99, 103) if width == 512 else (0, 4, 40, 41, 42, 43, 45)
    parts = (first_be, 4), (last_be, 4), (sop, 1), (discontinue, 1), (tph[0:1], 1), (tph[1:3], 2), (tph[3:11], 8)
    return placed(total, [(place, *part) for place, part in zip(places, parts, strict=True)])


def placed(total: int, parts: Sequence[tuple[int, Any, int]]) -> Any:
    """Put values of some widths at their places, from the lowest on, with zeros between them."""
    found: list[Any] = []
    end = 0
    for place, value, width in parts:
        found += [Const(0, place - end), _exactly(value, width)]
        end = place + width
    return Cat(*found, Const(0, total - end))


def request_header(descriptor: Any, first_be: Any, last_be: Any, tph: Any) -> dict[str, Any]:
    """Fields of ``tlp.HEADER`` out of the 128-bit completer request descriptor, and of ``tuser``."""
    d = descriptor
    return {
        "address": Cat(Const(0, 2), d[2:64]),
        "at": d[0:2],
        "length": d[64:75],
        "kind": d[75:79],
        "requester": d[80:96],
        "tag": d[96:104],
        "function": d[104:112],
        "bar": d[112:115],
        "tc": d[121:124],
        "attr": d[124:127],
        "first_be": first_be,
        "last_be": last_be,
        "tph": tph,
        "aperture": d[115:121],
        "spare": Cat(d[79], d[127]),
    }


def refused_request(header: Any) -> Any:
    """Return what follows the descriptor of a completion with UR or CA, 160 bits, for the hard block's header log.

    One dword out of the request's ``tuser``, byte enables and hint, and the four of the request's descriptor (PG213,
    "Completions with Error Status (UR and CA)").

    Parameters
    ----------
    header : view of tlp.HEADER, or of what has its members
        The request.
    """
    h = header
    sideband = Cat(h.first_be, h.last_be, h.tph[0:3], Const(0, 5), h.tph[3:11], Const(0, 8))
    low = Cat(h.at, h.address[2:64])
    third = Cat(h.length, h.kind, h.spare[0], h.requester)
    fourth = Cat(h.tag, h.function, h.bar, h.aperture, h.tc, h.attr, h.spare[1])
    return Cat(sideband, low, third, fourth)


def completion_descriptor(
    *,
    lower_address: Any,
    at: Any,
    byte_count: Any,
    locked: Any,
    length: Any,
    status: Any,
    requester: Any,
    tag: Any,
    function: Any,
    tc: Any,
    attr: Any,
) -> Any:
    """Completer completion descriptor, 96 bits; the hard block fills in the bus number (completer ID enable is 0)."""
    first = (lower_address, 7), (0, 1), (at, 2), (0, 6), (byte_count, 13), (locked, 1), (0, 2)
    second = (length, 11), (status, 3), (0, 2), (requester, 16)
    third = (tag, 8), (function, 8), (0, 8), (0, 1), (tc, 3), (attr, 3), (0, 1)
    return Cat(*(_exactly(value, width) for value, width in (*first, *second, *third)))


def _exactly(value: Any, width: int) -> Any:
    """Return `value`, cut or zero-extended to `width` bits."""
    return Cat(value, Const(0, width))[:width]


def completion_user(width: int, *, sop: Any, eop: Any, last_lane: Any) -> Any:
    """``tuser`` of a CC beat."""
    if width != 512:
        return Const(0, 33)
    lane: Any = last_lane[0:4] & eop.replicate(4)
    return Cat(sop[0:1], Const(0, 5), eop[0:1], Const(0, 1), lane, Const(0, 69))


