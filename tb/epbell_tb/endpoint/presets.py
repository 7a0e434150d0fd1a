"""The endpoint's counters, begun anywhere: in builds whose flip-flops a bench may set (`epbell_tb.presets`)."""

import os
from typing import Any

from cocotb.handle import HierarchyObject
from cocotb.triggers import FallingEdge

import epbell_regs
from epbell_tb.endpoint.env import EndpointEnv

__all__ = ["BITS", "PRESETS", "begin_anywhere", "counters_of", "fill", "inside"]

PRESETS = "EPBELL_PRESETS"
"""Environment variable: 1 in a build that allows it."""

BITS = 32
"""Of a counter; at its largest value it stays."""

_CARRIES = 24
_COUNTED = 1 << 20
"""More than a bench counts: none gets to the largest value."""


def counters_of(dut: Any) -> dict[str, Any]:
    """Return the flip-flops of each counter, by the name of its register."""
    registers = epbell_regs.offsets("controller")
    named = {_plain(child).upper(): child for child in inside(dut, "blocks", "controller")}
    return {name: child.count for name, child in named.items() if name in registers}


def inside(dut: Any, *path: str) -> Any:
    """Return a module by the names of those around it."""
    for name in path:
        dut = next(child for child in dut if isinstance(child, HierarchyObject) and _plain(child) == name)
    return dut


async def begin_anywhere(env: EndpointEnv) -> None:
    """With EPBELL_PRESETS=1, add any number to each counter, which `Counters.read` takes off again.

    Often the next event carries far.
    """
    if os.environ.get(PRESETS) != "1":
        return
    # In the middle of a clock nothing counts.
    await FallingEdge(env.dut.clk)
    for name, count in counters_of(env.dut).items():
        start = env.random.getrandbits(BITS) | (1 << env.random.randrange(_CARRIES)) - 1
        start = min(start, (1 << BITS) - 1 - _COUNTED)
        count.value = start + int(count.value)
        env.counters.start[name] = start


async def fill(env: EndpointEnv) -> dict[str, Any]:
    """Set every counter to its largest value; return their flip-flops."""
    await FallingEdge(env.dut.clk)
    found = counters_of(env.dut)
    for count in found.values():
        count.value = (1 << BITS) - 1
    return found


def _plain(handle: Any) -> str:
    """Return the name of a module without the number that a conversion may have added."""
    return handle._name.strip("\\ ").partition("$")[0]
