"""The wire tier: the endpoint at its pins, without a link. Beats go in by the batch, the scoreboard judges the record.

What drives is here: a host that sends requests on CQ and answers those of RQ, a CPU that makes one access after the
other. What the pins showed meanwhile goes through the readers and the scoreboard of the model tier, event by event.
There is no configuration space: the BARs have addresses, memory space and bus mastering are on, the host takes no MSI.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from amaranth.lib import wiring

from epbell_models import devicetree
from epbell_models.reference.host_memory import HostMemory
from epbell_models.reference.outbound import Cause
from epbell_tb import runner
from epbell_tb.bar_sets import BAR_SETS
from epbell_tb.endpoint.clock import follow_clock
from epbell_tb.endpoint.counters import Counters
from epbell_tb.endpoint.packets import (
    MEM_READ,
    MEM_WRITE,
    CompletionReader,
    CpuAccess,
    LineReader,
    RequestReader,
    SentCompletion,
)
from epbell_tb.endpoint.permissions import Allowed
from epbell_tb.endpoint.scoreboard import Scoreboard
from epbell_tb.endpoint.to_host_packets import AnswerReader, SentRequest, SentRequestReader
from epbell_tb.native.beats import Packet, Placed, answer, request
from epbell_tb.native.wire import Kind, Wire
from epbell_tb.wire_cpu import WireCpu, at_once

__all__ = ["WireEnv"]

_BARS = BAR_SETS["everyday"]
_ALLOWED = Allowed(requests=True, intx=True)
"""What the pins say that the host allows, from the first clock on."""

_WINDOW = 0xC000_0000
_TAGS = 32
_FULL = 0xF
_MOST = 20_000
"""Clocks within which a batch, an access or a read must have ended, besides those that its beats take."""

_REST = 200
"""Clocks after which everything that was under way has ended."""

_STALL = 80
"""Of 256 clocks: how many CC and RQ are not ready, where streams pause."""

_PAYLOAD, _PAGE = 128, 4096
"""Most bytes of a write, and what no request crosses a multiple of."""


class WireEnv:
    """An endpoint, who drives it and what watches it.

    Parameters
    ----------
    name : str
        Name of the scenario: with seed and width it decides what is random.
    width : int
        Width of the streams in bits: 64, 128, 256 or 512.
    seed : int
        Of everything random.
    stalls : bool
        Whether the streams pause at random.
    windows : int, optional
        Inbound windows that the scoreboard believes in, 1 to 16, instead of the device tree's.
    builder : callable, optional
        Makes another endpoint than the exported one; `module` is its name then.
    module : str, optional
        Name of the endpoint; the exported one of this width unless it is given.
    quick : bool
        Compile quickly, run slowly.
    say : callable, optional
        Told in a sentence when a compilation starts.

    Attributes
    ----------
    wire
        The pins.
    board, counters
        What must follow from what the pins show, and what the endpoint itself counted.
    cpu, memory
        The CPU's bus, and the memory of the host.
    random, tree, bar_sizes
        Source of what is random; device tree; bytes of the BARs.
    merged
        How many rings were merged, as soon as `finish` has told.

    Raises
    ------
    ValueError
        If there is no such endpoint, or its streams have another width.
    epbell_tb.runner.SimulationError
        If it cannot be compiled, or its clock does not run.
    """

    def __init__(
        self,
        name: str,
        width: int = 256,
        *,
        seed: int = 1,
        stalls: bool = False,
        windows: int | None = None,
        builder: Callable[[], wiring.Component] | None = None,
        module: str | None = None,
        quick: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.random = random.Random(f"{seed} {name} {width}")
        self.stalls = stalls
        self.tree = devicetree.load(devicetree.builtin())
        if windows is not None:
            self.tree = replace(self.tree, endpoint=replace(self.tree.endpoint, inbound_windows=windows))
        self.bar_sizes = tuple(bar.size if bar else 0 for bar in _BARS)
        self.wire = Wire(module or f"epbell_endpoint_usp{width}", builder=builder, quick=quick, say=say)
        self._lanes = lanes = self.wire.lanes
        if 32 * lanes != width:
            self.wire.close()
            raise ValueError(f"The streams of {module} have {32 * lanes} bits, not {width}")
        self._now = 0
        self._requests = RequestReader(lanes, lambda found: self.board.request(found))
        with follow_clock(self._clock):
            self.board = Scoreboard(self.bar_sizes, self.tree, lambda: self._requests.open_since, lambda: True)
            self.board.permissions.shown(_ALLOWED)
        self._completions = CompletionReader(lanes, self._completed)
        self._sent = SentRequestReader(lanes, self._asked)
        self._answers = AnswerReader(lanes, self.board.to_host.answer)
        self._irq_mu = LineReader(1, self.board.irq)
        self._irq_edma = LineReader(self.tree.endpoint.edma.lines, self.board.irq_edma)
        self.cpu = WireCpu(self._access)
        self.memory = HostMemory()
        self.counters = Counters(self.cpu, self.board.map["controller"].base)
        self.merged: int | None = None
        self._places = self._assign()
        self._write = functools.lru_cache(maxsize=1024)(self._new_write)
        self._beats: list[bytes] = []
        self._tag = 0
        self._read: list[SentCompletion] = []
        self._accessed: list[CpuAccess] = []
        self._strobes = 0
        if stalls:
            self.wire.stall(self.random.getrandbits(32), _STALL)

    def close(self) -> None:
        """End the simulation."""
        self.wire.close()

    def __enter__(self) -> WireEnv:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _assign(self) -> list[int]:
        """Give the BARs addresses, each at a multiple of its size."""
        places, free = [], _WINDOW
        for size in self.bar_sizes:
            free = -(-free // size) * size if size else free
            places.append(free)
            free += size
        return places

    # -- the host ------------------------------------------------------------------------------------------------------

    def post(self, bar: int, offset: int, data: bytes, *, enables: int | None = None, poisoned: bool = False) -> None:
        """Queue a write of whole dwords, which leaves with the next batch.

        Parameters
        ----------
        bar, offset : int
            BAR, and byte offset in it, a multiple of 4.
        data : bytes
            Up to the maximum payload of 128 bytes.
        enables : int, optional
            Byte enables of the only dword, 4 bits; of more than one all bytes count.
        poisoned : bool
            Whether the payload is no good.

        Raises
        ------
        ValueError
            If no such write can come from a host.
        """
        self._send(self._write(bar, offset, len(data), enables, poisoned), data)

    def ask(self, bar: int, offset: int, length: int) -> tuple[int, bytes]:
        """Read bytes in one request, and wait for its end; return completion status and data.

        Parameters
        ----------
        bar, offset : int
            BAR, and byte offset in it.
        length : int
            Bytes, 1 or more, all in the same 4096.

        Raises
        ------
        ValueError
            If no such read can come from a host.
        epbell_tb.runner.SimulationError
            If it does not end.
        """
        if length < 1:
            raise ValueError(f"A read must have 1 byte or more, not {length}")
        first, end = offset & 3, (offset & 3) + length
        dwords = -(-end // 4)
        enables = [(1 << min(4, end - at)) - 1 & _FULL << max(0, first - at) & _FULL for at in range(0, 4 * dwords, 4)]
        self._tag = (self._tag + 1) % _TAGS
        last, place = enables[-1] if dwords > 1 else 0, self._place(bar, offset & ~3, 4 * dwords)
        self._send(request(self._lanes, MEM_READ, place, dwords, enables[0], last, tag=self._tag), b"")
        self._read = []
        self._until(lambda: self._answered(4 * dwords), "a read of the host", completions=1)
        status = self._read[-1].status
        data = b"".join(completion.data for completion in self._read) if not status else b""
        return status, data[first:end]

    def _new_write(self, bar: int, offset: int, size: int, enables: int | None, poisoned: bool) -> Packet:
        """Check a write and make it; what has been sent before comes from the cache and is good."""
        if offset % 4 or size % 4 or not 0 < size <= _PAYLOAD:
            raise ValueError(
                f"A write must have whole dwords, up to {_PAYLOAD} bytes, not {size} bytes at offset {offset:#x}"
            )
        if enables is not None and (size > 4 or not 0 <= enables <= _FULL):
            raise ValueError(f"Byte enables must be 4 bits, for a single dword, not {enables:#x} for {size} bytes")
        first, last = _FULL if enables is None else enables, _FULL if size > 4 else 0
        place = self._place(bar, offset, size)
        return request(self._lanes, MEM_WRITE, place, size // 4, first, last, payload=True, discontinue=poisoned)

    def _place(self, bar: int, offset: int, size: int) -> Placed:
        if not 0 <= bar < len(self.bar_sizes) or not self.bar_sizes[bar]:
            raise ValueError(f"There must be a BAR {bar}: those that are there have {self.bar_sizes} bytes")
        if not 0 <= offset <= self.bar_sizes[bar] - size:
            raise ValueError(
                f"{size} bytes at offset {offset:#x} must be within the {self.bar_sizes[bar]:#x} bytes of BAR {bar}"
            )
        address = self._places[bar] + offset
        if address // _PAGE != (address + size - 1) // _PAGE:
            raise ValueError(f"A request must not cross 4 KiB: {size} bytes at offset {offset:#x} of BAR {bar}")
        return Placed(bar, self.bar_sizes[bar], address)

    def _answered(self, size: int) -> bool:
        return bool(self._read) and (bool(self._read[-1].status) or sum(len(one.data) for one in self._read) >= size)

    def _send(self, packet: Packet, payload: bytes) -> None:
        gaps = tuple(self._gap() for _ in packet.beats) if self.stalls else ()
        self._beats.append(packet.packed(payload, gaps))

    def _gap(self) -> int:
        return max(0, self.random.randrange(-12, 6))

    # -- the CPU -------------------------------------------------------------------------------------------------------

    def _access(self, write: bool, address: int, data: int, strobes: int) -> tuple[int, int]:
        self.wire.ask([(write, address, data, strobes, self._gap() if self.stalls else 0)])
        self._accessed = []
        self._until(lambda: bool(self._accessed), f"an access of the CPU to {address:#x}", answered=True)
        return self._accessed[-1].data, self._accessed[-1].response

    # -- time ----------------------------------------------------------------------------------------------------------

    @property
    def irq_mu(self) -> bool:
        """Level of the Messaging Unit's line."""
        return bool(self.wire.get("irq_mu"))

    @property
    def irq_edma(self) -> bool:
        """Level of the eDMA's lines."""
        return bool(self.wire.get("irq_edma"))

    def play(self) -> None:
        """Send what has been queued, and judge what comes of it until it has been accepted."""
        limit = self.wire.clock + _MOST + 64 * len(self._beats)
        self._start()
        while not self.wire.run(limit - self.wire.clock, played=True):
            if self.wire.clock >= limit:
                raise runner.SimulationError(f"a batch has not been accepted by clock {self.wire.clock}")
            self._judge()
        self._judge()

    def clocks(self, count: int) -> None:
        """Let clocks pass, and judge what they bring."""
        self._start()
        end = self.wire.clock + count
        while self.wire.clock < end:
            self.wire.run(end - self.wire.clock, asked=True)
            self._judge()

    def settle(self) -> None:
        """Send what has been queued, and wait until everything has ended."""
        self.play()
        self.clocks(_REST)

    def finish(self) -> None:
        """Check what must hold at the end of every scenario, and compare the endpoint's counters with what was seen."""
        self.settle()
        with follow_clock(self._clock):
            self.merged = at_once(self.counters.check_end(self.board, self.irq_mu, 0))

    def _start(self) -> None:
        if self._beats:
            beats, self._beats = self._beats, []
            self.wire.send(Kind.CQ, b"".join(beats))

    def _until(self, done: Callable[[], bool], what: str, **events: Any) -> None:
        """Let clocks pass until something is done, which one of these events may have brought about."""
        limit = self.wire.clock + _MOST + 64 * len(self._beats)
        self._start()
        while not done():
            if self.wire.clock >= limit:
                raise runner.SimulationError(f"{what} has not ended in clock {self.wire.clock}")
            self.wire.run(limit - self.wire.clock, asked=True, **events)
            self._judge()

    # -- what the pins showed ------------------------------------------------------------------------------------------

    def _completed(self, completion: SentCompletion) -> None:
        self._read.append(completion)
        self.board.completion(completion)

    def _asked(self, sent: SentRequest) -> None:
        """Take a request of the endpoint, and answer a read from the host's memory."""
        self.board.to_host.sent(sent)
        if sent.kind == MEM_WRITE:
            for lane in range(4):
                if sent.first_be >> lane & 1:
                    self.memory.write(sent.address + lane, sent.data[lane : lane + 1])
            return
        found = self.memory.read(sent.address, 4)
        cause = found if isinstance(found, Cause) else None
        packet = answer(self._lanes, sent.tag, address=sent.address, cause=cause)
        payload = found if isinstance(found, bytes) else bytes(4) if cause is Cause.POISONED else b""
        gaps = tuple(self._gap() for _ in packet.beats) if self.stalls else ()
        self.wire.send(Kind.RC, packet.packed(payload, gaps))

    def _ended(self, access: CpuAccess) -> CpuAccess:
        self._accessed.append(access)
        return access

    def _clock(self) -> int:
        return self._now

    def _judge(self) -> None:
        """Hand on what has happened since the last time."""
        board, cq, cc, rq, rc = self.board, self._requests, self._completions, self._sent, self._answers
        number = int.from_bytes
        with follow_clock(self._clock):
            for clock, since, kind, address, data, value, keep, last, user, beat in self.wire.events():
                self._now = clock
                if kind == Kind.CQ:
                    cq.beat(beat, keep, number(user, "little"), bool(last), since)
                elif kind == Kind.CC:
                    cc.beat(beat, keep, number(user, "little"), bool(last), since)
                elif kind == Kind.WRITE:
                    self._strobes = value
                    board.cpu_write_started(address, data, value)
                elif kind == Kind.READ:
                    board.cpu_read_started(address)
                elif kind == Kind.WRITTEN:
                    board.cpu_write_ended(self._ended(CpuAccess(since, clock, address, data, self._strobes, value)))
                elif kind == Kind.DATA:
                    board.cpu_read_ended(self._ended(CpuAccess(since, clock, address, data, 0, value)))
                elif kind == Kind.IRQ_MU:
                    self._irq_mu.edge(address, clock)
                elif kind == Kind.IRQ_EDMA:
                    self._irq_edma.edge(address, clock)
                elif kind == Kind.RQ:
                    rq.beat(beat, keep, number(user, "little"), bool(last), since)
                elif kind == Kind.RC:
                    rc.beat(beat, keep, number(user, "little"), bool(last), since)
                else:
                    (cc if kind == Kind.CC_PAUSE else rq).paused()
            self._now = self.wire.clock
