"""What the endpoint's pins show, as frozen records with clock cycles; decoding follows AMD PG213.

A cycle is named by the clock edge that ends it: a beat of cycle n was taken by the flip-flops at edge n.
"""

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import First, RisingEdge, ValueChange
from cocotb.utils import get_sim_time

from epbell_tb.endpoint.sidebands import check_completion_beat, check_steady

__all__ = [
    "MEM_READ",
    "MEM_WRITE",
    "CompletionMonitor",
    "CpuAccess",
    "CpuMonitor",
    "IrqMonitor",
    "PacketMonitor",
    "Request",
    "RequestMonitor",
    "SentCompletion",
    "cycle",
]

PERIOD_NS = 4
"""The hard block's user clock: 250 MHz."""

MEM_READ = 0
MEM_WRITE = 1
_MESSAGE = 12
_DESCRIPTOR = 4
"""Dwords before the payload."""
_CC_RESERVED = 1 << 7 | 0x3F << 10 | 3 << 30
"""Of the first dword of a completion's descriptor."""


def cycle() -> int:
    """Return the number of the latest clock edge."""
    return int(get_sim_time("ns")) // PERIOD_NS


@dataclass(frozen=True)
class Request:
    """A request of the host, as it came through the CQ stream, with cycles of its beats.

    ``decided`` is the beat in which the windows are asked: the first one with payload, else the last one.
    """

    first: int
    decided: int
    last: int
    kind: int
    bar: int
    function: int
    address: int
    length: int
    first_be: int
    last_be: int
    tag: int
    requester: int
    tc: int
    attr: int
    payload: bytes
    discontinued: bool
    at: int = 0
    hint: int = 0
    """Of ``tuser``: TPH present in bit 0, its type in bits 2:1, the steering tag in bits 10:3."""
    descriptor: bytes = b""

    @property
    def posted(self) -> bool:
        """Whether no completion is due."""
        return self.kind == MEM_WRITE or self.kind >= _MESSAGE

    @property
    def enables(self) -> int:
        """Which bytes count, bit n for byte n."""
        if self.length == 1:
            return self.first_be
        last = 4 * (self.length - 1)
        return self.first_be | (1 << last) - (1 << 4) | self.last_be << last


@dataclass(frozen=True)
class SentCompletion:
    """A completion of the endpoint, as it went through the CC stream."""

    first: int
    last: int
    status: int
    byte_count: int
    lower_address: int
    length: int
    tag: int
    requester: int
    tc: int
    attr: int
    data: bytes
    discontinued: bool
    at: int = 0
    locked: bool = False
    poisoned: bool = False
    completer: int = 0
    own_completer: bool = False
    ecrc: bool = False
    reserved: int = 0


@dataclass(frozen=True)
class CpuAccess:
    """An access of the CPU: cycles of request (address and data) and answer; strobes 0 for a read; response 0 OKAY."""

    started: int
    ended: int
    address: int
    data: int
    strobes: int
    response: int


