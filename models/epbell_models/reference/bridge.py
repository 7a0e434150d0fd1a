"""The root port above a `ReferenceLink`, as far as it resets what is below (PCI Express Base, 7.5.1.3.13)."""

from collections.abc import Callable

from ..platform import Platform
from .link import ReferenceLink

__all__ = [
    "ReferenceBridge",
]

_BRIDGE_CONTROL = 0x3C
_WRITABLE = 0x0043_00FF
_BUS_RESET = 1 << 22


class ReferenceBridge:
    """Configuration space of the root port: Interrupt Line and Bridge Control.

    While Secondary Bus Reset is set the function is not there. Setting it resets the function and the endpoint, but for
    the contents of its RAM.

    Parameters
    ----------
    platform
        Time.
    link
        What is below.
    latency
        Seconds that an access takes.

    Attributes
    ----------
    on_reset
        Called when the reset has ended.
    """

    def __init__(self, platform: Platform, link: ReferenceLink, latency: float = 400e-9) -> None:
        self.on_reset: Callable[[], object] = lambda: None
        self._platform = platform
        self._link = link
        self._latency = latency
        self._control = 0

    async def config_read32(self, offset: int) -> int:
        """Read one dword of configuration space."""
        await self._platform.sleep(self._latency)
        return self._control if offset == _BRIDGE_CONTROL else 0

    async def config_write32(self, offset: int, value: int) -> None:
        """Write one dword of configuration space."""
        await self._platform.sleep(self._latency)
        if offset != _BRIDGE_CONTROL:
            return
        before, self._control = self._control, value & _WRITABLE
        if self._control & ~before & _BUS_RESET:
            self._link.lose()
        elif before & ~self._control & _BUS_RESET:
            self._link.present = True
            self.on_reset()
