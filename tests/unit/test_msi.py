"""MSIs through the hard block's port: one at a time, each for one clock, none lost and none twice."""

import random
from typing import Any

import pytest
from simulate import simulate

from epbell.msi import MsiSender

PATIENCE = 40
RAISED = 7  # clocks from a raise to the port, or to the pending bit
NEXT = 5  # from one that leaves the queue to the next


class HardBlock:
    """Takes an MSI, answers some clocks later; refuses one now and then."""

    def __init__(self, rng: random.Random, failing: float) -> None:
        self.rng, self.failing = rng, failing
        self.delivered: list[int] = []
        self.under_way: int | None = None
        self.wait = 0

    def clock(self, ctx: Any, dut: MsiSender) -> None:
        ctx.set(dut.hard.sent, 0)
        ctx.set(dut.hard.fail, 0)
        if self.under_way is not None:
            self.wait -= 1
            if self.wait == 0:
                failed = self.rng.random() < self.failing
                ctx.set(dut.hard.fail if failed else dut.hard.sent, 1)
                if not failed:
                    self.delivered.append(self.under_way)
                self.under_way = None
        asked = ctx.get(dut.hard.int)
        if asked:
            assert self.under_way is None, "asked again before the answer, or for two clocks"
            assert asked.bit_count() == 1
            self.under_way, self.wait = asked.bit_length() - 1, self.rng.randrange(1, 6)


def run(bench: Any) -> None:
    """Run ``bench(ctx, dut)`` with everything enabled that a message needs."""
    dut = MsiSender(4, patience=PATIENCE)

    async def testbench(ctx: Any) -> None:
        ctx.set(dut.hard.enable, 1)
        ctx.set(dut.hard.mmenable, 5)
        ctx.set(dut.bus_master, 1)
        await bench(ctx, dut)

    simulate(dut, testbench)


def test_random_vectors() -> None:
    rng = random.Random(7)
    block = HardBlock(rng, 0.3)
    wanted: list[int] = []
    sent = refused = 0

    async def bench(ctx: Any, dut: MsiSender) -> None:
        nonlocal sent, refused
        level = turned_away = works = 0
        for cycle in range(5000):
            offer = cycle < 4800 and rng.random() < 0.2
            vector = rng.randrange(32)
            ctx.set(dut.valid, int(offer))
            ctx.set(dut.vector, vector)
            block.clock(ctx, dut)
            assert ctx.get(dut.refused) == turned_away
            assert ctx.get(dut.busy) >= works
            assert ctx.get(dut.queued) == (offer and level < 4)
            assert not ctx.get(dut.taken) or level
            if offer and level < 4:
                wanted.append(vector)
            turned_away, works = int(offer and level == 4), int(level > 0 or not ctx.get(dut.idle))
            level += ctx.get(dut.queued) - ctx.get(dut.taken)
            refused += ctx.get(dut.refused)
            sent += ctx.get(dut.sent)
            await ctx.tick()
        assert (ctx.get(dut.busy), ctx.get(dut.room)) == (0, 4)

    run(bench)
    assert block.delivered == wanted
    assert sent == len(wanted) > 300
    assert refused > 10


class Slow:
    """Notes what is asked for, and answers when it is told to."""

    def __init__(self, ctx: Any, dut: MsiSender) -> None:
        self.ctx, self.dut, self.asked = ctx, dut, list[int]()
        self.sent = self.held = self.merged = 0

    async def clocks(self, count: int, answer: str = "") -> None:
        """Some clocks; the answer comes in the first."""
        ctx, dut = self.ctx, self.dut
        for now in range(count):
            for name in ("sent", "fail"):
                ctx.set(getattr(dut.hard, name), int(name == answer and not now))
            self.sent += ctx.get(dut.sent)
            self.held += ctx.get(dut.held)
            self.merged += ctx.get(dut.merged)
            if asked := ctx.get(dut.hard.int):
                self.asked.append(asked.bit_length() - 1)
            await ctx.tick()

    async def ask(self, vector: int, pending: bool) -> None:
        """Raise a vector and let it be asked for, straight from the queue or after it was pending."""
        self.ctx.set(self.dut.hard.data, pending << vector)
        await self.queue(vector)
        await self.clocks(RAISED)
        self.ctx.set(self.dut.hard.data, 0)
        await self.clocks(RAISED)
        assert self.asked == [vector]

    async def queue(self, *vectors: int) -> None:
        self.ctx.set(self.dut.valid, 1)
        for vector in vectors:
            self.ctx.set(self.dut.vector, vector)
            await self.clocks(1)
        self.ctx.set(self.dut.valid, 0)


