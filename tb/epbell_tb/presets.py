"""Flip-flops that a bench may set, since it would wait too long for them to get there: in builds that need it alone.

`benches/endpoint_presets.py` sets them. How a value is reached says something else: `make formal` for counters
(``counter.exact``), the benches for the rest.
"""

from __future__ import annotations

import re

__all__ = ["COUNTERS", "TIMERS", "opened"]

COUNTERS = ("count",)
"""Of `epbell.counter.Counter`, 32 bits: the highest take more events than a bench has."""
TIMERS = ("now", "patience", "waited", "packet_age")
"""Of reads of the host that are given up, a function-level reset, answers of the hard block, and what waits on CQ."""


def opened(text: str, names: tuple[str, ...]) -> str:
    """Return SystemVerilog, as it is exported, in which Verilator lets a bench write every register of these names."""
    register = re.compile(rf"^  reg \[\d+:0\] (?:{'|'.join(map(re.escape, names))})(?= = )", re.MULTILINE)
    return register.sub(r"\g<0> /*verilator public_flat_rw*/", text)
