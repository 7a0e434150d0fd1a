"""Random accesses, rings and ends of transfers for an eDMA page, and the table of what met what in the same clock."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import epbell_regs

if TYPE_CHECKING:
    from epbell_models.reference.edma import EdmaPage

__all__ = [
    "PULSES",
    "Coverage",
    "Stimulus",
    "Traffic",
]

PULSES = ("wr_done", "wr_abort", "rd_done", "rd_abort")
"""Inputs that report the end of a transfer, a bit for each channel."""

_DIRECTIONS = {"wr": "WRITE", "rd": "READ"}
_COMMON = ("ring", "strobeless ring", "clear", "strobeless clear", "enable", "other", "nothing")
_WRITES = {"unroll": (*_COMMON, "mask"), "legacy": (*_COMMON, "mask", "viewport"), "hdma": _COMMON}
"""Kinds of write. ``"ring"`` is INT_STATUS, of which the HDMA's (INT_STAT) rings nothing."""
_WEIGHTS = {"ring": 12, "clear": 20, "enable": 8, "mask": 6, "viewport": 6, "other": 12, "nothing": 12}
_READS = ("status", "other", "nothing")


@dataclass(frozen=True)
class Stimulus:
    """What happens to the page in one clock.

    Attributes
    ----------
    write : (int, int, int) or None
        Offset in the page, data and byte strobes.
    read : int or None
        Offset in the page.
    ring : bool
        The host's doorbell write arrives past the bus.
    pulses : dict
        Those of `PULSES` that are not zero.
    kind, read_kind : str
        What the write and the read are.
    cleared : dict
        Channels whose status bit the write clears, for each of `PULSES`.
    """

    write: tuple[int, int, int] | None
    read: int | None
    ring: bool
    pulses: dict[str, int]
    kind: str
    read_kind: str
    cleared: dict[str, int] = field(default_factory=dict[str, int])


class Traffic:
    """Source of random stimuli.

    Every third clock is taken from the table of all kinds in turn; in the others the busy ones are more frequent.

    Parameters
    ----------
    page : EdmaPage
        Model whose personality, channels and base they are for. Without transfers it gets the accesses of a whole one.
    rng : random.Random
        Where the choices come from.

    Attributes
    ----------
    plain : list of int
        Offsets in the page of the registers that hold what is written, or nothing, and do nothing else.
    """

    def __init__(self, page: EdmaPage, rng: random.Random) -> None:
        self._random = rng
        self._base = page.base
        self._channels = {"wr": page.write_channels, "rd": page.read_channels}
        self._hdma = page.personality == "hdma"
        self.kinds = _WRITES[page.personality]
        self._weights = [_WEIGHTS.get(kind, 2) for kind in self.kinds]
        channels = {"write_channels": page.write_channels, "read_channels": page.read_channels}
        if self._hdma:
            self._offset = epbell_regs.offsets("hdma", **channels)
        else:
            self._offset = epbell_regs.offsets("edma", **channels, legacy=int(page.personality == "legacy"))
        self._statuses = [self._offset[name] for name in self._offset if "INT_STAT" in name or "ERR_STATUS" in name]
        self._all = self._offsets(page.personality == "legacy")
        acting = {offset for name, offset in self._offset.items() if "INT_" in name or name == "VIEWPORT_SEL"}
        self._others = [offset for offset in self._all if offset not in acting]
        self.plain = [self._page(offset) for offset in sorted(set(self._offset.values()) - acting)]
        pulses: tuple[str | None, ...] = (*PULSES, None)
        table = [(kind, ring, pulse) for kind in self.kinds for ring in (False, True) for pulse in pulses]
        self._table = itertools.cycle(table)
        self._clock = 0

    def next(self) -> Stimulus:
        """Choose what happens in the next clock."""
        self._clock += 1
        rng = self._random
        if self._clock % 3 == 0:
            kind, ring, pulse = next(self._table)
            pulses = {pulse: self._some(pulse)} if pulse else {}
        else:
            kind = rng.choices(self.kinds, self._weights)[0]
            ring = rng.random() < 0.2
            pulses = {pulse: self._some(pulse) for pulse in PULSES if rng.random() < 0.06}
        write, cleared = self._write(kind)
        read_kind = rng.choice(_READS)
        read = {"status": rng.choice(self._statuses), "other": rng.choice(self._all)}.get(read_kind)
        where = None if read is None else self._page(read)
        return Stimulus(write, where, ring, pulses, kind, read_kind, cleared)

    def _write(self, kind: str) -> tuple[tuple[int, int, int] | None, dict[str, int]]:
        """Return offset, data and strobes of a write, and the status bits that it clears."""
        rng = self._random
        data, strobes = rng.choice((0, 0xFFFF_FFFF, rng.getrandbits(32))), rng.choice((0xF, 0xF, rng.randrange(1, 16)))
        way = rng.choice(("wr", "rd"))
        channel = rng.randrange(self._channels[way])
        name, cleared = _DIRECTIONS[way], {}
        block = f"{name}_CH{channel}_" if self._hdma else f"{name}_"
        if kind == "nothing":
            return None, cleared
        if kind.startswith("strobeless"):
            strobes = 0
        if kind.endswith("ring"):
            offset = self._offset[block + ("INT_STAT" if self._hdma else "INT_STATUS")]
        elif kind.endswith("clear"):
            offset = self._offset[f"{block}INT_CLEAR"]
            if kind == "clear":
                cleared = self._cleared(way, channel, data, strobes)
        elif kind == "mask":
            offset, data = self._offset[f"{name}_INT_MASK"], data if rng.random() < 0.5 else 0xFFFF_FFFF
        elif kind == "enable":
            offset = self._enable(f"{name}_CH{channel}_")
        elif kind == "viewport":
            offset, data = self._offset["VIEWPORT_SEL"], rng.getrandbits(1) << 31 | rng.randrange(6)
        else:
            offset = rng.choice(self._others)
        return (self._page(offset), data, strobes), cleared

    def _cleared(self, way: str, channel: int, data: int, strobes: int) -> dict[str, int]:
        """Return the channels whose DONE and ABORT a write of INT_CLEAR clears."""
        if self._hdma:
            done, abort = data & strobes & 1, data >> 2 & strobes & 1
            return {f"{way}_done": done << channel, f"{way}_abort": abort << channel}
        ones = (1 << self._channels[way]) - 1
        done, abort = data if strobes & 1 else 0, data >> 16 if strobes & 4 else 0
        return {f"{way}_done": done & ones, f"{way}_abort": abort & ones}

    def _enable(self, block: str) -> int:
        """Return the offset of the register with the local interrupt enable of a channel, or of the bank."""
        if self._hdma:
            return self._offset[f"{block}INT_SETUP"]
        return 0x100 if "VIEWPORT_SEL" in self._offset else self._offset[f"{block}CONTROL1"]

    def _offsets(self, legacy: bool) -> list[int]:
        """Return the offsets of all registers, and some that are not mapped."""
        known = set(self._offset.values())
        offsets = known | {offset + 4 for offset in known} | {offset ^ 0x1000 for offset in known} | {0xFFFC}
        # Where the doorbells would be without a base.
        offsets |= {0x4C - self._base, 0xA0 - self._base} if self._base else set()
        return sorted(offsets | set(range(0x100, 0x128, 4)) if legacy else offsets)

    def _some(self, pulse: str) -> int:
        """Return one channel, or any number of them, of a pulse input."""
        channels = self._channels[pulse[:2]]
        return self._random.choice((1 << self._random.randrange(channels), self._random.randrange(1, 1 << channels)))

    def _page(self, offset: int) -> int:
        return self._base + offset & 0xFFFF


