"""How far a long command is: moving bars on a terminal, plain lines anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from rich import progress
from rich.console import Console

__all__ = ["Display", "display"]


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
