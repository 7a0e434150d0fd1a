"""Choosing what happens in a random run: each kind by its weight, each with all its random values."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from epbell_tb.traffic import operations as ops
from epbell_tb.traffic.bad import KINDS as BAD
from epbell_tb.traffic.bad import SPOILS, UNSUPPORTED
from epbell_tb.traffic.ground import FILLED, GRANULE, HOST_PAGES, VECTORS, Ground

__all__ = ["ABOUT", "WEIGHTS", "draw"]

WEIGHTS = {
    "Ring": 18, "Kick": 12, "Meet": 9, "Store": 20, "Load": 14, "Bad": 8,
    "Ack": 22, "Poke": 10, "Enables": 3, "Aim": 4, "Map": 2, "Put": 6, "Fetch": 7, "Raise": 12, "Intx": 2,
    "Command": 1.6, "Msi": 3, "Msix": 2, "MaskVector": 3, "MoveBar": 0.6, "Sleep": 0.4, "Reset": 0.5,
    "Dma": 4, "Stall": 3, "Answers": 2,
}  # fmt: skip
"""How often each kind comes, compared with the others."""

ABOUT = {
    "all": WEIGHTS,
    "interrupts": {
        "Raise": 40, "Intx": 6, "Command": 3, "Msi": 10, "Msix": 6, "MaskVector": 10, "Put": 6, "Ring": 3, "Ack": 3,
        "Stall": 3, "Sleep": 0.3, "Reset": 0.5,
    },
}  # fmt: skip
"""What a run may be about: everything, or interrupts of the host and what they have to wait for."""

_BACK_TO_BACK = 0.45
_GAPS = (2, 4, 8, 16, 40, 120)
_ALL = 0xF
_PARTIAL = 0.15
_METHODS = {"Raise": "raise_"}
_NEAR = 0.7
_TARGETS = "ram", "ram", "ram", "ram", "edma", "iatu", None
_BELL_TARGETS = "ram", "mu_b", "mu_b", "mu_b", "controller", None
_STREAMS = ("cq", "cc", "rq", "rc")
_READ_REQUEST = 512
_PAGES = 4
_SLOTS = 8
_POISONED = 0.5
"""Of all bad requests: the hard block keeps what is malformed from the endpoint."""
_SEVERAL = 6
"""One of so many stores writes several doorbells, one after the other."""
_MEETING = 8
"""A ring takes four clocks at most, and the CPU's access two or more."""
_EDMA_REGISTERS = (0x00C, 0x02C, 0x04C, 0x054, 0x058, 0x0A0, 0x0A8, 0x0AC)
"""Enables, status, masks and clears of the unroll map; other offsets come, too."""


def draw(
    ground: Ground, source: Random, count: int, max_payload: int, about: str = "all"
) -> list[ops.Operation]:
    """Return so many operations.

    Parameters
    ----------
    ground : Ground
        What there is.
    source : Random
        Where the choices come from.
    count : int
        How many.
    max_payload : int
        Bytes of the longest write.
    about : str
        One of `ABOUT`.
    """
    one, weights = _Draw(ground, source, max_payload), ABOUT[about]
    names = [name for name in weights if ground.words or name not in ("Kick", "Dma")]
    chosen = source.choices(names, [weights[name] for name in names], k=count)
    methods = {name: _METHODS.get(name, name.lower()) for name in names}
    makers: dict[str, Callable[[int], ops.Operation]] = {name: getattr(one, methods[name]) for name in names}
    return [makers[name](one.gap()) for name in chosen]


