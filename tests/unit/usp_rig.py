"""A host and a CPU for the endpoint in Amaranth's simulator, written from the documents and not from the RTL.

The packing of the streams follows AMD PG213, the completions a host may expect the PCI Express Base Specification,
2.2.9 and 2.3.1.1.
"""

from __future__ import annotations

import functools
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from epbell.bar import Bar
from epbell.endpoint import Endpoint

WIDTHS = (64, 128, 256, 512)

MEM_READ, MEM_WRITE, IO_READ, IO_WRITE, FETCH_ADD, SWAP, CAS, MEM_READ_LOCKED = range(8)
MSG, MSG_VENDOR, MSG_ATS = 12, 13, 14

SC, UR = 0, 1

MU_A, MU_B, CONTROLLER, EDMA, IATU, RAM = 0x5D270000, 0x5D300000, 0x5F010000, 0x5F090000, 0x5F310000, 0x60000000
RAM_SIZE = 16 << 10
TR, RR, RCR, RSR = 0x200, 0x280, 0x128, 0x12C  # imx8ulp

BARS = (Bar(16 << 10), Bar(16 << 10), Bar(4 << 10), Bar(128), Bar(64 << 10, wide=True), None)
BAR_BASE = (0x80000000, 0x80004000, 0x80008000, 0x80009080, 0x12_00010000)  # what the host assigned


@dataclass(frozen=True)
class Request:
    """A request of the host."""

    kind: int
    bar: int
    offset: int  # in the BAR
    length: int = 1  # dwords
    first_be: int = 0xF
    last_be: int | None = None  # None: what the length asks for
    payload: tuple[int, ...] = ()
    tag: int = 0
    requester: int = 0x0100
    function: int = 0
    tc: int = 0
    attr: int = 0
    at: int = 0
    discontinue: frozenset[int] = frozenset()  # numbers of the beats that carry it

    @property
    def last(self) -> int:
        if self.last_be is not None:
            return self.last_be
        return 0xF if self.length > 1 else 0

    @property
    def enables(self) -> list[int]:
        """Byte enables of every dword."""
        if self.length == 1:
            return [self.first_be]
        return [self.first_be, *([0xF] * (self.length - 2)), self.last]

    @property
    def address(self) -> int:
        return BAR_BASE[self.bar] + self.offset


def write(bar: int, offset: int, *payload: int, **more: Any) -> Request:
    return Request(MEM_WRITE, bar, offset, len(payload), payload=payload, **more)


def read(bar: int, offset: int, length: int = 1, **more: Any) -> Request:
    return Request(MEM_READ, bar, offset, length, **more)


@dataclass(frozen=True)
class Beat:
    """A beat of the CQ stream."""

    data: int
    keep: int
    user: int
    last: int


def cq_beats(request: Request, width: int) -> list[Beat]:
    """Pack a request as the hard block does."""
    lanes = width // 32
    r = request
    descriptor = (
        (r.address & ~3 | r.at)
        | r.length << 64
        | r.kind << 75
        | r.requester << 80
        | r.tag << 96
        | r.function << 104
        | r.bar << 112
        | r.tc << 121
        | r.attr << 124
    )
    words = [descriptor >> shift & 0xFFFFFFFF for shift in (0, 32, 64, 96)] + list(r.payload)
    enables = [0, 0, 0, 0] + (r.enables if r.payload else [])
    beats = []
    for number, start in enumerate(range(0, len(words), lanes)):
        chunk, en = words[start : start + lanes], enables[start : start + lanes]
        big = width == 512
        user = 0
        if start == 0:
            user |= r.first_be | r.last << (8 if big else 4) | 1 << (80 if big else 40)
        last = start + lanes >= len(words)
        if big and last:
            user |= 1 << 86 | (len(chunk) - 1) << 88
        if number in r.discontinue:
            user |= 1 << (96 if big else 41)
        for lane, be in enumerate(en):
            user |= be << ((16 if big else 8) + 4 * lane)
        data = sum(word << 32 * lane for lane, word in enumerate(chunk))
        beats.append(Beat(data, (1 << len(chunk)) - 1, user, int(last)))
    return beats


@dataclass
class Completion:
    """A completion as the host sees it."""

    tag: int
    status: int
    length: int
    byte_count: int
    lower: int
    data: list[int]
    requester: int
    function: int = 0
    tc: int = 0
    attr: int = 0
    at: int = 0
    locked: int = 0
    cycle: int = field(default=0, compare=False)  # of the first beat


