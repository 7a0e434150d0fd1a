"""Spare cocotbext-pcie what takes most of its time: looking up enumerations, and checking every packet at every hop.

The packets that matter, those at the endpoint's pins, are checked by the scoreboard.
"""

from typing import Any

from cocotb.triggers import RisingEdge
from cocotbext.pcie.core.tlp import Tlp, TlpType
from cocotbext.pcie.core.utils import PcieId
from cocotbext.pcie.xilinx.us.interface import UsPcieSource

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


async def _drive_beats(source: Any) -> None:
    """Drive a stream as the stock coroutine does, but neither read back nor write again what is on the pins already."""
    edge, valid = RisingEdge(source.clock), False
    pins = {name: getattr(source.bus, name) for name in ("tdata", "tkeep", "tuser", "tlast")}
    driven: dict[str, int] = dict.fromkeys(pins, 0)
    while True:
        await edge
        if source.reset is not None and source.reset.value:
            source.bus.tvalid.value = 0
            valid = False
            continue
        if valid and not source.bus.tready.value:
            continue
        if source.drive_obj and not source.pause:
            for name, pin in pins.items():
                value = getattr(source.drive_obj, name)
                if value != driven[name]:
                    pin.value = driven[name] = value
            source.drive_obj = None
            source.drive_sync.set()
            if not valid:
                source.bus.tvalid.value = 1
            source.active = valid = True
            continue
        if valid:
            source.bus.tvalid.value = 0
            valid = False
        source.active = bool(source.drive_obj)
        if not source.drive_obj:
            source.idle_event.set()
            source.bus_active_event.clear()
            await source.bus_active_event.wait()


def make_quick() -> None:
    """Replace the costly parts, once for the whole process."""
    Tlp.fmt_type = property(_kind, _set_kind)
    Tlp.check = _good
    Tlp.completer_id, Tlp.requester_id = _identity("_completer_id"), _identity("_requester_id")
    stream: Any = UsPcieSource
    stream._run_source = _drive_beats
