"""INTx: the host hears of each pulse once and of the level in the end; each change waits for the answer to the last."""

import random
from typing import Any

import pytest
from quick_engine import Simulator

from epbell.intx import HardIntx, Intx

PATIENCE = 60


class Host:
    """The hard block and what the host hears of it.

    A change is answered some clocks later. There is a message, unless it is an assertion and INTx is disabled in a
    clock in between, whichever the hard block looks at.
    """

    def __init__(self, dut: Intx, rng: random.Random, slowest: int = 5) -> None:
        self.dut, self.rng, self.slowest = dut, rng, slowest
        self.line = self.heard = 0
        self.wait = self.looks = 0
        self.tells = self.sure = False
        self.messages: list[tuple[int, int]] = []
        self.now = self.done = self.taken = self.merged = 0
        self.level = self.disabled = 0

    async def clock(self, ctx: Any, *, pulse: int = 0, flush: int = 0, **now: int) -> None:
        dut = self.dut
        self.level, self.disabled = now.get("level", self.level), now.get("disabled", self.disabled)
        for name, value in (("level", self.level), ("disabled", self.disabled), ("pulse", pulse), ("flush", flush)):
            ctx.set(getattr(dut, name), value)
        line = ctx.get(dut.hard.int)
        assert line in (0, 1)
        sent = noise = False
        if line != self.line:
            assert not self.wait, "a change before the answer"
            self.line, self.wait = line, self.rng.randint(1, self.slowest)
            self.looks, self.sure = self.rng.randint(0, self.wait), True
        elif self.wait:
            self.wait -= 1
            sent = not self.wait
        else:
            noise = self.rng.random() < 0.2
        self.sure = self.sure and not self.disabled
        if sent or self.wait:
            self.tells = not (line and self.disabled) if self.wait == self.looks else self.tells
        ctx.set(dut.hard.sent, int(sent or noise))
        assert ctx.get(dut.asserted) == (sent and line and self.sure)
        assert ctx.get(dut.deasserted) == (sent and not line)
        if sent and self.tells and line != self.heard:
            self.messages.append((self.now, line))
            self.heard = line
        assert ctx.get(dut.full) == (not ctx.get(dut.room) and not self.level and not self.disabled)
        self.merged += ctx.get(dut.merged)
        self.taken += ctx.get(dut.queued)
        assert ctx.get(dut.queued) + ctx.get(dut.merged) == (pulse and not flush)
        if self.level or line:
            assert ctx.get(dut.hard.pending) == 1
        await ctx.tick()
        self.done += ctx.get(dut.done)
        self.now += 1

    async def settle(self, ctx: Any) -> None:
        for _ in range(500):
            await self.clock(ctx)
            if not ctx.get(self.dut.busy):
                return
        raise AssertionError("still busy")

    def assertions(self) -> int:
        return sum(line for _, line in self.messages)


def simulate(bench: Any, *, pulses: int = 4, slowest: int = 5, seed: int = 1) -> Host:
    dut = Intx(pulses, patience=PATIENCE)
    host = Host(dut, random.Random(seed), slowest)
    sim = Simulator(dut)
    sim.add_clock(1e-9)

    async def testbench(ctx: Any) -> None:
        await bench(ctx, dut, host)

    sim.add_testbench(testbench)
    sim.run()
    return host


def test_level() -> None:
    async def bench(ctx: Any, dut: Intx, host: Host) -> None:
        for count in range(1, 4):
            await host.clock(ctx, level=1)
            await host.settle(ctx)
            assert host.heard == 1
            assert ctx.get(dut.hard.pending) == 1
            await host.clock(ctx, level=0)
            await host.settle(ctx)
            assert host.heard == 0
            assert ctx.get(dut.hard.pending) == 0
            assert host.assertions() == count

    simulate(bench)


