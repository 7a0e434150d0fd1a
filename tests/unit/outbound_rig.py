"""A CPU and a host around the outbound path: one call is one clock."""

from __future__ import annotations

import functools
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from amaranth.hdl import ResetInserter, Signal
from driver import Driver
from quick_engine import Simulator
from requester_packets import WIDTHS, Beat, Reply, Sent, good, rc_beats, rq_packet

from epbell.outbound import Outbound

BASE, SIZE = 0x7000_0000, 0x1000_0000  # the aperture
TARGET = 0x12_3456_7000
TIMEOUT = 400
OKAY, SLVERR, DECERR = 0, 2, 3
NO_WINDOW, BUS_MASTER_OFF, UNSUPPORTED, ABORT, POISONED, TIMED_OUT, MALFORMED = range(1, 8)

CTRL1, CTRL2, LOWER_BASE, UPPER_BASE, LIMIT, LOWER_TARGET, UPPER_TARGET, UPPER_LIMIT = (
    0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x20,
)  # fmt: skip
ENABLE, INCREASE = 1 << 31, 1 << 13

every_width = pytest.mark.parametrize("width", WIDTHS)


@dataclass(frozen=True)
class Write:
    address: int
    data: int
    strobes: int = 0xF


@dataclass(frozen=True)
class Interrupt:
    address: int
    data: int


@dataclass
class Answer:
    """What the CPU got for a read: clock of ``d_valid``, data and response."""

    clock: int
    data: int
    error: int


@functools.cache
def _simulation(width: int, parameters: tuple[tuple[str, Any], ...]) -> tuple[Any, Any, Any]:
    """Build once, run often."""
    dut, rst = Outbound(width, **dict(parameters)), Signal()
    simulator = Simulator(ResetInserter(rst)(dut))
    simulator.add_clock(4e-9)
    box: list[Any] = []

    async def testbench(ctx: Any) -> None:
        await box[-1](ctx)

    simulator.add_testbench(testbench)
    return dut, simulator, box


