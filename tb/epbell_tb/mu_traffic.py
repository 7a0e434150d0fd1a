"""Random accesses to both sides of a Messaging Unit at once, and the table of what met what in the same clock."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from systemrdl.node import FieldNode

import epbell_regs

if TYPE_CHECKING:
    from epbell_models.reference.mu import MessagingUnit

__all__ = [
    "Access",
    "Coverage",
    "Registers",
    "Traffic",
]

_WRITES = (
    "ring",
    "partial ring",
    "request",
    "acknowledge",
    "enables",
    "flags",
    "status",
    "other write",
    "MUR",
)
_READS = ("take", "transmit word", "status read", "control read", "other read")
KINDS = (*_WRITES, *_READS, "nothing")
"""What a side may do in one clock; one of the writes and one of the reads at the same time."""

_SIDES = ("a", "b")
_RARE, _MASKS = 32, 3
"""Clocks from one pair to the next of those that need a state which their own table has just reset; and how often those
with a change of the enables come for each of those that reset that state."""


@dataclass(frozen=True)
class Access:
    """What one side does in one clock.

    Attributes
    ----------
    write : (int, int, int) or None
        Offset, data and byte strobes.
    read : int or None
        Offset.
    kinds : tuple of str
        Those of `KINDS` that it is.
    channel : int
        Channel of a ring, take, request or acknowledge.
    """

    write: tuple[int, int, int] | None
    read: int | None
    kinds: tuple[str, ...]
    channel: int = 0


class Registers:
    """Where a layout has its bits.

    Parameters
    ----------
    layout : str
        Layout of the Messaging Unit.
    """

    def __init__(self, layout: str) -> None:
        self._top = epbell_regs.load(f"mu_{layout}")
        self.offset = epbell_regs.offsets(f"mu_{layout}")
        shared = layout != "imx8ulp"
        names = ("GIE", "RIE", "TIE", "GIR", "MUR", "F", "GIP", "RF", "TE")
        split = ("GIER", "RCR", "TCR", "GCR", "CR", "FCR", "GSR", "RSR", "TSR")
        homes = ("CR",) * 6 + ("SR",) * 3 if shared else split
        self._home: dict[str, str] = dict(zip(names, homes, strict=True))
        self.in_reset = "RS" if shared else "MURS"
        self.shared = shared

    def home(self, group: str) -> int:
        """Offset of the register that holds a group of bits (``"GIE"``, ``"F"``: my own flags, ``"MUR"``, ...)."""
        return self.offset[self._home[group]]

    def words(self, kind: str) -> tuple[int, ...]:
        """Offsets of the four words of a kind, ``"TR"`` or ``"RR"``."""
        return tuple(self.offset[f"{kind}{channel}"] for channel in range(4))

    def bit(self, register: str, field: str) -> int:
        """Mask of a field of a register."""
        node = self._top.find_by_path(f"{register}.{field}")
        if not isinstance(node, FieldNode):
            raise KeyError(f"The name of a field must be one that the layout has, not {register}.{field!r}")
        return 1 << node.low

    def mask(self, group: str, channels: int = 0xF) -> int:
        """Mask of the given channels of a group of bits, or of MUR."""
        if group == "MUR":
            return self.bit(self._home[group], group)
        fields = range(3 if group == "F" else 4)
        return sum(self.bit(self._home[group], f"{group}{n}") for n in fields if channels >> n & 1)

    def channels(self, group: str, value: int) -> int:
        """Channels of a group that are 1 in what its register read."""
        return sum(1 << n for n in range(4) if value & self.mask(group, 1 << n))


class Traffic:
    """Source of random accesses.

    Every fourth clock is taken from the table of pairs in turn, the others are random, with few resets so that state
    builds up.

    Parameters
    ----------
    layout : str
        Layout of the Messaging Unit.
    rng : random.Random
        Where the choices come from.
    """

    def __init__(self, layout: str, rng: random.Random) -> None:
        self._regs = regs = Registers(layout)
        self._random = rng
        self._tr = [regs.offset[f"TR{n}"] for n in range(4)]
        self._rr = [regs.offset[f"RR{n}"] for n in range(4)]
        self._gir = [regs.mask("GIR", 1 << n) for n in range(4)]
        self._gip = [regs.mask("GIP", 1 << n) for n in range(4)]
        self._mur = regs.mask("MUR")
        self._flags = regs.mask("F")
        self._enables = {group: (regs.home(group), regs.mask(group)) for group in ("GIE", "RIE", "TIE")}
        self._group: str | None = None
        known = set(regs.offset.values())
        self._other = sorted(known | {offset + 4 for offset in known} | {0xFFC, 0x8000, 0xFFFC})
        self._statuses = sorted({regs.home(group) for group in ("GIP", "RF", "TE")} | {regs.offset["SR"]})
        self._controls = sorted({regs.home(group) for group in ("GIE", "RIE", "TIE", "GIR", "F")} | {regs.offset["CR"]})
        self._pairs = itertools.cycle(list(itertools.product(KINDS, KINDS)))
        rare = [(event, other) for other in ("MUR", *_MASKS * ("enables",)) for event in ("ring", "request")]
        self._rare = itertools.cycle([*rare, *((other, event) for event, other in rare)])
        self._clock = 0

    def next(self) -> tuple[Access, Access]:
        """Choose what the sides do in the next clock."""
        self._clock += 1
        rng = self._random
        channel = rng.randrange(4)
        if self._clock % _RARE == 0:
            kinds = next(self._rare)
            self._group = "GIE" if "request" in kinds else "RIE"
            accesses = self.access(kinds[0], None, channel), self.access(kinds[1], None, channel)
            self._group = None
            return accesses
        if self._clock % 4 == 0:
            kinds = next(self._pairs)
            return self.access(kinds[0], None, channel), self.access(kinds[1], None, channel)
        other = channel if rng.random() < 0.7 else rng.randrange(4)
        return self._any(channel), self._any(other)

    def access(self, first: str, second: str | None, channel: int) -> Access:
        """Make an access of one or two kinds, a write and a read, on one channel."""
        write = read = None
        kinds = (first,) if second is None else (first, second)
        for kind in kinds:
            if kind in _WRITES:
                write = self._write(kind, channel)
            elif kind in _READS:
                read = self._read(kind, channel)
        return Access(write, read, kinds, channel)

    def _any(self, channel: int) -> Access:
        rng = self._random
        write = rng.choices(_WRITES, (30, 3, 14, 14, 8, 5, 4, 4, 0.2))[0] if rng.random() < 0.8 else "nothing"
        read = rng.choices(_READS, (30, 4, 14, 8, 4))[0] if rng.random() < 0.8 else "nothing"
        return self.access(write, read, channel)

    def _write(self, kind: str, channel: int) -> tuple[int, int, int]:
        rng, regs = self._random, self._regs
        data = rng.getrandbits(32)
        if kind == "ring":
            return self._tr[channel], data, 0xF
        if kind == "partial ring":
            return self._tr[channel], data, rng.randrange(15)
        if kind == "request":
            # In V1 and 7ULP the same word writes the enables and flags: leave them to chance, but do not reset.
            others = data & ~self._mur if regs.shared else rng.choice((0, data))
            return regs.home("GIR"), others | self._gir[channel], 0xF
        if kind == "acknowledge":
            return regs.home("GIP"), self._gip[channel] | rng.choice((0, 0, data)), 0xF
        if kind == "enables":
            offset, mask = self._enables[self._group or rng.choice(tuple(self._enables))]
            return offset, data & mask, rng.choice((0xF, 0xF, rng.randrange(16)))
        if kind == "flags":
            return regs.home("F"), data & self._flags, rng.choice((0xF, 0x1))
        if kind == "status":
            return rng.choice(self._statuses), data, rng.randrange(16)
        if kind == "MUR":
            return regs.home("MUR"), self._mur | rng.choice((0, data)), rng.choice((0xF, 0x1))
        offset = rng.choice(self._other)
        return offset, (data & ~self._mur if offset == regs.home("MUR") else data), rng.randrange(16)

    def _read(self, kind: str, channel: int) -> int:
        rng = self._random
        if kind == "take":
            return self._rr[channel]
        if kind == "transmit word":
            return self._tr[channel]
        return rng.choice({"status read": self._statuses, "control read": self._controls}.get(kind, self._other))


class Coverage:
    """Counts what met in the same clock, and in which state.

    The first table has a row for each kind of access of side A and a column for each kind of side B. The second has,
    for each direction and channel, every meeting of a ring with a take and of a request with an acknowledge, each alone
    and both, in either state of the channel.
    """

    def __init__(self) -> None:
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.meetings: Counter[tuple[str, int, str, str, bool]] = Counter()
        self.accesses = 0

    def record(self, unit: MessagingUnit, a: Access, b: Access) -> None:
        """Count one clock; to be called before the model makes its step."""
        for access in (a, b):
            self.accesses += (access.write is not None) + (access.read is not None)
        for kind_a in a.kinds:
            for kind_b in b.kinds:
                self.pairs[kind_a, kind_b] += 1
        self._meet(unit, "a", a, b)
        self._meet(unit, "b", b, a)

    def _meet(self, unit: MessagingUnit, source: str, near: Access, far: Access) -> None:
        for table, sets, clears in ((unit.unread, "ring", "take"), (unit.requested, "request", "acknowledge")):
            does, undoes = sets in near.kinds, clears in far.kinds
            if does and undoes and near.channel == far.channel:
                self.meetings[source, near.channel, sets, clears, bool(table(source) >> near.channel & 1)] += 1
            elif does:
                self.meetings[source, near.channel, sets, "", bool(table(source) >> near.channel & 1)] += 1
            elif undoes:
                self.meetings[source, far.channel, "", clears, bool(table(source) >> far.channel & 1)] += 1

    def missing(self) -> list[str]:
        """List what has not happened yet."""
        pairs = [f"A: {a}, B: {b}" for a, b in itertools.product(KINDS, KINDS) if not self.pairs[a, b]]
        events = (("ring", "take"), ("ring", ""), ("", "take"))
        events += (("request", "acknowledge"), ("request", ""), ("", "acknowledge"))
        meetings = [
            f"{source}{n}: {sets or '-'} with {clears or '-'} while {'set' if state else 'clear'}"
            for source, n, (sets, clears), state in itertools.product(_SIDES, range(4), events, (False, True))
            if not self.meetings[source, n, sets, clears, state]
        ]
        return pairs + meetings
