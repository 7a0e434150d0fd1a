"""Which class a request of the host is of: by size, byte enables, what is wrong with it, and why it lands nowhere."""

from __future__ import annotations

from epbell_tb.endpoint.packets import Request

__all__ = ["enables", "kind_of", "landing", "size"]

_SIZES = (1, "1"), (2, "2"), (4, "3 to 4"), (16, "5 to 16"), (64, "17 to 64"), (1024, "more")
_ALL = 0xF
_KINDS = {
    2: "I/O read", 3: "I/O write", 4: "fetch-add", 5: "swap", 6: "compare-and-swap", 7: "locked read",
    12: "message", 13: "message", 14: "message",
}  # fmt: skip
"""Request types of AMD PG213."""

_REASONS = {
    "no window claims it": "unclaimed",
    "nothing is at": "nowhere",
    "the guard keeps": "guarded",
    "the guard lets": "beside the doorbell",
    "a write of": "too long",
}
"""Of `epbell_models.reference`, by how their sentences begin."""


def size(request: Request) -> str:
    """Return the size class, in dwords."""
    return next(name for most, name in _SIZES if request.length <= most)


def enables(request: Request) -> str:
    """Return the class of byte enables."""
    first, last = request.first_be, request.last_be if request.length > 1 else _ALL
    if not request.enables:
        return "none"
    if first == last == _ALL:
        return "all"
    if request.length == 1 or first != _ALL != last:
        return "part of both" if request.length > 1 else "part of the first"
    return "part of the first" if first != _ALL else "part of the last"


def kind_of(request: Request) -> str:
    """Return what is wrong with a request that reaches nothing."""
    if request.discontinued:
        return "damaged"
    if request.malformed:
        return "malformed"
    return _KINDS.get(request.kind, f"kind {request.kind}")


def landing(reason: str) -> str:
    """Return why a request lands nowhere, empty if it does, or for a reason that no bin is about."""
    return next((name for start, name in _REASONS.items() if reason.startswith(start)), "")
