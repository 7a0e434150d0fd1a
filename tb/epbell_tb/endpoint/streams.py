"""The coroutines of cocotbext-pcie's stream sources and sinks, in less time.

They do what the stock ones do, clock by clock, but for ``discontinue`` (`upstream.discontinue_in_every_beat`). And what
they have driven themselves they neither read back nor write again: each access to a pin takes microseconds.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.pcie.xilinx.us.interface import (
    CcSink,
    CqSource,
    RcSource,
    RqSink,
    UsPcieBase,
    UsPcieSink,
    UsPcieSource,
)

from epbell_tb.endpoint.in_reset import InReset
from epbell_tb.endpoint.sampling import sampler
from epbell_tb.endpoint.upstream import discontinue_in_every_beat

__all__ = [
    "forget_packet",
    "make_quick",
    "pausing",
]


class _Payload:
    """The pins of a stream that are neither valid nor ready."""

    def __init__(self, stream: Any) -> None:
        self._transaction = stream._transaction_obj
        names = self._transaction._signals
        self._pins = [(name, getattr(stream.bus, name)) for name in names if hasattr(stream.bus, name)]
        self._samplers = [(name, sampler(pin)) for name, pin in self._pins]
        self._driven: dict[str, int | None] = dict.fromkeys(names)

    def drive(self, transaction: Any) -> None:
        """Write the fields of a transaction, as far as they change."""
        for name, pin in self._pins:
            value = getattr(transaction, name)
            if value != self._driven[name]:
                pin.value = self._driven[name] = value

    def sample(self) -> Any:
        """Read them: a transaction of integers."""
        transaction = self._transaction()
        for name, sample in self._samplers:
            setattr(transaction, name, sample())
        return transaction


async def _send_beats(source: Any) -> None:
    """Do `UsPcieSource._run_source`."""
    edge, taken, valid = RisingEdge(source.clock), sampler(source.bus.tready), False
    payload = _Payload(source)
    in_reset = InReset(source.reset) if source.reset is not None else False
    while True:
        await edge
        if in_reset:
            source.bus.tvalid.value = 0
            valid = False
            continue
        if valid and not taken():
            continue
        if source.drive_obj and not source.pause:
            discontinue_in_every_beat.of_beat(source, source.drive_obj)
            payload.drive(source.drive_obj)
            source.drive_obj = None
            source.drive_sync.set()
            if not valid:
                source.bus.tvalid.value = 1
            source.active = valid = True
            continue
        if valid:
            source.bus.tvalid.value = 0
            valid = False
        source.active = bool(source.drive_obj)
        if not source.drive_obj:
            source.idle_event.set()
            source.bus_active_event.clear()
            await source.bus_active_event.wait()


async def _take_beats(sink: Any) -> None:
    """Do `UsPcieSink._run_sink`."""
    edge, wake, offered, ready = RisingEdge(sink.clock), sink.wake_event.wait(), sampler(sink.bus.tvalid), False
    payload = _Payload(sink)
    in_reset = InReset(sink.reset) if sink.reset is not None else False
    while True:
        pause = bool(sink.pause)
        await edge
        if in_reset:
            sink.bus.tready.value = 0
            ready = False
            continue
        valid = offered()
        if ready and valid:
            sink.sample_obj = payload.sample()
            sink.sample_sync.set()
        if ready == (sink.full() or pause):
            ready = not ready
            sink.bus.tready.value = ready
        if (not valid or not ready) and pause == bool(sink.pause):
            sink.wake_event.clear()
            await wake


class _Pauses:
    """One task for the pauses of all streams of a clock, where each stock stream has one of its own.

    Parameters
    ----------
    clock
        Their clock.
    """

    def __init__(self, clock: Any) -> None:
        self._edge = RisingEdge(clock)
        self._streams: dict[Any, Iterator[bool]] = {}
        self._task: Any = None

    def set(self, stream: Any, generator: Iterable[bool] | None) -> None:
        """Do `UsPcieBase.set_pause_generator`."""
        self._streams.pop(stream, None)
        if generator is None:
            return
        ended = self._task is None or self._task.done()
        if ended:
            self._streams.clear()  # those of a test that has ended
        self._streams[stream] = iter(generator)
        self._next(stream)
        if ended:
            self._task = cocotb.start_soon(self._run(), name="stream pauses")

    @property
    def waits(self) -> bool:
        """Whether its task waits for an edge of the clock."""
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        while self._streams:
            await self._edge
            for stream in tuple(self._streams):
                self._next(stream)

    def _next(self, stream: Any) -> None:
        try:
            stream.pause = next(self._streams[stream])
        except StopIteration:
            del self._streams[stream]


_pauses: dict[Any, _Pauses] = {}


def _set_pauses(stream: Any, generator: Iterable[bool] | None = None) -> None:
    _pauses.setdefault(stream.clock, _Pauses(stream.clock)).set(stream, generator)


def pausing(clock: Any) -> int:
    """Return how many tasks wait for an edge of a clock only to let streams pause."""
    found = _pauses.get(clock)
    return 0 if found is None else int(found.waits)


_stock: dict[Any, Callable[[Any], Coroutine[Any, Any, None]]] = {}
"""What each kind of stream does by itself to make beats of packets, or packets of beats."""


def _restartable(kind: Any) -> None:
    """Let the task that makes beats of packets, or packets of beats, be started anew."""
    if kind in _stock:
        return
    stock = _stock[kind] = kind._run

    async def run(stream: Any) -> None:
        stream.packets = cocotb.start_soon(stock(stream), name="stream packets")

    kind._run = run


def forget_packet(stream: Any) -> None:
    """Let a stream forget the packet that it is in, as a reset of silicon does; its reset must be on."""
    stream.packets.cancel()
    stream.drive_obj = stream.sample_obj = None
    stream.active = False
    stream.packets = cocotb.start_soon(_stock[type(stream)](stream), name="stream packets")


def make_quick() -> None:
    """Replace them, for the whole process."""
    for kind in (CqSource, CcSink, RqSink, RcSource):
        _restartable(kind)
    base: Any = UsPcieBase
    source: Any = UsPcieSource
    sink: Any = UsPcieSink
    source._run_source, sink._run_sink = _send_beats, _take_beats
    base.set_pause_generator = _set_pauses