def cc_packet(beats: list[tuple[int, int, int, int]], width: int, cycle: int) -> Completion:
    """Unpack beats (data, keep, user, last) and check everything around the packet."""
    lanes = width // 32
    words: list[int] = []
    for number, (data, keep, user, last) in enumerate(beats):
        count = keep.bit_count()
        assert keep == (1 << count) - 1, "holes in tkeep"
        assert count > 0
        assert last == (number == len(beats) - 1)
        assert count == lanes or last, "a beat that is not full before the last one"
        if width == 512:
            sop, eop, lane = user & 3, user >> 6 & 3, user >> 8 & 15
            assert sop == (number == 0)
            assert user >> 2 & 15 == 0, "is_sop_ptr"
            assert eop == last
            assert lane == (count - 1 if last else 0), "is_eop0_ptr"
            assert user >> 12 & 31 == 0, "second packet or discontinue"
        else:
            assert user == 0
        words += [data >> 32 * k & 0xFFFFFFFF for k in range(count)]
    d0, d1, d2, *payload = words
    assert d0 & 0b11 << 30 == 0
    assert d0 & 0x1 << 7 == 0
    assert d0 & 0x3F << 10 == 0
    assert d1 & 0b11 << 14 == 0
    assert d2 & (0xFF << 16 | 1 << 24 | 1 << 31) == 0, "bus number or completer ID enable"
    length = d1 & 0x7FF
    assert len(payload) == length, "length field and packet differ"
    return Completion(
        tag=d2 & 0xFF,
        status=d1 >> 11 & 7,
        length=length,
        byte_count=d0 >> 16 & 0x1FFF,
        lower=d0 & 0x7F,
        data=payload,
        requester=d1 >> 16,
        function=d2 >> 8 & 0xFF,
        tc=d2 >> 25 & 7,
        attr=d2 >> 28 & 7,
        at=d0 >> 8 & 3,
        locked=d0 >> 29 & 1,
        cycle=cycle,
    )


