"""Who watches the endpoint's pins in cocotb: streams, the CPU's bus, the interrupt lines; asleep when nothing moves."""

from collections import deque
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import Event, RisingEdge, ValueChange

from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.in_reset import InReset
from epbell_tb.endpoint.packets import CpuAccess, LineReader, PacketReader

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
    valid, ready, data, keep, user, last = (getattr(dut, f"{prefix}_t{name}") for name in names)
    size = 4 * len(keep)
    edge, rising = RisingEdge(dut.clk), RisingEdge(valid)
    in_reset = InReset(dut.rst, reader.forget)
    offered: int | None = None  # since when the beat is on the stream that has not been taken
    while True:
        await edge
        if in_reset:
            offered = None
        if not valid.value:
            reader.paused()
            await rising
            continue
        if offered is None:
            offered = cycle()
        if not in_reset and ready.value:
            beat = int(data.value).to_bytes(size, "little")
            reader.beat(beat, int(keep.value), int(user.value), bool(last.value), offered)
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

    async def _reads(self) -> None:
        pin, edge, in_reset = self._pin, RisingEdge(self._dut.clk), InReset(self._dut.rst)
        arvalid, arready, rvalid, rready = pin("arvalid"), pin("arready"), pin("rvalid"), pin("rready")
        araddr, rdata, rresp = pin("araddr"), pin("rdata"), pin("rresp")
        asked: deque[tuple[int, int]] = deque()
        while True:
            await edge
            if in_reset:
                asked.clear()
                continue
            if rvalid.value and rready.value:
                address, started = asked.popleft()
                data, response = int(rdata.value), int(rresp.value)
                self._read_ended(CpuAccess(started, cycle(), address, data, 0, response))
            if not arvalid.value:
                if not asked:
                    await RisingEdge(arvalid)
            elif arready.value:
                asked.append((int(araddr.value), cycle()))
                self._read_started(asked[-1][0])

    async def _writes(self) -> None:
        pin, edge, in_reset = self._pin, RisingEdge(self._dut.clk), InReset(self._dut.rst)
        awvalid, awready, wvalid, wready = pin("awvalid"), pin("awready"), pin("wvalid"), pin("wready")
        bvalid, bready, bresp = pin("bvalid"), pin("bready"), pin("bresp")
        awaddr, wdata, wstrb = pin("awaddr"), pin("wdata"), pin("wstrb")
        addresses: deque[int] = deque()
        words: deque[tuple[int, int]] = deque()
        given: deque[tuple[int, int, int, int]] = deque()
        offered = Event()
        for valid in (awvalid, wvalid):
            cocotb.start_soon(_tell_rises(valid, offered), name="CPU write waker")
        while True:
            await edge
            if in_reset:
                for queue in (addresses, words, given):
                    queue.clear()
                continue
            if bvalid.value and bready.value:
                address, data, strobes, started = given.popleft()
                response = int(bresp.value)
                self._write_ended(CpuAccess(started, cycle(), address, data, strobes, response))
            offers = bool(awvalid.value), bool(wvalid.value)
            if offers[0] and awready.value:
                addresses.append(int(awaddr.value))
            if offers[1] and wready.value:
                words.append((int(wdata.value), int(wstrb.value)))
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
    change = ValueChange(signal)
    while True:
        await change
        reader.edge(int(signal.value), cycle() + 1)
