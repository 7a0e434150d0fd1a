"""The coroutines of cocotbext-pcie's stream sources and sinks, in less time.

They do what the stock ones do, clock by clock. But what they have driven themselves they neither read back nor write
again: each access to a pin takes microseconds.
"""

from typing import Any

from cocotb.triggers import RisingEdge
from cocotbext.pcie.xilinx.us.interface import UsPcieSink, UsPcieSource

from epbell_tb.endpoint.in_reset import InReset

__all__ = [
    "make_quick",
]


class _Payload:
    """The pins of a stream that are neither valid nor ready."""

    def __init__(self, stream: Any) -> None:
        self._transaction = stream._transaction_obj
        names = self._transaction._signals
        self._pins = [(name, getattr(stream.bus, name)) for name in names if hasattr(stream.bus, name)]
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
        for name, pin in self._pins:
            setattr(transaction, name, int(pin.value))
        return transaction


async def _send_beats(source: Any) -> None:
    """Do `UsPcieSource._run_source`."""
    edge, valid = RisingEdge(source.clock), False
    payload = _Payload(source)
    in_reset = InReset(source.reset) if source.reset is not None else False
    while True:
        await edge
        if in_reset:
            source.bus.tvalid.value = 0
            valid = False
            continue
        if valid and not source.bus.tready.value:
            continue
        if source.drive_obj and not source.pause:
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
    edge, wake, ready = RisingEdge(sink.clock), sink.wake_event.wait(), False
    payload = _Payload(sink)
    in_reset = InReset(sink.reset) if sink.reset is not None else False
    while True:
        pause = bool(sink.pause)
        await edge
        if in_reset:
            sink.bus.tready.value = 0
            ready = False
            continue
        valid = bool(sink.bus.tvalid.value)
        if ready and valid:
            sink.sample_obj = payload.sample()
            sink.sample_sync.set()
        if ready == (sink.full() or pause):
            ready = not ready
            sink.bus.tready.value = ready
        if (not valid or not ready) and pause == bool(sink.pause):
            sink.wake_event.clear()
            await wake


def make_quick() -> None:
    """Replace them, for the whole process."""
    source: Any = UsPcieSource
    sink: Any = UsPcieSink
    source._run_source, sink._run_sink = _send_beats, _take_beats
