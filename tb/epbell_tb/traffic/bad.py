"""Requests that are no good, and completions that are none: how they differ from good ones."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpAttr, TlpTc, TlpType

from epbell_tb.endpoint.drivers import memory_request

__all__ = ["KINDS", "SPOILS", "UNSUPPORTED"]

UNSUPPORTED = {
    "fetch-add": (TlpType.FETCH_ADD, 4), "fetch-add-64": (TlpType.FETCH_ADD, 8), "swap": (TlpType.SWAP, 4),
    "cas": (TlpType.CAS, 8), "cas-64": (TlpType.CAS, 16), "locked": (TlpType.MEM_READ_LOCKED, 4),
    "io-read": (TlpType.IO_READ, 4), "io-write": (TlpType.IO_WRITE, 4),
}  # fmt: skip
"""Requests that the endpoint refuses, with their bytes: type by name."""

_WITHOUT_DATA = {"locked", "io-read"}


def _changed(request: Tlp, **changes: Any) -> Tlp:
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def _poisoned(address: int, dwords: int, source: Random) -> Tlp:
    return _changed(memory_request(address, source.randbytes(4 * dwords)), ep=True)


def _short(address: int, dwords: int, source: Random) -> Tlp:
    return _changed(memory_request(address, source.randbytes(4 * dwords)), length=dwords + 1)


def _long(address: int, dwords: int, source: Random) -> Tlp:
    return _changed(memory_request(address, source.randbytes(4 * dwords + 4)), length=dwords)


def _empty(address: int, dwords: int, source: Random) -> Tlp:
    return _changed(memory_request(address, source.randbytes(4 * dwords)), data=bytearray())


def _crossing(address: int, dwords: int, source: Random) -> Tlp:
    return memory_request((address | 0xFFF) - 3, source.randbytes(4 * dwords + 4))


def _too_much(address: int, dwords: int, source: Random) -> Tlp:
    return memory_request(address & ~0xFFF, source.randbytes(2048 + 4 * dwords))


_POSTED: dict[str, Callable[[int, int, Random], Tlp]] = {
    "poisoned": _poisoned, "short": _short, "long": _long, "empty": _empty, "crossing": _crossing,
    "too much": _too_much,
}  # fmt: skip


def _refused(name: str) -> Callable[[int, int, Random], Tlp]:
    kind, size = UNSUPPORTED[name]

    def make(address: int, dwords: int, source: Random) -> Tlp:
        return memory_request(address, None if name in _WITHOUT_DATA else source.randbytes(size), size, kind=kind)

    return make


KINDS: dict[str, Callable[[int, int, Random], Tlp]] = {
    **_POSTED, "poisoned again": _poisoned, **{name: _refused(name) for name in UNSUPPORTED},
}  # fmt: skip
"""Makers of bad requests by name: of an address, so many dwords, and a source of data."""


def _copy(completion: Tlp, **changes: Any) -> Tlp:
    return _changed(Tlp(completion), **changes)


def _without_data(completion: Tlp, status: CplStatus) -> Tlp:
    return _copy(completion, fmt_type=TlpType.CPL, data=bytearray(), length=0, status=status)


SPOILS: dict[str, Callable[[Tlp], list[Tlp]]] = {
    "UR": lambda completion: [_without_data(completion, CplStatus.UR)],
    "CA": lambda completion: [_without_data(completion, CplStatus.CA)],
    "CRS": lambda completion: [_without_data(completion, CplStatus.CRS)],
    "no data": lambda completion: [_without_data(completion, CplStatus.SC)],
    "poisoned": lambda completion: [_copy(completion, ep=True)],
    "too long": lambda completion: [_copy(completion, data=bytearray(8), length=2, byte_count=8)],
    "twice": lambda completion: [completion, _copy(completion)],
    "another's tag": lambda completion: [_copy(completion, tag=completion.tag ^ 1)],
    "another class": lambda completion: [_copy(completion, tc=TlpTc.TC3), completion],
    "other attributes": lambda completion: [_copy(completion, attr=TlpAttr.NS)],
    "none": lambda completion: [],
}
"""What the host sends instead of a completion, by name."""
