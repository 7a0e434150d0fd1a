"""A function-level reset resets nothing.

cocotbext-pcie 0.2.16, ``core.caps.pcie``: Initiate Function Level Reset calls ``initiate_function_level_reset``, which
is empty: configuration space stays as it is, requests under way go on, ``cfg_flr_in_process`` stays low (PCI Express,
6.6.2; AMD PG213, "Function Level Reset").

What we do: `on_function_level_reset` has the hard block do it (`epbell_tb.endpoint.function_state`). Gone when the
stock capability forgets what the host had set.
"""

from collections.abc import Awaitable, Callable
from typing import Any

__all__ = [
    "on_function_level_reset",
]


def on_function_level_reset(function: Any, begin: Callable[[], Awaitable[None]]) -> None:
    """Let a function offer the reset, and call when the host initiates one."""
    function.pcie_cap.function_level_reset_capability = True
    function.pcie_cap.initiate_function_level_reset = begin
