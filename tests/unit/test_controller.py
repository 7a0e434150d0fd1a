# amaranth: UnusedElaboratable=no
"""Counters, features and the MSI queue of the controller page."""

from typing import Any

import pytest
from quick_engine import Simulator
from register_page import read_page
from usp_rig import CONTROLLER, WIDTHS, Rig

import epbell_regs
from epbell.controller import Controller
from epbell.counter import Counter
from epbell.edma import EdmaShape
from epbell.pcie.requester import Cause


def test_counter_saturates_and_clears() -> None:
    dut = Counter(3)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.event, 1)
        seen = []
        for _ in range(11):
            seen.append(ctx.get(dut.count))
            await ctx.tick()
        assert seen == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 7]
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert ctx.get(dut.count) == 0
        ctx.set(dut.clear, 0)
        ctx.set(dut.event, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.count) == 1, "an event in the same clock counts as the first"
        ctx.set(dut.event, 1)
        await ctx.tick()
        ctx.set(dut.event, 0)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.count) == 0, "one in the clock before does not"

    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(bench)
    sim.run()


def test_counter_of_several_events_in_a_clock() -> None:
    """Two, none, one: each counts; the largest value is never passed."""
    dut = Counter(3, most=2)

    async def bench(ctx: Any) -> None:
        seen = []
        for event in (2, 0, 1, 2, 1, 2, 2, 1):
            ctx.set(dut.event, event)
            await ctx.tick()
            seen.append(ctx.get(dut.count))
        assert seen == [0, 0, 2, 2, 3, 5, 6, 7]
        ctx.set(dut.clear, 1)
        ctx.set(dut.event, 2)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        ctx.set(dut.event, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.count) == 2, "events in the same clock are the first"

    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(bench)
    sim.run()


def test_counter_refuses() -> None:
    with pytest.raises(ValueError, match="1 bit or more, not 0"):
        Counter(0)
    with pytest.raises(ValueError, match="1 event in a clock or more, not 0"):
        Counter(32, most=0)


@pytest.mark.parametrize("most", [1, 2])
def test_clear_of_the_edma_counters(most: int) -> None:
    """COUNTERS.CLEAR zeroes all three; what happens in its clock counts as the first."""
    dut = Controller(data_width=64, windows=6, guard=True, edma=EdmaShape())
    offsets = epbell_regs.offsets("controller")
    events = {"EDMA_RUNG": (dut.edma_rung, most), "EDMA_MERGED": (dut.edma_merged, most)}
    events["EDMA_DELIVERED"] = (dut.edma_delivered, 1)

    async def bench(ctx: Any) -> None:
        async def clock(happens: bool, clear: bool) -> list[int]:
            ctx.set(dut.bus.w_addr, offsets["COUNTERS"])
            ctx.set(dut.bus.w_data, int(clear))
            ctx.set(dut.bus.w_strb, 0xF)
            ctx.set(dut.bus.w_en, 1)
            await ctx.tick()
            ctx.set(dut.bus.w_en, 0)
            for event, count in events.values():
                ctx.set(event, count if happens else 0)
            await ctx.tick()
            for event, _ in events.values():
                ctx.set(event, 0)
            await ctx.tick()
            return [await read_page(ctx, dut.bus, offsets[name]) for name in events]

        once = [most, most, 1]
        assert await clock(True, False) == once
        assert await clock(True, False) == [2 * count for count in once]
        assert await clock(False, False) == [2 * count for count in once], "writing 0 clears nothing"
        assert await clock(False, True) == [0, 0, 0]
        assert await clock(True, False) == once
        assert await clock(True, True) == once, "what happens in the clock of the clear is the first"

    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("failure", [None, 0, 1, 2])
