"""The benches' own coroutines of the PCIe streams, on a module that has pins and nothing else."""

import os
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell_tb import runner

STREAM = {"tdata": 64, "tkeep": 2, "tlast": 1, "tuser": 60, "tvalid": 1, "tready": 1}
pytestmark = pytest.mark.xdist_group("tiny")


class Streams(wiring.Component):
    """Four streams, of which the bench drives both ends."""

    def __init__(self):
        pins = {}
        for stream in ("quick_source", "stock_source", "quick_sink", "stock_sink"):
            pins |= {f"{stream}_{name}": In(width) for name, width in STREAM.items()}
        super().__init__({"clk": In(1), "rst": In(1), "o": Out(1), **pins})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.clk)
        return m


def test_same_as_stock_clock_by_clock(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    build = runner.build("streams", builder=Streams)
    results = runner.run(build, "streams_bench", results=tmp_path, expected=5)
    assert not [f"{result.name}: {result.message}" for result in results if not result.passed]
