"""A completion as the kernel has it: it counts (kernel/sched/completion.c)."""

from ..platform import Platform

__all__ = [
    "Completion",
]


class Completion:
    """Counts what was completed; one waiter at a time.

    A completion that comes early, or twice, satisfies a later wait: a driver that does not re-arm in between is woken
    too soon, and that is to be seen.
    """

    def __init__(self, platform: Platform) -> None:
        self._event = platform.event()
        self.done = 0

    def rearm(self) -> None:
        """Forget what was completed."""
        self.done = 0
        self._event.clear()

    def complete(self) -> None:
        """Complete once."""
        self.done += 1
        self._event.set()

    async def wait(self, timeout: float | None) -> bool:
        """Consume one completion, waiting at most ``timeout`` seconds, None for ever; False when none came."""
        if not await self._event.wait(timeout):
            return False
        self.done -= 1
        if not self.done:
            self._event.clear()
        return True
