"""Completions of the host that are not what they should be, for `HostPort.spoil`."""

from collections.abc import Callable
from typing import Any

from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpType

__all__ = [
    "changed",
    "without_data",
]


def changed(**changes: Any) -> Callable[[Tlp], Tlp]:
    """Return what changes fields of a copy of a packet."""

    def spoil(completion: Tlp) -> Tlp:
        copy = Tlp(completion)
        for name, value in changes.items():
            setattr(copy, name, value)
        return copy

    return spoil


def without_data(status: CplStatus = CplStatus.SC) -> Callable[[Tlp], Tlp]:
    """Return what takes the data of a completion away, and gives it a status."""
    return changed(fmt_type=TlpType.CPL, data=bytearray(), length=0, status=status)