@pytest.mark.parametrize("gate", ["enable", "bus_master"])
def test_pending_without_the_hosts_enables(gate: str) -> None:
    """While MSI or bus mastering is off: pending and merged, the queue never stands; each is sent once afterwards."""

    async def bench(ctx: Any, dut: MsiSender) -> None:
        block, pin = Slow(ctx, dut), dut.hard.enable if gate == "enable" else dut.bus_master
        ctx.set(pin, 0)
        # Vectors that are granted again later are not those that were granted before.
        ctx.set(dut.hard.mmenable, 0 if gate == "enable" else 5)
        for vector in (31, 5, 9, 5, 5, 0, 1, 31):
            await block.queue(vector)
            assert ctx.get(dut.refused) == 0
            await block.clocks(NEXT - 1)
        await block.clocks(10)
        assert (block.held, block.merged, block.asked) == (5, 3, [])
        assert (ctx.get(dut.room), ctx.get(dut.hard.pending_status)) == (4, 1 << 31 | 1 << 9 | 1 << 5 | 3)
        ctx.set(dut.hard.mmenable, 5)
        ctx.set(pin, 1)
        await block.clocks(10)
        for _ in range(8):
            await block.clocks(6, "sent")
        assert block.asked == [0, 1, 5, 9, 31]
        assert (ctx.get(dut.busy), ctx.get(dut.hard.pending_status)) == (0, 0)

    run(bench)


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize(("on_again", "answered"), [(None, 9), (4, 9), (4, PATIENCE - 1), (11, PATIENCE - 1)])
def test_switched_off_before_the_answer(pending: bool, on_again: int | None, answered: int) -> None:
    """The answer is waited for, whether MSI is on again or not: the vector has gone, and is not sent again."""

    async def bench(ctx: Any, dut: MsiSender) -> None:
        block = Slow(ctx, dut)
        await block.ask(5, pending)
        ctx.set(dut.hard.enable, 0)
        for clock in range(answered):
            if clock == on_again:
                ctx.set(dut.hard.enable, 1)
            await block.clocks(1)
        assert ctx.get(dut.idle) == 0
        await block.clocks(1, "sent")
        ctx.set(dut.hard.enable, 1)
        await block.clocks(20)
        assert (block.asked, block.sent, ctx.get(dut.busy)) == ([5], 1, 0)

    run(bench)


def test_on_again_and_never_answered() -> None:
    """What was asked for before MSI was off is not waited for without an end: it is sent again, and so is the rest."""

    async def bench(ctx: Any, dut: MsiSender) -> None:
        block = Slow(ctx, dut)
        await block.queue(5, 6)
        await block.clocks(RAISED)
        ctx.set(dut.hard.enable, 0)
        await block.clocks(1)
        ctx.set(dut.hard.enable, 1)
        await block.clocks(PATIENCE)
        assert (block.asked, ctx.get(dut.idle)) == ([5], 0)
        await block.clocks(12)
        assert block.asked == [5, 5]
        await block.clocks(12, "sent")
        await block.clocks(12, "sent")
        assert (block.asked, block.sent, ctx.get(dut.busy)) == ([5, 5, 6], 2, 0)

    run(bench)


def test_an_answer_from_before_a_flush_takes_no_vector() -> None:
    """The vector that is raised after the flush is sent, although the answer to the one before comes only then."""

    async def bench(ctx: Any, dut: MsiSender) -> None:
        block = Slow(ctx, dut)
        await block.queue(5)
        await block.clocks(RAISED)
        ctx.set(dut.flush, 1)
        await block.clocks(4)
        ctx.set(dut.flush, 0)
        await block.queue(6)
        await block.clocks(RAISED)
        assert (block.asked, ctx.get(dut.room)) == ([5], 3)
        await block.clocks(8, "sent")
        assert (block.asked, ctx.get(dut.room)) == ([5, 6], 4)
        await block.clocks(5, "sent")
        assert (block.asked, block.sent, ctx.get(dut.busy)) == ([5, 6], 2, 0)

    run(bench)


