"""The wire tier: beats of CQ and RC and accesses of the CPU go to the pins in batches, what happens there comes back.

There is no link, no root complex and no model of the hard block: who uses it says what is in each beat. What the pins
showed is read by the same code, and judged by the same scoreboard, as in the model tier: `epbell_tb.wire_env`.
"""

from __future__ import annotations

import ctypes
import struct
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from amaranth.lib import wiring

from epbell import export
from epbell_tb import runner
from epbell_tb.native.build import library
from epbell_tb.native.top import Pins

__all__ = ["BEAT", "USER", "Event", "Kind", "Wire"]

USER = 24
"""Bytes that ``tuser`` takes in a beat."""

BEAT = struct.Struct(f"<3I{USER}s64s")
"""A beat as `Wire.send` takes it: clocks before it, ``tkeep``, ``tlast``, ``tuser``, ``tdata``."""

_EVENT = struct.Struct(f"<2QI3I2I{USER}s64s")
_MET, _STOPPED = 1, 2


class Kind:
    """Kinds of events, as ``wire.h`` has them."""

    CQ, CC, RQ, RC, CC_PAUSE, RQ_PAUSE, WRITE, WRITTEN, READ, DATA, IRQ_MU, IRQ_EDMA = range(12)


class Event(NamedTuple):
    """What happened in a clock.

    Attributes
    ----------
    clock : int
        Its number.
    since : int
        Of beats: the first clock in which it was offered; of answers: the one in which the access was handed over.
    kind : int
        One of `Kind`.
    address, data, value : int
        Of the CPU's accesses; ``value`` is the strobes or the response. Of lines: ``address`` has their levels.
    keep, last : int
        ``tkeep`` and ``tlast`` of a beat.
    user, beat : bytes
        ``tuser`` and ``tdata``, little-endian, with zeros behind.
    """

    clock: int
    since: int
    kind: int
    address: int
    data: int
    value: int
    keep: int
    last: int
    user: bytes
    beat: bytes


class Wire:
    """An endpoint out of its reset, all pins 0 but those that say that the host listens and lets everything happen.

    Parameters
    ----------
    module : str
        Name of an exported endpoint, or any name with a `builder`.
    builder : callable, optional
        Makes an endpoint that is not exported.
    quick : bool
        Compile quickly, run slowly.
    say : callable, optional
        Told in a sentence when a compilation starts.

    Raises
    ------
    ValueError
        If there is no such module.
    epbell_tb.runner.SimulationError
        If it cannot be compiled, or its clock does not run.

    Attributes
    ----------
    lanes : int
        Dwords of a beat of its streams.

    Notes
    -----
    After `close` everything but `close` raises a ValueError.
    """

    def __init__(
        self,
        module: str,
        *,
        builder: Callable[[], wiring.Component] | None = None,
        quick: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> None:
        path = library(module, builder=builder, quick=quick, say=say)
        self._pins = Pins(export.ports_of(runner.source(module, builder), module))
        self.lanes = self._pins.drive["s_axis_cq_tkeep"].width
        self._library = ctypes.CDLL(str(path))
        for name, result in (("new", ctypes.c_void_p), ("clock", ctypes.c_uint64), ("log", ctypes.c_uint64)):
            getattr(self._library, f"wire_{name}").restype = result
        self._wire = ctypes.c_void_p(self._library.wire_new())
        if not self._wire:
            raise runner.SimulationError(f"the clock of {path} does not run")
        self._end = weakref.finalize(self, self._library.wire_free, self._wire)

    def close(self) -> None:
        """End the simulation."""
        self._end()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _alive(self) -> ctypes.c_void_p:
        if not self._end.alive:
            raise ValueError("The simulation has been closed")
        return self._wire

    @property
    def clock(self) -> int:
        """Number of the latest clock."""
        return self._library.wire_clock(self._alive())

    def get(self, name: str) -> int:
        """Return an output of the endpoint as it was in the latest clock.

        Raises
        ------
        KeyError
            If it has no such output.
        """
        pin = self._pins.seen[name]
        words = array("I", bytes(4 * pin.words))
        self._library.wire_get(self._alive(), pin.word, ctypes.c_void_p(words.buffer_info()[0]), pin.words)
        return int.from_bytes(words.tobytes(), "little") & (1 << pin.width) - 1

    def send(self, stream: int, packed: bytes) -> None:
        """Queue packed beats, see `BEAT`, for a stream: ``Kind.CQ`` or ``Kind.RC``.

        Raises
        ------
        ValueError
            If it is another stream, or not whole beats.
        """
        if stream not in (Kind.CQ, Kind.RC):
            raise ValueError(f"The stream must be Kind.CQ or Kind.RC, not {stream!r}")
        if len(packed) % BEAT.size:
            raise ValueError(f"Beats must have {BEAT.size} bytes each, not {len(packed)} in all")
        self._library.wire_send(self._alive(), stream, packed, ctypes.c_uint64(len(packed) // BEAT.size))

    def ask(self, accesses: Iterable[tuple[int, int, int, int, int]]) -> None:
        """Queue accesses of the CPU: whether it is a write, address, data, strobes, clocks before it."""
        words = array("I", [word for access in accesses for word in access])
        self._library.wire_ask(self._alive(), ctypes.c_void_p(words.buffer_info()[0]), ctypes.c_uint64(len(words) // 5))

    def stall(self, seed: int, of_256: int) -> None:
        """Let ``tready`` of CC and RQ fall at random, in so many clocks of 256."""
        self._library.wire_stall(self._alive(), seed, of_256)

    def run(
        self,
        clocks: int,
        *,
        played: bool = False,
        answered: bool = False,
        irq_mu: bool = False,
        irq_edma: bool = False,
        asked: bool = False,
        completions: int = 0,
    ) -> bool:
        """Let clocks pass: so many, or fewer if one of the things that are asked for has happened.

        It also ends, having returned False, when some 65,536 events wait for `events` to read them: look at `clock`.

        Parameters
        ----------
        clocks : int
            At most.
        played : bool
            Until everything that was queued has been accepted, and answered to the CPU.
        answered : bool
            Until the CPU has nothing to do.
        irq_mu, irq_edma : bool
            Until the line is high.
        asked : bool
            Until a request has ended on RQ.
        completions : int
            Until so many packets have ended on CC.

        Returns
        -------
        bool
            Whether one of them has happened.

        Raises
        ------
        ValueError
            If the clocks or the packets are fewer than 0.
        epbell_tb.runner.SimulationError
            If the clock has stopped.
        """
        if clocks < 0 or completions < 0:
            raise ValueError(f"Clocks and packets must be 0 or more, not {clocks} and {completions}")
        until = played | answered << 1 | irq_mu << 2 | irq_edma << 3 | asked << 4 | completions << 8
        status = self._library.wire_run(self._alive(), ctypes.c_uint64(clocks), ctypes.c_uint64(until))
        if status == _STOPPED:
            raise runner.SimulationError("the clock of the endpoint has stopped")
        return status == _MET

    def events(self) -> Iterator[tuple[int, int, int, int, int, int, int, int, bytes, bytes]]:
        """Return what has happened since the last call, in order: fields as of `Event`."""
        first = ctypes.c_void_p()
        count = self._library.wire_log(self._alive(), ctypes.byref(first))
        log = ctypes.string_at(first, count * _EVENT.size) if count else b""
        self._library.wire_forget(self._wire)
        return _EVENT.iter_unpack(log)
