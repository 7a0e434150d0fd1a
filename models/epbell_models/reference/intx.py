"""INTx of the function: a level that the processor asks for, told to the host by assert and deassert messages."""

__all__ = [
    "PULSES",
    "Intx",
]

PULSES = 16
"""Pulses that can wait, with the one under way."""


class Intx:
    """Which message is due, one at a time.

    The host hears of changes only: the level wanted while a message is on its way is what counts when it has arrived. A
    pulse is a message to assert and one to deassert. Pulses wait for each other, and for a time when the level is down,
    so that the host hears of each; one for which there is no room is lost. What may not be said is said later.

    Attributes
    ----------
    allowed
        Whether the host lets the function assert: Interrupt Disable clear, neither MSI nor MSI-X enabled, and a pin to
        do it with. When it no longer does, an asserted line is deasserted.
    asleep
        Whether the function is in D3hot: as if it were not allowed.
    level
        The level that the processor wants.
    asserted
        What the host was told by the last message that arrived.
    busy
        A message is on its way.
    """

    def __init__(self) -> None:
        self.allowed = self.asleep = False
        self.reset()

    def reset(self) -> None:
        """Forget what the processor wants, and what the host was told."""
        self.level = False
        self.asserted = self.busy = False
        self._told = False
        self._waiting = 0
        self._pulsing = False
        self._unheard = False

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
        self._waiting = min(PULSES, self._waiting + 1)

    def next(self) -> bool | None:
        """Take the message that is due: True assert, False deassert, None for none. `sent` ends it."""
        if not self.due:
            return None
        self._told = not self._told
        self._pulsing = not self.level
        self.busy = True
        return self._told

    def sent(self) -> None:
        """Note that the message has arrived. An assertion that may not be said by now is deasserted, and said again."""
        self.busy = False
        self.asserted = self._told
        heard = self.allowed and not self.asleep
        self._unheard = self._told and not heard
        if self._told and heard and self._pulsing and self._waiting:
            self._waiting -= 1

    def _wanted(self) -> bool:
        if not self.allowed or self.asleep:
            return False
        return (self.level and not self._unheard) or (bool(self._waiting) and not self._told)
