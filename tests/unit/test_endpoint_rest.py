"""An endpoint with nothing to do changes nothing, so that a simulation may leave its clock out (`export_rest`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from amaranth.sim import Simulator

from epbell.endpoint import Endpoint

PERIOD = 4e-9
SETTLED = 300
"""Clocks after which whatever the reset has begun is over."""
WATCHED = 600
"""Clocks that are watched: the hard block is asked for the BARs every few hundred, and does not answer here."""


def changes(vcd: Path, since: int) -> set[str]:
    """Return the names of what changes in a VCD at a time or later, in its units of a femtosecond.

    Read line by line: pyvcd's reader refuses names like Amaranth's `$signal`.
    """
    names: dict[str, str] = {}
    scopes: list[str] = []
    found = set[str]()
    now = 0
    for line in vcd.read_text().splitlines():
        if match := re.match(r"\$scope \w+ (\S+) \$end", line):
            scopes.append(match[1])
        elif line.startswith("$upscope"):
            scopes.pop()
        elif match := re.match(r"\$var \S+ \d+ (\S+) (\S+)", line):
            names.setdefault(match[1], ".".join((*scopes, match[2])))
        elif line.startswith("#"):
            now = int(line[1:])
        elif now >= since and (match := re.match(r"(?:[01xz]|[bs]\S* )(\S+)$", line)):
            found.add(names[match[1]])
    return found


@pytest.mark.parametrize("width", [64, 256])
def test_nothing_changes_at_rest(tmp_path: Path, width: int) -> None:
    """No counter that runs for ever, no state that goes round."""
    simulator = Simulator(Endpoint(width, ram_size=16 << 10, windows=2, outbound_windows=2))
    simulator.add_clock(PERIOD)

    async def bench(ctx: Any) -> None:
        await ctx.tick().repeat(SETTLED + WATCHED)

    simulator.add_testbench(bench)
    with simulator.write_vcd(str(tmp_path / "rest.vcd")):
        simulator.run()
    moved = changes(tmp_path / "rest.vcd", round(SETTLED * PERIOD * 1e15))
    assert any(name.endswith("clk") for name in moved)
    assert {name for name in moved if not name.endswith("clk")} == set()
