"""The output ``at_rest`` says the truth about flip-flops, memories of both kinds, and modules below."""

import os
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from epbell_tb import runner

pytestmark = pytest.mark.xdist_group("tiny")


class Below(wiring.Component):
    """A counter that stops."""

    go: In(1)
    limit: In(3)
    count: Out(3)

    def elaborate(self, platform):
        m = Module()
        with m.If(~self.go):
            m.d.sync += self.count.eq(0)
        with m.Elif(self.count < self.limit):
            m.d.sync += self.count.eq(self.count + 1)
        return m


class Resting(wiring.Component):
    """A register, a memory with a registered read, one that is exported as it is, and a module below."""

    go: In(1)
    limit: In(3)
    read: In(1)
    write: In(1)
    store: In(1)
    address: In(2)
    count: Out(3)
    counted: Out(3)
    word: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.below = below = Below()
        m.submodules.small = small = Memory(shape=8, depth=4, init=[3, 5, 7, 9])
        m.submodules.large = large = Memory(shape=32, depth=1024, init=[], attrs={"no_rw_check": 1})
        kept = Signal(3)
        m.d.sync += kept.eq(self.limit)
        m.d.comb += [below.go.eq(self.go), below.limit.eq(self.limit)]
        m.d.comb += [self.counted.eq(below.count), self.count.eq(kept)]
        words = []
        for memory, write in ((small, self.write), (large, self.store)):
            reads, writes = memory.read_port(), memory.write_port()
            m.d.comb += [
                reads.en.eq(self.read),
                reads.addr.eq(self.address),
                writes.en.eq(write),
                writes.addr.eq(self.address),
                writes.data.eq(kept),
            ]
            words.append(reads.data)
        m.d.comb += self.word.eq(words[0] ^ words[1][:8])
        return m


def test_output_says_the_truth(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    build = runner.build("resting", builder=Resting, at_rest={})
    (result,) = runner.run(build, "at_rest_bench", results=tmp_path, expected=1)
    assert result.passed, result.message


def test_registers_that_are_left_out(tmp_path, monkeypatch):
    """Without one of the registers the output is wrong, and the bench finds it."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    build = runner.build("resting", builder=Resting, at_rest={"below": ["count"]})
    (result,) = runner.run(build, "at_rest_bench", results=tmp_path, expected=1)
    assert not result.passed
    assert "at rest, and {" in result.message
