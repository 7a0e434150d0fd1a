"""What a non-posted request asks for, as it waits for its answer."""

from typing import Any

from amaranth.hdl import Cat
from amaranth.lib import data

from epbell.pcie import tlp

__all__ = [
    "DESCRIPTOR",
    "MAX_PAYLOAD",
    "REFUSED",
    "REPEATED",
    "fetch_layout",
    "payload_dwords",
    "read_request_layout",
]

DESCRIPTOR = 3
"""Dwords of a completion descriptor."""

REFUSED = 5
"""Dwords behind the descriptor of a refusal: what the hard block logs of the request."""

MAX_PAYLOAD = 256
"""Dwords of the most that ``cfg_max_payload`` can say, 1024 bytes."""

REPEATED = ("length", "kind", "bar", "aperture", "spare", "tph")
"""What a refusal repeats of the header besides what every completion needs, and the address."""


def fetch_layout(address_width: int) -> data.StructLayout:
    """Layout of what is to be read, ``either.fetch`` of `read_request_layout`."""
    return data.StructLayout({"origin": address_width, "chunk": range(MAX_PAYLOAD + 1), "rest": 11})


def read_request_layout(address_width: int, pages: int) -> data.StructLayout:
    """Layout of a non-posted request that waits for its answer.

    Parameters
    ----------
    address_width : int
        Width of ``origin``.
    pages : int
        Number of register pages that the host may reach.

    Attributes
    ----------
    ram : 1
        Read the RAM.
    pages : pages
        One-hot: read this register page. Neither: the answer is Unsupported Request.
    fetch
        What is to be read, or nothing of meaning when refused. ``origin`` (address_width): dword address of the first
        data dword minus 3, within the RAM or the page. ``chunk`` (range(257)): data dwords of the first completion.
        ``rest`` (11): data dwords of the completions after the first.
    refused
        In the same bits, of a refused request: ``address`` without bits 1:0, ``length``, ``kind``, ``bar``,
        ``aperture``, ``spare``, ``tph`` as in the request.
    byte_count, lower : 13, 7
        Byte count and lower address of the first completion.
    first_be, last_be, at, tc, attr, tag, requester, function
        As in the request.
    """
    return data.StructLayout({
        "ram": 1,
        "pages": pages,
        "either": data.UnionLayout({
            "fetch": fetch_layout(address_width),
            "refused": data.StructLayout({"address": 62, **{name: tlp.HEADER[name].shape for name in REPEATED}}),
        }),
        "byte_count": 13,
        "lower": 7,
        "first_be": 4,
        "last_be": 4,
        "at": 2,
        "tc": 3,
        "attr": 3,
        "tag": 8,
        "requester": 16,
        "function": 8,
    })


def payload_dwords(code: Any) -> Any:
    """Maximum payload in dwords (32, 64, 128 or 256) from ``cfg_max_payload``."""
    return Cat(*(0 for _ in range(5)), *(code == size for size in range(4)))
