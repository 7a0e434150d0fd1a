"""A guest as the host that our models and benches know: memory with interrupt messages, and INTA."""

from collections.abc import Callable

from epbell_models.platform import DrivenIrqLine, Platform
from epbell_models.reference.host_memory import HostMemory
from epbell_models.reference.outbound import Cause
from epbell_tb.guest.port import MESSAGES, HostFault, HostGone, HostSide

__all__ = [
    "HostSideLine",
    "HostSideMemory",
]

_INTA = 0


class HostSideMemory(HostMemory):
    """The guest's memory, and what takes its interrupt messages.

    Parameters
    ----------
    host
        The guest.
    heard
        Called with address and bytes of an interrupt message before the guest gets it.
    """

    def __init__(self, host: HostSide, heard: Callable[[int, bytes], None] = lambda address, data: None) -> None:
        super().__init__()
        self._host = host
        self._heard = heard

    def read(self, address: int, length: int) -> bytes | Cause:
        """Do one read request."""
        try:
            return self._host.read(address, length)
        except HostFault:
            return Cause.UNSUPPORTED

    def write(self, address: int, data: bytes) -> None:
        """Do one write request; posted, so nobody is told if it reaches nothing, which is kept in ``dropped``.

        What comes after a guest has switched itself off is nobody's error.
        """
        if address in MESSAGES:
            self._heard(address, data)
        try:
            self._host.write(address, data)
        except HostGone:
            return
        except HostFault:
            self.dropped.append(address)


class HostSideLine(DrivenIrqLine):
    """INTA, of which the guest hears each change."""

    def __init__(self, platform: Platform, host: HostSide) -> None:
        super().__init__(platform)
        self._host = host

    def drive(self, level: bool) -> None:
        """Set the level."""
        if level != self.level():
            self._host.intx(_INTA, level)
        super().drive(level)
