"""What must hold of one doorbell: nothing invented, nothing lost, the payload intact."""

from dataclasses import dataclass, field

from epbell_tb.endpoint.latencies import SETTLE

__all__ = [
    "Bell",
    "Ring",
]


@dataclass(frozen=True)
class Ring:
    """A ring: cycles of the first and last beat of its request, and the word."""

    first: int
    last: int
    word: int


@dataclass
class Bell:
    """One vector, as the pins tell.

    Attributes
    ----------
    rings
        Every ring since the last reset.
    reads
        Cycles of request and answer of the CPU's latest read of RRn, its ack.
    words, answered
        What those reads returned, and the cycles of their answers.
    """

    name: str
    rings: list[Ring] = field(default_factory=list)
    reads: tuple[int, int] = (-1, -1)
    words: list[int] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)

    @property
    def acks(self) -> int:
        """How many times the CPU read RRn."""
        return len(self.words)

    def ack(self, started: int, ended: int, word: int) -> None:
        """Note that the CPU read RRn."""
        self.reads = started, ended
        self.words.append(word)
        self.answered.append(ended)

    def check_word(self, started: int, ended: int, word: int) -> None:
        """Check the word that the CPU read: the latest settled one, or one that was just arriving."""
        settled, arriving = 0, []
        for ring in reversed(self.rings):
            if ring.last <= started - SETTLE:
                settled = ring.word
                break
            if ring.first < ended:
                arriving.append(ring.word)
        assert word == settled or word in arriving, (
            f"{self.name}: the CPU read {word:#010x}; rung were {settled:#x} and then {[f'{w:#x}' for w in arriving]}"
        )

    def may_be_pending(self, now: int, read: int | None = None) -> bool:
        """Return whether a ring may have come by a cycle that no read of RRn has taken.

        The latest read that counts was asked for in cycle ``read``; None: the latest of all.
        """
        latest = next((ring for ring in reversed(self.rings) if ring.first < now), None)
        return latest is not None and latest.last + SETTLE >= (self.reads[0] if read is None else read)

    def must_be_pending(self) -> bool:
        """Return whether a ring came after the latest ack, with the endpoint at rest."""
        return bool(self.rings) and self.rings[-1].first > self.reads[1]
