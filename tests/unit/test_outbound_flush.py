"""The outbound path and the reset of the function: what has begun to leave leaves, nothing else; every read ends."""

from __future__ import annotations

import random

import pytest
from outbound_rig import (
    BASE,
    BUS_MASTER_OFF,
    OKAY,
    SLVERR,
    TIMED_OUT,
    Interrupt,
    Rig,
    Write,
    every_width,
    everything,
    memory,
)
from requester_packets import FUNCTION_RESET, Sent, good, notice


async def reset(rig: Rig, limit: int = 200) -> int:
    """Flush until all is quiet, as the endpoint does; return the first clock of it."""
    rig.ctx.set(rig.dut.flush, 1)
    start = rig.cycle
    await rig.step()
    for _ in range(limit):
        quiet = rig.ctx.get(rig.dut.quiet)
        await rig.step()
        if quiet:
            break
    else:
        raise AssertionError("never quiet")
    rig.ctx.set(rig.dut.flush, 0)
    return start


@every_width
def test_in_each_clock(width: int) -> None:
    """While writes, reads and an interrupt wait for the stream, and while they leave."""
    for start in range(0, 64, 3) if width == 64 else (5, 14, 31, 44):

        async def bench(rig: Rig, start: int = start) -> None:
            await everything(rig)
            first = rig.cycle
            asked: list[Sent] = []
            rig.host = lambda sent: asked.append(sent) or ()  # no answer, yet
            rig.rq_ready = lambda: rig.cycle > first + 30 and rig.cycle % 2 == 0
            rig.writes.extend(Write(BASE + 4 * n, n) for n in range(4))
            rig.reads.extend(BASE + 0x100 + 4 * n for n in range(3))
            rig.interrupts.append(Interrupt(0xFEE0_0000, 3))
            await rig.step(start)
            before = len(rig.taken)
            began = await reset(rig)
            taken = [item for _, item in rig.taken[:before]]
            assert rig.ctx.get(rig.dut.rq.tvalid) == 0
            assert all(clock <= began + 1 for clock, _ in rig.sent), "a request has begun to leave in the reset"
            # What has left is what was taken first.
            left = [sent for _, sent in rig.sent]
            assert [sent.write for sent in left] == [not isinstance(item, int) for item in taken[: len(left)]]
            rig.writes.clear()
            rig.reads.clear()
            rig.interrupts.clear()
            await rig.step(40)
            reads = [item for _, item in rig.taken if isinstance(item, int)]
            assert [(answer.data, answer.error) for answer in rig.answers] == [(0, SLVERR)] * len(reads)
            causes = [cause for cause, address in rig.failures if address >= BASE + 0x100]
            old = sum(isinstance(item, int) for clock, item in rig.taken if clock <= began)
            assert causes == [TIMED_OUT] * old + [BUS_MASTER_OFF] * (len(reads) - old)
            # Late completions are nobody's; the next reads get their own data, whatever their tags.
            late = [sent for sent in asked if not sent.write]
            rig.replies.extend(good(sent.tag, 0xDEAD) for sent in late)
            await rig.step(20)
            assert rig.unexpected == len(late)
            assert len(rig.sent) == len(left), "something of before the reset has left after it"
            memory(rig)
            rig.rq_ready = lambda: True
            rig.reads.extend(BASE + 0x200 + 4 * n for n in range(12))
            await rig.drain()
            assert [answer.data for answer in rig.answers[-12:]] == [0x3456_7200 + 4 * n for n in range(12)]

        Rig(width, seed=start, tags=8).run(bench)


@pytest.mark.parametrize("clock", range(10))
def test_around_the_last_beat_of_a_completion(clock: int) -> None:
    """Either its data or a failure, once; the tag is free afterwards."""

    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.reads.append(BASE + 4)
        await rig.step(20)
        came = rig.cycle + 6
        rig.replies.append(good(rig.sent[0][1].tag, 0x77))
        rig.rc_pause = lambda: rig.cycle < came
        await rig.step(clock)
        await reset(rig)
        await rig.step(30)
        assert len(rig.answers) == 1
        good_answer = (rig.answers[0].data, rig.answers[0].error) == (0x77, OKAY)
        assert good_answer or (rig.answers[0].data, rig.answers[0].error) == (0, SLVERR)
        # Two clocks at 64 bits; it counts when it is complete one clock after the beginning of the reset.
        assert good_answer == (clock >= 6)
        assert rig.unexpected == (not good_answer)
        memory(rig)
        rig.reads.extend(BASE + 4 * n for n in range(9))
        await rig.drain()
        assert [answer.error for answer in rig.answers[1:]] == [OKAY] * 9

    Rig(64, seed=clock, tags=8).run(bench)


