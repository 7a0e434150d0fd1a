"""A host and a CPU for the endpoint in Amaranth's simulator: one call is one clock."""

from __future__ import annotations

import functools
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import ResetInserter, Signal
from driver import Driver
from quick_engine import Simulator
from requester_packets import Beat as RequesterBeat
from requester_packets import Reply, Sent, rc_beats, rq_packet
from usp_packets import BARS, Beat, Completion, Request, cc_packet, cq_beats

from epbell.endpoint import Endpoint

WIDTHS = (64, 128, 256, 512)

MU_A, MU_B, CONTROLLER, EDMA, IATU, RAM = 0x5D270000, 0x5D300000, 0x5F010000, 0x5F090000, 0x5F310000, 0x60000000
RAM_SIZE = 16 << 10
TR, RR, RCR, RSR = 0x200, 0x280, 0x128, 0x12C  # imx8ulp
LATENCY = {64: 12, 128: 11, 256: 10, 512: 10}  # from the first CQ beat of a doorbell write to the interrupt
KNOWN = {64: 4, 128: 3, 256: 2, 512: 2}  # likewise through the express lane: of a doorbell that has rung before
CPU_MADE, CPU_ANSWERED = 5, 2  # from a posted write of a page to the clock in which it is made, and on to its answer
PERIOD = {64: 3, 128: 2, 256: 1, 512: 1}  # from one doorbell write to the next


@dataclass
class CpuAccess:
    """An access of the CPU; ``cycle`` is the clock of its answer."""

    address: int
    data: int | None  # None: a read
    strobes: int = 0xF
    taken: bool = False
    done: bool = False
    value: int = 0
    response: int = 0
    cycle: int = 0


def _signals(interface: Any) -> SimpleNamespace:
    """Return the signals of a port by name, without an interface's detours to them in every clock."""
    return SimpleNamespace(**{path[-1]: signal for path, _, signal in interface.signature.flatten(interface)})


