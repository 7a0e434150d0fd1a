"""Reads that wait for their completions: in lock-step with a plain model, and the rare cases one by one."""

from __future__ import annotations

import random
from typing import Any

import pytest
from outstanding_rig import OK, TIMEOUT, Bench, Model, Packet, simulate
from simulate import simulate as run_alone

from epbell.pcie.outstanding import DEFAULT_TIMEOUT, Outstanding


@pytest.mark.parametrize(("reads", "tags", "timeout"), [(4, 8, 40), (8, 32, 25), (1, 1, 12), (3, 3, 9), (5, 7, 1)])
def test_lock_step(reads: int, tags: int, timeout: int) -> None:
    rng = random.Random(tags)

    def packet(model: Model, silent: int) -> Packet | None:
        told = int(rng.random() < 0.3)
        oldest = model.oldest
        about_late = oldest is not None and model.clock >= oldest.clock + model.timeout - 1
        if oldest and oldest.tag in model.waiting and about_late and rng.random() < (0.4, 0.1, 0)[silent]:
            return Packet(oldest.tag, 1, told, TIMEOUT if told else OK)
        if silent or rng.random() < 0.6:
            return None
        known = sorted(model.waiting | model.lost)
        tag = rng.choice(known) if known and rng.random() < 0.8 else rng.randrange(rng.choice((tags, 256)))
        cause = TIMEOUT if told else rng.choice((OK, OK, 3, 4, 5, 7))
        return Packet(tag, int(rng.random() < 0.9), told, cause, rng.getrandbits(32))

    async def bench(b: Bench) -> None:
        for phase in range(180):
            silent = (0, 0, 0, 1, 2, 2)[phase % 6]
            read_share, ready_share = rng.random(), rng.choice((0.1, 0.7, 1.0))
            if silent > 1:  # until all tags are lost
                read_share = ready_share = 1
            for _ in range(60):
                read = (rng.getrandbits(32), rng.choice((OK, OK, OK, OK, 1, 2))) if rng.random() < read_share else None
                await b.clock(read, packet(b.model, silent), int(rng.random() < ready_share))

    seen = simulate(bench, reads=reads, tags=tags, timeout=timeout).seen
    wanted = {"refused", "timed out", "lost", "late", "notice", "unexpected", "in the same clock"}
    wanted |= {"done before it was given up", "answered"}
    wanted |= {"stranded"} if tags < 8 else set()
    assert {name for name, count in seen.items() if count > 1} >= wanted, seen


def test_lock_step_with_resets() -> None:
    """Resets of one clock and more, in any clock; the CPU may leave answers for longer than they last."""
    rng = random.Random(3)

    async def bench(b: Bench) -> None:
        resetting = was_resetting = 0
        for phase in range(80):
            read_share, ready_share, begin_share = (rng.choice((0.05, 0.5, 1.0)) for _ in range(3))
            for _ in range(40):
                was_resetting = resetting
                resetting = max(resetting - 1, 0) or (rng.choice((1, 2, 30)) if rng.random() < 0.03 else 0)
                refusal = 2 if was_resetting else rng.choice((OK, OK, OK, 1))
                read = (rng.getrandbits(32), refusal) if rng.random() < read_share else None
                known = sorted((b.model.waiting | b.model.lost) & b.model.begun)
                told = rng.random() < 0.2
                packet = (
                    Packet(rng.choice(known), 1, int(told), TIMEOUT if told else OK, rng.getrandbits(32))
                    if known and rng.random() < 0.3 and phase % 4
                    else None
                )
                ready, begins = int(rng.random() < ready_share), rng.random() < begin_share
                await b.clock(read, packet, ready, begins=begins, flush=bool(resetting))
        await b.clocks(2 * b.model.timeout)
        for tag in sorted(b.model.lost):
            await b.clock(packet=Packet(tag, 1, 1, TIMEOUT))
        await b.clocks(3)
        assert len(b.model.free) == b.model.tags, "a tag is gone for ever"

    seen = simulate(bench).seen
    wanted = {"refused", "answered", "lost", "lost in a reset", "never sent", "late", "in the same clock"}
    assert {name for name, count in seen.items() if count > 1} >= wanted, seen


@pytest.mark.parametrize("clock", range(8))
def test_a_reset_around_the_completion(clock: int) -> None:
    """The read is answered once, with its data or as failed; the tag is free, or lost until the completion."""

    async def bench(b: Bench) -> None:
        await b.read(0x100)
        await b.clocks(8)
        for now in range(20):
            await b.clock(packet=Packet(0, data=7) if now == 6 else None, flush=now == clock)
        came = clock > 3  # three clocks pass before reads fail, one before this one is given up
        assert [answer[1:3] for answer in b.answers] == [(7, OK) if came else (0, TIMEOUT)]
        assert b.dropped == (not came)
        for n in range(40):
            await b.clock((0x200 + 4 * n, OK))
        assert len(b.model.waiting) == 4

    simulate(bench)


