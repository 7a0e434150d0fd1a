"""MSIs: each that was raised arrives, in its turn, unless the host held it back; then it may be late, or merged.

Of the pulses of INTx it is known how many may have been merged.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.permissions import Permissions
from epbell_tb.endpoint.watch import Watch

__all__ = [
    "Msis",
    "Pulses",
]

_LEVEL, _PULSE = 1 << 0, 1 << 1


@dataclass(eq=False)
class _Raised:
    """A vector, the cycle in which it was raised, and how many writes of the CPU had been answered before."""

    vector: int
    since: int
    after: int
    merged: bool = False  # perhaps, with one that has arrived, or refused or forgotten in a reset of the function
    answered: bool = False  # the write that raises it


class Msis:
    """Judges the MSIs that arrive.

    Parameters
    ----------
    permissions
        What the host has allowed.
    follows
        Tells whether so many writes of the CPU have left.
    counts
        Counts ``msis msis_since_reset msis_raised msis_held msis_moved``, all but the first since the reset: how many
        have arrived, have arrived, were raised, arrived that may have been pending, and may have been one with another
        only when the host granted fewer, which the endpoint does not count.

    Attributes
    ----------
    cut
        Whether a function-level reset has forgotten what was raised, since the latest reset of everything.
    """

    def __init__(self, permissions: Permissions, follows: Callable[[int], bool], counts: Counter[str]) -> None:
        self._permissions = permissions
        self._follows = follows
        self._counts = counts
        self.watch = Watch()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._due: list[_Raised] = []
        self._doubtful: list[tuple[_Raised, list[_Raised]]] = []
        self.cut = False
        for name in ("msis_since_reset", "msis_raised", "msis_held", "msis_moved"):
            self._counts[name] = 0

    @property
    def under_way(self) -> bool:
        """Whether an MSI is due."""
        return bool(self._due)

    def flr(self) -> None:
        """Note the end of a function-level reset: nothing is due any more but what is being raised."""
        self._due = [raised for raised in self._due if not raised.answered]
        self._doubtful.clear()
        self.cut = True

    def raised(self, vector: int, answered: int) -> Callable[[bool | None], None]:
        """Take a vector that the CPU raises when so many of its writes have been answered.

        Returns
        -------
        callable
            To be told, when the write has been answered, whether it came too late, in a reset of the function: None if
            that is not known.
        """
        self._counts["msis_raised"] += 1
        raised = _Raised(vector, cycle(), answered)
        self._due.append(raised)

        def ended(late: bool | None) -> None:
            raised.answered = True
            raised.merged |= late is None
            if late:
                self._counts["msis_raised"] -= 1
                assert raised in self._due, f"MSI {vector}, raised in a reset of the function, has been sent"
                self._due.remove(raised)

        return ended

    def arrived(self, vector: int, granted: int) -> None:
        """Take an MSI at the host, which granted so many vectors: the others go as those with the same low bits.

        So do those that were pending when fewer were granted.
        """
        self._counts["msis"] += 1
        self._counts["msis_since_reset"] += 1
        alike = [raised for raised in self._due if self._may_go_as(raised, vector, granted)]
        alike = alike or self._mistaken(vector, granted)
        assert alike, f"MSI {vector} that nobody raised"
        alike.sort(key=lambda raised: raised.vector % granted != vector)
        found = self._which(alike)
        assert self._follows(found.after), f"MSI {vector} has overtaken a write of the CPU"
        for earlier in self._before(found):
            assert self._may_be_late(earlier), f"MSI {vector}, not {earlier.vector}"
        self._due.remove(found)
        others = [other for other in alike if other.vector != found.vector]
        self._doubtful += [(found, others)] if others else []
        self.watch.msi(found.vector, found.since, several=len(alike) > 1)
        self._counts["msis_held"] += any(map(self._may_wait, alike))
        for other in alike:
            if other is not found and not other.merged and self._may_wait(other):
                other.merged = True
                self._counts["msis_moved"] += self._permissions.regranted(other.since)

    def _mistaken(self, vector: int, granted: int) -> list[_Raised]:
        """Return one that was taken for another of those that went as one vector then, which takes its place."""
        for found, others in self._doubtful:
            due = [other for other in others if other in self._due]
            if due and self._may_go_as(found, vector, granted):
                self._due[self._due.index(due[0])] = found
                self._doubtful.remove((found, others))
                return [found]
        return []

    def _may_go_as(self, raised: _Raised, vector: int, granted: int) -> bool:
        moved = self._permissions.moved(raised.vector, raised.since)
        return any(number % granted == vector for number in moved)

    def _which(self, alike: list[_Raised]) -> _Raised:
        """Return which of those that go as one vector has arrived: one that must come before those that may be merged.

        If it was one of these, they are fewer than it seems, and the next that arrives is taken for another of them.
        """
        ready = [
            raised
            for raised in alike
            if self._follows(raised.after) and all(map(self._may_be_late, self._before(raised)))
        ]
        return next((raised for raised in ready if not self._may_be_late(raised)), (ready or alike)[0])

    def _before(self, raised: _Raised) -> list[_Raised]:
        return self._due[: self._due.index(raised)]

    def _may_be_late(self, raised: _Raised) -> bool:
        return raised.merged or self._may_wait(raised)

    def check_empty(self) -> None:
        """Check that nothing is due any more."""
        due = [raised for raised in self._due if not raised.merged]
        assert not due, f"MSIs that never came: {due}"

    def _may_wait(self, raised: _Raised) -> bool:
        return self._permissions.held_msi(raised.vector, raised.since)

    def check_counters(self, held: int, merged: int, pending: int) -> None:
        """Compare what the endpoint has counted: each that was raised was sent or merged, or is pending."""
        counts = self._counts
        rest = counts["msis_raised"] - counts["msis_since_reset"] - pending
        figures = f"MSI_HELD {held}, MSI_MERGED {merged}, {pending} pending, {counts['msis_raised']} raised"
        figures += f", {counts['msis_since_reset']} sent, {counts['msis_held']} of them late"
        least = 0 if self.cut else rest - counts["msis_moved"]
        assert least <= merged <= rest, figures
        most = counts["msis_raised"] if self.cut else counts["msis_held"] + counts["msis_moved"] + pending
        assert max(pending, merged > 0) <= held <= most, figures


class Pulses:
    """Counts what may have become of the pulses of INTx.

    Parameters
    ----------
    permissions
        What the host has allowed.
    """

    def __init__(self, permissions: Permissions) -> None:
        self._permissions = permissions
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._raised = self._from = 0
        self._level = self._waited = self._cut = False

    def flr(self) -> None:
        """Note the end of a function-level reset: what was waiting is forgotten."""
        self._level, self._cut = False, True

    def written(self, data: int) -> None:
        """Take what the CPU writes to INTX."""
        self._level = bool(data & _LEVEL)
        self._waited |= self._level
        if data & _PULSE:
            self._from = self._from if self._raised else cycle()
            self._raised += 1

    def check_counter(self, merged: int, rises: int) -> None:
        """Compare what the endpoint has counted; so many times INTA was asserted since the reset."""
        figures = f"INTX_MERGED is {merged}; {self._raised} pulses were raised, and INTA {rises} times"
        held = bool(self._raised) and (self._waited or self._permissions.held_intx(self._from))
        assert merged <= (max(0, self._raised - 1) if held else 0), figures
        now = self._permissions.history.now
        if now.intx and now.requests and not (self._level or self._cut):
            assert self._raised - merged <= rises, figures