class _Simulation:
    """A compiled simulator, to be run again and again: compiling takes longer than most tests."""

    def __init__(self, width: int, **parameters: Any) -> None:
        self.dut = Endpoint(width, **({"bars": BARS, "ram_size": RAM_SIZE} | parameters))
        self.cq, self.cc = _signals(self.dut.s_axis_cq), _signals(self.dut.m_axis_cc)
        self.rq, self.rc = _signals(self.dut.m_axis_rq), _signals(self.dut.s_axis_rc)
        self.cpu = _signals(self.dut.cpu_axil)
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
    irq_rises, edma_rises : list of int
        Clocks in which ``irq_mu``, ``irq_edma`` was high after being low.
    irq, edma : int
        Levels of ``irq_mu`` and of all lines of ``irq_edma``.
    sent : list of (clock, Sent)
        Requests of the endpoint, with the clock of their first beat.
    host : callable
        What the host answers to a request of the endpoint; nothing, unless set.
    pipelined : bool
        Let the CPU start a read before the reads before it are answered.
    pulses : dict
        What to drive at ``edma_wr_done`` and its like in the next clock only: ``{"wr_done": 0b0001}``.
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
        self.edma_rises: list[int] = []
        self.irq = 0
        self.edma = 0
        self.sent: list[tuple[int, Sent]] = []
        self.replies: deque[Reply] = deque()
        self.host: Callable[[Sent], Iterable[Reply]] = lambda sent: ()
        self.rq_ready: Callable[[], bool] = lambda: True
        self.pipelined = False
        self._rq: list[RequesterBeat] = []
        self._rq_cycle = 0
        self._rc: deque[RequesterBeat] = deque()
        self.pulses: dict[str, int] = {}
        self.credits = 0
        self.cpu: deque[CpuAccess] = deque()
        self.watch: list[Callable[[], None]] = []
        self._cc: list[tuple[int, int, int, int]] = []
        self._cc_cycle = 0
        self._offered = self._valid = False

    def run(self, bench: Callable[[Rig], Awaitable[None]]) -> None:
        """Simulate `bench` from power-up on; it must come to its end."""
        ended = False

        async def testbench(ctx):
            nonlocal ended
            self.ctx, self._driver = ctx, Driver(ctx)
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
        self.ctx.set(self._simulation.rst, 1)
        await self.step(clocks)
        self.credits = 0  # the hard block is in reset, too
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
        await self.step(24)

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
        return (await self._cpu_access(CpuAccess(address, data, strobes))).response

    async def cpu_read(self, address: int) -> int:
        """Read over AXI4-Lite; the response must be OKAY."""
        access = await self._cpu_access(CpuAccess(address, None))
        assert access.response == 0, f"response {access.response} to a read of {address:#x}"
        return access.value

    async def cpu_read_response(self, address: int) -> tuple[int, int]:
        access = await self._cpu_access(CpuAccess(address, None))
        return access.value, access.response

    def post(self, address: int, data: int, strobes: int = 0xF) -> CpuAccess:
        """Start a write over AXI4-Lite; of a page it is made `CPU_MADE` clocks from now."""
        self.cpu.append(access := CpuAccess(address, data, strobes))
        return access

    async def map(self, window: int, bar: int, target: int, *, function: int | None = None) -> None:
        """Program a window as the DesignWare endpoint driver does."""
        base = IATU + 0x200 * window + 0x100
        await self.cpu_write(base + 0x14, target & 0xFFFFFFFF)
        await self.cpu_write(base + 0x18, target >> 32)
        await self.cpu_write(base + 0x00, (function or 0) << 20)
        match = 1 << 19 if function is not None else 0
        await self.cpu_write(base + 0x04, 1 << 31 | 1 << 30 | match | bar << 8)
        await self.step(6)

    async def forget(self) -> None:
        """Let the next ring take the slow way: a register of an inbound window is written."""
        await self.cpu_write(IATU + 0x120, 0)
        await self.step(6)

    async def map_addresses(self, window: int, base: int, limit: int, target: int) -> None:
        """Program a window that matches PCI addresses, both included, as the DesignWare endpoint driver does."""
        region = IATU + 0x200 * window + 0x100
        values = {0x08: base, 0x0C: base >> 32, 0x10: limit, 0x14: target, 0x18: target >> 32, 0x00: 0, 0x04: 1 << 31}
        for offset, value in values.items():
            await self.cpu_write(region + offset, value & 0xFFFFFFFF)
        await self.step(6)

    async def counters(self) -> dict[str, int]:
        """Refused and damaged requests."""
        names = ("writes", "reads", "unsupported", "discontinued", "malformed")
        return {name: await self.cpu_read(CONTROLLER + 0x20 + 4 * k) for k, name in enumerate(names)}

    async def bell(self, vector: int) -> tuple[int, int, int]:
        """Counters rung, merged, delivered."""
        base = CONTROLLER + 0x100 + 0x10 * vector
        return await self.cpu_read(base), await self.cpu_read(base + 4), await self.cpu_read(base + 8)

    async def edma_bell(self) -> tuple[int, int, int]:
        """Counters of the eDMA's doorbell: rung, merged, delivered."""
        base = CONTROLLER + 0x140
        return await self.cpu_read(base), await self.cpu_read(base + 4), await self.cpu_read(base + 8)

    async def _cpu_access(self, access: CpuAccess) -> CpuAccess:
        self.cpu.append(access)
        for _ in range(2000):
            if access.done:
                return access
            await self._clock()
        raise AssertionError(f"no answer to the CPU's access of {access.address:#x}")

    async def _clock(self) -> None:
        ctx, dut, put = self.ctx, self.dut, self._driver.put
        self._drive_cq()
        self._drive_cpu()
        put(self._simulation.cc.tready, self.cc_ready())
        put(self._simulation.rq.tready, self.rq_ready())
        put(dut.cfg_max_payload, {128: 0, 256: 1, 512: 2, 1024: 3}[self.max_payload])
        put(dut.cfg_function_status, self.function_status)
        for pulse in ("wr_done", "wr_abort", "rd_done", "rd_abort"):
            put(getattr(dut, f"edma_{pulse}"), self.pulses.get(pulse, 0))
        self.pulses = {}
        self._driver.settle()
        self._sample_cq()
        self._sample_cc()
        self._sample_cpu()
        self._requester()
        irq, edma = ctx.get(dut.irq_mu), ctx.get(dut.irq_edma)
        if irq and not self.irq:
            self.irq_rises.append(self.cycle)
        if edma and not self.edma:
            self.edma_rises.append(self.cycle)
        self.irq, self.edma = irq, edma
        self.credits += ctx.get(dut.pcie_cq_np_req)
        for look in self.watch:
            look()
        await ctx.tick()
        self.cycle += 1

    def _drive_cq(self) -> None:
        put, cq = self._driver.put, self._simulation.cq
        if self._offered:
            return
        if self.cq and not self.cq_pause():
            beat = self.cq[0]
            put(cq.tdata, beat.data)
            put(cq.tkeep, beat.keep)
            put(cq.tuser, beat.user)
            put(cq.tlast, beat.last)
            put(cq.tvalid, 1)
            self._offered = self._valid = True
        elif self._valid:
            put(cq.tvalid, 0)
            put(cq.tdata, self.random.getrandbits(self.width))  # what is not valid must not matter
            put(cq.tuser, self.random.getrandbits(88))
            put(cq.tlast, self.random.getrandbits(1))
            self._valid = False

    def _sample_cq(self) -> None:
        if self._offered and self.ctx.get(self._simulation.cq.tready):
            beat = self.cq.popleft()
            if beat.user >> (80 if self.width == 512 else 40) & 1:
                self.first_beats.append(self.cycle)
            self._offered = False

    def _sample_cc(self) -> None:
        ctx, cc = self.ctx, self._simulation.cc
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

    def _requester(self) -> None:
        """Both streams towards host memory."""
        ctx, rq, rc = self.ctx, self._simulation.rq, self._simulation.rc
        if ctx.get(rq.tvalid):
            self._rq_cycle = self._rq_cycle or self.cycle
            if ctx.get(rq.tready):
                self._rq.append((ctx.get(rq.tdata), ctx.get(rq.tkeep), ctx.get(rq.tuser), ctx.get(rq.tlast)))
                if self._rq[-1][3]:
                    request = rq_packet(self._rq, self.width)
                    self.sent.append((self._rq_cycle, request))
                    self.replies += self.host(request)
                    self._rq, self._rq_cycle = [], 0
        if not self._rc and self.replies:
            self._rc += rc_beats(self.replies.popleft(), self.width)
        self._driver.put(rc.tvalid, bool(self._rc))
        if self._rc:
            for port, value in zip((rc.tdata, rc.tkeep, rc.tuser, rc.tlast), self._rc.popleft(), strict=True):
                self._driver.put(port, value)
        self._driver.settle()

    def _next_access(self) -> CpuAccess | None:
        """What the CPU may start: the first access, or, pipelined, the first read behind reads that are under way."""
        access = next((access for access in self.cpu if not access.taken), None)
        before = [earlier for earlier in self.cpu if earlier.taken]
        alone = access is not None and access.data is None and all(earlier.data is None for earlier in before)
        return access if not before or (self.pipelined and alone) else None

    def _drive_cpu(self) -> None:
        put, bus = self._driver.put, self._simulation.cpu
        access = self._next_access()
        is_write = access is not None and access.data is not None
        put(bus.awvalid, is_write and not access.taken)
        put(bus.wvalid, is_write and not access.taken)
        put(bus.arvalid, access is not None and not is_write and not access.taken)
        put(bus.bready, 1)
        put(bus.rready, 1)
        if access is not None:
            put(bus.awaddr, access.address)
            put(bus.wdata, access.data or 0)
            put(bus.wstrb, access.strobes)
            put(bus.araddr, access.address)

    def _sample_cpu(self) -> None:
        ctx, bus = self.ctx, self._simulation.cpu
        if not self.cpu:
            return
        offered, access = self._next_access(), self.cpu[0]
        if access.data is not None:
            access.taken |= bool(ctx.get(bus.awready))
            access.done = bool(ctx.get(bus.bvalid))
            access.response = ctx.get(bus.bresp)
        else:
            access.done = access.taken and bool(ctx.get(bus.rvalid))
            access.value, access.response = ctx.get(bus.rdata), ctx.get(bus.rresp)
            if offered is not None:
                offered.taken |= bool(ctx.get(bus.arready) and ctx.get(bus.arvalid))
        if access.done:
            access.cycle = self.cycle
            self.cpu.popleft()
