"""What a model needs from the world: a bus, time, events, locks, tasks and an interrupt line.

The models of this package are plain ``async`` Python. Everything they wait for comes through the protocols below, so
that the same driver runs over a simulator's clock (the benches implement `Platform` with cocotb) and, in milliseconds,
over `VirtualPlatform`.

All times are seconds of Linux time. A platform may divide them by one scale factor; it never reorders them.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

__all__ = [
    "Bus",
    "BusError",
    "DrivenIrqLine",
    "Event",
    "IrqLine",
    "Lock",
    "Platform",
    "Task",
    "VirtualPlatform",
]

T = TypeVar("T")


class BusError(Exception):
    """A bus access that did not complete successfully.

    Parameters
    ----------
    status
        ``"UR"`` (unsupported request, decode error), ``"CA"`` (completer abort, slave error) or ``"TIMEOUT"``.
    address
        Byte address of the access.
    """

    def __init__(self, status: str, address: int) -> None:
        if status not in ("UR", "CA", "TIMEOUT"):
            raise ValueError(f"Bus error status must be 'UR', 'CA' or 'TIMEOUT', not {status!r}")
        super().__init__(f"{status} at {address:#x}")
        self.status = status
        self.address = address


class Bus(Protocol):
    """A little-endian memory bus as one initiator sees it; a failed access raises `BusError`.

    ``read32`` and ``write32`` are one access of four bytes with all byte enables. ``read`` and ``write`` are bursts:
    the bus may cut them as its link requires. A write may be posted: it returns when it was accepted.
    """

    async def read32(self, address: int) -> int:
        """Read one aligned 32-bit word."""
        ...

    async def write32(self, address: int, value: int) -> None:
        """Write one aligned 32-bit word."""
        ...

    async def read(self, address: int, length: int) -> bytes:
        """Read ``length`` bytes."""
        ...

    async def write(self, address: int, data: bytes) -> None:
        """Write the bytes of ``data``."""
        ...


class Event(Protocol):
    """A level: waiters continue while it is set."""

    def set(self) -> None:
        """Set the level and release every waiter."""
        ...

    def clear(self) -> None:
        """Clear the level."""
        ...

    def is_set(self) -> bool:
        """Return the level."""
        ...

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until set, at most ``timeout`` seconds; return whether it was set."""
        ...


class Lock(Protocol):
    """A fair mutual exclusion for ``async with``."""

    async def __aenter__(self) -> object:
        """Take the lock."""
        ...

    async def __aexit__(self, exc_type: Any, exc: Any, tb: Any, /) -> object:
        """Release the lock."""
        ...


class Task(Protocol):
    """A running coroutine. `asyncio.Task` and cocotb's ``Task`` both satisfy it."""

    def cancel(self) -> object:
        """Stop the coroutine at its next wait."""
        ...

    def done(self) -> bool:
        """Return whether the coroutine has ended."""
        ...


class Platform(Protocol):
    """Time and concurrency. A task that raises must fail the run it belongs to."""

    def now(self) -> float:
        """Return the time in seconds of Linux time, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Suspend the caller for ``seconds`` of Linux time; always lets other tasks run."""
        ...

    def event(self) -> Event:
        """Return a new, clear event."""
        ...

    def lock(self) -> Lock:
        """Return a new, free lock."""
        ...

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> Task:
        """Start a task."""
        ...


class IrqLine(Protocol):
    """A level-sensitive, active-high interrupt line as the interrupt controller sees it."""

    def level(self) -> bool:
        """Return the level now."""
        ...

    async def wait_high(self) -> None:
        """Return at once while the line is high, otherwise when it rises."""
        ...


class DrivenIrqLine:
    """An `IrqLine` whose level plain Python drives.

    Attributes
    ----------
    rises
        How many times the line went from low to high.
    """

    def __init__(self, platform: Platform) -> None:
        self._high = platform.event()
        self.rises = 0

    def drive(self, level: bool) -> None:
        """Set the level."""
        if level and not self._high.is_set():
            self.rises += 1
            self._high.set()
        elif not level:
            self._high.clear()

    def level(self) -> bool:
        """Return the level now."""
        return self._high.is_set()

    async def wait_high(self) -> None:
        """Return at once while the line is high, otherwise when it rises."""
        while not self._high.is_set():
            await self._high.wait()


