"""How far a long command is: moving bars on a terminal, plain lines anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from rich import progress
from rich.console import Console

__all__ = ["Display", "alone", "display"]


class Display(Protocol):
    """Something that shows jobs."""

    def begin(self, job: str, total: int | None = None) -> None:
        """Show that a job has begun; `total` is its number of steps, if that is known."""
        ...

    def advance(self, job: str, done: int) -> None:
        """Show how many of a job's steps are done; nothing of a job that has not begun, or has ended."""
        ...

    def end(self, job: str, result: str) -> None:
        """Show that a job has come to its end, and how."""
        ...


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, job: str, total: int | None = None) -> None:
        self._say(f"{job} ..." if total is None else f"{job}: {total} ...")

    def advance(self, job: str, done: int) -> None:
        pass

    def end(self, job: str, result: str) -> None:
        self._say(f"{job}: {result}")

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class _Bars:
    def __init__(self, bars: progress.Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, progress.TaskID] = {}

    def begin(self, job: str, total: int | None = None) -> None:
        self._tasks[job] = self._bars.add_task(job, total=total)

    def advance(self, job: str, done: int) -> None:
        with suppress(KeyError):  # jobs begin and end in other threads
            self._bars.update(self._tasks[job], completed=done)

    def end(self, job: str, result: str) -> None:
        self._bars.remove_task(self._tasks.pop(job))
        self._bars.console.print(f"{job}: {result}", highlight=False, markup=False)


def alone(path: Path, console: Console) -> AbstractContextManager[object]:
    """Lock a file beside a run's own files, which have fixed names; whoever has to wait is told for what.

    Parameters
    ----------
    path : Path
        The lock.
    console : Console
        Where that is said.
    """
    lock = FileLock(path)
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        text = f"waiting for another run that writes to {path.parent}: it holds {path.name}"
        console.print(text, highlight=False, soft_wrap=True)
        return lock.acquire()


@contextmanager
def display(console: Console) -> Iterator[Display]:
    """Show jobs on `console` while the context lasts."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars)
