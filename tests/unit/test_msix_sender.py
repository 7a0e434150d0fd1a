"""MSI-X messages through the hard block's port: one at a time, each for one clock, and one answer for each."""

import random
from typing import Any

from simulate import simulate

from epbell.msix_sender import HardMsix, MsixSender


def run(bench: Any) -> None:
    dut = MsixSender()
    simulate(dut, lambda ctx: bench(ctx, dut))


def test_random_messages() -> None:
    rng = random.Random(5)
    outcomes = {"sent": 0, "failed": 0, "off": 0}

    async def bench(ctx: Any, dut: MsixSender) -> None:
        offered: tuple[int, int] | None = None
        taken: tuple[int, int] | None = None
        wait = asked = 0
        for cycle in range(4000):
            enabled = rng.random() < 0.97
            ctx.set(dut.hard.enable, 0b1110 | enabled)
            if offered is None and cycle < 3900 and rng.random() < 0.3:
                offered = rng.getrandbits(64), rng.getrandbits(32)
            ctx.set(dut.i_valid, int(offered is not None))
            if offered is not None:
                ctx.set(dut.i_address, offered[0])
                ctx.set(dut.i_data, offered[1])
            wait -= wait > 0
            answer = rng.choice(["sent", "sent", "fail"]) if taken and not wait else None
            ctx.set(dut.hard.sent, int(answer == "sent" or (taken is None and rng.random() < 0.3)))
            ctx.set(dut.hard.fail, int(answer == "fail" or (taken is None and rng.random() < 0.3)))
            assert ctx.get(dut.i_ready) == (taken is None)
            assert ctx.get(dut.i_sent) == (answer == "sent")
            off = taken is not None and not enabled
            assert ctx.get(dut.i_failed) == (answer == "fail" or (off and answer is None))
            assert ctx.get(dut.hard.int) == asked
            if taken is not None:
                assert (ctx.get(dut.hard.address), ctx.get(dut.hard.data)) == taken
            asked = 0
            if answer or off:
                outcomes["sent" if answer == "sent" else "failed" if answer else "off"] += 1
                taken = None
            elif taken is None and offered is not None:
                taken, offered, wait, asked = offered, None, rng.randint(1, 6), 1
            await ctx.tick()
        assert taken is None
        assert offered is None

    run(bench)
    assert outcomes["sent"] > 300
    assert outcomes["failed"] > 100
    assert outcomes["off"] > 30


def test_sent_counts_when_switched_off_in_the_same_clock() -> None:
    async def bench(ctx: Any, dut: MsixSender) -> None:
        ctx.set(dut.hard.enable, 1)
        ctx.set(dut.i_valid, 1)
        await ctx.tick()
        ctx.set(dut.i_valid, 0)
        await ctx.tick()
        ctx.set(dut.hard.enable, 0)
        ctx.set(dut.hard.sent, 1)
        ctx.set(dut.hard.fail, 1)
        assert ctx.get(dut.i_sent) == 1
        assert ctx.get(dut.i_failed) == 0

    run(bench)


def test_enables_of_function_0() -> None:
    async def bench(ctx: Any, dut: MsixSender) -> None:
        for enable, mask in ((1, 0), (0, 1), (14, 15), (15, 14)):
            ctx.set(dut.hard.enable, enable)
            ctx.set(dut.hard.mask, mask)
            assert (ctx.get(dut.enabled), ctx.get(dut.masked)) == (enable & 1, mask & 1)
        assert ctx.get(dut.hard.vec_pending) == 0

    run(bench)


def test_signature() -> None:
    assert HardMsix() == HardMsix()
    assert hash(HardMsix()) == hash(HardMsix())
    assert HardMsix() != 1
    assert repr(HardMsix()) == "msix_sender.HardMsix()"
