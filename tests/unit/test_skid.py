"""A stream with a place beside it: every beat once, in order, none changed while it waits, none late."""

import random
from typing import Any

import pytest
from simulate import simulate

from epbell.pcie.skid import Skid
from epbell.pcie.usp import CompleterCompletion


@pytest.mark.parametrize(("sends", "takes"), [(1.0, 1.0), (1.0, 0.3), (0.3, 1.0), (0.6, 0.6), (1.0, 0.9)])
def test_random_traffic(sends: float, takes: float) -> None:
    dut, rng = Skid(CompleterCompletion(64)), random.Random(1)
    sent: list[int] = []
    received: list[int] = []

    async def bench(ctx: Any) -> None:
        beat: int | None = None
        waits: tuple[int, ...] | None = None
        for _ in range(2000):
            if beat is None and rng.random() < sends:
                beat = rng.getrandbits(64)
            ready = int(rng.random() < takes)
            ctx.set(dut.i.tvalid, int(beat is not None))
            fields = beat or 0
            for name, value in (("tdata", fields), ("tkeep", fields & 3), ("tuser", fields >> 7), ("tlast", fields)):
                port = getattr(dut.i, name)
                ctx.set(port, value & (1 << len(port)) - 1)
            ctx.set(dut.o.tready, ready)
            shown = tuple(ctx.get(getattr(dut.o, name)) for name in ("tdata", "tkeep", "tuser", "tlast"))
            if waits is not None:
                assert ctx.get(dut.o.tvalid)
                assert shown == waits, "a beat that waits has changed"
            if beat is not None and ctx.get(dut.i.tready):
                sent.append(beat)
                beat = None
                assert ctx.get(dut.o.tvalid), "a beat goes on in its clock"
            waits = None
            if ctx.get(dut.o.tvalid):
                assert shown == (shown[0], shown[0] & 3, shown[0] >> 7 & (1 << 33) - 1, shown[0] & 1)
                if ready:
                    received.append(shown[0])
                else:
                    waits = shown
            assert len(sent) - len(received) == int(waits is not None)
            await ctx.tick()
            assert ctx.get(dut.holds) == len(sent) - len(received)

    simulate(dut, bench)
    assert received == sent[: len(received)]
    assert len(received) > 500 * takes


def test_no_clock_is_lost() -> None:
    """With a beat there in each clock, one goes in each clock in which the receiver takes one."""
    dut, rng = Skid(CompleterCompletion(128)), random.Random(2)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.i.tvalid, 1)
        for _ in range(300):
            ctx.set(dut.o.tready, rng.getrandbits(1))
            assert ctx.get(dut.o.tvalid)
            await ctx.tick()

    simulate(dut, bench)