class _JumpSelector(selectors.SelectSelector):
    """A selector that never blocks: asked to wait, it moves the clock, unless something happens at the last moment."""

    def __init__(self, before_jump: Callable[[], bool]) -> None:
        super().__init__()
        self.clock = 0.0
        self._before_jump = before_jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if (timeout is not None and timeout <= 0) or self._before_jump():
            return []
        if timeout is None:
            raise RuntimeError("Every task waits for an event that nothing will set")
        self.clock += timeout
        return []


class _VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time is the selector's clock."""

    def __init__(self, before_jump: Callable[[], bool]) -> None:
        self._jump = _JumpSelector(before_jump)
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.clock

    def spend(self, seconds: float) -> None:
        self._jump.clock += seconds


class _VirtualEvent:
    """`Event` for `VirtualPlatform`."""

    def __init__(self) -> None:
        self._set = False
        self._waiters: list[asyncio.Future[bool]] = []

    def set(self) -> None:
        self._set = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(True)

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    async def wait(self, timeout: float | None = None) -> bool:
        if self._set:
            return True
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        timer = None

        def expire() -> None:
            if not waiter.done():
                waiter.set_result(False)

        if timeout is not None:
            timer = loop.call_later(timeout, expire)
        self._waiters.append(waiter)
        try:
            return await waiter
        finally:
            self._waiters.remove(waiter)
            if timer is not None:
                timer.cancel()


class VirtualPlatform:
    """`Platform` over asyncio with virtual time: deterministic, and as fast as Python runs.

    Time stands still while a task can run and jumps to the next timer when none can. ``run`` raises when a spawned task
    raises, and when ``limit`` seconds have passed. One platform serves one run.

    Parameters
    ----------
    before_jump
        Called when no task can run, before the time jumps: for events from outside that are due before. It returns
        whether it has done anything; the time stays then, and it is called again when no task can run.
    """

    def __init__(self, before_jump: Callable[[], bool] = lambda: False) -> None:
        self._before_jump = before_jump
        self._loop: _VirtualLoop | None = None
        self._failure: BaseException | None = None
        self._main: asyncio.Task[Any] | None = None

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return self._loop.time() if self._loop is not None else 0.0

    async def sleep(self, seconds: float) -> None:
        """Suspend the caller for ``seconds`` of virtual time."""
        await asyncio.sleep(seconds)

    async def spend(self, seconds: float) -> None:
        """Let time pass at once, as for something that takes so long, and let other tasks run."""
        if self._loop is None:
            raise RuntimeError(f"Time passes from within the coroutine passed to run() only, not {seconds!r} s of it")
        self._loop.spend(seconds)
        await asyncio.sleep(0)

    def event(self) -> Event:
        """Return a new, clear event."""
        return _VirtualEvent()

    def lock(self) -> Lock:
        """Return a new, free lock."""
        return asyncio.Lock()

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> Task:
        """Start a task (only from within ``run``); should it raise, ``run`` raises the same."""
        if self._loop is None:
            raise RuntimeError(f"Tasks can be spawned from the coroutine passed to run() only, not {name!r}")
        task = self._loop.create_task(coroutine, name=name)
        task.add_done_callback(self._spawned_done)
        return task

    def run(self, coroutine: Coroutine[Any, Any, T], limit: float = 600.0) -> T:
        """Run ``coroutine`` to its end and return its result.

        Parameters
        ----------
        coroutine
            The test or program.
        limit
            Greatest virtual time in seconds.

        Raises
        ------
        TimeoutError
            When ``limit`` passed first.
        """
        loop = self._loop = _VirtualLoop(self._before_jump)
        try:
            return loop.run_until_complete(self._supervise(loop, coroutine, limit))
        finally:
            self._cancel_all(loop)
            loop.close()

    async def _supervise(self, loop: _VirtualLoop, coroutine: Coroutine[Any, Any, T], limit: float) -> T:
        self._main = loop.create_task(coroutine)
        await asyncio.wait({self._main}, timeout=limit)
        if self._failure is not None:
            raise self._failure
        if not self._main.done():
            waiting = sorted(task.get_name() for task in asyncio.all_tasks(loop) if task is not self._main)
            raise TimeoutError(f"The run has not ended within {limit} s of virtual time; tasks alive: {waiting}")
        return self._main.result()

    def _spawned_done(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None and self._failure is None:
            self._failure = task.exception()
            if self._main is not None:
                self._main.cancel()

    def _cancel_all(self, loop: _VirtualLoop) -> None:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