class PacketMonitor:
    """Beats of one stream, gathered to packets; asleep while ``tvalid`` is low.

    Parameters
    ----------
    dut
        The endpoint.
    prefix
        What the names of the pins start with, up to ``_tvalid``.

    Attributes
    ----------
    open_since
        Cycle of the first beat of a packet under way, None between packets.
    offered_since
        First cycle in which the latest packet's first beat was on the stream, taken or not.
    """

    def __init__(self, dut: Any, prefix: str) -> None:
        self._dut = dut
        names = ("valid", "ready", "data", "keep", "user", "last")
        self._pin = {name: getattr(dut, f"{prefix}_t{name}") for name in names}
        self._lanes = len(self._pin["keep"])
        self._wide = self._lanes == 16
        self._data = bytearray()
        self._beats: list[int] = []  # cycles
        self._user = 0
        self._discontinued = False
        self.open_since: int | None = None
        self.offered_since = 0
        self._waits = False
        cocotb.start_soon(self._run(), name=f"{prefix} monitor")

    async def _run(self) -> None:
        edge, rising = RisingEdge(self._dut.clk), RisingEdge(self._pin["valid"])
        valid, ready, reset = self._pin["valid"], self._pin["ready"], self._dut.rst
        while True:
            await edge
            if reset.value:
                self._data, self.open_since, self._waits = bytearray(), None, False
            if not valid.value:
                self._paused()
                await rising
                continue
            if self.open_since is None and not self._waits:
                self.offered_since, self._waits = cycle(), True
            if ready.value and not reset.value:
                self._waits = False
                self._beat()

    def _beat(self) -> None:
        pin = self._pin
        data, user, last = int(pin["data"].value), int(pin["user"].value), bool(pin["last"].value)
        if self.open_since is None:
            self.open_since = cycle()
            self._beats = []
            self._user = user
            self._discontinued = False
        self._discontinued |= bool(user >> self._discontinue_bit & 1)
        self._beats.append(cycle())
        keep = int(pin["keep"].value)
        count = keep.bit_length()
        assert keep == (1 << count) - 1, f"tkeep has a gap: {keep:#x}"
        assert last or count == self._lanes, f"tkeep {keep:#x} in the middle of a packet"
        self._sideband(user, first=not self._data, last=last, count=count)
        self._data += data.to_bytes(4 * self._lanes, "little")[: 4 * count]
        if last:
            first, packet = self.open_since, bytes(self._data)
            self._data, self.open_since = bytearray(), None
            self._packet(first, packet)

    @property
    def _discontinue_bit(self) -> int:
        raise NotImplementedError

    def _sideband(self, user: int, *, first: bool, last: bool, count: int) -> None:
        """Check ``tuser`` of a beat of so many dwords; that of the hard block's streams is its own affair."""

    def _paused(self) -> None:
        """Look at a clock without ``tvalid``."""

    def _packet(self, first: int, packet: bytes) -> None:
        raise NotImplementedError