def test_cause_is_cleared_around_a_failure(failure: int | None) -> None:
    """The failure before the write is seen and cleared; one in its clock, or later, stays until it has been seen."""
    dut = Controller(data_width=64, windows=6, guard=True, edma=EdmaShape())
    offsets = epbell_regs.offsets("controller")

    async def bench(ctx: Any) -> None:
        async def clock(cause: Cause | None, clears_next: bool) -> None:
            ctx.set(dut.outbound_failed, int(cause is not None))
            ctx.set(dut.outbound_cause, cause or Cause.NONE)
            ctx.set(dut.outbound_address, 0x7000_0040 if cause is Cause.TIMEOUT else 0x7000_0080)
            for port, value in (
                (dut.bus.w_addr, offsets["OUTBOUND_CAUSE"]),
                (dut.bus.w_strb, 0xF),
                (dut.bus.w_data, 0),
            ):
                ctx.set(port, value)
            ctx.set(dut.bus.w_en, int(clears_next))
            await ctx.tick()

        async def read(name: str) -> int:
            return await read_page(ctx, dut.bus, offsets[name])

        await clock(Cause.NO_WINDOW, False)
        ctx.set(dut.outbound_failed, 0)
        assert await read("OUTBOUND_CAUSE") == Cause.NO_WINDOW.value
        for now in range(3):
            await clock(Cause.TIMEOUT if now == failure else None, now == 0)
        ctx.set(dut.outbound_failed, 0)
        cause, address = (Cause.NONE, None) if failure in {None, 0} else (Cause.TIMEOUT, 0x7000_0040)
        assert await read("OUTBOUND_CAUSE") == cause.value
        if address is not None:
            assert await read("OUTBOUND_ADDRESS") == address

    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("width", WIDTHS)
def test_features(width: int) -> None:
    async def bench(rig: Rig) -> None:
        assert await rig.cpu_read(CONTROLLER) == 0x4550424C
        assert await rig.cpu_read(CONTROLLER + 4) == 0x00000100
        assert await rig.cpu_read(CONTROLLER + 8) == width // 8 | 6 << 8 | 4 << 16 | 1 << 24 | 1 << 27

    Rig(width).run(bench)


@pytest.mark.parametrize(
    ("edma", "bits"), [(EdmaShape("legacy", lines=4), 1 | 4 << 2), (EdmaShape("hdma"), 2 | 1 << 2)]
)
def test_features_of_the_edma(edma: EdmaShape, bits: int) -> None:
    async def bench(rig: Rig) -> None:
        assert await rig.cpu_read(CONTROLLER + 8) >> 25 == bits

    Rig(64, edma=edma).run(bench)


def test_msi_queue() -> None:
    """MSI_RAISE and MSI_STATUS with a hard block that answers ``sent`` two clocks later."""

    async def bench(rig: Rig) -> None:
        hard = rig.dut.cfg_interrupt_msi
        sent: list[int] = []
        answer = [0, 0]

        def hard_block() -> None:
            asked = rig.ctx.get(hard.int)
            if asked:
                sent.append(asked.bit_length() - 1)
            answer.append(int(asked != 0))
            rig.ctx.set(hard.sent, answer.pop(0))

        rig.watch.append(hard_block)
        rig.function_status = 0x3
        assert await rig.cpu_read(CONTROLLER + 0x14) == 16 << 8
        for vector in range(18):
            await rig.cpu_write(CONTROLLER + 0x10, vector, strobes=0b0001 if vector != 3 else 0b1110)
        rig.ctx.set(hard.enable, 1)
        rig.ctx.set(hard.mmenable, 5)
        await rig.step(20)
        assert await rig.cpu_read(CONTROLLER + 0x14) == 1 | 5 << 1 | 16 << 8 | 1 << 16
        assert await rig.cpu_read(CONTROLLER + 0x70) == 0x3FFF7
        assert not sent
        rig.function_status = 0x7
        await rig.step(100)
        assert sent == [v for v in range(18) if v != 3]
        assert [await rig.cpu_read(CONTROLLER + at) for at in (0x18, 0x1C, 0xB0, 0xB4)] == [17, 0, 17, 0]
        assert await rig.cpu_read(CONTROLLER + 0x14) == 1 | 5 << 1 | 16 << 8 | 1 << 17

    Rig(64).run(bench)
