"""``epbell linux all``: everything with a guest, some runs at a time, each in a process of its own.

``pcitest`` on each device tree that is shipped, ``selftest`` on one, and the tests of ``tests/linux``, most of which
break the endpoint on purpose. What a run has printed is printed when it has ended. ``ntb`` is not among them: its RTL
takes minutes to compile and to run; the tests have it on the models.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from rich.console import Console

from epbell_models import devicetree
from epbell_tb import installation
from epbell_tb.guest import newest, packages
from epbell_tb.guest.commands import MissingError
from epbell_tb.progress import Display, display

__all__ = [
    "Ended",
    "Job",
    "jobs",
    "run_all",
    "run_jobs",
]

Out = Callable[[str], None]

_TESTS = "tests/linux"
_OF_SELFTEST = ("endpoint", "width", "stalls", "seed", "limit", "bars", "msix", "windows", "msix_way")
_OF_PCITEST = (*_OF_SELFTEST, "only", "sizes", "rings")
# The last line of pytest.
_OF_PYTEST = re.compile(r"\d+ (passed|failed|skipped|error).* in [\d.]+s")
_POLL_S = 0.5
_GRACE_S = 30.0


@dataclass(frozen=True)
class Job:
    """A run: its name, and its command line."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """What came of a run: its exit status, what it printed, and its wall-clock seconds."""

    status: int
    said: tuple[str, ...]
    seconds: float

    def outcome(self) -> str:
        """Return the run's totals and speeds."""
        verdict = "FAILED" if self.status else "passed"
        if self.said and self.said[-1].startswith("1..0"):
            return f"skipped: {self.said[-1].partition('SKIP ')[2]}"
        wanted = ("# Totals:", "# boot ", "# doorbell ", "# rings ")
        figures = [line.removeprefix("# ") for line in self.said if line.startswith(wanted)]
        rate = [line.rpartition(": ")[2] for line in self.said if "tests of whole BARs" in line]
        of_tests = [line.strip("= ") for line in self.said[-1:] if _OF_PYTEST.search(line)]
        return "; ".join([verdict, *figures, *(f"{per} accesses" for per in rate), *of_tests])


def run_all(given: argparse.Namespace, out: Out) -> bool:
    """Run everything; return whether nothing has failed.

    Parameters
    ----------
    given
        The command line.
    out
        Takes each line.

    Raises
    ------
    MissingError
        When something that a guest needs is not to be had.
    """
    packages.provide(lambda text: out(f"# {text}"))
    with contextlib.suppress(MissingError):  # which its own run says
        newest.provide(lambda text: out(f"# {text}"))
    ended = run_jobs(jobs(given), given.jobs, out)
    out("")
    for name, end in ended.items():
        out(f"# {name:14} {end.outcome()} in {end.seconds:.0f} s")
    return not any(end.status for end in ended.values())


def jobs(given: argparse.Namespace) -> list[Job]:
    """Return all runs: first those that have to compile the RTL, each of them another one, then the rest."""
    tool = (sys.executable, "-m", "epbell_tb.cli", "linux")
    first, *_ = trees = devicetree.shipped()
    found = [Job("selftest", (*tool, "selftest", "--tree", first, *_arguments(given, _OF_SELFTEST)))]
    found += [Job(tree, (*tool, "pcitest", "--tree", tree, *_arguments(given, _OF_PCITEST))) for tree in trees]
    files = sorted((installation.PROJECT / _TESTS).glob("test_*.py"))
    pytest = (sys.executable, "-m", "pytest", "-q", "-m", "guest", "-p", "no:cacheprovider", "-rs")
    return [*found, *(Job(file.stem, (*pytest, f"{_TESTS}/{file.name}")) for file in files)]


def _arguments(given: argparse.Namespace, names: Sequence[str]) -> Iterator[str]:
    """Yield the command line that says the same for some options."""
    for name in names:
        value = getattr(given, name)
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            yield flag
        elif isinstance(value, list):
            yield from (part for one in value for part in (flag, one))
        elif isinstance(value, tuple):
            yield from (flag, ",".join(map(str, value)))
        elif value is not None and value is not False:
            yield from (flag, str(value))


def run_jobs(runs: Sequence[Job], at_a_time: int, out: Out) -> dict[str, Ended]:
    """Run them, some at a time, and print what each has said; when this is interrupted they are ended.

    Parameters
    ----------
    runs
        The runs, in the order in which they begin.
    at_a_time
        How many.
    out
        Takes each line.

    Returns
    -------
    dict
        What came of each, in their order.
    """
    found: dict[str, Ended] = {}
    processes = _Processes()
    with ThreadPoolExecutor(at_a_time) as pool, display(Console(stderr=True)) as shown:
        running = {pool.submit(_run, job, processes, shown): job for job in runs}
        try:
            while running:
                for future in _ended(running):
                    job = running.pop(future)
                    end = found[job.name] = future.result()
                    shown.end(job.name, end.outcome())
                    out(f"# {job.name}: {' '.join(job.command[3:])}")
                    for line in end.said:
                        out(line)
        finally:
            for future in running:
                future.cancel()
            processes.end()
    return {job.name: found[job.name] for job in runs}


def _ended(running: dict[Future[Ended], Job]) -> set[Future[Ended]]:
    return wait(running, _POLL_S, FIRST_COMPLETED).done


class _Processes:
    """What is under way, so that it can be ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._over = False

    def begin(self, job: Job) -> subprocess.Popen[str] | None:
        """Start a run in a session of its own; None when all is over."""
        env = {name: value for name, value in os.environ.items() if name not in installation.MAKE_VARIABLES}
        with self._lock:
            if self._over:
                return None
            process = subprocess.Popen(
                job.command, cwd=installation.PROJECT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
            )  # fmt: skip
            self._running.add(process)
        return process

    def forget(self, process: subprocess.Popen[str]) -> None:
        """Take note that a run has ended."""
        with self._lock:
            self._running.discard(process)

    def end(self) -> None:
        """End everything: each run ends its guests and its simulation."""
        with self._lock:
            self._over, left = True, tuple(self._running)
        for process in left:
            process.terminate()
        until = time.monotonic() + _GRACE_S
        for process in left:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()


def _run(job: Job, processes: _Processes, shown: Display) -> Ended:
    began = time.monotonic()
    process = processes.begin(job)
    if process is None:
        return Ended(1, (), 0.0)
    shown.begin(job.name)
    said: list[str] = []
    assert process.stdout is not None, "its output is read here"
    results = 0
    with process:
        for line in process.stdout:
            said.append(line.rstrip("\n"))
            results += line.startswith(("ok ", "not ok "))
            shown.advance(job.name, results)
    processes.forget(process)
    return Ended(process.returncode, tuple(said), time.monotonic() - began)
