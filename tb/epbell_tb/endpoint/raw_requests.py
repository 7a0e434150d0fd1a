"""Requests as they stand on the CQ stream, whatever a hard block would do with them on the link.

The hard block drops malformed packets, and some kinds of request never come out of it. What the endpoint makes of them
all the same is decided (docs/endpoint.md), and is seen here: a good request goes to the stream with fields changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cocotbext.pcie.core.tlp import CplStatus, Tlp
from cocotbext.pcie.xilinx.us.interface import UsPcieFrame
from cocotbext.pcie.xilinx.us.tlp import Tlp_us

from epbell_tb.endpoint.env import EndpointEnv

__all__ = [
    "MESSAGE",
    "Raw",
    "ask_raw",
    "send_raw",
]

MESSAGE = 12
"""The first kind of request that is a message (AMD PG213, completer request descriptor)."""

_DESCRIPTOR = 4
_WHOLE = 0xF
_ANSWERED_US = 40


@dataclass(frozen=True)
class Raw:
    """What of a request is changed; None or nothing: it stays.

    Attributes
    ----------
    bar, function
        Number of the BAR and of the function that it is for, 0 to 7 and 0 to 255.
    kind
        Its kind, 0 to 15 (AMD PG213).
    length
        Dwords that its descriptor tells of, 0 to 2047.
    payload
        The dwords that follow.
    discontinue
        Whether ``discontinue`` is set in the last beat's ``tuser``: the hard block has found an error.
    flips
        Bits of its descriptor, of 128, that are inverted.
    """

    bar: int
    function: int = 0
    kind: int | None = None
    length: int | None = None
    payload: Sequence[int] | None = None
    discontinue: bool = False
    flips: int = 0


class _Request(Tlp_us):
    """A request of which the stream gets something else."""

    raw: Raw

    def pack_us_cq(self) -> UsPcieFrame:
        """Return the frame for the stream."""
        frame, raw = super().pack_us_cq(), self.raw
        if raw.kind is not None:
            frame.data[2] = frame.data[2] & ~(0xF << 11) | raw.kind << 11
        if raw.length is not None:
            frame.data[2] = frame.data[2] & ~0x7FF | raw.length
        frame.data[3] = frame.data[3] & ~(0x7FF << 8) | raw.function << 8 | raw.bar << 16
        for number in range(_DESCRIPTOR):
            frame.data[number] ^= raw.flips >> 32 * number & 0xFFFF_FFFF
        if raw.payload is not None:
            del frame.data[_DESCRIPTOR:]
            frame.data += raw.payload
            frame.byte_en = [0] * _DESCRIPTOR + [_WHOLE] * len(raw.payload)
        frame.discontinue = raw.discontinue
        frame.update_parity()
        return frame


def _made(env: EndpointEnv, request: Tlp, raw: Raw) -> _Request:
    made = _Request(request)
    if raw.function:
        env.link.functions.add(raw.function)
    made.raw = raw
    made.completer_id = env.block.functions[0].pcie_id
    made.bar_aperture = (env.bar_sizes[raw.bar] - 1).bit_length() if raw.bar < len(env.bar_sizes) else 0
    return made


def send_raw(env: EndpointEnv, request: Tlp, raw: Raw) -> None:
    """Give the stream a request that asks for no answer: a memory write, or what a change of its kind makes of one."""
    env.block.offer(_made(env, request, raw))


async def ask_raw(env: EndpointEnv, request: Tlp, raw: Raw) -> CplStatus:
    """Give the stream a request that asks for an answer, when there is a credit for it; return the answer's status."""
    request.tag = await env.root.alloc_tag()
    env.block.offer(_made(env, request, raw))
    answer: Any = await env.root.recv_cpl(request.tag, _ANSWERED_US, "us")
    assert answer is not None, f"no completion within {_ANSWERED_US} us for {raw} of {request!r}"
    env.root.release_tag(request.tag)
    return answer.status
