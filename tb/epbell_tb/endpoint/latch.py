"""What must hold of the eDMA's line: one level from the emulation latch, DONE and ABORT; none invented, none lost.

The latch is set somewhere between the first beat of a kick and `SETTLE` clocks after its last, and cleared somewhere
between the handshake of the CPU's write to INT_CLEAR and its answer: within those bounds the line may be either. DONE
and ABORT are exact: a model of the page that nobody kicks follows them clock by clock.
"""

from collections import deque
from dataclasses import dataclass, field

from epbell_models.reference.edma import EdmaPage
from epbell_tb.endpoint.latencies import ANSWERED, FALLEN, SETTLE
from epbell_tb.endpoint.shadow import FOREVER

__all__ = [
    "Ack",
    "Kick",
    "Latch",
    "PageWrite",
    "Pulse",
]

_INT_CLEARS = (0x058, 0x0AC)
_DMA_KEPT = 64
_LATEST = 4
"""Kicks and acks that are looked at: no more than these can be so close together that it matters."""


@dataclass
class Kick:
    """A write that rings: cycles of its first and last beat, or of the CPU's handshake and its answer."""

    first: int
    last: int
    data: int
    strobes: int


@dataclass
class Ack:
    """A write of the CPU to INT_CLEAR: cycles of its handshake and of its answer, offset in the page, data."""

    started: int
    offset: int
    data: int
    ended: int = FOREVER


@dataclass
class PageWrite:
    """A write of the CPU to the eDMA page that is under way."""

    offset: int
    data: int
    strobes: int
    kick: Kick | None = None
    ack: Ack | None = None


@dataclass(frozen=True)
class Pulse:
    """Inputs of the DMA in one clock: bit per channel."""

    cycle: int
    bits: dict[str, int]


