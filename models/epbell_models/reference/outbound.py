"""Outbound windows: which PCI address an access of the endpoint's processor reaches, and why one failed.

Register-compatible with the outbound regions of the DesignWare iATU, unroll layout: region i is at ``i * 0x200``.
"""

from dataclasses import dataclass
from enum import IntEnum

from .iatu import CTRL1, Refusal, Region, Regions

__all__ = [
    "Cause",
    "Marks",
    "OutboundWindows",
]

_OUTBOUND = 0x000
_CONTROL = 0x01F0_27FF, 0x9040_00FF
_FUNCTION = 0x1F << 20


class Cause(IntEnum):
    """Why an access of the processor to the host failed: the codes of the controller page's OUTBOUND_CAUSE."""

    NONE = 0
    NO_WINDOW = 1
    NOT_MASTER = 2
    UNSUPPORTED = 3
    ABORTED = 4
    POISONED = 5
    TIMEOUT = 6
    UNEXPECTED = 7

    @property
    def status(self) -> str:
        """What the processor's bus calls it: a decode error is ``"UR"``, a slave error ``"CA"`` if nothing fits better.

        See `epbell_models.platform.BusError`.
        """
        if self in (Cause.NO_WINDOW, Cause.UNSUPPORTED):
            return "UR"
        return "TIMEOUT" if self is Cause.TIMEOUT else "CA"

    @property
    def response(self) -> int:
        """The answer on AXI: 0 OKAY, 2 SLVERR, 3 DECERR."""
        if self is Cause.NONE:
            return 0
        return 3 if self is Cause.NO_WINDOW else 2


@dataclass(frozen=True)
class Marks:
    """What a window says of its requests besides their address.

    Attributes
    ----------
    traffic_class
        0 to 7.
    attributes
        Bit 0 no snoop, bit 1 relaxed ordering.
    digest
        Whether an ECRC is appended.
    """

    traffic_class: int = 0
    attributes: int = 0
    digest: bool = False


class OutboundWindows(Regions):
    """The windows' registers and what they translate: base to limit goes to target and on.

    A window of another function than 0 claims nothing: the endpoint has no other that could request.

    Parameters
    ----------
    windows
        Number of outbound regions, 1 to 16.
    """

    def __init__(self, windows: int = 6) -> None:
        if not 1 <= windows <= 16:
            raise ValueError(f"An endpoint has 1 to 16 outbound windows, not {windows!r}")
        super().__init__(windows, _OUTBOUND, _CONTROL)

    def translate(self, address: int, length: int = 4) -> int | Refusal:
        """Return the PCI address of an access; the claiming window with the lowest number decides."""
        first, last = self._claiming(address), self._claiming(address + length - 1)
        if first is None or last is not first:
            return Refusal(f"no outbound window claims {address:#x}")
        return first.move(address)

    def marks(self, address: int) -> Marks:
        """Return what else an access that `translate` does not refuse is sent with."""
        claiming = self._claiming(address)
        control = claiming.registers[CTRL1] if claiming is not None else 0
        return Marks(control >> 5 & 0x7, control >> 9 & 0x3, bool(control >> 8 & 1))

    def _claiming(self, address: int) -> Region | None:
        return next((region for region in self.in_force if self._claims(region, address)), None)

    @staticmethod
    def _claims(region: Region, address: int) -> bool:
        return region.active and not region.registers[CTRL1] & _FUNCTION and region.holds(address)