class _Draw:
    """A method for each kind."""

    def __init__(self, ground: Ground, source: Random, max_payload: int) -> None:
        self._ground = ground
        self._source = source
        self._max_payload = max_payload
        self._forbidden = ground.forbidden

    def gap(self) -> int:
        source = self._source
        return 0 if source.random() < _BACK_TO_BACK else source.randrange(1, source.choice(_GAPS))

    # -- the host's requests -------------------------------------------------------------------------------------------

    def ring(self, gap: int) -> ops.Operation:
        source = self._source
        enables = source.randrange(16) if source.random() < _PARTIAL else _ALL
        return ops.Ring(gap, self._ground.bell_bar, source.randrange(4), source.getrandbits(32), enables)

    def kick(self, gap: int) -> ops.Operation:
        ground, source = self._ground, self._source
        assert ground.kick_bar is not None
        enables = source.randrange(16) if source.random() < 2 * _PARTIAL else _ALL
        which = source.randrange(len(ground.words))
        return ops.Kick(gap, ground.kick_bar, which, source.getrandbits(32), enables)

    def meet(self, gap: int) -> ops.Operation:
        ground, source = self._ground, self._source
        word, after = source.getrandbits(32), source.randrange(_MEETING)
        if ground.words and source.random() < 0.6:
            assert ground.kick_bar is not None
            return ops.Meet(gap, ground.kick_bar, None, source.randrange(len(ground.words)), word, after)
        return ops.Meet(gap, ground.bell_bar, source.randrange(4), 0, word, after)

    def store(self, gap: int) -> ops.Operation:
        place = self._place(self._max_payload)
        marks, seed = self._marks(), self._source.getrandbits(32)
        return ops.Store(gap, *(self._bells(Random(seed)) if seed % _SEVERAL == 0 else place), *marks, seed)

    def _bells(self, source: Random) -> tuple[int, int, int, int, int]:
        """Return BAR, offset, dwords and both byte enables of a store to two doorbells or more."""
        ground, dwords = self._ground, source.randrange(2, 5)
        offset = ground.registers.offset[f"TR{source.randrange(5 - dwords)}"]
        return ground.bell_bar, offset, dwords, _ALL, source.choice((_ALL, _ALL, 0x1))

    def load(self, gap: int) -> ops.Operation:
        return ops.Load(gap, *self._place(_READ_REQUEST), *self._marks())

    def bad(self, gap: int) -> ops.Operation:
        ground, source = self._ground, self._source
        what = "poisoned" if source.random() < _POISONED else source.choice(tuple(BAD))
        bar = source.choice((ground.bell_bar, *ground.bars))
        offset, dwords = self._span(bar, source.choice((1, 1, 2, 4, 16)))
        if what not in UNSUPPORTED and source.random() < 0.6:  # at the doorbells, beats long enough to end too late
            bar, dwords = ground.bell_bar, source.choice((1, 2, 3, 4, 4))
            offset = ground.registers.offset[f"TR{source.randrange(5 - dwords)}"]
        return ops.Bad(gap, what, bar, offset, dwords, source.getrandbits(32))

    def maskvector(self, gap: int) -> ops.Operation:
        return ops.MaskVector(gap, self._source.randrange(VECTORS), self._source.random() < 0.5)

    def _place(self, most: int) -> tuple[int | None, int, int, int, int]:
        """Return BAR, offset, dwords and both byte enables."""
        source = self._source
        longest = source.choice((4, 4, 4, 8, 16, 64, most))
        if source.random() < 0.04:
            bar, offset, dwords = None, 4 * source.randrange(GRANULE // 8), source.randrange(1, longest // 4 + 1)
        else:
            bar = source.choice(self._ground.bars)
            offset, dwords = self._span(bar, source.randrange(1, longest // 4 + 1))
        return (bar, offset, dwords, *self._byte_enables(dwords, offset))

    def _span(self, bar: int, dwords: int) -> tuple[int, int]:
        """Return offset and dwords of a request that stays in a page, beside the table and what resets the unit."""
        ground, source = self._ground, self._source
        while True:
            page = source.randrange(ground.sizes[bar] // GRANULE)
            at = 4 * source.randrange(GRANULE // 4)
            start = ground.filled(bar)
            if start is not None and source.random() < _NEAR:
                page, at = start // GRANULE, 4 * source.randrange(FILLED // 4)
            if source.random() < 0.3:  # near the doorbells, and near either end of the page
                at = source.choice((0, 0x40, 0x4C, 0xA0, 0x1F0, 0x200, 0x208, 0x210, 0x280, GRANULE - 4))
            dwords = min(dwords, (GRANULE - at) // 4)
            if bar == ground.table_bar and not page:
                continue
            clear = at >= self._forbidden.stop or at + 4 * dwords <= self._forbidden.start
            if bar != ground.bell_bar or clear:
                return page * GRANULE + at, dwords

    def _byte_enables(self, dwords: int, offset: int) -> tuple[int, int]:
        """Return first and last byte enables as PCI Express allows them (2.2.5)."""
        source = self._source
        if source.random() < 0.6:
            return _ALL, _ALL if dwords > 1 else 0
        if dwords == 1:
            return source.randrange(16), 0
        if dwords == 2 and not offset % 8:
            return source.randrange(1, 16), source.randrange(1, 16)
        return _ALL << source.randrange(4) & _ALL, _ALL >> source.randrange(4)

    def _marks(self) -> tuple[int, int]:
        """Return traffic class and attributes."""
        source = self._source
        return (source.randrange(8), source.randrange(8)) if source.random() < 0.3 else (0, 0)

    # -- the CPU -------------------------------------------------------------------------------------------------------

    def poke(self, gap: int) -> ops.Operation:
        ground, source = self._ground, self._source
        place = source.choice(("ram", "ram", "ram", "edma", "edma", "mu_a", "mu_b", "controller", "iatu", None))
        word = source.getrandbits(32)
        strobes = source.choice((0, 0, _ALL, source.randrange(16)))
        if place == "ram":
            return ops.Poke(gap, place, source.choice(ground.areas) + 4 * source.randrange(0x4000 // 4), word, strobes)
        if place == "edma":
            known = [offset + base for base in (0, *ground.words[:1]) for offset in _EDMA_REGISTERS]
            offset = source.choice(known) if source.random() < 0.7 else 4 * source.randrange(0x10000 // 4)
            return ops.Poke(gap, place, offset, word, strobes)
        if place is None:
            return ops.Poke(gap, place, 4 * source.randrange(0x1000), word, strobes)
        if place == "controller" and strobes:
            return ops.Poke(gap, place, source.choice((0x060, 0x0A8)), word & ~7 | 1, strobes)
        # What these registers hold other operations change, so that the accounts know.
        return ops.Poke(gap, place, 4 * source.randrange(source.choice((0x100, 0x400, 0x4000))), word, 0)

    def ack(self, gap: int) -> ops.Operation:
        source = self._source
        kicks = self._ground.words and source.random() < 0.4
        return ops.Ack(gap, None if kicks else source.randrange(4), source.randrange(2))

    def enables(self, gap: int) -> ops.Operation:
        return ops.Enables(gap, self._source.choice((_ALL, _ALL, self._source.randrange(16))))

    def aim(self, gap: int) -> ops.Operation:
        ground, source = self._ground, self._source
        window = source.randrange(ground.windows)
        if source.random() < 0.5:
            window = source.choice(ground.bell_windows)
        bells = window in ground.bell_windows
        bar = ground.bell_bar if bells else source.choice([bar for bar in ground.bars if bar != ground.bell_bar])
        pages = ground.sizes[bar] // GRANULE
        first = source.randrange(min(pages, _PAGES))
        places = _BELL_TARGETS if bells else _TARGETS
        place = source.choice(places)
        page = source.choice(ground.areas) // GRANULE if place == "ram" else 0
        page += source.randrange(_PAGES) if place == "ram" and source.random() < 1 - _NEAR else 0
        mode = source.choices(("bar", "addresses", "off"), (6, 3, 1))[0]
        last = source.randrange(first, min(pages, _PAGES + 1))
        early = source.random() < 0.2
        return ops.Aim(
            gap, window, mode, bar, first, last, place, page, source.random() < 0.3, early, source.getrandbits(32)
        )

    def map(self, gap: int) -> ops.Operation:
        source = self._source
        return ops.Map(
            gap, source.randrange(self._ground.outbound), source.randrange(_SLOTS),
            source.randrange(-1, len(HOST_PAGES) + 1),
        )  # fmt: skip

    def put(self, gap: int) -> ops.Operation:
        source = self._source
        length = source.choice((1, 2, 3, 4, 4, 4, 8, source.randrange(1, 64)))
        return ops.Put(gap, *self._slot(length), length, source.getrandbits(32))

    def fetch(self, gap: int) -> ops.Operation:
        dwords = self._source.choice((1, 1, 1, 2, 4, 8))
        slot, offset = self._slot(4 * dwords)
        return ops.Fetch(gap, slot, offset & ~3, dwords)

    def _slot(self, length: int) -> tuple[int, int]:
        return self._source.randrange(_SLOTS), self._source.randrange(GRANULE - length)

    def raise_(self, gap: int) -> ops.Operation:
        source = self._source
        way = source.choice(("msi", "msi", "msix"))
        # Few vectors most of the time, so that they meet.
        few = source.random() < 0.6
        most = 32 if way == "msi" else VECTORS + (source.random() < 0.1)
        return ops.Raise(gap, way, source.randrange(3 if few else most))

    def intx(self, gap: int) -> ops.Operation:
        return ops.Intx(gap, self._source.randrange(4))

    # -- the host's configuration --------------------------------------------------------------------------------------

    def command(self, gap: int) -> ops.Operation:
        source = self._source
        return ops.Command(gap, source.random() < 0.93, source.random() < 0.7, source.random() < 0.5)

    def msi(self, gap: int) -> ops.Operation:
        source = self._source
        mask = source.choice((0, 0, source.getrandbits(32) & source.getrandbits(32), 7, 1 << source.randrange(3)))
        return ops.Msi(gap, source.random() < 0.8, source.choice((32, 32, 8, 1 << source.randrange(6))), mask)

    def msix(self, gap: int) -> ops.Operation:
        return ops.Msix(gap, self._source.random() < 0.85, self._source.random() < 0.2)

    def movebar(self, gap: int) -> ops.Operation:
        source = self._source
        return ops.MoveBar(gap, source.choice(self._ground.bars), source.randrange(4), source.random() < 0.7)

    def sleep(self, gap: int) -> ops.Operation:
        return ops.Sleep(gap, self._source.randrange(20, 400))

    def reset(self, gap: int) -> ops.Operation:
        return ops.Reset(gap, self._source.choice(("flr", "flr", "hot", "lost")), self._source.randrange(4, 200))

    # -- beside all that -----------------------------------------------------------------------------------------------

    def dma(self, gap: int) -> ops.Operation:
        writes, reads = self._ground.channels
        return ops.Dma(gap, *(self._channel(most) for most in (writes, writes, reads, reads)))

    def _channel(self, most: int) -> int:
        """Return one of the first four channels, as a bit, or none."""
        return self._source.choice((0, 0, 1 << self._source.randrange(min(most, 4)) if most else 0))

    def stall(self, gap: int) -> ops.Operation:
        return ops.Stall(gap, self._source.choice(_STREAMS), self._source.choice((5, 20, 60, 200)))

    def answers(self, gap: int) -> ops.Operation:
        source = self._source
        spoil = source.choice(("", *SPOILS))
        return ops.Answers(
            gap, source.choice((0, 0, 40, 400, 1500)), spoil, source.randrange(1, 4), source.getrandbits(32)
        )
