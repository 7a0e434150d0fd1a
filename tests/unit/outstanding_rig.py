"""Reads that wait for their completions: a plain model beside the RTL, and who drives both clock by clock."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from quick_engine import Simulator

from epbell.pcie.outstanding import Outstanding
from epbell.pcie.requester import Cause

OK, TIMEOUT = Cause.NONE.value, Cause.TIMEOUT.value


@dataclass(frozen=True)
class Packet:
    tag: int
    ends: int = 1
    notice: int = 0
    cause: int = OK
    data: int = 0


@dataclass
class Model:
    """What the documentation says, clock by clock."""

    reads: int
    tags: int
    timeout: int
    free: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    done: dict[int, tuple[int, int]] = field(default_factory=dict)  # tag: cause, data
    order: deque[tuple[int, int, int, int]] = field(default_factory=deque)  # tag, refusal, address, clock
    answer: tuple[int, int, int] | None = None  # data, cause, address
    fresh: bool = False
    number: int = 0
    clock: int = 0
    begun: set[int] = field(default_factory=set)  # requests that have begun to leave, until the tag is taken again
    queued: deque[int] = field(default_factory=deque)  # those that have not
    ending: bool = False
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.free = set(range(self.tags))

    @property
    def ready(self) -> bool:
        if self.ending and self.order:
            return False
        return len(self.order) < self.reads and (self.number in self.free or len(self.lost) == self.tags)

    def sends(self, refusal: int) -> bool:
        return self.number in self.free and refusal == OK

    def step(
        self, read: tuple[int, int] | None, packet: Packet | None, d_ready: int, begins: bool, flush: bool
    ) -> bool:
        """One clock edge; return whether a completion is dropped."""
        ends, ending = flush or self.ending, flush or (self.ending and bool(self.order))
        given_up = self._answer(d_ready, ends)
        dropped = self._file(packet, given_up)
        if given_up is not None and not (packet and packet.ends and packet.tag == given_up):
            if ends and given_up not in self.begun:
                self._freed.append(given_up)
                self.seen["never sent"] += 1
            else:
                self.lost.add(given_up)
                self.seen["lost in a reset" if ends else "lost"] += 1
        if flush:
            self._freed += self.lost - self.begun
            self.lost &= self.begun
            self.queued.clear()
        if begins:
            self.begun.add(self.queued.popleft())
        self._take(read)
        self.ending = ending
        self.clock += 1
        return dropped

    def _answer(self, d_ready: int, ends: bool) -> int | None:
        self.fresh = False
        if self.answer is not None and not d_ready:
            return None
        self.answer = None
        if not self.order:
            return None
        tag, refusal, address, taken = self.order[0]
        given_up = None
        if refusal:
            self.answer = 0, refusal, address
            self.seen["refused"] += 1
        elif tag in self.done:
            cause, value = self.done.pop(tag)
            self._freed.append(tag)
            self.answer = (value if cause == OK else 0), cause, address
            self.seen["answered"] += 1
        elif ends or self.clock - taken >= self.timeout:
            self.answer = 0, TIMEOUT, address
            self.waiting.remove(tag)
            given_up = tag
            self.seen["timed out"] += 1
        else:
            return None
        self.order.popleft()
        self.fresh = True
        return given_up

    def _file(self, packet: Packet | None, given_up: int | None) -> bool:
        if packet is None:
            return False
        if packet.ends and packet.tag in self.waiting:
            self.waiting.remove(packet.tag)
            self.done[packet.tag] = packet.cause, packet.data
            return False
        if packet.ends and (packet.tag in self.lost or packet.tag == given_up):
            self.seen["in the same clock" if packet.tag == given_up else "notice" if packet.notice else "late"] += 1
            self.lost.discard(packet.tag)
            self._freed.append(packet.tag)
            return not packet.notice
        self.seen["unexpected"] += 1
        return True

    def _take(self, read: tuple[int, int] | None) -> None:
        sent = False
        available = self.number in self.free
        if read is not None:
            address, refusal = read
            sent = self.sends(refusal)
            if not sent and refusal == OK:
                self.seen["stranded"] += 1
                refusal = TIMEOUT
            self.order.append((self.number, refusal, address & ~3, self.clock))
            if sent:
                self.free.remove(self.number)
                self.waiting.add(self.number)
                self.begun.discard(self.number)
                self.queued.append(self.number)
        if sent or not available:
            self.number = (self.number + 1) % self.tags
        self.free.update(self._freed)
        self._freed.clear()

    _freed: list[int] = field(default_factory=list)  # free from the next clock on


class Bench:
    """The device and the model side by side; one call of :meth:`clock` is one clock."""

    def __init__(self, ctx: Any, dut: Outstanding, model: Model) -> None:
        self.ctx, self.dut, self.model = ctx, dut, model
        self.answers: list[tuple[int, int, int, int]] = []  # clock, data, cause, address
        self.sent: list[tuple[int, int]] = []  # clock, tag
        self.dropped = 0

    async def clock(
        self,
        read: tuple[int, int] | None = None,
        packet: Packet | None = None,
        d_ready: int = 1,
        *,
        begins: bool = True,
        flush: bool = False,
    ) -> bool:
        """Return whether the read was taken. The oldest request that has not begun to leave does so, if it may."""
        ctx, dut, model = self.ctx, self.dut, self.model
        begins = begins and bool(model.queued) and not flush
        ctx.set(dut.flush, flush)
        ctx.set(dut.begins, begins)
        if begins:
            ctx.set(dut.begun, model.queued[0])
        assert ctx.get(dut.ready) == model.ready
        if not model.ready:
            read = None
        ctx.set(dut.valid, read is not None)
        ctx.set(dut.d_ready, d_ready)
        ctx.set(dut.c_valid, packet is not None)
        if read is not None:
            ctx.set(dut.address, read[0])
            ctx.set(dut.refusal, read[1])
            assert ctx.get(dut.send) == model.sends(read[1])
            if model.sends(read[1]):
                assert ctx.get(dut.tag) == model.number
                self.sent.append((model.clock, model.number))
        if packet is not None:
            for name in ("tag", "ends", "notice", "cause", "data"):
                ctx.set(getattr(dut.completion, name), getattr(packet, name))
        assert ctx.get(dut.d_valid) == (model.answer is not None)
        assert ctx.get(dut.d_fresh) == model.fresh
        if model.answer is not None:
            assert (ctx.get(dut.d_data), ctx.get(dut.d_cause).value, ctx.get(dut.d_address)) == model.answer
            if model.fresh:
                self.answers.append((model.clock, *model.answer))
        unexpected = ctx.get(dut.unexpected)
        assert model.step(read, packet, d_ready, begins, flush) == unexpected
        self.dropped += unexpected
        await ctx.tick()
        return read is not None

    async def clocks(self, count: int) -> None:
        for _ in range(count):
            await self.clock()


def simulate(bench: Any, *, reads: int = 4, tags: int = 8, timeout: int = 40) -> Model:
    dut, model = Outstanding(reads, tags=tags, timeout=timeout), Model(reads, tags, timeout)
    ended = False

    async def testbench(ctx: Any) -> None:
        nonlocal ended
        await bench(Bench(ctx, dut, model))
        ended = True

    sim = Simulator(dut)
    sim.add_clock(4e-9)
    sim.add_testbench(testbench)
    sim.run()
    assert ended
    return model
