"""The target alone, with segments as the parser would give them: what waits for long, and what has no pause."""

from __future__ import annotations

from typing import Any

import pytest
from simulate import simulate

from epbell.address_map import HostPage
from epbell.pcie.request import STAGES
from epbell.pcie.target import LATENCY_BITS, Target
from epbell.pcie.tlp import RequestType
from epbell.registers import WRITE_CLOCKS

RAM, PAGE = 0x6000_0000, 0x5D30_0000
LIMIT = (1 << LATENCY_BITS) - 1


class Rig:
    """The target in its clock; what is given to it counts for one clock."""

    def __init__(self, ctx: Any, dut: Any) -> None:
        self.ctx, self.dut = ctx, dut
        self.clock = 0
        self.handshakes: dict[int, int] = {}  # clock in which the write is made -> its data
        self.ages: dict[int, int] = {}  # data of a write -> its age
        self.torn = self.malformed = 0
        for name in ("ready", "read_ready", "claimed", "fits"):
            ctx.set(getattr(dut, name), 1)

    async def step(self, clocks: int = 1) -> None:
        """Let clocks go by."""
        ctx, dut = self.ctx, self.dut
        for _ in range(clocks):
            if ctx.get(dut.bus_valid) and ctx.get(dut.ready):
                self.handshakes[self.clock + WRITE_CLOCKS] = ctx.get(dut.bus_data)
            if self.clock in self.handshakes:
                self.ages[self.handshakes[self.clock]] = ctx.get(dut.bus_age)
            self.torn += ctx.get(dut.torn)
            self.malformed += ctx.get(dut.malformed)
            await ctx.tick()
            self.clock += 1
            ctx.set(dut.valid, 0)
            ctx.set(dut.begins, 0)

    def stand(self, clocks: int) -> Any:
        """Let clocks go by in which nothing is done."""
        self.clock += clocks
        return self.ctx.tick().repeat(clocks)

    def give(self, address: int, data: int | None, *, begins: bool = True, torn: int = 0, bad: int = 0) -> None:
        """In this clock, the segment of a write of a dword, or of a read; ``bad``: of a packet that is too long."""
        ctx, segment = self.ctx, self.dut.segment
        kind = RequestType.MEM_READ if data is None else RequestType.MEM_WRITE
        header = {"address": address, "length": 1, "kind": kind.value, "first_be": 0xF}
        flags = {"first": 1, "tail": 1, "single": 1, "final": 1, "known": 1, "torn": torn, "malformed": bad}
        payload = {"count": 1, "data": [data, 0]} if data is not None else {}
        ctx.set(segment, {"header": header, "write": data is not None and not bad, **flags, **payload})
        ctx.set(self.dut.local, address)
        ctx.set(self.dut.valid, 1)
        ctx.set(self.dut.begins, begins)


def _run(bench: Any) -> None:
    dut: Any = Target(2, ram_base=RAM, ram_size=4096, pages=[HostPage(PAGE, None)])

    async def testbench(ctx: Any) -> None:
        await bench(Rig(ctx, dut))

    simulate(dut, testbench)


def test_the_age_of_what_waits_for_long() -> None:
    """Register writes that wait behind a read, for few clocks or for more than (twice) as many as an age can have."""

    async def bench(rig: Rig) -> None:
        ctx, dut = rig.ctx, rig.dut
        ctx.set(dut.read_ready, 0)
        rig.give(PAGE, None)
        await rig.step()
        began = {}
        for number, wait in enumerate((2 * LIMIT + 20, LIMIT + 100, LIMIT - 300, 200, 4, 2), start=1):
            began[number] = rig.clock - STAGES
            rig.give(PAGE, number)
            await rig.step()
            await rig.stand(wait - 1)
        assert not rig.ages
        ctx.set(dut.read_ready, 1)
        leaves = rig.clock
        await rig.step(20)
        ages = {number: min(leaves + number + WRITE_CLOCKS - when, LIMIT) for number, when in began.items()}
        assert rig.ages == ages
        assert [age == LIMIT for age in ages.values()] == [True, True, False, False, False, False]

    _run(bench)


def test_the_age_of_a_request_that_has_paused() -> None:
    """Its first beat came long before the one of the payload."""

    async def bench(rig: Rig) -> None:
        began = rig.clock - STAGES
        rig.ctx.set(rig.dut.begins, 1)
        await rig.step()
        await rig.step(999)
        rig.give(PAGE, 7, begins=False)
        await rig.step(8)
        made = next(iter(rig.handshakes))
        assert rig.ages == {7: made - began}

    _run(bench)


@pytest.mark.parametrize("stands", [0, 12])
def test_every_packet_that_is_torn_or_malformed_is_reported(stands: int) -> None:
    """Each beat both has replaced a packet and is malformed; behind each other, since nothing between them is kept."""

    async def bench(rig: Rig) -> None:
        rig.ctx.set(rig.dut.read_ready, not stands)
        rig.give(PAGE, None)
        await rig.step()
        for number in range(5):
            rig.give(RAM, number, torn=1, bad=1)
            await rig.step()
        await rig.step(stands)
        rig.ctx.set(rig.dut.read_ready, 1)
        await rig.step(12)
        assert (rig.torn, rig.malformed) == (5, 5)

    _run(bench)


def test_idle_covers_every_stage() -> None:
    """It falls in the clock after a segment came, and rises when that is done."""

    async def bench(rig: Rig) -> None:
        ctx, dut = rig.ctx, rig.dut
        assert ctx.get(dut.idle)
        ctx.set(dut.ready, 0)
        rig.give(RAM, 1)
        await rig.step()
        for _ in range(20):
            assert not ctx.get(dut.idle)
            await rig.step()
        assert ctx.get(dut.ram_valid)
        ctx.set(dut.ready, 1)
        await rig.step(2)
        assert ctx.get(dut.idle)

    _run(bench)
