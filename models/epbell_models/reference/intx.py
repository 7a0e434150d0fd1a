"""INTx of the function: a level that the processor asks for, told to the host by assert and deassert messages."""

__all__ = [
    "Intx",
]


class Intx:
    """Which message is due, one at a time.

    The host hears of changes only: the level wanted while a message is on its way is what counts when it has arrived. A
    pulse is a message to assert and one to deassert; a pulse wanted while one is under way follows it, and further ones
    become one with that. While the level is up the line says all a pulse could. What may not be said is said later.

    Attributes
    ----------
    allowed
        Whether the host lets the function assert: Interrupt Disable clear, neither MSI nor MSI-X enabled, in D0, and a
        pin to do it with. When it no longer does, an asserted line is deasserted.
    level
        The level that the processor wants.
    asserted
        What the host was told by the last message that arrived.
    busy
        A message is on its way.
    """

    def __init__(self) -> None:
        self.allowed = False
        self.reset()

    def reset(self) -> None:
        """Forget what the processor wants, and what the host was told."""
        self.level = False
        self.forget()

    def forget(self) -> None:
        """Forget pulses and what the host was told, as after a reset of the function; the level stays wanted."""
        self.asserted = self.busy = self._told = self._pulse = False

    @property
    def pending(self) -> bool:
        """What the function's Interrupt Status says: something is to be told, whether it may be or not."""
        return self.level or self._pulse or self._told

    @property
    def due(self) -> bool:
        """Whether a message is to be sent now."""
        return not self.busy and self._told != self._wanted()

    def pulse(self) -> None:
        """Want a pulse."""
        if not (self.level and self._told):
            self._pulse = True

    def next(self) -> bool | None:
        """Take the message that is due: True assert, False deassert, None for none. `sent` ends it."""
        if not self.due:
            return None
        self._told = not self._told
        self.busy = True
        if self._told:
            self._pulse = False
        return self._told

    def sent(self) -> None:
        """Note that the message has arrived."""
        self.busy = False
        self.asserted = self._told

    def _wanted(self) -> bool:
        if not self.allowed:
            return False
        if self.level:
            return True
        return self._pulse and not self._told