class RequestMonitor(PacketMonitor):
    """Requests that the endpoint took from the CQ stream.

    Parameters
    ----------
    dut
        The endpoint.
    report
        Called with each request in the cycle of its last beat.

    Attributes
    ----------
    open_since
        Cycle of the first beat of a packet under way, None between packets.
    """

    def __init__(self, dut: Any, report: Callable[[Request], None]) -> None:
        self._report = report
        super().__init__(dut, "s_axis_cq")

    @property
    def _discontinue_bit(self) -> int:
        return 96 if self._wide else 41

    def _packet(self, first: int, packet: bytes) -> None:
        low, high, third, fourth = struct.unpack_from("<4L", packet)
        decided = self._beats[min(_DESCRIPTOR // self._lanes, len(self._beats) - 1)]
        request = Request(
            first=first, decided=decided, last=cycle(),
            kind=third >> 11 & 0xF, bar=fourth >> 16 & 0x7, function=fourth >> 8 & 0xFF,
            address=high << 32 | low & ~3, length=third & 0x7FF,
            first_be=self._user & 0xF, last_be=self._user >> (8 if self._wide else 4) & 0xF,
            tag=fourth & 0xFF, requester=third >> 16, tc=fourth >> 25 & 0x7, attr=fourth >> 28 & 0x7,
            payload=packet[16:], discontinued=self._discontinued, at=low & 3, hint=self._hint(),
            descriptor=packet[:16],
        )  # fmt: skip
        self._report(request)

    def _hint(self) -> int:
        present, kind, tag = (97, 99, 103) if self._wide else (42, 43, 45)
        user = self._user
        return user >> present & 1 | (user >> kind & 3) << 1 | (user >> tag & 0xFF) << 3


class CompletionMonitor(PacketMonitor):
    """Completions that the endpoint sent through the CC stream.

    Parameters
    ----------
    dut
        The endpoint.
    report
        Called with each completion in the cycle of its last beat.
    """

    def __init__(self, dut: Any, report: Callable[[SentCompletion], None]) -> None:
        self._report = report
        super().__init__(dut, "m_axis_cc")

    @property
    def _discontinue_bit(self) -> int:
        return 16 if self._wide else 0

    def _sideband(self, user: int, *, first: bool, last: bool, count: int) -> None:
        check_completion_beat(user, self._lanes, first=first, last=last, count=count)

    def _paused(self) -> None:
        check_steady(self.open_since)

    def _packet(self, first: int, packet: bytes) -> None:
        one, two, three = struct.unpack_from("<3L", packet)
        completion = SentCompletion(
            first=first, last=cycle(), status=two >> 11 & 0x7, byte_count=one >> 16 & 0x1FFF, lower_address=one & 0x7F,
            length=two & 0x7FF, tag=three & 0xFF, requester=two >> 16, tc=three >> 25 & 0x7, attr=three >> 28 & 0x7,
            data=packet[12:], discontinued=self._discontinued, at=one >> 8 & 3, locked=bool(one >> 29 & 1),
            poisoned=bool(two >> 14 & 1), completer=three >> 8 & 0xFFFF, own_completer=bool(three >> 24 & 1),
            ecrc=bool(three >> 31), reserved=one & _CC_RESERVED | two & 1 << 15,
        )  # fmt: skip
        self._report(completion)


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
        pin, edge, reset = self._pin, RisingEdge(self._dut.clk), self._dut.rst
        arvalid, arready, rvalid, rready = pin("arvalid"), pin("arready"), pin("rvalid"), pin("rready")
        asked: deque[tuple[int, int]] = deque()
        while True:
            await edge
            if reset.value:
                asked.clear()
                continue
            if rvalid.value and rready.value:
                address, started = asked.popleft()
                data, response = int(pin("rdata").value), int(pin("rresp").value)
                self._read_ended(CpuAccess(started, cycle(), address, data, 0, response))
            if not arvalid.value:
                if not asked:
                    await RisingEdge(arvalid)
            elif arready.value:
                asked.append((int(pin("araddr").value), cycle()))
                self._read_started(asked[-1][0])

    async def _writes(self) -> None:
        pin, edge, reset = self._pin, RisingEdge(self._dut.clk), self._dut.rst
        awvalid, awready, wvalid, wready = pin("awvalid"), pin("awready"), pin("wvalid"), pin("wready")
        bvalid, bready = pin("bvalid"), pin("bready")
        addresses: deque[int] = deque()
        words: deque[tuple[int, int]] = deque()
        given: deque[tuple[int, int, int, int]] = deque()
        while True:
            await edge
            if reset.value:
                for queue in (addresses, words, given):
                    queue.clear()
                continue
            if bvalid.value and bready.value:
                address, data, strobes, started = given.popleft()
                response = int(pin("bresp").value)
                self._write_ended(CpuAccess(started, cycle(), address, data, strobes, response))
            offers = bool(awvalid.value), bool(wvalid.value)
            if offers[0] and awready.value:
                addresses.append(int(pin("awaddr").value))
            if offers[1] and wready.value:
                words.append((int(pin("wdata").value), int(pin("wstrb").value)))
            while addresses and words:
                access = (addresses.popleft(), *words.popleft())
                given.append((*access, cycle()))
                self._write_started(*access)
            if not any(offers) and not (addresses or words or given):
                await First(RisingEdge(awvalid), RisingEdge(wvalid))


class IrqMonitor:
    """Edges of an interrupt line, or of several that carry the same level.

    Parameters
    ----------
    signal
        The line, or the lines.
    report
        Called with the new level, and the first cycle in which the line has it.
    lines
        How many there are.
    """

    def __init__(self, signal: Any, report: Callable[[bool, int], None], lines: int = 1) -> None:
        self._signal = signal
        self._report = report
        self._high = (1 << lines) - 1
        cocotb.start_soon(self._run(), name="interrupt monitor")

    async def _run(self) -> None:
        change = ValueChange(self._signal)
        while True:
            await change
            value = int(self._signal.value)
            assert value in (0, self._high), f"the lines carry different levels: {value:#b}"
            self._report(bool(value), cycle() + 1)
