"""Pulses of the hard block's pins."""

from typing import Any

from cocotb.triggers import RisingEdge

__all__ = [
    "pulse",
]


async def pulse(clock: Any, *pins: Any) -> None:
    """Set pins for a clock."""
    for pin in pins:
        pin.value = 1
    await RisingEdge(clock)
    for pin in pins:
        pin.value = 0
