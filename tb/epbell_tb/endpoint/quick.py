"""Spare cocotbext-pcie what takes most of its time: looking up enumerations, and checking every packet at every hop.

The packets that matter, those at the endpoint's pins, are checked by the scoreboard.
"""

from typing import Any

from cocotbext.pcie.core.tlp import Tlp, TlpType
from cocotbext.pcie.core.utils import PcieId

from epbell_tb.endpoint import streams

__all__ = [
    "make_quick",
]

_KINDS: dict[Any, TlpType] = {kind.value: kind for kind in TlpType}


def _kind(tlp: Tlp) -> TlpType:
    return _KINDS[tlp.fmt, tlp.type]


def _set_kind(tlp: Tlp, kind: Any) -> None:
    tlp.fmt, tlp.type = kind.value if isinstance(kind, TlpType) else kind


def _good(self: Tlp) -> bool:
    return True


def _identity(name: str) -> property:
    """Return an attribute that is a `PcieId`; one that is one already is not made again."""

    def get(tlp: Tlp) -> PcieId:
        return getattr(tlp, name)

    def put(tlp: Tlp, value: Any) -> None:
        setattr(tlp, name, value if type(value) is PcieId else PcieId(value))

    return property(get, put)


def make_quick() -> None:
    """Replace the costly parts, once for the whole process."""
    Tlp.fmt_type = property(_kind, _set_kind)
    Tlp.check = _good
    Tlp.completer_id, Tlp.requester_id = _identity("_completer_id"), _identity("_requester_id")
    streams.make_quick()
