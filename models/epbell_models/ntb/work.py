"""A deferred function of the kernel's: a work, a delayed work, a tasklet (kernel/workqueue.c, kernel/softirq.c)."""

from collections.abc import Awaitable, Callable

from ..platform import Platform

__all__ = [
    "Work",
]


class Work:
    """Something that runs later: once, however often it was scheduled before it ran, and never beside itself.

    Parameters
    ----------
    platform
        Time and tasks.
    run
        What to do. It may schedule the same again.
    name
        Name of its task.

    Attributes
    ----------
    runs
        How often it ran.
    """

    def __init__(self, platform: Platform, run: Callable[[], Awaitable[None]], name: str) -> None:
        self._platform = platform
        self._run = run
        self._due: float | None = None
        self._cancels = 0
        self._stopped = False
        self._kick = platform.event()
        self._idle = platform.event()
        self._idle.set()
        self._ended = platform.event()
        self.runs = 0
        platform.spawn(self._loop(), name)

    def schedule(self, seconds: float = 0.0) -> None:
        """Let it run after ``seconds``, or sooner when that was said before; not while it is being cancelled."""
        if self._cancels:
            return
        due = self._platform.now() + seconds
        if self._due is None or due < self._due:
            self._due = due
            self._kick.set()

    async def cancel(self) -> None:
        """Forget that it was scheduled, and wait for a run that has begun. Not from within such a run."""
        self._cancels += 1
        self._due = None
        self._kick.set()
        await self._idle.wait()
        self._cancels -= 1

    async def stop(self) -> None:
        """Cancel it for good."""
        self._stopped = True
        self._cancels += 1
        await self.cancel()
        await self._ended.wait()

    async def _loop(self) -> None:
        while not self._stopped:
            self._kick.clear()
            left = None if self._due is None else self._due - self._platform.now()
            if (left is None or left > 0) and await self._kick.wait(left):
                continue
            self._due = None
            self._idle.clear()
            self.runs += 1
            await self._run()
            self._idle.set()
        self._ended.set()
