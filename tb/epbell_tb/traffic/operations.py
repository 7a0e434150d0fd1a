"""What may happen in a random run: a dataclass for each kind, with all its random values, so that any may be left out.

An operation never says what must come of it: that follows from the pins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

__all__ = [
    "Access",
    "Ack",
    "Aim",
    "Answers",
    "Bad",
    "Command",
    "Dma",
    "Enables",
    "Fetch",
    "Intx",
    "Kick",
    "Load",
    "Map",
    "MaskVector",
    "MoveBar",
    "Msi",
    "Msix",
    "Operation",
    "Poke",
    "Put",
    "Raise",
    "Reset",
    "Ring",
    "Sleep",
    "Stall",
    "Store",
    "as_json",
    "from_json",
]


@dataclass(frozen=True)
class Operation:
    """One thing that happens.

    Attributes
    ----------
    gap
        Clocks until the next one begins.
    """

    lane: ClassVar[str]
    """What goes through one lane is done one after the other; lanes go on side by side."""

    gap: int


# -- the host's requests -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Access(Operation):
    """A request of the host: dwords from an offset of a BAR on, beyond the last one if ``bar`` is None."""

    lane = "host"
    bar: int | None
    offset: int
    dwords: int
    first_be: int
    last_be: int
    tc: int
    attr: int


@dataclass(frozen=True)
class Store(Access):
    """A write; ``seed`` makes its data."""

    seed: int


@dataclass(frozen=True)
class Load(Access):
    """A read."""


@dataclass(frozen=True)
class Ring(Operation):
    """A store to the doorbell of a vector, with these byte enables."""

    lane = "host"
    bar: int
    vector: int
    word: int
    first_be: int


@dataclass(frozen=True)
class Kick(Operation):
    """A store to one of the eDMA's words that ring."""

    lane = "host"
    bar: int
    which: int
    word: int
    first_be: int


@dataclass(frozen=True)
class Meet(Operation):
    """A ring of a vector, or of the eDMA's word ``which`` if that is None, and the handler's access that may meet it.

    Attributes
    ----------
    after
        Clocks to the access, from four before the last beat of the ring is expected, which takes as long as the last.
    """

    lane = "host"
    bar: int
    vector: int | None
    which: int
    word: int
    after: int


@dataclass(frozen=True)
class Bad(Operation):
    """A request that is no good: ``what`` is a name of `epbell_tb.traffic.bad.KINDS`."""

    lane = "host"
    what: str
    bar: int
    offset: int
    dwords: int
    seed: int


# -- the CPU -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Poke(Operation):
    """An access of the CPU to a page, or to nothing if ``place`` is None; a read if no strobe is 1."""

    lane = "cpu"
    place: str | None
    offset: int
    word: int
    strobes: int


@dataclass(frozen=True)
class Ack(Operation):
    """What a handler does: read the word of a vector, or clear the eDMA's latch if that is None."""

    lane = "cpu"
    vector: int | None
    which: int


@dataclass(frozen=True)
class Enables(Operation):
    """Which vectors of the Messaging Unit interrupt the CPU, bit n for vector n."""

    lane = "cpu"
    vectors: int


@dataclass(frozen=True)
class Aim(Operation):
    """Write an inbound window.

    Attributes
    ----------
    window
        Its number.
    mode
        ``"bar"``, ``"addresses"`` (pages ``first`` to ``last`` of the BAR) or ``"off"``.
    place, page
        Where it leads, None for where nothing is; pages of 4 KiB.
    noisy
        Whether the registers are written twice, something else first.
    early
        Whether the enable is written before all the rest, which is the wrong order: the rest waits for the next time.
    seed
        Of the order of the registers, and of the noise.
    """

    lane = "cpu"
    window: int
    mode: str
    bar: int
    first: int
    last: int
    place: str | None
    page: int
    noisy: bool
    early: bool
    seed: int


@dataclass(frozen=True)
class Map(Operation):
    """Write an outbound window: a slot of the aperture leads to a page of the host's; a page of -1 switches it off."""

    lane = "cpu"
    window: int
    slot: int
    page: int