@pytest.mark.parametrize("first", [0, 1])
def test_level_changes_while_a_change_is_under_way(first: int) -> None:
    """Once and for all back: a message for it. There and back: none."""
    for changes in (1, 2, 3):
        for gap in range(5):

            async def bench(ctx: Any, dut: Intx, host: Host, changes: int = changes, gap: int = gap) -> None:
                await host.clock(ctx, level=1 - first)
                await host.settle(ctx)
                host.messages.clear()
                host.slowest = 30
                host.rng = random.Random(3)
                level = first
                await host.clock(ctx, level=level)
                await host.clock(ctx)
                for _ in range(changes):
                    level = 1 - level
                    await host.clock(ctx, level=level)
                    for _ in range(gap):
                        await host.clock(ctx)
                await host.settle(ctx)
                assert host.heard == level
                assert len(host.messages) == 1 + (level != first)

            simulate(bench)


def test_pulses() -> None:
    """An assertion and a deassertion for each, also when they come in every clock; merged only if there is no room."""

    async def bench(ctx: Any, dut: Intx, host: Host) -> None:
        await host.clock(ctx, pulse=1)
        await host.settle(ctx)
        assert [line for _, line in host.messages] == [1, 0]
        assert (host.taken, host.done) == (1, 1)
        for _ in range(12):
            await host.clock(ctx, pulse=1)
        await host.settle(ctx)
        assert host.done == host.taken == host.assertions() < 13
        assert host.taken + host.merged == 13
        assert [line for _, line in host.messages] == [1, 0] * host.taken

    simulate(bench)


def test_pulse_takes() -> None:
    """Two clocks from the pulse to the line, and the line follows the answer in two clocks."""
    lines: list[int] = []

    async def bench(ctx: Any, dut: Intx, host: Host) -> None:
        for clock in range(8):
            lines.append(ctx.get(dut.hard.int))
            await host.clock(ctx, pulse=int(clock == 0))

    simulate(bench, slowest=1)
    assert lines == [0, 0, 1, 1, 1, 0, 0, 0]


def test_pulse_with_level() -> None:
    """A pulse waits until the level is low; a level that begins in a pulse keeps the line."""

    async def bench(ctx: Any, dut: Intx, host: Host) -> None:
        await host.clock(ctx, level=1)
        await host.settle(ctx)
        await host.clock(ctx, pulse=1)
        await host.settle(ctx)
        assert (host.assertions(), host.done) == (1, 0)
        await host.clock(ctx, level=0)
        await host.settle(ctx)
        assert (host.assertions(), host.done, host.heard) == (2, 1, 0)
        await host.clock(ctx, pulse=1)
        await host.clock(ctx)
        await host.clock(ctx, level=1)
        await host.settle(ctx)
        assert (host.assertions(), host.done, host.heard) == (3, 2, 1)

    simulate(bench)


def test_disabled() -> None:
    """Nothing new, and the line is deasserted; Interrupt Status stays; afterwards everything comes, pulses as one."""

    async def bench(ctx: Any, dut: Intx, host: Host) -> None:
        for _ in range(6):
            await host.clock(ctx, disabled=1, pulse=1)
        await host.settle(ctx)
        assert host.messages == []
        assert (host.taken, host.merged, ctx.get(dut.room)) == (1, 5, 3)
        assert ctx.get(dut.hard.pending) == 1
        await host.clock(ctx, disabled=0)
        await host.settle(ctx)
        assert (host.assertions(), host.done) == (1, 1)
        await host.clock(ctx, level=1)
        await host.settle(ctx)
        await host.clock(ctx, disabled=1)
        await host.settle(ctx)
        assert host.heard == 0
        assert ctx.get(dut.hard.pending) == 1
        await host.clock(ctx, disabled=0)
        await host.settle(ctx)
        assert (host.assertions(), host.heard) == (3, 1)

    simulate(bench)


def test_what_waited_before_it_was_disabled_stays() -> None:
    """Three pulses, the first of them under way; those that come while disabled are one with the last."""

    async def bench(ctx: Any, dut: Intx, host: Host) -> None:
        for _ in range(3):
            await host.clock(ctx, pulse=1)
        for _ in range(4):
            await host.clock(ctx, disabled=1, pulse=1)
        await host.settle(ctx)
        assert (host.taken, host.merged) == (3, 4)
        await host.clock(ctx, disabled=0)
        await host.settle(ctx)
        assert host.done == 3
        assert host.assertions() in (3, 4), "the first may have been heard"

    simulate(bench, slowest=20)


