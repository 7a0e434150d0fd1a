"""Drivers that work at the pins, clock by clock: what a measurement in clocks needs, with no protocol model behind.

Everything is sampled at the rising edge, before the registers change, and driven right after it. One call of
:meth:`Clocked.step` is one clock, numbered :attr:`Clocked.cycle`; a value seen in cycle n is what the flip-flops took
at the end of cycle n. The packing of the CQ stream follows AMD PG213 (DWORD-aligned, no straddling).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

__all__ = [
    "AxiLite",
    "Beat",
    "Clocked",
    "CompleterRequests",
    "Completions",
    "memory_read",
    "memory_write",
    "start",
]

_READ, _WRITE = 0, 1
#: Clocks after which an access that is not answered is a failure.
_PATIENCE = 1000


@dataclass(frozen=True)
class Beat:
    """One beat of the CQ stream: ``tdata``, ``tkeep``, ``tuser``, ``tlast``."""

    data: int
    keep: int
    user: int
    last: int


def memory_write(width: int, bar: int, address: int, data: int) -> list[Beat]:
    """Beats of a single-dword write to `bar` (0 to 5) at the PCI address `address`, on a stream of `width` bits."""
    return _beats(width, _WRITE, bar, address, (data,))


def memory_read(width: int, bar: int, address: int, dwords: int = 1) -> list[Beat]:
    """Beats of a read of whole dwords from `bar` (0 to 5) at the PCI address `address`, on a stream of `width` bits."""
    return _beats(width, _READ, bar, address, (), dwords)


def _beats(width: int, kind: int, bar: int, address: int, payload: Sequence[int], dwords: int = 1) -> list[Beat]:
    lanes, wide = width // 32, width == 512
    descriptor = address & ~3 | dwords << 64 | kind << 75 | 0x0100 << 80 | bar << 112
    words = [*(descriptor >> shift & 0xFFFFFFFF for shift in (0, 32, 64, 96)), *payload]
    beats = []
    for start in range(0, len(words), lanes):
        chunk = words[start : start + lanes]
        user = 0
        if start == 0:
            user |= 0xF | 1 << (80 if wide else 40)  # first byte enables, start of packet
            if dwords > 1:
                user |= 0xF << (8 if wide else 4)  # last byte enables
        for lane in range(len(chunk)):
            if start + lane >= 4:
                user |= 0xF << (16 if wide else 8) + 4 * lane
        last = start + lanes >= len(words)
        if wide and last:
            user |= 1 << 86 | len(chunk) - 1 << 88  # end of packet and its lane
        data = sum(word << 32 * lane for lane, word in enumerate(chunk))
        beats.append(Beat(data, (1 << len(chunk)) - 1, user, int(last)))
    return beats


class Clocked:
    """The clock of a module, and everything that happens in it.

    Parameters
    ----------
    dut : handle
        Top level with the ports ``clk`` and ``rst``.
    period_ns : int
        Clock period.

    Attributes
    ----------
    cycle : int
        Number of the clock that the last step ended.
    parts : list of callable
        Called in every step, to sample and then to drive.
    """

    def __init__(self, dut: Any, period_ns: int = 4) -> None:
        self.dut = dut
        self.cycle = 0
        self.parts: list[Callable[[], None]] = []
        self._edge = RisingEdge(dut.clk)
        Clock(dut.clk, period_ns, unit="ns").start()

    async def reset(self, clocks: int = 4) -> None:
        """Hold ``rst`` for that many clocks."""
        self.dut.rst.value = 1
        for _ in range(clocks):
            await self._edge
        self.dut.rst.value = 0
        await self.step(2)

    async def step(self, clocks: int = 1) -> None:
        """Let clocks pass."""
        for _ in range(clocks):
            await self._edge
            self.cycle += 1
            for part in self.parts:
                part()

    async def until(self, condition: Callable[[], bool], limit: int = _PATIENCE) -> None:
        """Let clocks pass until the condition holds.

        Raises
        ------
        AssertionError
            If it does not within `limit` clocks.
        """
        for _ in range(limit):
            if condition():
                return
            await self.step()
        raise AssertionError(f"nothing came of it in {limit} clocks")


class CompleterRequests:
    """The sender of the CQ stream: no gaps between beats.

    Attributes
    ----------
    queue : deque of Beat
        What is still to be sent.
    offered, accepted : list of int
        Clock in which the first beat of each packet was on the stream for the first time, and was accepted.
    """

    def __init__(self, clocked: Clocked) -> None:
        dut = clocked.dut
        self._clocked = clocked
        self._pins = dut.s_axis_cq_tdata, dut.s_axis_cq_tkeep, dut.s_axis_cq_tuser, dut.s_axis_cq_tlast
        self._valid, self._ready = dut.s_axis_cq_tvalid, dut.s_axis_cq_tready
        self._current: Beat | None = None
        self._starts = True
        self.queue: deque[Beat] = deque()
        self.offered: list[int] = []
        self.accepted: list[int] = []
        self._valid.value = 0
        clocked.parts.append(self._clock)

    @property
    def idle(self) -> bool:
        """Whether every beat has been accepted."""
        return not self.queue and self._current is None

    def _clock(self) -> None:
        if self._current is not None:
            if self._ready.value != 1:
                return
            if self._starts:
                self.accepted.append(self._clocked.cycle)
            self._starts = bool(self._current.last)
        elif not self.queue:
            return
        self._current = beat = self.queue.popleft() if self.queue else None
        self._valid.value = beat is not None
        if beat is None:
            return
        if self._starts:
            self.offered.append(self._clocked.cycle + 1)
        for pin, value in zip(self._pins, (beat.data, beat.keep, beat.user, beat.last), strict=True):
            pin.value = value


class Completions:
    """The receiver of the CC stream, always ready: checks that each is successful.

    Attributes
    ----------
    dwords : int
        How many dwords of data have come.
    ends : list of int
        For each packet, the clock of its last beat.
    """

    def __init__(self, clocked: Clocked) -> None:
        dut = clocked.dut
        self._clocked = clocked
        self._data, self._valid, self._last = dut.m_axis_cc_tdata, dut.m_axis_cc_tvalid, dut.m_axis_cc_tlast
        self._starts = True
        self.dwords = 0
        self.ends: list[int] = []
        dut.m_axis_cc_tready.value = 1
        clocked.parts.append(self._clock)

    def _clock(self) -> None:
        if self._valid.value != 1:
            return
        if self._starts:
            descriptor = int(self._data.value)
            assert descriptor >> 43 & 0x7 == 0, "a completion without success"
            self.dwords += descriptor >> 32 & 0x7FF
        self._starts = self._last.value == 1
        if self._starts:
            self.ends.append(self._clocked.cycle)


class AxiLite:
    """An AXI4-Lite manager; writes may follow each other in every clock, reads wait for their answer.

    Parameters
    ----------
    clocked : Clocked
        The clock.
    prefix : str
        Name of the port: pins are ``<prefix>_awvalid`` and so on.

    Attributes
    ----------
    written : list of int
        Clock of the handshake of each write (the later of address and data).
    """

    def __init__(self, clocked: Clocked, prefix: str) -> None:
        self._clocked = clocked
        self._pin = {name: getattr(clocked.dut, f"{prefix}_{name}") for name in _AXIL_PINS}
        self._writes: deque[tuple[int, int]] = deque()
        self._pending = {"aw": False, "w": False}
        self._answers = 0
        self._read: int | None = None
        self.written: list[int] = []
        for name in ("awvalid", "wvalid", "arvalid", "awprot", "arprot"):
            self._pin[name].value = 0
        self._pin["wstrb"].value = 0xF
        self._pin["bready"].value = 1
        self._pin["rready"].value = 1
        clocked.parts.append(self._clock)

    def post(self, *writes: tuple[int, int]) -> None:
        """Queue writes, each (address, data)."""
        self._writes += writes

    async def drain(self) -> None:
        """Until every write has been answered."""
        left = any(self._pending.values()) + len(self._writes)
        target = len(self.written) + left
        await self._clocked.until(lambda: self._answers >= target, limit=_PATIENCE * (1 + left // 100))

    async def write(self, address: int, data: int) -> None:
        """Write a word and wait for the answer."""
        self.post((address, data))
        await self.drain()

    async def read(self, address: int) -> int:
        """Read a word."""
        self._read = None
        self._pin["araddr"].value = address
        self._pin["arvalid"].value = 1
        await self._clocked.until(lambda: self._read is not None)
        value = self._read
        assert value is not None
        return value

    def _clock(self) -> None:
        pin = self._pin
        if pin["bvalid"].value == 1:
            assert int(pin["bresp"].value) == 0, "a write was answered with an error"
            self._answers += 1
        if pin["rvalid"].value == 1:
            assert int(pin["rresp"].value) == 0, "a read was answered with an error"
            self._read = int(pin["rdata"].value)
        if pin["arvalid"].value == 1 and pin["arready"].value == 1:
            pin["arvalid"].value = 0
        self._clock_writes()

    def _clock_writes(self) -> None:
        pin, pending = self._pin, self._pending
        if any(pending.values()):
            for channel in pending:
                pending[channel] &= pin[f"{channel}ready"].value != 1
            if not any(pending.values()):
                self.written.append(self._clocked.cycle)
        if self._writes and not any(pending.values()):
            pin["awaddr"].value, pin["wdata"].value = self._writes.popleft()
            pending.update(aw=True, w=True)
        for channel, waits in pending.items():
            pin[f"{channel}valid"].value = waits


_AXIL_PINS = (
    *("awaddr", "awprot", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready", "bresp", "bvalid", "bready"),
    *("araddr", "arprot", "arvalid", "arready", "rdata", "rresp", "rvalid", "rready"),
)


def start(dut: Any) -> Clocked:
    """Clock of a module whose ports are driven from here, quietly."""
    cocotb.log.setLevel("WARNING")
    return Clocked(dut)
