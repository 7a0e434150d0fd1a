"""The CPU's writes that aim a window at a target, or switch it off, for benches without Linux."""

from __future__ import annotations

from epbell_regs import offsets

__all__ = ["bar_window", "no_window", "outbound_window"]

_ENABLE, _BAR_MATCH = 1 << 31, 1 << 30


def bar_window(iatu: int, window: int, bar: int, target: int) -> list[tuple[int, int]]:
    """Return address and value of each write that sends all of a BAR to a target; the last one puts it into force.

    Parameters
    ----------
    iatu : int
        Address of the windows' page.
    window, bar : int
        Number of the inbound window, 0 to 15; BAR, 0 to 5.
    target : int
        Endpoint-local address, 64 bits, a multiple of 4 KiB and of the BAR's size.
    """
    registers = offsets("iatu", windows=16)
    values = {
        "LOWER_TARGET": target & 0xFFFF_FFFF,
        "UPPER_TARGET": target >> 32,
        "CTRL1": 0,
        "CTRL2": _ENABLE | _BAR_MATCH | bar << 8,
    }
    return [(iatu + registers[f"IB{window}_{name}"], value) for name, value in values.items()]


def no_window(iatu: int, window: int) -> tuple[int, int]:
    """Return address and value of the write that lets an inbound window claim nothing; arguments as of `bar_window`."""
    return iatu + offsets("iatu", windows=16)[f"IB{window}_CTRL2"], 0


def outbound_window(iatu: int, window: int, base: int, size: int, target: int) -> list[tuple[int, int]]:
    """Return address and value of each write that lets the CPU reach the host through an outbound window.

    Parameters
    ----------
    iatu : int
        Address of the windows' page.
    window : int
        Number of the outbound window, 0 to 15.
    base, size : int
        Where the CPU finds it, 32 bits, and its bytes, both multiples of 4 KiB.
    target : int
        PCI address, 64 bits, a multiple of 4 KiB.
    """
    registers = offsets("iatu_outbound", windows=16)
    values = {
        "LOWER_BASE": base,
        "UPPER_BASE": 0,
        "LIMIT": base + size - 1,
        "LOWER_TARGET": target & 0xFFFF_FFFF,
        "UPPER_TARGET": target >> 32,
        "CTRL1": 0,
        "CTRL2": _ENABLE,
    }
    return [(iatu + registers[f"OB{window}_{name}"], value) for name, value in values.items()]
