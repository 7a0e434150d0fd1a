"""Bins of a Messaging Unit alone: what a ring or a request meets in its very clock, and in which state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epbell_tb import bins_seen

if TYPE_CHECKING:
    from epbell_models.reference.mu import MessagingUnit
    from epbell_tb.mu_traffic import Access

__all__ = ["MuBins"]

_SIDES = ("a", "b"), ("b", "a")
_EVENTS = {"ring", "take", "request", "acknowledge", "MUR"}


class MuBins:
    """Looks at a clock before the model makes its step, and behind it.

    Parameters
    ----------
    unit : MessagingUnit
        The model.
    """

    def __init__(self, unit: MessagingUnit) -> None:
        self._unit = unit
        bins_seen.begin(layout=unit.layout)
        self._before: list[tuple[Access, Access, tuple[int, int], tuple[int, int]]] = []

    def before(self, a: Access, b: Access) -> None:
        """Take what both sides do in a clock."""
        unit = self._unit
        self._before = []
        if _EVENTS.isdisjoint((*a.kinds, *b.kinds)):
            return
        for near, source, far in ((a, "a", "b"), (b, "b", "a")):
            state = unit.unread(source), unit.requested(source)
            self._before.append((near, b if near is a else a, state, unit.enabled(far)))

    def after(self) -> None:
        """Take what came of it."""
        if not self._before:
            return
        unit = self._unit
        for (source, far_side), (near, far, states, enables) in zip(_SIDES, self._before, strict=True):
            now = unit.enabled(far_side)
            for kind, (sets, clears) in enumerate((("ring", "take"), ("request", "acknowledge"))):
                does, undoes = sets in near.kinds, clears in far.kinds
                if not (does or undoes):
                    continue
                bit = 1 << (near if does else far).channel
                enabled, pending = bool(enables[kind] & bit), bool(states[kind] & bit)
                met = [sets] if does else [clears]
                if does:
                    if "MUR" in far.kinds:
                        met.append(f"{sets} + reset")
                    elif enabled != bool(now[kind] & bit):
                        met.append(f"{sets} + {'mask' if enabled else 'unmask'}")
                    if far.channel == near.channel and undoes:
                        met.append(f"{sets} + {clears}")
                    if sets in far.kinds:
                        same = " of the same" if far.channel == near.channel else ""
                        met.append(f"{sets} + {sets}{same}")
                irq = "enabled" if enabled else "masked"
                for what in met:
                    bins_seen.see(f"mu.{sets}", source, near.channel if does else far.channel, irq, int(pending), what)