def test_the_answer_comes_four_clocks_after_the_completion() -> None:
    async def bench(b: Bench) -> None:
        await b.read(0x70000004)
        await b.clocks(10)
        came = b.model.clock
        await b.clock(packet=Packet(0, data=0x1234))
        await b.clocks(7)
        assert b.answers == [(came + 4, 0x1234, OK, 0x70000004)]

    simulate(bench)


def test_a_refused_read_is_answered_in_its_turn() -> None:
    async def bench(b: Bench) -> None:
        await b.read(0x100)
        await b.read(0x200, 1)
        await b.read(0x300, 2)
        await b.clocks(10)
        assert b.answers == []
        came = b.model.clock
        await b.clock(packet=Packet(0, data=9))
        await b.clocks(15)
        assert b.answers == [(came + 4, 9, OK, 0x100), (came + 8, 0, 1, 0x200), (came + 12, 0, 2, 0x300)]
        assert [tag for _, tag in b.sent] == [0], "a refused read has no tag"
        taken = await b.read(0x400, 1)
        await b.clocks(7)
        assert b.answers[-1] == (taken + 5, 0, 1, 0x400)

    simulate(bench)


def test_reads_follow_each_other_every_five_clocks() -> None:
    async def bench(b: Bench) -> None:
        taken = [await b.read(4 * n) for n in range(4)]
        assert [clock - taken[0] for clock in taken] == [0, 5, 10, 15]

    simulate(bench)


def test_data_come_in_the_order_of_the_reads() -> None:
    async def bench(b: Bench) -> None:
        for n in range(4):
            await b.read(0x1000 + 4 * n)
        for _ in range(10):
            assert not await b.clock((0x2000, OK)), "a fifth of four"
        for tag in (2, 3, 1):
            await b.clock(packet=Packet(tag, data=tag))
        await b.clocks(8)
        assert b.answers == []
        await b.clock(packet=Packet(0, data=0))
        await b.clocks(20)
        assert [answer[1:] for answer in b.answers] == [(n, OK, 0x1000 + 4 * n) for n in range(4)]

    simulate(bench)


@pytest.mark.parametrize("timeout", [1, 2, 40, 127, 128])
def test_the_time_limit_to_the_clock(timeout: int) -> None:
    async def bench(b: Bench) -> None:
        for _ in range(3):
            taken = await b.read(0x40)
            await b.clocks(timeout + 8)
            assert b.answers.pop() == (taken + max(timeout + 4, 7), 0, TIMEOUT, 0x40)
            await b.clocks(37)

    simulate(bench, timeout=timeout)


def test_reads_sent_together_fail_one_after_the_other() -> None:
    async def bench(b: Bench) -> None:
        taken, *_ = [await b.read(n) for n in range(4)]
        await b.clocks(100)
        assert [answer[0] - taken for answer in b.answers] == [64, 70, 76, 82]

    simulate(bench, timeout=60)


@pytest.mark.parametrize("after", range(-3, 4))
def test_a_completion_around_the_time_limit(after: int) -> None:
    """In the clock before the read is given up, the completion is too late; its tag is free all the same."""

    async def bench(b: Bench) -> None:
        await b.read(0x40)
        await b.clocks(40 + after)
        assert (b.model.place == 3) == (after < 1), "it is given up in the second clock from now on, with `after` 0"
        await b.clock(packet=Packet(0, data=5))
        await b.clocks(10)
        too_late = after >= 0
        assert [answer[1:] for answer in b.answers] == [(0, TIMEOUT, 0x40) if too_late else (5, OK, 0x40)]
        assert b.dropped == too_late
        assert b.model.free == set(range(8))
        assert b.model.seen["in the same clock"] == (after == 0)
        assert b.model.seen["done before it was given up"] == (after in (-2, -1))

    simulate(bench)


