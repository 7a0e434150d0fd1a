"""A hot reset only sets a bit.

cocotbext-pcie 0.2.16, ``core.bridge``: Secondary Bus Reset in Bridge Control is stored and read back; nothing happens
on the link, and the device below keeps its configuration (PCI Express, 6.6.1).

What we do: `watch_bus_reset` tells of the change, and `epbell_tb.endpoint.resets` resets the link and the device. Gone
when the stock bridge does something with ``secondary_bus_reset``.
"""

from collections.abc import Awaitable, Callable
from typing import Any

__all__ = [
    "watch_bus_reset",
]


def watch_bus_reset(port: Any, changed: Callable[[bool], Awaitable[None]]) -> None:
    """Call with the new level when Secondary Bus Reset changes."""
    write = port.write_config_register

    async def written(register: int, data: int, mask: int) -> None:
        before = bool(port.secondary_bus_reset)
        await write(register, data, mask)
        now = bool(port.secondary_bus_reset)
        if now != before:
            await changed(now)

    port.write_config_register = written