@dataclass
class Latch:
    """The emulation latch and its line, as the pins tell.

    Attributes
    ----------
    page
        Model of the page, which the scoreboard shows the host's writes to.
    alone
        A second one, which nobody kicks: its line is what DONE and ABORT make of it.
    since
        Cycle of the latest reset.
    kicks, acks
        What rang, and what the CPU cleared, since then.
    level, changed, rises
        The line's level, since which cycle it has it, and how many times it rose.
    latencies
        Clocks from the first beat of a kick to the line, where nothing else was going on.
    """

    page: EdmaPage
    alone: EdmaPage
    since: int = 0
    kicks: list[Kick] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    level: bool = False
    changed: int = -1
    rises: int = 0
    latencies: list[int] = field(default_factory=list)
    _open: int = 0
    _late: list[tuple[bool, int]] = field(default_factory=list)
    _held: list[Pulse] = field(default_factory=list)
    _touched: int = -1
    _levels: deque[tuple[int, bool]] = field(default_factory=lambda: deque([(-FOREVER, False)], maxlen=_DMA_KEPT))
    _dma_rises: int = 0

    def __post_init__(self) -> None:
        base = self.page.doorbells[0] - 0x4C if self.page.doorbells else None
        self.clears = () if base is None else tuple(base + offset for offset in _INT_CLEARS)

    # -- what goes on --------------------------------------------------------------------------------------------------

    def kick(self, first: int, last: int, data: int, strobes: int) -> Kick:
        """Take a kick."""
        self.kicks.append(Kick(first, last, data, strobes))
        return self.kicks[-1]

    def write_started(self, now: int, offset: int, data: int, strobes: int) -> PageWrite:
        """Take a write that the CPU handed over."""
        if not self._open:
            self.check(now)
        self._open += 1
        write = PageWrite(offset, data, strobes)
        if strobes and offset in self.page.doorbells:
            write.kick = self.kick(now, FOREVER, data, strobes)
        if strobes and offset in self.clears:
            write.ack = Ack(now, offset, data)
            self.acks.append(write.ack)
        return write

    def write_ended(self, write: PageWrite, now: int) -> None:
        """Take its answer: what it does was done `ANSWERED` clocks ago, and a pulse of that very clock wins."""
        self._open -= 1
        self._let_pulses(now - ANSWERED)
        self.page.write32(write.offset, write.data, write.strobes)
        if write.kick is None:
            self.alone.write32(write.offset, write.data, write.strobes)
            self._note(now - ANSWERED)
        else:
            write.kick.last = now
        if write.ack is not None:
            write.ack.ended = now
        self._touched = now
        if not self._open:
            self._let_pulses(FOREVER)
            late, self._late = self._late, []
            for level, at in late:
                self._judge(level, at)

    def pulse(self, now: int, bits: dict[str, int]) -> None:
        """Take the DMA's inputs of one clock."""
        self._held.append(Pulse(now, bits))
        self._touched = now
        if not self._open:
            self._let_pulses(FOREVER)

    def _let_pulses(self, until: int) -> None:
        while self._held and self._held[0].cycle < until:
            pulse = self._held.pop(0)
            self.page.pulse(**pulse.bits)
            self.alone.pulse(**pulse.bits)
            self._note(pulse.cycle)

    def _note(self, now: int) -> None:
        level = self.alone.irq
        if level != self._levels[-1][1]:
            self._levels.append((now, level))
            self._dma_rises += level

    def settled(self, since: int) -> bool:
        """Return whether DONE, ABORT and the registers have been the same from ``since`` on."""
        return not self._open and self._touched < since

    # -- the line ------------------------------------------------------------------------------------------------------

    def edge(self, level: bool, now: int) -> None:
        """Take an edge of the line, and check that it had a reason, once it is known what a write under way did."""
        self.level, self.changed = level, now
        self.rises += level
        if self._open:
            self._late.append((level, now))
        else:
            self._judge(level, now)

    def _judge(self, level: bool, now: int) -> None:
        if level:
            self._rose(now)
        else:
            self._fell(now)

    def check(self, now: int) -> None:
        """Check the line's level."""
        if self.level:
            assert self._may_be_high(now), f"irq_edma is high in cycle {now}, and nobody rang"
        else:
            assert not self.must_be_high(now), f"irq_edma is low in cycle {now}: something is lost: {self.kicks[-1:]}"

    def sure(self, now: int) -> bool:
        """Return whether only one level would be right."""
        return self.must_be_high(now) or not self._may_be_high(now)

    def must_be_high(self, now: int) -> bool:
        """Return whether something keeps the line high for sure."""
        acked = max((ack.ended for ack in self.acks[-_LATEST:]), default=-1)
        waits = any(acked < kick.first and kick.last + SETTLE < now for kick in self.kicks[-_LATEST:])
        return waits or all(self._dma_levels(now))

    def _may_be_high(self, now: int) -> bool:
        kick = next((kick for kick in reversed(self.kicks) if kick.first < now), None)
        ack = next((ack for ack in reversed(self.acks) if ack.started < now), None)
        waits = kick is not None and (ack is None or kick.last + SETTLE >= ack.started)
        return waits or any(self._dma_levels(now))

    def _rose(self, now: int) -> None:
        assert self._may_be_high(now), f"irq_edma rose in cycle {now}, and nobody rang"
        reasons = len(self.kicks) + self._dma_rises
        assert self.rises <= reasons, f"irq_edma rose {self.rises} times by cycle {now}, for {reasons} reasons"
        recent = [kick for kick in self.kicks[-_LATEST:] if now - 2 * SETTLE < kick.first < now]
        acked = self.acks[-1].ended if self.acks else -1
        if len(recent) == 1 and acked < recent[0].first and not any(self._dma_levels(now)):
            self.latencies.append(now - recent[0].first)

    def _fell(self, now: int) -> None:
        acked = any(ack.started < now <= ack.ended + FALLEN for ack in self.acks[-_LATEST:])
        reason = acked or any(self._dma_levels(now)) or now <= self.since + FALLEN
        assert reason, f"irq_edma fell in cycle {now}, and nobody cleared it"
        assert not self.must_be_high(now), f"irq_edma fell in cycle {now}: something is lost: {self.kicks[-1:]}"

    def _dma_levels(self, now: int) -> list[bool]:
        """Return the levels that DONE and ABORT alone gave the line of late."""
        recent = [level for at, level in self._levels if now - SETTLE < at <= now]
        before = next(level for at, level in reversed(self._levels) if at <= now - SETTLE)
        return [before, *recent]
