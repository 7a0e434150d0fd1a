"""What must hold of the words and requests that cross between the two clocks of a Messaging Unit.

The scoreboards are told of every access and when its clock edge was, in any one unit of time, and judge what each read
shows.
"""

from __future__ import annotations

__all__ = [
    "RequestScoreboard",
    "WordScoreboard",
    "pack",
    "unpack",
]


def pack(number: int) -> int:
    """Return the word of a number: half of its bits are those of the number, the others their complement."""
    return number << 16 | (number ^ 0xFFFF)


def unpack(word: int) -> int:
    """Return the number of a word, 0 for the word after reset; a mixture of two words has none.

    Raises
    ------
    AssertionError
        If the word was never packed.
    """
    number = word >> 16
    assert word in (0, pack(number)), f"the word {word:#010x} is a mixture of several"
    return number


class WordScoreboard:
    """One channel of one direction, in which every word that is written is one more than the one before.

    Parameters
    ----------
    name : str
        For messages.
    bound : int
        Longest time from the clock edge of a write to that of a read that shows the word.
    """

    def __init__(self, name: str, bound: float) -> None:
        self.name = name
        self.bound = bound
        self.written = 0
        self.delivered = 0
        self.rung = 0
        self.deliveries = 0
        self.oldest = 0
        self._times: list[tuple[float, int]] = []
        self._seen_full = False

    def ring(self, time: float) -> None:
        """Note a write of TRn, of the word ``written + 1``."""
        self.written += 1
        self.rung += 1
        self._times.append((time, self.written))

    def take(self, time: float, word: int) -> None:
        """Judge what a read of RRn showed."""
        due = self.delivered
        while self._times and self._times[0][0] <= time - self.bound:
            due = max(due, self._times.pop(0)[1])
        assert word <= self.written, f"{self.name}: word {word} was never written, the last is {self.written}"
        assert word >= self.delivered, f"{self.name}: word {word} came back after {self.delivered}"
        assert word >= due, f"{self.name}: at {time} word {due} is overdue, RR still has {word}"
        stale = self._seen_full and word == self.delivered
        assert not stale, f"{self.name}: RF was 1 with no word after {self.delivered}"
        if word > self.delivered:
            assert word > self.oldest, f"{self.name}: word {word} was thrown away by a reset after {self.oldest}"
            self.delivered = word
            self.deliveries += 1
        self._seen_full = False

    def full(self, value: bool) -> None:
        """Note what RFn read."""
        assert not value or self.written > self.delivered, f"{self.name}: RF is 1 after the last word, {self.written}"
        assert value or not self._seen_full, f"{self.name}: RF fell without a read of RR"
        self._seen_full = value

    def empty(self, value: bool, just_rung: bool) -> None:
        """Judge what TEn read; ``just_rung``: TRn was written in the clock before."""
        assert not (value and just_rung), f"{self.name}: TE did not fall at once"
        assert not value or self.delivered == self.written, f"{self.name}: TE is 1, and word {self.written} is unread"

    def settle(self, full: bool, empty: bool) -> None:
        """Judge the state when nothing has been done for a while."""
        assert full == (self.written > self.delivered), f"{self.name}: RF {full}, {self.written} > {self.delivered}?"
        assert empty is not full, f"{self.name}: at rest RF and TE are both {full}"

    def reset(self) -> None:
        """Both sides have been reset: what was written until now must not come up any more."""
        self.oldest = self.delivered = self.written
        self._times.clear()
        self._seen_full = False


class RequestScoreboard:
    """GIRn of one side and GIPn of the other.

    Parameters
    ----------
    name : str
        For messages.
    bound : int
        Longest time from the clock edge of a write to that of a read at the other side that shows its effect.
    """

    def __init__(self, name: str, bound: float) -> None:
        self.name = name
        self.bound = bound
        self.requests = 0
        self.pendings = 0
        self._requested = float("-inf")
        self._acknowledged = float("-inf")
        self._seen = False

    def request(self, time: float) -> None:
        """Note that GIRn is written 1."""
        self.requests += 1
        self._requested = time

    def acknowledge(self, time: float) -> None:
        """Note that GIPn is written 1."""
        self._acknowledged = time
        self._seen = False

    def pending(self, time: float, value: bool) -> None:
        """Judge what GIPn read."""
        if value and not self._seen:
            self.pendings += 1
            assert self.pendings <= self.requests, f"{self.name}: GIP rose {self.pendings} times of {self.requests}"
        assert value or not self._seen, f"{self.name}: GIP fell without an acknowledge"
        overdue = self._acknowledged < self._requested <= time - self.bound
        assert value or not overdue, f"{self.name}: GIP is overdue since {self._requested} at {time}"
        self._seen = value

    def asked(self, value: bool, just_requested: bool) -> None:
        """Judge what GIRn read; ``just_requested``: it was written 1 in the clock before."""
        assert value or not just_requested, f"{self.name}: GIR is 0 right after it was written 1"
        lost = self._requested > self._acknowledged
        assert value or not lost, f"{self.name}: GIR fell without an acknowledge after the last request"

    def settle(self, pending: bool, asked: bool) -> None:
        """Judge the state when nothing has been done for a while."""
        assert pending == asked, f"{self.name}: at rest GIP {pending}, GIR {asked}"
        if self._acknowledged > self._requested + self.bound:
            assert not pending, f"{self.name}: GIP came after the last acknowledge"
        if self._requested > self._acknowledged:
            assert pending, f"{self.name}: the last request is lost"
