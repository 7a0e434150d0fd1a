"""Each class of operation once, in turn: what random operations would need many seeds for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random

from epbell_tb.traffic import operations as ops
from epbell_tb.traffic.bad import KINDS as BAD
from epbell_tb.traffic.bad import SPOILS
from epbell_tb.traffic.ground import GRANULE, Ground

__all__ = ["MAX_PAYLOAD", "sweep"]

MAX_PAYLOAD = 1024
"""Bytes of the longest write of a sweep."""

_ALL = 0xF
_SIZES = (1, 2, 4, 16, 64, 128)
_ENABLES = ((_ALL, _ALL), (0xE, _ALL), (_ALL, 0x7), (0x8, 0x1))
_APART = 60
_SETTLED = 1500
_AROUND = range(0, 24, 2)
_WINDOWS = (("bar", "ram"), ("addresses", "ram"), ("addresses", "edma"), ("bar", "edma"))
_NOWHERE = (("bar", "iatu"), ("addresses", "iatu"), ("bar", None), ("addresses", None))
_BELLS = tuple(product(("addresses", "bar"), ("ram", "controller", None, "mu_b")))


def sweep(ground: Ground, source: Random) -> list[ops.Operation]:
    """Return the operations.

    Parameters
    ----------
    ground : Ground
        What there is.
    source : Random
        Where data come from.
    """
    return list(_Sweep(ground, source).all())


class _Sweep:
    """A method for each group of bins."""

    def __init__(self, ground: Ground, source: Random) -> None:
        self._ground = ground
        self._source = source
        others = [bar for bar in ground.bars if bar not in (ground.table_bar, ground.bell_bar, ground.fixed_bar)]
        memory = [bar for bar in others if ground.filled(bar) is not None]
        self._memory = (memory or others)[0]

    def all(self) -> Iterator[ops.Operation]:
        """Everything, from the quiet to the violent."""
        yield from self._requests()
        yield from self._windows()
        yield from self._bells()
        if self._ground.words:
            yield from self._kicks()
        yield from self._bad()
        yield from self._interrupts()
        yield from self._answers()
        yield from self._resets()

    # -- requests and windows ------------------------------------------------------------------------------------------

    def _requests(self) -> Iterator[ops.Operation]:
        bar = self._memory
        for mode in ("bar", "off"):
            yield self._aim(self._window(bar), mode, bar, "ram")
            for dwords, enables, kind in product(_SIZES, _ENABLES, (ops.Store, ops.Load)):
                yield self._request(kind, bar, 0x100, dwords, enables)
            for kind, enables in product((ops.Store, ops.Load), ((0, 0), (3, 0))):
                yield self._request(kind, bar, 0x100, 1, enables)
            yield self._rest()
        yield self._aim(self._window(bar), "bar", bar, "ram")
        for kind, tc, attr in product((ops.Store, ops.Load), (0, 3), range(8)):
            yield self._request(kind, bar, 0x40, 2, (_ALL, _ALL), tc, attr)
        yield self._rest()

    def _windows(self) -> Iterator[ops.Operation]:
        ground, bar, bells = self._ground, self._memory, self._ground.bell_bar
        words = ground.words[:1]
        for mode, place in (*_WINDOWS, *_NOWHERE, ("bar", "ram")):
            yield self._aim(self._window(bar), mode, bar, place)
            offsets = (*words, 0x40) if place == "edma" else (0x40,)
            for kind, offset in product((ops.Store, ops.Load), offsets):
                yield self._request(kind, bar, offset, 1)
            yield self._rest()
        for mode, place in _BELLS:
            yield self._aim(ground.bell_windows[0], mode, bells, place)
            start = ground.registers.offset["TR0"]
            yield self._request(ops.Load, bells, start, 1)
            for dwords in (1, 4, 8):
                yield self._request(ops.Store, bells, start, dwords)
            yield self._rest()
        if ground.kick_bar is not None:
            for kind, offset in product((ops.Store, ops.Load), (*words, 0x40)):
                yield self._request(kind, ground.kick_bar, offset, 1)
        # A long write is on the stream while its window moves.
        for gap in range(0, 60, 4):
            yield self._request(ops.Store, bar, 0x100, 256, gap=gap)
            yield ops.Stall(0, "cq", 20)
            yield self._aim(self._window(bar), "bar", bar, "ram", gap=_APART, page=gap // 4 % 2)
        yield self._rest()
        yield self._aim(self._window(bar), "bar", bar, ground.start_target(bar)[0])

    # -- doorbells -----------------------------------------------------------------------------------------------------

    def _bells(self) -> Iterator[ops.Operation]:
        ground = self._ground
        for enables, vector in product((0, _ALL), range(4)):
            yield ops.Ack(_APART, vector, 0)
            yield ops.Enables(_APART, enables)
            yield self._ring(_APART, vector)
            yield self._ring(_APART, vector)
        gir = ground.registers.home("GIR")
        for _ in range(12):
            yield self._request(ops.Store, ground.bell_bar, gir, 1)
        others = (
            lambda gap: ops.Ack(gap, 0, 0), lambda gap: ops.Ack(gap, 1, 0), lambda gap: ops.Enables(gap, 0),
            lambda gap: ops.Enables(gap, _ALL), lambda gap: ops.Enables(gap, _ALL),
        )  # fmt: skip
        for gap in _AROUND:
            for other in others:
                yield self._ring(gap, 0)
                yield other(_APART)
            for other in others:
                yield other(gap)
                yield self._ring(_APART, 0)
        for vector in (0, 0, 1, 2, 2, 3):
            yield self._ring(0, vector)
        yield self._rest()
        for vector in range(4):
            yield ops.Ack(_APART, vector, 0)

    def _ring(self, gap: int, vector: int) -> ops.Operation:
        return ops.Ring(gap, self._ground.bell_bar, vector, self._source.getrandbits(32), _ALL)

    def _kicks(self) -> Iterator[ops.Operation]:
        for which in range(len(self._ground.words)):
            yield self._kick(_APART, which)
            yield self._kick(_APART, which)
            yield ops.Ack(_APART, None, which)
            yield ops.Ack(_APART, None, 1 - which)
        for gap in _AROUND:
            for other in (lambda gap: ops.Ack(gap, None, 0), lambda gap: ops.Dma(gap, 1, 2, 2, 1)):
                yield self._kick(gap, 0)
                yield other(_APART)
                yield other(gap)
                yield self._kick(_APART, 1)
        for which in (0, 1, 0, 0):
            yield self._kick(0, which)
        yield self._rest()
        for which in range(2):
            yield ops.Ack(_APART, None, which)
        for channel in range(2):
            yield ops.Dma(_APART, 1 << channel, 1 << channel, 1 << channel, 1 << channel)

    def _kick(self, gap: int, which: int) -> ops.Operation:
        assert self._ground.kick_bar is not None
        return ops.Kick(gap, self._ground.kick_bar, which, self._source.getrandbits(32), _ALL)

    def _bad(self) -> Iterator[ops.Operation]:
        for what in BAD:
            yield ops.Bad(_APART, what, self._memory, 0x80, 2, self._source.getrandbits(32))
        yield self._rest()

    # -- to the host ---------------------------------------------------------------------------------------------------

    def _interrupts(self) -> Iterator[ops.Operation]:
        good = (ops.Command(_APART, True, True, False), ops.Msi(_SETTLED, True, 32, 0))
        held = (
            good[1], ops.Msi(_SETTLED, True, 32, _ALL | 0x10), ops.Msi(_SETTLED, False, 32, 0),
            ops.Command(_SETTLED, True, False, False),
        )  # fmt: skip
        yield from good
        for state in held:
            yield state
            for vector in (*range(5), 0, 0):
                yield ops.Raise(_APART, "msi", vector)
            yield from good
        yield ops.Msix(_SETTLED, True, False)
        states: tuple[tuple[ops.Operation, ...], ...] = (
            (), (ops.Msix(_SETTLED, True, True),), (ops.Msix(_SETTLED, False, False),),
            (ops.Command(_SETTLED, True, False, False),),
            tuple(ops.MaskVector(_APART, vector, True) for vector in range(5)),
        )  # fmt: skip
        for steps in states:
            yield from steps
            for vector in range(5):
                yield ops.Raise(_APART, "msix", vector)
            yield good[0]
            for vector in range(5):
                yield ops.MaskVector(_APART, vector, False)
            yield ops.Msix(_SETTLED, True, False)
        yield ops.Msix(_SETTLED, False, False)
        yield good[1]

    def _answers(self) -> Iterator[ops.Operation]:
        for spoil in ("", *SPOILS):
            for delay in (0, 1500):
                yield ops.Answers(_APART, delay, spoil, 1, self._source.getrandbits(32))
                for _ in range(4):
                    yield ops.Fetch(0, 0, 0x40, 1)
                yield self._rest()
        yield ops.Answers(_APART, 0, "", 0, 0)

    def _resets(self) -> Iterator[ops.Operation]:
        resets: tuple[ops.Operation, ...] = (
            ops.Sleep(2 * _SETTLED, 40), ops.Reset(2 * _SETTLED, "flr", 40), ops.Reset(2 * _SETTLED, "hot", 40),
        )  # fmt: skip
        for reset in resets:
            yield self._rest()
            yield reset
            for gap in range(1, 42, 8):
                yield self._ring(0, 0)
                if self._ground.words:
                    yield self._kick(0, 0)
                yield ops.Raise(0, "msi", 0)
                yield ops.Fetch(0, 0, 0x40, 1)
                for _ in range(2):
                    yield self._request(ops.Load, self._memory, 0x100, 128, gap=0)
                    yield ops.Put(0, 0, 0x80, 16, 0)
                yield self._request(ops.Store, self._memory, 0x100, 128, gap=gap)
                yield reset

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _window(self, bar: int) -> int:
        window = self._ground.start_window(bar)
        assert window is not None
        return window

    def _request(
        self, kind: type[ops.Store] | type[ops.Load], bar: int, offset: int, dwords: int,
        enables: tuple[int, int] = (_ALL, _ALL), tc: int = 0, attr: int = 0, *, gap: int = _APART,
    ) -> ops.Operation:  # fmt: skip
        place = gap, bar, offset, dwords, enables[0], enables[1] if dwords > 1 else 0, tc, attr
        return ops.Store(*place, self._source.getrandbits(32)) if kind is ops.Store else ops.Load(*place)

    def _aim(
        self, window: int, mode: str, bar: int, place: str | None, *, gap: int = _SETTLED, page: int = 0
    ) -> ops.Operation:
        page += self._ground.areas[0] // GRANULE if place == "ram" else 0
        return ops.Aim(gap, window, mode, bar, 0, 0, place, page, False, False, self._source.getrandbits(32))

    def _rest(self) -> ops.Operation:
        return ops.Stall(_SETTLED, "rq", 1)
