"""Bins of an eDMA page alone: what a kick or the end of a transfer meets in its very clock, and in which state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epbell_tb import bins_seen
from epbell_tb.edma_traffic import PULSES

if TYPE_CHECKING:
    from epbell_models.reference.edma import EdmaPage
    from epbell_tb.edma_traffic import Stimulus

__all__ = ["EdmaBins"]


class EdmaBins:
    """Looks at clocks before the model makes its step.

    Parameters
    ----------
    page : EdmaPage
        The model.
    """

    def __init__(self, page: EdmaPage) -> None:
        self._page = page
        bins_seen.begin(personality=page.personality, channels=f"{page.write_channels}+{page.read_channels}")
        self._status: dict[str, int] = dict.fromkeys(PULSES, 0)

    def record(self, stimulus: Stimulus) -> None:
        """Take what happens in a clock."""
        by_cpu = stimulus.kind == "ring" and bool(self._page.doorbells)
        if (stimulus.ring or by_cpu) and self._page.doorbells:
            source = "host and CPU" if stimulus.ring and by_cpu else "CPU" if by_cpu else "host"
            latched = int(self._page.latched)
            bins_seen.see("edma.kick", source, latched, "alone" if not stimulus.pulses else "pulse")
            if stimulus.kind == "clear":
                bins_seen.see("edma.kick", source, latched, "clear")
            if stimulus.kind == "mask":
                bins_seen.see("edma.kick", source, latched, "mask")
        status = self._status
        for pulse in PULSES:
            sets, clears = stimulus.pulses.get(pulse, 0), stimulus.cleared.get(pulse, 0)
            if sets:
                self._pulses(stimulus, pulse, sets, clears)
            if sets or clears:
                status[pulse] = status[pulse] & ~clears | sets

    def _pulses(self, stimulus: Stimulus, pulse: str, sets: int, clears: int) -> None:
        masked, status = self._page.masked(pulse), self._status[pulse]
        for channel in range(sets.bit_length()):
            bit = 1 << channel
            if sets & bit:
                state = pulse, channel, "masked" if masked & bit else "unmasked", "set" if status & bit else "clear"
                bins_seen.see("edma.pulse", *state, "clear" if clears & bit else "alone")
                if stimulus.ring or stimulus.kind == "ring":
                    bins_seen.see("edma.pulse", *state, "kick")