def test_no_tag_is_lost_for_requests_that_were_not_sent() -> None:
    """More resets than tags, each with reads that never left, and one that did: the hard block's notice frees it."""

    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.rq_ready = lambda: False
        for _ in range(12):
            rig.reads.extend(BASE + 4 * n for n in range(4))
            await rig.step(50)
            rig.reads.clear()
            began = rig.cycle
            rig.rq_ready = lambda began=began: rig.cycle > began
            await reset(rig)
            rig.rq_ready = lambda: False
            # The one that was on the stream already.
            rig.replies.append(notice(rig.sent[-1][1].tag, FUNCTION_RESET))
            await rig.step(40)
        assert len(rig.sent) == 12
        assert rig.unexpected == 0
        rig.rq_ready = lambda: True
        memory(rig)
        rig.reads.extend(BASE + 4 * n for n in range(12))
        await rig.drain()
        assert [answer.error for answer in rig.answers[-12:]] == [OKAY] * 12

    Rig(128, tags=8).run(bench)


@pytest.mark.parametrize("before", [Write(BASE, 1), Interrupt(0xFEE0_0000, 3)], ids=["write", "interrupt"])
def test_a_read_behind_what_has_begun_to_leave(before: Write | Interrupt) -> None:
    """It has not begun itself, so its tag, the only one, is free after the reset."""

    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.rq_ready = lambda: False
        queue = rig.interrupts if isinstance(before, Interrupt) else rig.writes
        queue.extend([before, before])
        await rig.step(20)
        rig.reads.append(BASE + 8)
        await rig.step(20)
        rig.rq_ready = lambda: len(rig.sent) == 0
        await rig.step(6)
        assert (len(rig.sent), rig.ctx.get(rig.dut.rq.tvalid)) == (1, 1), "the second one is on the stream"
        rig.rq_ready = lambda: True
        await reset(rig)
        memory(rig)
        rig.reads.append(BASE + 0x40)
        await rig.drain()
        assert [sent.write for _, sent in rig.sent] == [True, True, False]
        assert [(answer.data, answer.error) for answer in rig.answers] == [(0, SLVERR), (0x3456_7040, OKAY)]

    Rig(64, reads=1, tags=1).run(bench)


def test_the_cpu_takes_its_answers_late() -> None:
    """The reset does not wait for that; the answers are of their time, and new reads come after them."""

    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.reads.extend(BASE + 4 * n for n in range(4))
        await rig.step(50)
        rig.d_ready = lambda: False
        await reset(rig)
        memory(rig)
        rig.reads.append(BASE + 0x40)
        await rig.step(80)
        assert rig.reads, "before the old ones are answered, no new one is taken"
        rig.d_ready = lambda: True
        await rig.drain()
        assert [(answer.data, answer.error) for answer in rig.answers] == [(0, SLVERR)] * 4 + [(0x3456_7040, OKAY)]

    Rig(256, tags=8).run(bench)


@pytest.mark.parametrize("width", [64, 512])
def test_random_resets(width: int) -> None:
    """What leaves has been taken since the last reset, once and in order."""
    rng = random.Random(width)

    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.rq_ready = lambda: rng.random() < 0.5
        rig.cpu_pause = lambda: rng.random() < 0.4
        number = checked = sent = 0
        for _ in range(16):
            for _ in range(8):
                rig.writes.append(Write(BASE + 4 * number, number))
                rig.interrupts.append(Interrupt(0xFEE0_0000 + 4 * number, number))
                number += 1
            await rig.step(rng.randrange(90))
            began = await reset(rig)
            responses = iter(rig.errors)
            items = [
                (clock, item) for clock, item in rig.taken if isinstance(item, Interrupt) or next(responses) == OKAY
            ]
            this = [item.data for clock, item in items if checked < clock < began]
            assert [item for clock, item in items if began < clock < rig.cycle] == [], "taken in the reset"
            left = [request.data for clock, request in rig.sent[sent:]]
            assert left == this[: len(left)]
            sent, checked = len(rig.sent), began
        assert sent > 30

    Rig(width, tags=8).run(bench)