def test_full() -> None:
    """There will be room: who raises has to wait. There will be none because of the level: merged."""

    async def bench(ctx: Any, dut: Intx, host: Host) -> None:
        host.slowest = 50
        for _ in range(4):
            await host.clock(ctx, pulse=1)
        assert ctx.get(dut.full) == 1
        for _ in range(300):
            await host.clock(ctx)
            if not ctx.get(dut.full):
                break
        assert ctx.get(dut.room) == 1
        await host.settle(ctx)
        await host.clock(ctx, level=1)
        for _ in range(7):
            await host.clock(ctx, pulse=1)
        assert (ctx.get(dut.full), ctx.get(dut.room), host.merged) == (0, 0, 3)
        await host.clock(ctx, level=0)
        await host.settle(ctx)
        assert (host.done, host.assertions()) == (8, 9)

    simulate(bench, seed=3)


def test_holds() -> None:
    """What announces a write that is still on its way: each of the two waits for its own."""

    async def bench(ctx: Any, dut: Intx, host: Host) -> None:
        ctx.set(dut.hold_level, 1)
        await host.clock(ctx, pulse=1)
        for _ in range(30):
            await host.clock(ctx)
        assert host.messages, "a pulse that waits for the level's write"
        before = len(host.messages)
        await host.clock(ctx, level=1)
        for _ in range(20):
            await host.clock(ctx)
        assert len(host.messages) == before
        ctx.set(dut.hold_level, 0)
        ctx.set(dut.hold_pulse, 1)
        await host.settle(ctx)
        assert host.heard == 1
        await host.clock(ctx, level=0, pulse=1)
        for _ in range(20):
            await host.clock(ctx)
        assert (host.heard, host.done) == (0, 1)
        ctx.set(dut.hold_pulse, 0)
        await host.settle(ctx)
        assert host.done == 2

    simulate(bench)


@pytest.mark.parametrize("by_level", [False, True])
def test_disabled_around_the_assertion(by_level: bool) -> None:
    """For one clock or more, in each clock around it: the host hears of it in the end, wherever the hard block looks.

    It may hear twice of one pulse if INTx was disabled between the question and the answer, never less than once.
    """
    twice = 0
    for length in (1, 2, 7):
        for offset in range(12):
            for seed in range(3):

                async def bench(ctx: Any, dut: Intx, host: Host, length: int = length, offset: int = offset) -> None:
                    nonlocal twice
                    doubts = 0
                    for clock in range(30):
                        now = {"level": 1} if by_level and clock == 4 else {}
                        disabled = int(0 <= clock - offset < length)
                        doubts += disabled and ctx.get(dut.hard.int)
                        await host.clock(ctx, pulse=int(not by_level and clock == 4), disabled=disabled, **now)
                    await host.settle(ctx)
                    assert host.heard == by_level
                    assert host.done == (not by_level)
                    assert 1 <= host.assertions() <= (2 if doubts else 1)
                    twice += host.assertions() == 2

                simulate(bench, seed=seed)
    assert twice


def test_no_answer() -> None:
    """Waited for without end, but in a reset of the function not for long; the next one is a pulse like any."""
    for pulse in (0, 1):

        async def bench(ctx: Any, dut: Intx, host: Host, pulse: int = pulse) -> None:
            host.slowest = 1
            host.rng = random.Random(1)
            await host.clock(ctx, pulse=pulse, level=1 - pulse)
            for _ in range(4):
                ctx.set(dut.pulse, 0)
                ctx.set(dut.hard.sent, 0)
                await ctx.tick()
            for _ in range(3 * PATIENCE):
                assert ctx.get(dut.hard.int) == 1
                assert ctx.get(dut.idle) == 0
                await ctx.tick()
            ctx.set(dut.flush, 1)
            ctx.set(dut.level, 0)
            for clock in range(PATIENCE + 10):
                if ctx.get(dut.idle):
                    break
                assert clock < PATIENCE + 3
                await ctx.tick()
            assert clock >= PATIENCE
            assert ctx.get(dut.hard.int) == 0
            host.line = host.wait = host.level = 0
            await host.clock(ctx, pulse=1)
            await host.settle(ctx)
            assert host.done == 1

        simulate(bench)


