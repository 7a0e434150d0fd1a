"""Which bits of a vector have changed: of a wide one, too, which Verilator's own function counts wrong."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell_tb import coverage, runner


class Wide(wiring.Component):
    """Shows a vector."""

    given: Any
    shown: Any

    def __init__(self, width):
        super().__init__({"given": In(width), "shown": Out(width)})

    def elaborate(self, platform):
        """Wire it through."""
        m: Any = Module()
        m.d.comb += self.shown.eq(self.given)
        return m


@pytest.mark.parametrize("width", [64, 100])
def test_only_what_has_changed_counts(width, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    build = runner.build(f"wide{width}", builder=partial(Wide, width), coverage=True)
    (result,) = runner.run(build, "wide_bench", results=tmp_path)
    assert result.passed
    hits = coverage.read(tmp_path / coverage.NAME)
    changed = {point.name for point, count in hits.items() if point.kind == "toggle" and count}
    edges = ("[3]:0->1", "[3]:1->0", "[40]:0->1")
    assert changed == {f"{signal}{edge}" for signal in ("given", "shown") for edge in edges}