def expected_completions(request: Request, memory: bytes | None, mps: int) -> list[Completion]:
    """What a read is answered with, byte by byte; `memory` holds what the BAR shows, None when it is refused."""
    common = {
        "tag": request.tag,
        "requester": request.requester,
        "function": request.function,
        "tc": request.tc,
        "attr": request.attr,
        "at": request.at,
        "locked": int(request.kind == MEM_READ_LOCKED),
    }
    memory_read = request.kind in (MEM_READ, MEM_READ_LOCKED)
    wanted = [
        request.offset + 4 * dword + byte
        for dword, be in enumerate(request.enables)
        for byte in range(4)
        if be >> byte & 1
    ] or [request.offset]
    first, last = wanted[0], wanted[-1]
    if memory is None:
        count, lower = (last - first + 1, request.address + first - request.offset & 0x7F) if memory_read else (4, 0)
        return [Completion(status=UR, length=0, byte_count=count, lower=lower, data=[], **common)]
    completions = []
    begin, end = request.offset, request.offset + 4 * request.length
    while begin < end:
        stop = min(end, (begin // mps + 1) * mps)
        start = max(first, begin)
        words = [int.from_bytes(memory[k : k + 4], "little") for k in range(begin, stop, 4)]
        lower = request.address + start - request.offset & 0x7F
        completions.append(
            Completion(
                status=SC,
                length=(stop - begin) // 4,
                byte_count=last - start + 1,
                lower=lower,
                data=words,
                **common,
            )
        )
        begin = stop
    return completions


@dataclass
class _CpuAccess:
    address: int
    data: int | None  # None: a read
    strobes: int = 0xF
    taken: bool = False
    done: bool = False
    value: int = 0
    response: int = 0
    cycle: int = 0


class _Simulation:
    """A compiled simulator, to be run again and again: compiling takes longer than most tests."""

    def __init__(self, width: int, **parameters: Any) -> None:
        self.dut = Endpoint(width, **({"bars": BARS, "ram_size": RAM_SIZE} | parameters))
        self.rst = Signal()
        self._testbench: Any = None
        self._simulator = Simulator(ResetInserter(self.rst)(self.dut))
        self._simulator.add_clock(4e-9)
        self._simulator.add_testbench(self._run)

    async def _run(self, ctx: Any) -> None:
        await self._testbench(ctx)

    def run(self, testbench: Any) -> None:
        if self._testbench is not None:
            self._simulator.reset()
        self._testbench = testbench
        self._simulator.run()


@functools.cache
def _simulation(width: int, parameters: tuple[tuple[str, Any], ...]) -> _Simulation:
    return _Simulation(width, **dict(parameters))


class Rig:
    """The endpoint, its clock, and both masters; one call of :meth:`step` is one clock.

    Attributes
    ----------
    cycle : int
        Number of the current clock.
    completions : list of Completion
        What has come out of CC.
    first_beats : list of int
        Clock in which the first beat of each request was accepted.
    irq_rises : list of int
        Clocks in which ``irq_mu`` was high after being low.
    """

    def __init__(self, width: int, *, seed: int = 0, **parameters: Any) -> None:
        self.width = width
        self.random = random.Random(seed)
        self._simulation = _simulation(width, tuple(sorted(parameters.items())))
        self.dut = self._simulation.dut
        self.cq: deque[Beat] = deque()
        self.cq_pause: Callable[[], bool] = lambda: False
        self.cc_ready: Callable[[], bool] = lambda: True
        self.max_payload = 128
        self.function_status = 0x7
        self.cycle = 0
        self.completions: list[Completion] = []
        self.first_beats: list[int] = []
        self.irq_rises: list[int] = []
        self.irq = 0
        self.credits = 0
        self.cpu: deque[_CpuAccess] = deque()
        self.watch: list[Callable[[], None]] = []
        self._cc: list[tuple[int, int, int, int]] = []
        self._cc_cycle = 0
        self._offered = False

    def run(self, bench: Callable[[Rig], Awaitable[None]]) -> None:
        """Simulate `bench` from power-up on; it must come to its end."""
        ended = False

        async def testbench(ctx):
            nonlocal ended
            self.ctx = ctx
            await bench(self)
            ended = True

        self._simulation.run(testbench)
        assert ended, "the bench did not come to its end"

    def stall(self, cq: float, cc: float) -> None:
        """Pause CQ, and hold CC back, in that share of the clocks."""
        self.cq_pause = lambda: self.random.random() < cq
        self.cc_ready = lambda: self.random.random() >= cc

    async def reset(self, clocks: int = 2) -> None:
        """Hold the endpoint in reset, with the streams quiet; what was on its way is gone."""
        self.cq.clear()
        self._cc, self._cc_cycle, self._offered = [], 0, False
        self.credits = 0
        self.ctx.set(self._simulation.rst, 1)
        self.ctx.set(self.dut.s_axis_cq.tvalid, 0)
        await self.step(clocks)
        self.ctx.set(self._simulation.rst, 0)
        await self.step()

    def send(self, *requests: Request) -> None:
        """Put requests on the stream."""
        for request in requests:
            self.cq += cq_beats(request, self.width)

    async def step(self, clocks: int = 1) -> None:
        for _ in range(clocks):
            await self._clock()

    async def drain(self, limit: int = 20000) -> None:
        """Until everything on the stream has been taken and what is in the pipeline is done."""
        for _ in range(limit):
            if not self.cq and not self.cpu:
                break
            await self._clock()
        assert not self.cq, "the stream is stuck"
        assert not self.cpu, "the CPU is stuck"
        await self.step(8)

    async def answers(self, count: int, limit: int = 20000) -> list[Completion]:
        """Until `count` completions have come; take them."""
        for _ in range(limit):
            if len(self.completions) >= count:
                break
            await self._clock()
        assert len(self.completions) >= count, f"{len(self.completions)} of {count} completions came"
        taken, self.completions = self.completions[:count], self.completions[count:]
        return taken

    async def cpu_write(self, address: int, data: int, strobes: int = 0xF) -> int:
        """Write over AXI4-Lite; return the response."""
        return (await self._cpu_access(_CpuAccess(address, data, strobes))).response

    async def cpu_read(self, address: int) -> int:
        """Read over AXI4-Lite; the response must be OKAY."""
        access = await self._cpu_access(_CpuAccess(address, None))
        assert access.response == 0, f"response {access.response} to a read of {address:#x}"
        return access.value

    async def cpu_read_response(self, address: int) -> tuple[int, int]:
        access = await self._cpu_access(_CpuAccess(address, None))
        return access.value, access.response

    async def map(self, window: int, bar: int, target: int, *, function: int | None = None) -> None:
        """Program a window as the DesignWare endpoint driver does."""
        base = IATU + 0x200 * window + 0x100
        await self.cpu_write(base + 0x14, target & 0xFFFFFFFF)
        await self.cpu_write(base + 0x18, target >> 32)
        await self.cpu_write(base + 0x00, (function or 0) << 20)
        match = 1 << 19 if function is not None else 0
        await self.cpu_write(base + 0x04, 1 << 31 | 1 << 30 | match | bar << 8)
        await self.step(2)

    async def counters(self) -> dict[str, int]:
        """Refused and damaged requests."""
        names = ("writes", "reads", "unsupported", "discontinued", "malformed")
        return {name: await self.cpu_read(CONTROLLER + 0x20 + 4 * k) for k, name in enumerate(names)}

    async def bell(self, vector: int) -> tuple[int, int, int]:
        """Counters rung, merged, delivered."""
        base = CONTROLLER + 0x100 + 0x10 * vector
        return await self.cpu_read(base), await self.cpu_read(base + 4), await self.cpu_read(base + 8)

    async def _cpu_access(self, access: _CpuAccess) -> _CpuAccess:
        self.cpu.append(access)
        for _ in range(2000):
            if access.done:
                return access
            await self._clock()
        raise AssertionError(f"no answer to the CPU's access of {access.address:#x}")

    async def _clock(self) -> None:
        self._drive_cq()
        self._drive_cpu()
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.m_axis_cc.tready, int(self.cc_ready()))
        ctx.set(dut.cfg_max_payload, {128: 0, 256: 1, 512: 2, 1024: 3}[self.max_payload])
        ctx.set(dut.cfg_function_status, self.function_status)
        self._sample_cq()
        self._sample_cc()
        self._sample_cpu()
        irq = ctx.get(dut.irq_mu)
        if irq and not self.irq:
            self.irq_rises.append(self.cycle)
        self.irq = irq
        self.credits += ctx.get(dut.pcie_cq_np_req)
        for look in self.watch:
            look()
        await ctx.tick()
        self.cycle += 1

    def _drive_cq(self) -> None:
        ctx, cq = self.ctx, self.dut.s_axis_cq
        if not self._offered and self.cq and not self.cq_pause():
            beat = self.cq[0]
            ctx.set(cq.tdata, beat.data)
            ctx.set(cq.tkeep, beat.keep)
            ctx.set(cq.tuser, beat.user)
            ctx.set(cq.tlast, beat.last)
            ctx.set(cq.tvalid, 1)
            self._offered = True
        elif not self._offered and ctx.get(cq.tvalid):
            ctx.set(cq.tvalid, 0)
            ctx.set(cq.tdata, self.random.getrandbits(self.width))  # what is not valid must not matter
            ctx.set(cq.tuser, self.random.getrandbits(88))
            ctx.set(cq.tlast, self.random.getrandbits(1))

    def _sample_cq(self) -> None:
        if self._offered and self.ctx.get(self.dut.s_axis_cq.tready):
            beat = self.cq.popleft()
            if beat.user >> (80 if self.width == 512 else 40) & 1:
                self.first_beats.append(self.cycle)
            self._offered = False

    def _sample_cc(self) -> None:
        ctx, cc = self.ctx, self.dut.m_axis_cc
        if not ctx.get(cc.tvalid):
            return
        if not self._cc and not self._cc_cycle:
            self._cc_cycle = self.cycle
        if not ctx.get(cc.tready):
            return
        self._cc.append((ctx.get(cc.tdata), ctx.get(cc.tkeep), ctx.get(cc.tuser), ctx.get(cc.tlast)))
        if self._cc[-1][3]:
            self.completions.append(cc_packet(self._cc, self.width, self._cc_cycle))
            self._cc, self._cc_cycle = [], 0

    def _drive_cpu(self) -> None:
        ctx, bus = self.ctx, self.dut.cpu_axil
        access = self.cpu[0] if self.cpu else None
        is_write = access is not None and access.data is not None
        ctx.set(bus.awvalid, int(is_write and not access.taken))
        ctx.set(bus.wvalid, int(is_write and not access.taken))
        ctx.set(bus.arvalid, int(access is not None and not is_write and not access.taken))
        ctx.set(bus.bready, 1)
        ctx.set(bus.rready, 1)
        if access is not None:
            ctx.set(bus.awaddr, access.address)
            ctx.set(bus.wdata, access.data or 0)
            ctx.set(bus.wstrb, access.strobes)
            ctx.set(bus.araddr, access.address)

    def _sample_cpu(self) -> None:
        ctx, bus = self.ctx, self.dut.cpu_axil
        if not self.cpu:
            return
        access = self.cpu[0]
        if access.data is not None:
            access.taken |= bool(ctx.get(bus.awready))
            access.done = bool(ctx.get(bus.bvalid))
            access.response = ctx.get(bus.bresp)
        else:
            access.taken |= bool(ctx.get(bus.arready) and ctx.get(bus.arvalid))
            access.done = bool(ctx.get(bus.rvalid))
            access.value, access.response = ctx.get(bus.rdata), ctx.get(bus.rresp)
        if access.done:
            access.cycle = self.cycle
            self.cpu.popleft()


def apply_write(memory: bytearray, request: Request) -> None:
    """Carry out a memory write on a byte array, a byte at a time."""
    for dword, (word, be) in enumerate(zip(request.payload, request.enables, strict=True)):
        for byte in range(4):
            if be >> byte & 1:
                memory[request.offset + 4 * dword + byte] = word >> 8 * byte & 0xFF