class Rig:
    """Drives the CPU's three ports and RC, collects RQ; checks on every clock what always holds.

    Attributes
    ----------
    writes, reads, interrupts : deque
        What is offered, in order.
    replies : deque of Reply
        What the hard block sends, in order.
    sent : list of (clock, Sent)
        Requests, with the clock of their first beat on the stream.
    taken : list of (clock, item)
        Writes, reads (as an address) and interrupts in the order in which they were taken.
    answers : list of Answer
    failures : list of (cause, address)
    """

    def __init__(self, width: int, *, seed: int = 0, **parameters: Any) -> None:
        self.width, self.random = width, random.Random(seed * 1000 + width)
        self._parameters = tuple(sorted(({"timeout": TIMEOUT} | parameters).items()))
        self.writes: deque[Write] = deque()
        self.reads: deque[int] = deque()
        self.interrupts: deque[Interrupt] = deque()
        self.replies: deque[Reply] = deque()
        self.registers: deque[tuple[int, int]] = deque()
        self.sent: list[tuple[int, Sent]] = []
        self.taken: list[tuple[int, Any]] = []
        self.errors: list[int] = []  # responses of the writes
        self.answers: list[Answer] = []
        self.failures: list[tuple[int, int]] = []
        self.failed = self.unexpected = self.cycle = 0
        self.reply_ends: list[int] = []  # clocks of the last beats on RC
        self.rq_ready: Callable[[], bool] = lambda: True
        self.rc_pause: Callable[[], bool] = lambda: False
        self.cpu_pause: Callable[[], bool] = lambda: False
        self.d_ready: Callable[[], bool] = lambda: True
        self.host: Callable[[Sent], Iterable[Reply]] = lambda sent: ()
        self._rc: deque[Beat] = deque()
        self._rq: list[Beat] = []
        self._rq_first = 0
        self._stalled: Beat | None = None
        self._held: tuple[int, int] | None = None
        self._offered = [False] * 3

    def run(self, bench: Callable[[Rig], Awaitable[None]]) -> Rig:
        dut, simulator, box = _simulation(self.width, self._parameters)
        ended = False

        async def testbench(ctx: Any) -> None:
            nonlocal ended
            self.ctx, self.dut, self.driver = ctx, dut, Driver(ctx)
            ctx.set(dut.bus_master, 1)
            await bench(self)
            ended = True

        if box:
            simulator.reset()
        box.append(testbench)
        simulator.run()
        assert ended, "the bench did not come to its end"
        return self

    async def map(self, window: int, base: int, limit: int, target: int, *, ctrl1: int = 0, **more: int) -> None:
        """Program a window as the DesignWare driver does."""
        values = {
            LOWER_BASE: base & 0xFFFF_FFFF,
            UPPER_BASE: base >> 32,
            LIMIT: limit & 0xFFFF_FFFF,
            UPPER_LIMIT: limit >> 32,
            LOWER_TARGET: target & 0xFFFF_FFFF,
            UPPER_TARGET: target >> 32,
            CTRL1: ctrl1,
            CTRL2: more.get("ctrl2", ENABLE),
        }
        for register, value in values.items():
            await self.register(0x200 * window + register, value)
        await self.step(4)

    async def register(self, offset: int, value: int, strobes: int = 0xF) -> None:
        bus = self.dut.bus
        self.driver.drive((bus.w_en, 1), (bus.w_addr, offset), (bus.w_data, value), (bus.w_strb, strobes))
        await self.step()
        self.driver.drive((bus.w_en, 0))
        await self.step()  # it is decoded a clock ahead

    async def step(self, clocks: int = 1) -> None:
        for _ in range(clocks):
            self._cpu()
            self._requests()
            self._completions()
            self._outputs()
            await self.ctx.tick()
            self.cycle += 1

    async def drain(self, limit: int = 4000) -> None:
        """Until everything has been taken, answered and sent."""
        for _ in range(limit):
            asked = sum(isinstance(item, int) for _, item in self.taken)
            busy = self.writes or self.reads or self.interrupts or self.replies or self._rc or self._rq
            if not busy and len(self.answers) == asked:
                break
            await self.step()
        else:
            raise AssertionError("something is stuck")
        await self.step(20)

    def _cpu(self) -> None:
        ctx, dut = self.ctx, self.dut
        queues = (self.writes, self.reads, self.interrupts)
        # What the CPU has offered, it goes on to offer. An interrupt may be withdrawn.
        self._offered = [
            bool(queue) and ((offered and queue is not self.interrupts) or not self.cpu_pause())
            for queue, offered in zip(queues, self._offered, strict=True)
        ]
        w, r, i = (queue[0] if offered else None for queue, offered in zip(queues, self._offered, strict=True))
        inputs = [(dut.w_valid, w is not None), (dut.r_valid, r is not None), (dut.i_valid, i is not None)]
        if w is not None:
            inputs += [(dut.w_addr, w.address), (dut.w_data, w.data), (dut.w_strb, w.strobes)]
        if r is not None:
            inputs.append((dut.r_addr, r))
        if i is not None:
            inputs += [(dut.i_address, i.address), (dut.i_data, i.data)]
        self.driver.drive(*inputs)
        granted = 0
        for number, (item, ready) in enumerate(((w, dut.w_ready), (r, dut.r_ready), (i, dut.i_ready))):
            if item is not None and ctx.get(ready):
                queues[number].popleft()
                self._offered[number] = False
                self.taken.append((self.cycle, item))
                if isinstance(item, Write):
                    self.errors.append(ctx.get(dut.w_error))
                granted += 1
        assert granted <= 1

    def _requests(self) -> None:
        ctx, rq = self.ctx, self.dut.rq
        ready = int(self.rq_ready())
        other, this = self._cpu_outputs(1 - ready), self._cpu_outputs(ready)
        assert other == this, "something of the CPU's depends on tready within a clock"
        ctx.set(rq.tready, ready)
        if not ctx.get(rq.tvalid):
            assert self._stalled is None, "a beat has been withdrawn"
            return
        beat = (ctx.get(rq.tdata), ctx.get(rq.tkeep), ctx.get(rq.tuser), ctx.get(rq.tlast))
        assert self._stalled in (None, beat), "a beat has changed while it was waiting"
        if not self._rq and self._stalled is None:
            self._rq_first = self.cycle
        self._stalled = None if ready else beat
        if ready:
            self._rq.append(beat)
            if beat[3]:
                request = rq_packet(self._rq, self.width)
                self._rq = []
                self.sent.append((self._rq_first, request))
                self.replies += self.host(request)

    def _cpu_outputs(self, tready: int) -> list[int]:
        dut = self.dut
        self.ctx.set(dut.rq.tready, tready)
        ports = (dut.w_ready, dut.w_error, dut.r_ready, dut.d_valid, dut.d_data, dut.d_error, dut.i_ready, dut.failed)
        return [self.ctx.get(port) for port in ports]

    def _completions(self) -> None:
        ctx, rc = self.ctx, self.dut.rc
        if not self._rc and self.replies:
            self._rc += rc_beats(self.replies.popleft(), self.width)
        offer = bool(self._rc) and not self.rc_pause()
        ctx.set(rc.tvalid, offer)
        assert ctx.get(rc.tready), "completions are never held up"
        if offer:
            beat = self._rc.popleft()
            self.driver.drive(*zip((rc.tdata, rc.tkeep, rc.tuser, rc.tlast), beat, strict=True))
            if beat[3]:
                self.reply_ends.append(self.cycle)

    def _outputs(self) -> None:
        ctx, dut = self.ctx, self.dut
        ready = int(self.d_ready())
        ctx.set(dut.d_ready, ready)
        if ctx.get(dut.d_valid):
            shown = ctx.get(dut.d_data), ctx.get(dut.d_error)
            assert self._held in (None, shown), "an answer has changed while it was waiting"
            if self._held is None:
                self.answers.append(Answer(self.cycle, *shown))
            self._held = None if ready else shown
        else:
            assert self._held is None, "an answer has been withdrawn"
        failed = ctx.get(dut.failed)
        self.failed += failed
        if failed:
            self.failures.append((ctx.get(dut.cause).value, ctx.get(dut.cause_address)))
        self.unexpected += ctx.get(dut.unexpected)


async def everything(rig: Rig, target: int = TARGET) -> None:
    """One window over the whole aperture."""
    await rig.map(0, BASE, BASE + SIZE - 1, target)


def memory(rig: Rig) -> None:
    """A host that answers each read with its address."""
    rig.host = lambda sent: () if sent.write else (good(sent.tag, sent.address & 0xFFFF_FFFF),)
