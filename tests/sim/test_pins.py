"""The benches' own master of the CPU's port, on a module that has pins and nothing else."""

import os
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell_tb import runner

AXIL = {
    **{"awaddr": 16, "awprot": 3, "awvalid": 1, "awready": 1, "wdata": 32, "wstrb": 4, "wvalid": 1, "wready": 1},
    **{"bresp": 2, "bvalid": 1, "bready": 1, "araddr": 16, "arprot": 3, "arvalid": 1, "arready": 1},
    **{"rdata": 32, "rresp": 2, "rvalid": 1, "rready": 1},
}
PLANTED = ("unasked", "answered_twice")
pytestmark = pytest.mark.xdist_group("tiny")


class Pins(wiring.Component):
    """An AXI4-Lite port, of which the bench drives both ends."""

    def __init__(self):
        pins = {f"bus_{name}": In(width) for name, width in AXIL.items()}
        super().__init__({"clk": In(1), "rst": In(1), "o": Out(1), **pins})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.clk)
        return m


def test_cpu_port(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    pins = runner.build("pins", builder=Pins)
    names = ("words", "random_accesses", "many_at_a_time", "reset_in_flight", *PLANTED)
    results = runner.run(pins, "pins_bench", results=tmp_path, expected=len(names))
    assert tuple(result.name for result in results) == names
    assert {result.name: result.message for result in results if not result.passed}.keys() == set(PLANTED), results
    for result in results:
        assert result.passed or "the port answers, and nothing was asked" in result.message