def test_a_lost_tag_comes_back_with_its_late_completion_only() -> None:
    async def bench(b: Bench) -> None:
        await b.read(0x40)
        await b.clocks(60)
        assert b.model.lost == {0}
        for packet in (Packet(0, ends=0, data=7), Packet(8, data=7), Packet(255, data=7)):
            await b.clock(packet=packet)
        await b.clocks(2)
        assert b.dropped == 3
        for _ in range(30):
            await b.read(0x80)
            await b.clock(packet=Packet(b.sent[-1][1], data=1))
        assert 0 not in {tag for _, tag in b.sent[1:]}, "the tag of a request that is still open was used again"
        await b.clock(packet=Packet(0, data=0xBAD))
        await b.clocks(2)
        assert b.dropped == 4
        for _ in range(20):
            await b.read(0x80)
            await b.clock(packet=Packet(b.sent[-1][1], data=1))
        await b.clocks(10)
        assert 0 in {tag for _, tag in b.sent[-8:]}
        assert {answer[1:] for answer in b.answers} == {(0, TIMEOUT, 0x40), (1, OK, 0x80)}

    simulate(bench)


def test_a_notice_gives_the_tag_back_and_is_no_completion() -> None:
    async def bench(b: Bench) -> None:
        await b.read(0x40)
        await b.read(0x44)
        await b.clock(packet=Packet(1, notice=1, cause=TIMEOUT))
        await b.clocks(60)
        assert [answer[1:] for answer in b.answers] == [(0, TIMEOUT, 0x40), (0, TIMEOUT, 0x44)]
        assert b.model.lost == {0}
        await b.clock(packet=Packet(0, notice=1, cause=TIMEOUT))
        await b.clocks(3)
        assert b.model.lost == set()
        assert b.dropped == 0
        await b.clock(packet=Packet(0, notice=1, cause=TIMEOUT))
        await b.clocks(3)
        assert b.dropped == 1, "nobody waits for it"

    simulate(bench)


def test_a_duplicate_completion_is_dropped() -> None:
    async def bench(b: Bench) -> None:
        await b.read(0x40)
        await b.read(0x44)
        await b.clock(packet=Packet(1, data=1))
        await b.clock(packet=Packet(1, data=2))
        await b.clock(packet=Packet(0, data=0))
        await b.clocks(10)
        await b.clock(packet=Packet(1, data=3))
        await b.clocks(4)
        assert [answer[1] for answer in b.answers] == [0, 1]
        assert b.dropped == 2

    simulate(bench)


def test_when_every_tag_is_lost_reads_fail_at_once() -> None:
    async def bench(b: Bench) -> None:
        for _ in range(8):
            await b.read(0x40)
        await b.clocks(60)
        assert b.model.lost == set(range(8))
        b.answers.clear()
        taken = await b.read(0x80)
        await b.clocks(7)
        assert b.answers == [(taken + 5, 0, TIMEOUT, 0x80)]
        assert len(b.sent) == 8
        await b.clock(packet=Packet(5, data=1))
        await b.clocks(20)
        await b.read(0x84)
        assert b.sent[-1][1] == 5

    simulate(bench)


def test_answers_that_nobody_takes_stay() -> None:
    async def bench(b: Bench) -> None:
        for n in range(3):
            await b.read(n * 4, d_ready=0)
        for tag in range(3):
            await b.clock(packet=Packet(tag, data=tag), d_ready=0)
        for _ in range(200):
            await b.clock(d_ready=0)
        assert [answer[1] for answer in b.answers] == [0]
        await b.clocks(12)
        assert [answer[1:] for answer in b.answers] == [(n, OK, 4 * n) for n in range(3)]

    simulate(bench)


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({"reads": 0}, "outstanding reads must be 1 to 32, not 0"),
        ({"reads": 33}, "outstanding reads must be 1 to 32, not 33"),
        ({"reads": 9, "tags": 8}, "outstanding reads must be 1 to 8, not 9"),
        ({"tags": 0}, "number of tags must be 1 to 256, not 0"),
        ({"tags": 257}, "number of tags must be 1 to 256, not 257"),
        ({"timeout": 0}, "completion timeout must be 1 clock or more, not 0"),
        ({"timeout": 1.5}, r"completion timeout must be 1 clock or more, not 1\.5"),
    ],
)
def test_parameters_out_of_range(parameters: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=f"{what}$"):
        Outstanding(**parameters)


def test_the_default_time_limit_is_within_the_default_range_of_the_specification() -> None:
    assert 10e-3 <= DEFAULT_TIMEOUT * 4e-9 <= 50e-3


def test_a_read_without_room_is_seen() -> None:
    """The promise of whoever takes reads is asserted in the RTL."""
    dut = Outstanding(2, tags=2)

    async def bench(ctx: Any) -> None:
        while not ctx.get(dut.ready):
            await ctx.tick()
        ctx.set(dut.valid, 1)
        await ctx.tick()
        assert not ctx.get(dut.ready)
        await ctx.tick()

    with pytest.raises(AssertionError, match="without room"):
        run_alone(dut, bench)
