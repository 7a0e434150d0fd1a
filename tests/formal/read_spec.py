"""What completions say of a read, and of a refusal: typed in from the documents, nothing here reads the engine.

The descriptors are those of PG213 ("Completer Completion Descriptor", "Completer Request Descriptor"); byte count and
lower address are those of the base specification (2.2.9).
"""

from typing import Any

from amaranth.hdl import Cat, Const, Mux
from amaranth.lib import data

__all__ = [
    "ADDRESS",
    "HEAD",
    "LOGGED",
    "RAM",
    "REFUSED",
    "REPEATED",
    "REQUEST",
    "WHO",
    "bytes_left",
    "completion_head",
    "first_dwords",
    "limit_of",
    "lower_address",
    "refused_head",
]

ADDRESS = 14
HEAD = 3
LOGGED = 5
REFUSED, RAM = range(2)  # what a request is for; above: a page
_LOCKED, _SUCCESS, _UNSUPPORTED = 7, 0, 1

REPEATED = {"length": 11, "kind": 4, "bar": 3, "aperture": 6, "spare": 2, "tph": 11}
WHO = {"at": 2, "tc": 3, "attr": 3, "tag": 8, "requester": 16, "function": 8}
REQUEST = data.StructLayout(
    {
        "to": 2,
        "dword": ADDRESS,  # address of the first dword that is wanted
        "dwords": 11,
        "first_be": 4,
        "last_be": 4,
        "payload": 2,  # maximum payload when the request was cut
        "address": 62,
        "byte_count": 13,  # of a refusal
        "lower": 7,
        **REPEATED,
        **WHO,
    }
)


def limit_of(code: Any) -> Any:
    """Dwords of the maximum payload."""
    return Mux(code == 0, 32, Mux(code == 1, 64, Mux(code == 2, 128, 256)))


def _skipped(enables: Any) -> Any:
    """Bytes before the first one that is enabled."""
    return Mux(enables[0], 0, Mux(enables[1], 1, Mux(enables[2], 2, Mux(enables[3], 3, 0))))


def first_dwords(request: Any) -> Any:
    """Dwords of the first completion: up to a multiple of the maximum payload."""
    to_end = Mux(request.payload == 0, 32 - request.dword[:5], Mux(request.payload == 1, 64 - request.dword[:6],
        Mux(request.payload == 2, 128 - request.dword[:7], 256 - request.dword[:8])))  # fmt: skip
    return Mux(request.dwords < to_end, request.dwords, to_end)


def bytes_left(request: Any, first: Any, rest: Any) -> Any:
    """Byte count when `rest` dwords are left: from the first byte that is enabled to the last one."""
    single = request.dwords == 1
    last = Mux(single, request.first_be, request.last_be)
    after = _skipped(Cat(*reversed(list(last))))
    in_all = (request.dwords << 2) - _skipped(request.first_be) - after
    total = Mux(first, Mux(single & (request.first_be == 0), 1, in_all), (rest << 2) - after)
    return Mux(request.to == REFUSED, request.byte_count, total)[:13]


def lower_address(request: Any, first: Any, where: Any) -> Any:
    """Lower address of a completion whose data begin in dword `where`."""
    offset: Any = Mux(first, _skipped(request.first_be), Const(0, 2))
    return Mux(request.to == REFUSED, request.lower, Cat(offset[:2], where[:5]))


def completion_head(request: Any, first: Any, where: Any, rest: Any, dwords: Any) -> Any:
    """Descriptor of a completion."""
    refused = request.to == REFUSED
    low = Cat(
        lower_address(request, first, where), Const(0, 1), request.at, Const(0, 6), bytes_left(request, first, rest),
        refused & (request.kind == _LOCKED), Const(0, 2),
    )  # fmt: skip
    status = Cat(Mux(refused, _UNSUPPORTED, _SUCCESS), Const(0, 3))[:3]
    middle = Cat(Mux(refused, 0, dwords[:9]), Const(0, 2), status, Const(0, 2), request.requester)
    high = Cat(request.tag, request.function, Const(0, 9), request.tc, request.attr, Const(0, 1))
    return Cat(low, middle, high)


def refused_head(request: Any) -> Any:
    """What follows the descriptor of a refusal: byte enables, hint, and the descriptor of the request."""
    r = request
    return Cat(
        r.first_be, r.last_be, r.tph[:3], Const(0, 5), r.tph[3:], Const(0, 8),
        r.at, r.address,
        r.length, r.kind, r.spare[0], r.requester, r.tag, r.function, r.bar, r.aperture, r.tc, r.attr, r.spare[1],
    )  # fmt: skip