class Coverage:
    """Counts what met in the same clock, and in which state.

    The first table has every kind of write with and without the host's ring, while the latch is set and clear. The
    second has, for each channel and input, every meeting of a pulse with its clear, in either state of the status bit.
    The third has why the line was up.

    Parameters
    ----------
    page : EdmaPage
        Model, before its step.
    kinds : tuple of str
        Kinds of write that there are.
    """

    def __init__(self, page: EdmaPage, kinds: tuple[str, ...]) -> None:
        self._page = page
        self._kinds = kinds
        self._status = dict.fromkeys(PULSES, 0)
        self._channels = {"wr": page.write_channels, "rd": page.read_channels}
        self.rings: Counter[tuple[str, bool, bool]] = Counter()
        self._words: Counter[tuple[str, int, int, int]] = Counter()
        self.levels: Counter[tuple[bool, bool]] = Counter()
        self.accesses = 0

    def record(self, stimulus: Stimulus) -> None:
        """Count one clock; to be called before the model makes its step."""
        self.accesses += (stimulus.write is not None) + (stimulus.read is not None)
        self.rings[stimulus.kind, stimulus.ring, self._page.latched] += 1
        self.levels[self._page.latched, self._page.irq] += 1
        for pulse in PULSES:
            sets, clears = stimulus.pulses.get(pulse, 0), stimulus.cleared.get(pulse, 0)
            status = self._status[pulse]
            self._words[pulse, sets, clears, status] += 1
            self._status[pulse] = status & ~clears | sets

    @property
    def meetings(self) -> Counter[tuple[str, int, bool, bool, bool]]:
        """The second table: input, channel, set, clear, and the status bit before; how often."""
        found: Counter[tuple[str, int, bool, bool, bool]] = Counter()
        for (pulse, sets, clears, status), times in self._words.items():
            for n in range(self._channels[pulse[:2]]):
                found[pulse, n, bool(sets >> n & 1), bool(clears >> n & 1), bool(status >> n & 1)] += times
        return found

    def missing(self) -> list[str]:
        """List what has not happened yet."""
        emulation = bool(self._page.doorbells)
        states = (False, True) if emulation else (False,)
        rings = [
            f"write {kind}, {'ring' if ring else 'no ring'} while {'latched' if latched else 'clear'}"
            for kind, ring, latched in itertools.product(self._kinds, (False, True), states)
            if not self.rings[kind, ring, latched]
        ]
        met = self.meetings
        meetings = [
            f"{pulse} of channel {n}: {'set' if sets else '-'} with {'clear' if clears else '-'} while {int(state)}"
            for pulse in PULSES
            for n, sets, clears, state in itertools.product(
                range(self._channels[pulse[:2]]), (False, True), (False, True), (False, True)
            )
            if not met[pulse, n, sets, clears, state]
        ]
        levels = [(False, False), *([(True, True)] if emulation else [])]
        if not self._page.doorbell_only:
            levels.append((False, True))
        return rings + meetings + [f"latch {a}, line {b}" for a, b in levels if not self.levels[a, b]]