@pytest.mark.parametrize("answer", ["sent", "fail"])
@pytest.mark.parametrize("was_pending", [False, True])
def test_the_queue_never_stands_behind_an_answer(answer: str, was_pending: bool) -> None:
    """Without bus mastering what is behind the vector that was asked for becomes pending, and is merged with it."""

    async def bench(ctx: Any, dut: MsiSender) -> None:
        block = Slow(ctx, dut)
        await block.ask(5, was_pending)
        ctx.set(dut.bus_master, 0)
        for vector in (7, 5, 7, 5, 8, 9, 0):
            await block.queue(vector)
            assert ctx.get(dut.refused) == 0
            await block.clocks(NEXT - 1)
        for clock in range(15):
            await block.clocks(1, answer if clock == 3 else "")
        assert (ctx.get(dut.room), ctx.get(dut.hard.pending_status)) == (4, 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1)
        ctx.set(dut.bus_master, 1)
        for _ in range(6):
            await block.clocks(12, "sent" if block.asked != [5] else "")
        # 7 and 5 once more each; 5 with the one that failed, too.
        assert block.asked == [5, 0, 5, 7, 8, 9]
        assert block.sent == 5 + (answer == "sent")
        assert block.held == 5 + was_pending
        assert block.merged == 2 + (answer == "fail")

    run(bench)


@pytest.mark.parametrize("flush", [0, 1])
def test_no_answer(flush: int) -> None:
    """While MSI is off, it is waited for as long as it is said; then the vector is to be sent again."""

    async def bench(ctx: Any, dut: MsiSender) -> None:
        block = Slow(ctx, dut)
        await block.queue(5)
        await block.clocks(300)
        assert (block.asked, ctx.get(dut.idle)) == ([5], 0), "no end while MSI is on"
        ctx.set(dut.hard.enable, 0)
        ctx.set(dut.flush, flush)
        await block.clocks(PATIENCE + 1)
        assert ctx.get(dut.idle) == 0
        await block.clocks(1 if flush else 6)
        assert ctx.get(dut.idle) == 1
        ctx.set(dut.flush, 0)
        await block.clocks(5)
        # Nobody waits for an answer any more.
        await block.clocks(5, "sent")
        assert (block.sent, ctx.get(dut.hard.pending_status)) == (0, 0 if flush else 1 << 5)
        ctx.set(dut.hard.enable, 1)
        await block.queue(6)
        await block.clocks(8)
        await block.clocks(8, "sent")
        await block.clocks(8, "sent")
        assert (block.asked, block.sent) == ([5, 6] if flush else [5, 5, 6], 1 if flush else 2)

    run(bench)


def test_what_they_announce() -> None:
    """The oldest of the queue and the pending ones can be held each on its own; all wait for another answer."""

    async def bench(ctx: Any, dut: MsiSender) -> None:
        block = Slow(ctx, dut)
        ctx.set(dut.hold, 1)
        ctx.set(dut.hard.data, 1 << 7)
        await block.queue(7)
        await block.clocks(8)
        assert (block.asked, ctx.get(dut.room), ctx.get(dut.hard.pending_status)) == ([], 3, 0)
        ctx.set(dut.hold, 0)
        await block.clocks(8)
        assert (block.asked, ctx.get(dut.room), ctx.get(dut.hard.pending_status)) == ([], 4, 1 << 7)
        ctx.set(dut.hold_pending, 1)
        ctx.set(dut.hard.data, 0)
        await block.clocks(8)
        assert block.asked == []
        ctx.set(dut.hold_pending, 0)
        ctx.set(dut.wait, 1)
        await block.clocks(8)
        assert block.asked == []
        ctx.set(dut.wait, 0)
        await block.clocks(8)
        assert block.asked == [7]
        await block.clocks(1, "sent")
        ctx.set(dut.wait, 1)
        await block.queue(8)
        await block.clocks(8)
        assert block.asked == [7]
        ctx.set(dut.wait, 0)
        await block.clocks(8)
        assert block.asked == [7, 8]

    run(bench)


@pytest.mark.parametrize("parameter", [{"depth": 0}, {"depth": 64}, {"patience": 0}, {"patience": "1"}])
def test_wrong_parameters(parameter: dict[str, Any]) -> None:
    (value,) = parameter.values()
    with pytest.raises(ValueError, match=f"must be 1 .*, not {value!r}"):
        MsiSender(**parameter)
