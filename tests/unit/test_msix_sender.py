"""MSI-X messages through the hard block's port: one at a time, each for one clock, and one answer for each."""

import random
from typing import Any

import pytest
from simulate import simulate

from epbell.msix_sender import HardMsix, MsixSender

PATIENCE = 12


def run(bench: Any) -> None:
    dut = MsixSender(PATIENCE)
    simulate(dut, lambda ctx: bench(ctx, dut))


def test_random_messages() -> None:
    """Its answer is waited for also while MSI-X is off, but not for ever."""
    rng = random.Random(5)
    outcomes = {"sent": 0, "failed": 0, "off": 0, "never": 0}

    async def bench(ctx: Any, dut: MsixSender) -> None:
        offered: tuple[int, int] | None = None
        taken: tuple[int, int] | None = None
        wait = asked = off = 0
        enabled = True
        for cycle in range(6000):
            enabled = enabled != (rng.random() < 0.05) or cycle > 5800
            ctx.set(dut.hard.enable, 0b1110 | enabled)
            if offered is None and cycle < 5900 and rng.random() < 0.3:
                offered = rng.getrandbits(64), rng.getrandbits(32)
            ctx.set(dut.i_valid, int(offered is not None))
            if offered is not None:
                ctx.set(dut.i_address, offered[0])
                ctx.set(dut.i_data, offered[1])
            wait -= wait > 0
            off = off + 1 if taken is not None and (off or not enabled) else 0
            answer = rng.choice(["sent", "sent", "fail"]) if taken and not wait else None
            ctx.set(dut.hard.sent, int(answer == "sent" or (taken is None and rng.random() < 0.3)))
            ctx.set(dut.hard.fail, int(answer == "fail" or (taken is None and rng.random() < 0.3)))
            assert ctx.get(dut.i_ready) == ctx.get(dut.idle) == (taken is None)
            assert ctx.get(dut.i_sent) == (answer == "sent")
            never = answer is None and off == PATIENCE
            assert ctx.get(dut.i_failed) == (answer == "fail" or never)
            assert ctx.get(dut.hard.int) == asked
            if taken is not None:
                assert (ctx.get(dut.hard.address), ctx.get(dut.hard.data)) == taken
            asked = 0
            if answer or never:
                outcomes["never" if never else "off" if not enabled else "sent" if answer == "sent" else "failed"] += 1
                taken = None
            elif taken is None and offered is not None:
                taken, offered, wait, asked = offered, None, rng.choice([1, 3, 6, 70]), 1
            await ctx.tick()
        assert taken is None
        assert offered is None

    run(bench)
    assert all(count > 20 for count in outcomes.values()), outcomes


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


@pytest.mark.parametrize("patience", [0, 1.5])
def test_wrong_parameter(patience: Any) -> None:
    with pytest.raises(ValueError, match=f"must be 1 clock or more, not {patience!r}"):
        MsixSender(patience)


def test_signature() -> None:
    assert HardMsix() == HardMsix()
    assert hash(HardMsix()) == hash(HardMsix())
    assert HardMsix() != 1
    assert repr(HardMsix()) == "msix_sender.HardMsix()"
