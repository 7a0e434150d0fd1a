"""The copy of the base address registers follows the hard block's within a round, whatever it takes to answer."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from amaranth.hdl import ResetInserter, Signal
from quick_engine import Simulator

from epbell.config_reader import ConfigReader, HardConfig


class HardBlock:
    """Configuration space behind its port, clock by clock; the copy beside it.

    Parameters
    ----------
    delay : callable
        Clocks until the answer to the next read, None for never.
    early : bool
        Look into the register in the first clock of a read, not in the one of the answer.
    hold : int
        Clocks for which an answer stays after its first one.

    Attributes
    ----------
    bars : list of int
        The registers.
    answers : list of (clock, register)
        What has been answered, 0 for BAR 0.
    """

    def __init__(self, delay: Callable[[], int | None], *, early: bool = False, hold: int = 0, seed: int = 1,
                 rest: int = 0) -> None:  # fmt: skip
        self.delay, self.early, self.hold = delay, early, hold
        self.rng = random.Random(seed)
        self.dut = ConfigReader(rest)
        self.rst = Signal()
        self.ctx: Any = None
        self.bars = [0] * 6
        self.now = 0
        self.answers: list[tuple[int, int]] = []
        self._left: int | None = None
        self._bar = 0
        self._data = 0
        self._under_way = False
        self._held = 0
        self._last: tuple[int, int, int] = (0, 0, 1)

    def run(self, bench: Callable[[HardBlock], Awaitable[None]]) -> None:
        sim = Simulator(ResetInserter(self.rst)(self.dut))
        sim.add_clock(1e-9)
        ended = False

        async def testbench(ctx: Any) -> None:
            nonlocal ended
            self.ctx = ctx
            await bench(self)
            ended = True

        sim.add_testbench(testbench)
        sim.run()
        assert ended, "the bench did not come to its end"

    def copy(self) -> list[int]:
        return [self.ctx.get(bar) for bar in self.dut.bars]

    async def clock(self, clocks: int = 1) -> None:
        for _ in range(clocks):
            self._answer(*self._asked())
            await self.ctx.tick()
            self.now += 1

    def _asked(self) -> tuple[int, int]:
        """Look at the port, and at the rules for it."""
        ctx, hard = self.ctx, self.dut.hard
        for quiet in (hard.function_number, hard.write, hard.write_data, hard.byte_enable, hard.debug_access):
            assert ctx.get(quiet) == 0
        reads, addr = ctx.get(hard.read), ctx.get(hard.addr)
        assert 4 <= addr <= 9
        read, at, done = self._last
        if read and not done:
            assert reads, "a read is taken back before its answer"
            assert addr == at, "the address changes before the answer"
        if done:
            assert not (reads and not read), "a read begins beside an answer to the one before"
        return reads, addr

    def _answer(self, reads: int, addr: int) -> None:
        if reads and not self._under_way and not self._held:
            self._under_way, self._left, self._bar = True, self.delay(), addr - 4
            self._data = self.bars[self._bar]
        done = False
        data = self.rng.getrandbits(32)  # what is not valid must not matter
        if self._held:
            self._held -= 1
            done = True
        elif self._under_way and self._left == 0:
            self._under_way, self._held, done = False, self.hold, True
            data = self._data if self.early else self.bars[self._bar]
            self.answers.append((self.now, self._bar))
        elif self._under_way and self._left is not None:
            self._left -= 1
        self.ctx.set(self.dut.hard.read_write_done, int(done))
        self.ctx.set(self.dut.hard.read_data, data)
        self._last = (reads, addr, int(done))

    async def reset(self, clocks: int = 1) -> None:
        """Reset the reader; the hard block goes on with the read that it has."""
        self.ctx.set(self.rst, 1)
        for _ in range(clocks):
            await self.clock()
            self._last = (0, 4, self._last[2])
            assert self.copy() == [0] * 6
            assert self.ctx.get(self.dut.hard.read) == 0
        self.ctx.set(self.rst, 0)


def distinct(rng: random.Random) -> list[int]:
    return [rng.getrandbits(28) << 4 | number for number in range(6)]


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("rest", [1, 2, 50])
def test_rest(delay: int, rest: int) -> None:
    """The first round begins at once, each other one so many clocks later than without a rest."""

    async def bench(block: HardBlock) -> None:
        block.bars = distinct(block.rng)
        await block.clock(1 + 7 * (delay + 2) - 1)
        assert block.copy() == block.bars
        await block.clock(2 * (6 * (delay + 2) + rest))
        first, each = 1 + delay, delay + 2
        rounds = [first + each + turn * (6 * each + rest) + bar * each for turn in range(3) for bar in range(6)]
        assert [clock for clock, _ in block.answers] == [first, *rounds]

    HardBlock(lambda: delay, rest=rest).run(bench)


@pytest.mark.parametrize("delay", [0, 1, 2, 4, 13])
def test_round(delay: int) -> None:
    """BAR 0 to 5, over and over, N + 2 clocks each; the first answer is thrown away."""

    async def bench(block: HardBlock) -> None:
        block.bars = distinct(block.rng)
        await block.clock(1 + 7 * (delay + 2) - 1)
        assert block.copy() == block.bars
        await block.clock(6 * (delay + 2))
        first = 1 + delay
        order = [0, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]
        assert block.answers == [(first + k * (delay + 2), bar) for k, bar in enumerate(order)]

    HardBlock(lambda: delay).run(bench)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("delay", [0, 1, 4, 7])
def test_a_change_is_seen_within_a_round(delay: int, *, early: bool) -> None:
    """Whenever it changes: after 7 * N + 12 clocks at most, and no earlier at the worst moment."""
    round_ = 6 * (delay + 2)
    waited: set[int] = set()

    async def bench(block: HardBlock) -> None:
        block.bars = distinct(block.rng)
        await block.clock(2 * round_)
        for phase in range(round_):
            while block.now % round_ != phase:
                await block.clock()
            before = list(block.bars)
            block.bars[2] ^= 0xFFFF_FFF0
            changed = block.now
            while block.copy() == before:
                await block.clock()
            assert block.copy() == block.bars
            waited.add(block.now - changed)

    HardBlock(lambda: delay, early=early).run(bench)
    assert max(waited) == (7 if early else 6) * delay + 12


@pytest.mark.parametrize("hold", [0, 1, 5])
@pytest.mark.parametrize("early", [False, True])
def test_any_delays(hold: int, *, early: bool) -> None:
    """Changes at any time, answers after any time and of any length: a copy is what the register was, and follows."""

    async def bench(block: HardBlock) -> None:
        had: list[set[int]] = [{0} for _ in range(6)]
        for _ in range(60):
            block.bars[block.rng.randrange(6)] = block.rng.getrandbits(32)
            for _ in range(block.rng.choice((1, 3, 20, 400))):
                for values, value in zip(had, block.bars, strict=True):
                    values.add(value)
                await block.clock()
                assert all(value in values for value, values in zip(block.copy(), had, strict=True))
        await block.clock(400)
        assert block.copy() == block.bars

    block = HardBlock(lambda: block.rng.randint(0, 9), early=early, hold=hold, seed=hold)
    block.run(bench)


def test_no_answer_ever() -> None:
    """A port that is not connected: zeros."""

    async def bench(block: HardBlock) -> None:
        block.bars = distinct(block.rng)
        for _ in range(500):
            await block.clock()
            assert block.copy() == [0] * 6

    HardBlock(lambda: None).run(bench)


def test_answers_end() -> None:
    """The copy stays as it is while there is no answer, and follows again when there is one."""

    async def bench(block: HardBlock) -> None:
        before = block.bars = distinct(block.rng)
        await block.clock(100)
        assert block.copy() == before
        block.delay = lambda: 300
        block.bars = distinct(block.rng)
        await block.clock(250)
        stale = block.copy()
        assert sum(a != b for a, b in zip(stale, before, strict=True)) <= 1
        block.delay = lambda: 1
        await block.clock(100)
        assert block.copy() == block.bars

    HardBlock(lambda: 1).run(bench)


@pytest.mark.parametrize("stuck", [0, 1])
def test_answers_to_nothing(stuck: int) -> None:
    """``done`` without a read is no answer, and nothing is read beside it."""

    async def bench(block: HardBlock) -> None:
        dut, ctx = block.dut, block.ctx
        ctx.set(dut.hard.read_data, 0xDEAD_BEEF)
        ctx.set(dut.hard.read_write_done, 1)
        for _ in range(20):
            await ctx.tick()
            assert ctx.get(dut.hard.read) == 0
            assert block.copy() == [0] * 6
        if not stuck:
            block.bars = distinct(block.rng)
            block._last = (0, 4, 1)
            await block.clock(100)
            assert block.copy() == block.bars

    HardBlock(lambda: 2).run(bench)


@pytest.mark.parametrize("delay", [0, 1, 4, 9])
@pytest.mark.parametrize("length", [1, 3])
def test_reset(delay: int, length: int) -> None:
    """Zeros; then the right registers, although the hard block still answers what was asked before the reset."""

    async def bench(block: HardBlock) -> None:
        block.bars = distinct(block.rng)
        for phase in range(6 * (delay + 2)):
            await block.clock(8 * (delay + 2) + phase)
            assert block.copy() == block.bars
            await block.reset(length)
            for _ in range(9 * (delay + 2)):
                assert all(copy in (0, bar) for copy, bar in zip(block.copy(), block.bars, strict=True))
                await block.clock()
            assert block.copy() == block.bars

    HardBlock(lambda: delay).run(bench)


def test_signature() -> None:
    assert HardConfig() == HardConfig()
    assert hash(HardConfig()) == hash(HardConfig())
    assert HardConfig() != ConfigReader().signature
    assert repr(HardConfig()) == "config_reader.HardConfig()"
