"""What the host allows of interrupts, as it was clock by clock: nothing else may be sent, and the rest may be held.

The state is the one of configuration space, and the masks are those of the table that the host has written: neither is
what the endpoint says.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.latencies import AFTER, BEGUN, DECIDED, MASKED, NEXT, ON_RQ, RESUMED, UNMASKED

__all__ = [
    "Allowed",
    "History",
    "Permissions",
]

_KEPT = 1024
_EVER = -1

State = TypeVar("State")


@dataclass(frozen=True)
class Allowed:
    """What the host allows.

    Attributes
    ----------
    requests
        Bus Master Enable, in D0.
    msi, granted, mask
        MSI Enable, how many vectors it has granted, Mask Bits.
    msix, function_mask
        MSI-X Enable, Function Mask.
    intx
        INTx: no Interrupt Disable, MSI and MSI-X off, in D0.
    """

    requests: bool = False
    msi: bool = False
    granted: int = 1
    mask: int = 0
    msix: bool = False
    function_mask: bool = False
    intx: bool = False

    def sends_msi(self, vector: int) -> bool:
        """Return whether an MSI may be sent: as the vector that its low bits name if the host granted fewer."""
        return self.requests and self.msi and not self.mask >> vector % self.granted & 1

    def sends_msix(self) -> bool:
        """Return whether MSI-X messages may be sent, but for the masks in the table."""
        return self.requests and self.msix and not self.function_mask


class History(Generic[State]):
    """A state, and the ones before it.

    Parameters
    ----------
    state
        The state from ever on.
    """

    def __init__(self, state: State) -> None:
        self._changes: deque[tuple[int, State]] = deque([(_EVER, state)], maxlen=_KEPT)

    @property
    def now(self) -> State:
        """The latest state."""
        return self._changes[-1][1]

    def change(self, since: int, state: State) -> None:
        """Note a state that begins in a cycle; the one before it counts in that cycle, too."""
        if state != self.now:
            self._changes.append((since, state))

    def ever(self, holds: Callable[[State], bool], first: int, last: int) -> bool:
        """Return whether something held in one of these cycles, both included."""
        until = last
        for since, state in reversed(self._changes):
            if since <= last and until >= first and holds(state):
                return True
            if since < first:
                return False
            until = since
        return False

    def since(self, holds: Callable[[State], bool], first: int, last: int) -> int | None:
        """Return when the first of the states of these cycles began in which something held, None if there is none."""
        found, until = None, last
        for since, state in reversed(self._changes):
            if since <= last and until >= first and holds(state):
                found = since
            if since < first:
                break
            until = since
        return found


class Permissions:
    """Keeps what the host has allowed, and judges what is sent.

    Attributes
    ----------
    history
        What the host allows, from the clock on in which pins show it.
    """

    def __init__(self) -> None:
        self.history = History(Allowed())
        self._masks: dict[int, History[bool]] = {}
        self._stood: deque[tuple[int, int]] = deque(maxlen=64)

    def shown(self, allowed: Allowed) -> None:
        """Take what the host allows, in the clock in which pins begin to show it."""
        self.history.change(cycle(), allowed)

    def table_moved(self) -> None:
        """Forget the masks of the MSI-X table: it is another one."""
        self._masks.clear()

    def vector_masked(self, vector: int, masked: bool, first: int, last: int) -> None:
        """Take the mask of an MSI-X vector as a write of the host leaves it that was on the stream so long."""
        history = self._masks.setdefault(vector, History(False))
        history.change(last if masked else first, masked)

    def check_msi(self, bits: int, now: int) -> None:
        """Check what is asked for at the port of MSI: one vector, which the host has granted and allows."""
        vector = bits.bit_length() - 1
        assert bits == 1 << vector, f"MSIs {bits:#x} at once"
        first = now - DECIDED
        ever = self.history.ever
        assert ever(lambda at: vector < at.granted, first, now), f"MSI {vector} of {self.history.now.granted}"
        enabled = ever(lambda at: at.requests and at.msi, first, now)
        allowed = enabled and ever(lambda at: not at.mask >> vector % at.granted & 1, now - UNMASKED, now)
        assert allowed, f"MSI {vector} is sent, which the host does not allow: {self.history.now}"

    def left(self, behind: int | None, offered: int, now: int) -> None:
        """Note a request that has left RQ, which had stood since ``behind`` when it was offered."""
        self._stood.append((offered if behind is None else behind, now))

    def request_allowed(self, offered: int) -> bool:
        """Return whether a request may have begun to leave, which was on RQ from a cycle on."""
        return self.history.ever(lambda at: at.requests, offered - BEGUN, offered)

    def queued_since(self, behind: int | None, offered: int) -> int:
        """Return since when a message could have been on RQ, which had stood since ``behind``, were nothing in its way.

        It waits behind other requests there, and all of them wait while requests are not allowed: one after the other.
        """
        begin, since = offered, offered
        earlier = [(behind, behind + AFTER)] if behind is not None and behind < offered else []
        while True:
            stopped = self.history.since(lambda at: not at.requests, begin - RESUMED, begin)
            if stopped is not None:
                first = stopped + BEGUN + 1  # in which none begins any more
                earlier.append((first, first))
            earlier += [(at, at + AFTER) for at, end in self._stood if at < begin <= end + NEXT]
            found = min(earlier, default=(begin, since))
            if found[0] >= begin:
                return since
            begin, since = found[0], min(since, found[1])

    def check_msix(self, vector: int, masked: bool, now: int, since: int | None = None) -> None:
        """Check that an MSI-X message may be there, of a vector that is masked now or not.

        It is on RQ if there is a cycle since when it could have been there (:meth:`queued_since`).
        """
        decided, since = (DECIDED, now) if since is None else (ON_RQ, since)
        allowed = self.history.ever(Allowed.sends_msix, since - decided, now)
        assert allowed, f"MSI-X {vector} is sent, which the host does not allow: {self.history.now}"
        history = self._masks.get(vector, History(masked))
        unmasked = history.ever(lambda hidden: not hidden, since - MASKED - decided + DECIDED, now)
        assert unmasked, f"MSI-X {vector} is sent, which is masked in the table"

    def regranted(self, since: int) -> bool:
        """Return whether the host has granted another number of MSIs since a cycle."""
        granted = self.history.now.granted
        return self.history.ever(lambda at: at.granted != granted, since, cycle())

    def moved(self, vector: int, since: int) -> set[int]:
        """Return as which vectors an MSI may go that was raised in a cycle: itself, or one with the same low bits."""
        found = {vector}

        def look(at: Allowed) -> bool:
            if at.msi:
                found.add(vector % at.granted)
            return False

        self.history.ever(look, since, cycle())
        return found

    def held_intx(self, since: int) -> bool:
        """Return whether a pulse that was raised in a cycle may have had to wait for the host."""
        return self.history.ever(lambda at: not (at.intx and at.requests), since, cycle())

    def why_msi(self, vector: int, since: int) -> list[str]:
        """Return what may have held back an MSI that was raised in a cycle."""
        reasons: dict[str, Callable[[Allowed], bool]] = {
            "masked": lambda at: bool(at.mask >> vector % at.granted & 1),
            "MSI off": lambda at: not at.msi,
            "no bus master": lambda at: not at.requests,
        }
        now = cycle()
        return [why for why, holds in reasons.items() if self.history.ever(holds, since, now)]

    def why_msix(self, vector: int, since: int) -> list[str]:
        """Return what may have held back an MSI-X message of a vector that was raised in a cycle."""
        reasons: dict[str, Callable[[Allowed], bool]] = {
            "MSI-X off": lambda at: not at.msix,
            "function mask": lambda at: at.function_mask,
            "no bus master": lambda at: not at.requests,
        }
        now = cycle()
        found = [why for why, holds in reasons.items() if self.history.ever(holds, since, now)]
        masks = self._masks.get(vector)
        return [*found, "masked"] if masks is not None and masks.ever(lambda hidden: hidden, since, now) else found

    def held_msi(self, vector: int, since: int) -> bool:
        """Return whether an MSI that was raised in a cycle may have become pending, or merged with a pending one."""
        return self.history.ever(lambda at: not at.sends_msi(vector), since, cycle())
