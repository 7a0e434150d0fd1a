"""Reads that wait for their completions: a plain model beside the RTL, and who drives both clock by clock."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from quick_engine import Simulator

from epbell.pcie.outstanding import Outstanding
from epbell.pcie.requester import Cause

OK, TIMEOUT = Cause.NONE.value, Cause.TIMEOUT.value
_TURN, _GIVE_UP, _GIVEN_UP = 3, 4, 5  # clocks of the oldest read


@dataclass(frozen=True)
class Packet:
    tag: int
    ends: int = 1
    notice: int = 0
    cause: int = OK
    data: int = 0


@dataclass(frozen=True)
class Read:
    tag: int
    refusal: int
    address: int
    clock: int


@dataclass
class Model:
    """What the documentation says, clock by clock. What is not of a step's clock is as it was before that."""

    reads: int
    tags: int
    timeout: int
    free: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    done: dict[int, tuple[int, int]] = field(default_factory=dict)  # tag: cause, data
    order: deque[Read] = field(default_factory=deque)  # behind the oldest
    oldest: Read | None = None
    place: int = 0  # of the oldest read on its way: clocks, until it waits for its turn
    answer: tuple[int, int, int] | None = None  # data, cause, address
    fresh: bool = False
    available: bool = False
    ready: bool = False
    number: int = 0
    clock: int = 0
    begun: set[int] = field(default_factory=set)  # requests that have begun to leave, until the tag is taken again
    queued: deque[int] = field(default_factory=deque)  # those that have not
    dropped: bool = False  # a completion, two clocks ago
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.free = set(range(self.tags))
        self._pending = 0
        self._ending = self._late = self._was_done = self._looked = self._was_free = self._stranded = False
        self._sent = False  # the tag has been taken in the clock before
        self._coming: set[int] = set()  # that tag; it waits from the next clock on
        self._closing: int | None = None  # tag whose data have been handed over
        self._packet: Packet | None = None
        self._beginning: deque[int | None] = deque([None, None])
        self._flushes = deque([False, False, False])  # in the clocks before, the latest first

    def sends(self, refusal: int) -> bool:
        return self.available and refusal == OK

    def step(
        self, read: tuple[int, int] | None, packet: Packet | None, d_ready: int, begins: bool, flush: bool
    ) -> None:
        """One clock edge."""
        known = flush == self._flushes[0] == self._flushes[1] == self._flushes[2]
        open_reads = bool(self._pending)
        ready = (
            self._pending != self.reads
            and not (self._ending and open_reads)
            and known
            and (self.available or self._stranded)
            and read is None
        )
        ends, flushed = self._flushes[2] or self._ending, self._flushes[2]
        pending = self._pending + (read is not None) - self.fresh
        stranded = len(self.lost) == self.tags
        walk = self._walk(read)
        freed = self._tags(ends, flushed)
        self._answer(d_ready, ends)
        begun = self._beginning.popleft()
        if begun is not None:
            self.begun.add(begun)
        self._beginning.append(self.queued.popleft() if begins else None)
        self.waiting |= self._coming
        self._coming.clear()
        self._take(read)
        if flush:
            self.queued.clear()
        self.free |= freed
        self.available, self.number, self._looked, self._was_free, self._sent = walk
        self.ready, self._pending, self._stranded, self._packet = ready, pending, stranded, packet
        self._ending = flushed or (self._ending and open_reads)
        self._flushes.pop()
        self._flushes.appendleft(flush)
        self.clock += 1

    def _walk(self, read: tuple[int, int] | None) -> tuple[bool, int, bool, bool, bool]:
        """Two clocks for each tag, then it stays until the clock after the tag has been taken."""
        sent = read is not None and self.sends(read[1])
        found = self._looked and self._was_free
        goes_on = self._sent or (self._looked and not self._was_free and not self.available)
        return (
            (self.available and not sent) or found,
            (self.number + goes_on) % self.tags,
            not self._looked and not self.available and not self._sent,
            self.number in self.free,
            sent,
        )

    def _tags(self, ends: bool, flushed: bool) -> set[int]:
        """Return those that become free."""
        freed: set[int] = set()
        given_up = self.oldest.tag if self.oldest and self.place == _GIVE_UP else None
        if given_up not in self.waiting:
            given_up = None  # its completion came in the clock before
        if flushed:
            freed |= self.lost - self.begun
            self.lost &= self.begun | ({self._packet.tag} if self._packet and self._packet.ends else set())
        finished = self._closing
        self.dropped, late = self._file(given_up)
        freed |= late
        if given_up is not None and given_up not in late:
            if ends and given_up not in self.begun:
                freed.add(given_up)
                self.seen["never sent"] += 1
            else:
                self.lost.add(given_up)
                self.seen["lost in a reset" if ends else "lost"] += 1
        if given_up is not None:
            self.waiting.remove(given_up)
        if finished is not None:
            del self.done[finished]
            freed.add(finished)
        return freed

    def _file(self, given_up: int | None) -> tuple[bool, set[int]]:
        """Return whether a packet is dropped, and the tag that it frees."""
        packet = self._packet
        if packet is None:
            return False, set()
        if packet.ends and packet.tag in self.waiting and packet.tag != given_up:
            self.waiting.remove(packet.tag)
            self.done[packet.tag] = packet.cause, packet.data
            return False, set()
        if packet.ends and (packet.tag in self.lost or packet.tag == given_up):
            self.seen["in the same clock" if packet.tag == given_up else "notice" if packet.notice else "late"] += 1
            self.lost.discard(packet.tag)
            return not packet.notice, {packet.tag}
        self.seen["unexpected"] += 1
        return True, set()

    def _answer(self, d_ready: int, ends: bool) -> None:
        """Bring the oldest read a clock further."""
        oldest, answer, self._closing = self.oldest, None, None
        turn = self.place == _TURN and self.answer is None
        was_done, late = self._was_done, self._late
        self._was_done = oldest is not None and oldest.refusal == OK and oldest.tag in self._were_done
        self._late = oldest is not None and self.clock - oldest.clock >= self.timeout
        if oldest is None:
            if self.order:
                self.oldest, self.place = self.order.popleft(), 1
        elif turn and oldest.refusal:
            answer = 0, oldest.refusal, oldest.address
            self.seen["refused"] += 1
        elif (turn or self.place == _GIVEN_UP) and was_done:
            self._closing = oldest.tag
            cause, value = self.done[oldest.tag]
            answer = (value if cause == OK else 0), cause, oldest.address
            self.seen["answered" if turn else "done before it was given up"] += 1
        elif self.place == _GIVEN_UP:
            answer = 0, TIMEOUT, oldest.address
            self.seen["timed out"] += 1
        elif self.place != _TURN or (turn and (late or ends)):
            self.place += 1
        self.fresh = answer is not None
        if answer is not None:
            self.answer, self.oldest, self.place = answer, None, 0
        elif d_ready:
            self.answer = None
        self._were_done = set(self.done)

    def _take(self, read: tuple[int, int] | None) -> None:
        if read is None:
            return
        address, refusal = read
        sent = self.sends(refusal)
        if not sent and refusal == OK:
            self.seen["stranded"] += 1
            refusal = TIMEOUT
        self.order.append(Read(self.number, refusal, address & ~3, self.clock))
        if sent:
            self.free.remove(self.number)
            self._coming.add(self.number)
            self.begun.discard(self.number)
            self.queued.append(self.number)

    _were_done: set[int] = field(default_factory=set)  # in the clock before


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
        begins = begins and bool(model.queued)
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
        assert ctx.get(dut.available) == model.available
        if model.available:
            assert ctx.get(dut.tag) == model.number
        if read is not None:
            ctx.set(dut.address, read[0])
            ctx.set(dut.refusal, read[1])
            if model.sends(read[1]):
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
        assert unexpected == model.dropped
        model.step(read, packet, d_ready, begins, flush)
        self.dropped += unexpected
        await ctx.tick()
        return read is not None

    async def clocks(self, count: int) -> None:
        for _ in range(count):
            await self.clock()

    async def read(self, address: int, refusal: int = OK, **more: Any) -> int:
        """Offer a read until it is taken; return the clock of that."""
        while not await self.clock((address, refusal), **more):
            pass
        return self.model.clock - 1


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