@dataclass(frozen=True)
class Put(Operation):
    """Bytes that the CPU writes to the host."""

    lane = "cpu"
    slot: int
    offset: int
    length: int
    seed: int


@dataclass(frozen=True)
class Fetch(Operation):
    """Dwords that the CPU reads of the host, while it goes on with other things."""

    lane = "cpu"
    slot: int
    offset: int
    dwords: int


@dataclass(frozen=True)
class Raise(Operation):
    """An interrupt of the host: ``"msi"`` or ``"msix"``."""

    lane = "cpu"
    way: str
    vector: int


@dataclass(frozen=True)
class Intx(Operation):
    """A word for INTX: bit 0 is the level, bit 1 a pulse."""

    lane = "cpu"
    word: int


# -- the host's configuration ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command(Operation):
    """Memory space, bus mastering, Interrupt Disable."""

    lane = "config"
    memory: bool
    master: bool
    intx_off: bool


@dataclass(frozen=True)
class Msi(Operation):
    """MSI Enable, how many vectors are granted (a power of two), and Mask Bits."""

    lane = "config"
    enable: bool
    granted: int
    mask: int


@dataclass(frozen=True)
class Msix(Operation):
    """MSI-X Enable and Function Mask."""

    lane = "config"
    enable: bool
    masked: bool


@dataclass(frozen=True)
class MaskVector(Operation):
    """Mask a vector of MSI-X in its table, or unmask it."""

    lane = "host"
    vector: int
    masked: bool


@dataclass(frozen=True)
class MoveBar(Operation):
    """Give a BAR another address; ``safely``: with memory space off meanwhile, as Linux does."""

    lane = "config"
    bar: int
    slot: int
    safely: bool


@dataclass(frozen=True)
class Sleep(Operation):
    """Some clocks in D3hot, state saved and restored as Linux does."""

    lane = "config"
    clocks: int


@dataclass(frozen=True)
class Reset(Operation):
    """``"flr"``, ``"hot"`` (by the root port), or ``"lost"``: ``rst`` after the link went down by itself."""

    lane = "config"
    what: str
    clocks: int


# -- beside all that ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dma(Operation):
    """Channels of the DMA end, bit per channel."""

    lane = "dma"
    wr_done: int
    wr_abort: int
    rd_done: int
    rd_abort: int


@dataclass(frozen=True)
class Stall(Operation):
    """One of the four streams stands still."""

    lane = "stall"
    stream: str
    clocks: int


@dataclass(frozen=True)
class Answers(Operation):
    """How the host answers reads: after some nanoseconds at random, up to ``delay``, the first ``count`` badly."""

    lane = "now"
    delay: int
    spoil: str
    count: int
    seed: int


_KINDS: dict[str, type[Operation]] = {
    kind.__name__: kind
    for kind in (
        Store, Load, Ring, Kick, Meet, Bad, Poke, Ack, Enables, Aim, Map, Put, Fetch, Raise, Intx, Command, Msi, Msix,
        MaskVector, MoveBar, Sleep, Reset, Dma, Stall, Answers,
    )
}  # fmt: skip


def as_json(operations: Sequence[Operation]) -> list[dict[str, Any]]:
    """Return operations as objects of JSON."""
    return [{"kind": type(one).__name__, **asdict(one)} for one in operations]


def from_json(given: Sequence[Mapping[str, Any]]) -> list[Operation]:
    """Return the operations that `as_json` has written.

    Raises
    ------
    ValueError
        If one of them is none.
    """
    found = []
    for number, one in enumerate(given):
        fields = dict(one)
        kind = _KINDS.get(str(fields.pop("kind", None)))
        if kind is None:
            raise ValueError(f"Operation {number} must be one of {', '.join(_KINDS)}, not {dict(one)!r}")
        try:
            found.append(kind(**fields))
        except TypeError as error:
            raise ValueError(f"Operation {number}, {kind.__name__}, must have all its fields: {error}") from None
    return found