def test_flush() -> None:
    """In each clock of a pulse: what waits is forgotten, the line comes back, and the next pulse is a pulse."""
    for offset in range(12):

        async def bench(ctx: Any, dut: Intx, host: Host, offset: int = offset) -> None:
            for clock in range(12):
                await host.clock(ctx, pulse=int(clock < 3), flush=int(clock == offset))
            await host.settle(ctx)
            assert host.heard == 0
            assert ctx.get(dut.hard.pending) == 0
            assert ctx.get(dut.room) == 4
            before, done = host.assertions(), host.done
            await host.clock(ctx, pulse=1, flush=1)
            await host.settle(ctx)
            assert host.assertions() == before
            # The next one comes while the line of a flushed one is still up.
            await host.clock(ctx, pulse=1)
            await host.clock(ctx)
            await host.clock(ctx, flush=1)
            await host.clock(ctx, pulse=1)
            await host.settle(ctx)
            assert (host.assertions(), host.done) == (before + 2, done + 1)

        simulate(bench, seed=offset)


@pytest.mark.parametrize("start", range(14))
def test_reset_of_the_function(start: int) -> None:
    """Until INTA is deasserted and that is answered, from each clock around a level and a pulse on."""
    for slowest, by_level in ((1, True), (5, True), (5, False)):

        async def bench(ctx: Any, dut: Intx, host: Host, by_level: bool = by_level) -> None:
            for clock in range(start):
                wish = {"level": 1} if by_level and clock == 3 else {}
                await host.clock(ctx, pulse=int(not by_level and clock in (3, 4)), **wish)
            for clock in range(40):
                # The register of the level is cleared with the first clock of the reset.
                wish = {"level": 0} if clock else {}
                line = ctx.get(dut.hard.int)
                await host.clock(ctx, pulse=int(clock < 3), flush=1, **wish)
                assert ctx.get(dut.hard.int) <= line, "asserted because of what the reset is to forget"
                if clock and ctx.get(dut.idle):
                    break
            assert clock < 20, "a reset that does not come to its end"
            assert (host.heard, host.wait, host.line) == (0, 0, 0), "something is still under way"
            assert ctx.get(dut.hard.pending) == 0
            messages = len(host.messages)
            for _ in range(20):
                await host.clock(ctx)
            assert len(host.messages) == messages, "told after the reset"
            await host.clock(ctx, pulse=1)
            await host.settle(ctx)
            assert len(host.messages) == messages + 2

        simulate(bench, slowest=slowest, seed=start)


@pytest.mark.parametrize("levels", [False, True])
def test_random(levels: bool) -> None:
    async def bench(ctx: Any, dut: Intx, host: Host) -> None:
        rng = random.Random(9)
        for _ in range(60):
            for _ in range(40):
                now = {}
                if levels and rng.random() < 0.1:
                    now["level"] = rng.randrange(2)
                if rng.random() < 0.1:
                    now["disabled"] = rng.randrange(2)
                await host.clock(ctx, pulse=int(rng.random() < 0.15), **now)
            await host.clock(ctx, disabled=0)
            await host.settle(ctx)
            assert host.heard == host.level
        await host.clock(ctx, level=0)
        await host.settle(ctx)
        assert host.done == host.taken > 80
        assert host.merged > 5
        assert host.heard == 0
        assert host.assertions() >= host.taken

    simulate(bench)


@pytest.mark.parametrize("pulses", [1, 64, "2"])
def test_wrong_parameter(pulses: Any) -> None:
    with pytest.raises(ValueError, match=f"must be 2 to 63, not {pulses!r}"):
        Intx(pulses)


def test_signature() -> None:
    assert HardIntx() == HardIntx()
    assert hash(HardIntx()) == hash(HardIntx())
    assert HardIntx() != 1
    assert repr(HardIntx()) == "intx.HardIntx()"
