"""Byte count and offset for every pair of byte enables, from a count of the bytes themselves."""

from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from quick_engine import Simulator

from epbell.pcie import tlp


class ByteCount(wiring.Component):
    """The functions under test, with pins."""

    header: In(tlp.HEADER)
    count: Out(13)
    offset: Out(2)
    after: Out(2)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.count.eq((self.header.length << 2) - tlp.bytes_beside(self.header, self.header.length == 1)),
            self.offset.eq(tlp.first_offset(self.header.first_be)),
            self.after.eq(tlp.last_offset(self.header.first_be)),
        ]
        return m


@pytest.mark.parametrize("length", [1, 2, 3, 1023, 1024])
def test_byte_count(length: int) -> None:
    dut = ByteCount()
    checked = 0

    async def bench(ctx: Any) -> None:
        nonlocal checked
        ctx.set(dut.header.length, length)
        for first in range(16) if length == 1 else range(1, 16):
            for last in (0, 0xF) if length == 1 else range(1, 16):  # with one dword the last enables must not matter
                ctx.set(dut.header.first_be, first)
                ctx.set(dut.header.last_be, last)
                enables = [first] if length == 1 else [first, *([15] * (length - 2)), last]
                bytes_ = [4 * k + b for k, be in enumerate(enables) for b in range(4) if be >> b & 1] or [0]
                assert ctx.get(dut.count) == bytes_[-1] - bytes_[0] + 1
                assert ctx.get(dut.offset) == bytes_[0]
                if length == 1 and first:
                    assert ctx.get(dut.after) == 3 - bytes_[-1]
                checked += 1

    sim = Simulator(dut)
    sim.add_testbench(bench)
    sim.run()
    assert checked == (32 if length == 1 else 225)
