"""INTx of the function: a level that the processor asks for, told to the host by assert and deassert messages."""

__all__ = [
    "PULSES",
    "Intx",
]

PULSES = 16
"""Pulses that can wait, with the one under way. Where hardware lets the processor wait for room, more can."""


class Intx:
    """Which message is due, one at a time.

    The host hears of changes only: the level wanted while a message is on its way is what counts when it has arrived. A
    pulse is a message to assert and one to deassert. Pulses wait for each other, and for a time when the level is down,
    so that the host hears of each. What may not be said is said later. A pulse that comes meanwhile is one with the
    last that waits, and so is one for which there is no room because of the level. An assertion counts only if it could
    be said from its begin to its end: else it is taken back, and made again.

    Attributes
    ----------
    level
        The level that the processor wants.
    asserted
        What the host was told by the last message that arrived.
    busy
        A message is on its way.
    merged
        How many pulses became one with another.
    """

    def __init__(self) -> None:
        self._allowed = self._asleep = False
        self.merged = 0
        self.reset()

    def reset(self) -> None:
        """Forget what the processor wants, and what the host was told."""
        self.level = False
        self.asserted = self.busy = False
        self._told = False
        self._waiting = 0
        self._pulsing = False
        self._unheard = False
        self._doubt = False

    @property
    def allowed(self) -> bool:
        """Whether the host lets the function assert: no Interrupt Disable, no MSI or MSI-X, and a pin to do it with.

        When it no longer does, an asserted line is deasserted.
        """
        return self._allowed

    @allowed.setter
    def allowed(self, value: bool) -> None:
        self._allowed = value
        self._doubt |= not value

    @property
    def asleep(self) -> bool:
        """Whether the function is in D3hot: as if it were not allowed."""
        return self._asleep

    @asleep.setter
    def asleep(self, value: bool) -> None:
        self._asleep = value
        self._doubt |= value

    @property
    def pending(self) -> bool:
        """What the function's Interrupt Status says: something is to be told, whether it may be or not."""
        return self.level or bool(self._waiting) or self._told

    @property
    def due(self) -> bool:
        """Whether a message is to be sent now."""
        return not self.busy and self._told != self._wanted()

    def pulse(self) -> None:
        """Want a pulse."""
        if self._waiting and (not self._may_say or (self.level and self._waiting >= PULSES)):
            self.merged += 1
        else:
            self._waiting += 1

    def next(self) -> bool | None:
        """Take the message that is due: True assert, False deassert, None for none. `sent` ends it."""
        if not self.due:
            return None
        self._told = not self._told
        self._pulsing = not self.level
        self.busy = True
        self._doubt = False
        return self._told

    def sent(self) -> None:
        """Note that the message has arrived. An assertion in doubt is deasserted, and said again."""
        self.busy = False
        self.asserted = self._told
        self._unheard = self._told and self._doubt
        if self._told and not self._doubt and self._pulsing and self._waiting:
            self._waiting -= 1

    @property
    def _may_say(self) -> bool:
        return self._allowed and not self._asleep

    def _wanted(self) -> bool:
        if not self._may_say:
            return False
        return (self.level and not self._unheard) or (bool(self._waiting) and not self._told)
