"""Who watches the endpoint's pins in cocotb: streams, the CPU's bus, the interrupt lines; asleep when nothing moves."""

from collections import deque
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import Event, RisingEdge, ValueChange

from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.in_reset import InReset
from epbell_tb.endpoint.packets import CpuAccess, LineReader, PacketReader
from epbell_tb.endpoint.sampling import sampler

__all__ = [
    "CpuMonitor",
    "watch_line",
    "watch_stream",
]


def watch_stream(dut: Any, prefix: str, reader: PacketReader) -> None:
    """Hand the beats of a stream to a reader.

    Parameters
    ----------
    dut
        The endpoint.
    prefix
        What the names of the pins start with, up to ``_tvalid``.
    reader
        Who takes them.
    """
    cocotb.start_soon(_watch(dut, prefix, reader), name=f"{prefix} monitor")


async def _watch(dut: Any, prefix: str, reader: PacketReader) -> None:
    names = ("valid", "ready", "data", "keep", "user", "last")
    pins = [getattr(dut, f"{prefix}_t{name}") for name in names]
    valid, ready, data, keep, user, last = map(sampler, pins)
    size = len(pins[2]) // 8
    edge, rising = RisingEdge(dut.clk), RisingEdge(pins[0])
    in_reset = InReset(dut.rst, reader.forget)
    offered: int | None = None  # since when the beat is on the stream that has not been taken
    while True:
        await edge
        if in_reset:
            offered = None
        if not valid():
            reader.paused()
            await rising
            continue
        if offered is None:
            offered = cycle()
        if not in_reset and ready():
            reader.beat(data().to_bytes(size, "little"), keep(), user(), bool(last()), offered)
            offered = None


class CpuMonitor:
    """Accesses at the AXI4-Lite port, in order.

    Parameters
    ----------
    dut
        The endpoint.
    write_started
        Called with address, data and strobes when a write has been handed over.
    write_ended, read_ended
        Called with the access when it has been answered.
    read_started
        Called with the address when a read has been handed over.
    """

    def __init__(
        self,
        dut: Any,
        write_started: Callable[[int, int, int], None],
        write_ended: Callable[[CpuAccess], None],
        read_ended: Callable[[CpuAccess], None],
        read_started: Callable[[int], None],
    ) -> None:
        self._dut = dut
        self._write_started, self._write_ended = write_started, write_ended
        self._read_started, self._read_ended = read_started, read_ended
        cocotb.start_soon(self._reads(), name="CPU read monitor")
        cocotb.start_soon(self._writes(), name="CPU write monitor")

    def _pin(self, name: str) -> Any:
        return getattr(self._dut, f"cpu_axil_{name}")

    def _samplers(self, *names: str) -> list[Callable[[], int]]:
        return [sampler(self._pin(name)) for name in names]

    async def _reads(self) -> None:
        edge, in_reset, asks = RisingEdge(self._dut.clk), InReset(self._dut.rst), RisingEdge(self._pin("arvalid"))
        arvalid, arready, rvalid, rready = self._samplers("arvalid", "arready", "rvalid", "rready")
        araddr, rdata, rresp = self._samplers("araddr", "rdata", "rresp")
        asked: deque[tuple[int, int]] = deque()
        while True:
            await edge
            if in_reset:
                asked.clear()
                continue
            if rvalid() and rready():
                address, started = asked.popleft()
                self._read_ended(CpuAccess(started, cycle(), address, rdata(), 0, rresp()))
            if not arvalid():
                if not asked:
                    await asks
            elif arready():
                asked.append((araddr(), cycle()))
                self._read_started(asked[-1][0])

    async def _writes(self) -> None:
        edge, in_reset = RisingEdge(self._dut.clk), InReset(self._dut.rst)
        awvalid, awready, wvalid, wready = self._samplers("awvalid", "awready", "wvalid", "wready")
        bvalid, bready, bresp = self._samplers("bvalid", "bready", "bresp")
        awaddr, wdata, wstrb = self._samplers("awaddr", "wdata", "wstrb")
        addresses: deque[int] = deque()
        words: deque[tuple[int, int]] = deque()
        given: deque[tuple[int, int, int, int]] = deque()
        offered = Event()
        for name in ("awvalid", "wvalid"):
            cocotb.start_soon(_tell_rises(self._pin(name), offered), name="CPU write waker")
        while True:
            await edge
            if in_reset:
                for queue in (addresses, words, given):
                    queue.clear()
                continue
            if bvalid() and bready():
                address, data, strobes, started = given.popleft()
                self._write_ended(CpuAccess(started, cycle(), address, data, strobes, bresp()))
            offers = awvalid(), wvalid()
            if offers[0] and awready():
                addresses.append(awaddr())
            if offers[1] and wready():
                words.append((wdata(), wstrb()))
            while addresses and words:
                access = (addresses.popleft(), *words.popleft())
                given.append((*access, cycle()))
                self._write_started(*access)
            if not any(offers) and not (addresses or words or given):
                offered.clear()
                await offered.wait()


async def _tell_rises(pin: Any, event: Event) -> None:
    rising = RisingEdge(pin)
    while True:
        await rising
        event.set()


def watch_line(signal: Any, reader: LineReader) -> None:
    """Hand the edges of an interrupt line, or of several, to a reader."""
    cocotb.start_soon(_watch_line(signal, reader), name="interrupt monitor")


async def _watch_line(signal: Any, reader: LineReader) -> None:
    change, lines = ValueChange(signal), sampler(signal)
    while True:
        await change
        reader.edge(lines(), cycle() + 1)
