"""The workers of the regression: processes of Dask distributed, on this machine or wherever a scheduler has them.

A worker runs one thing at a time. One that is killed is replaced by its nanny, and what it ran is run again by another
one, until it has taken `MOST_DEATHS` workers along: then it is what kills them. Nothing but this file knows Dask.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import dask.config
from distributed import Client, Future, KilledWorker, LocalCluster, Worker, WorkerPlugin, get_worker

from epbell_tb import installation
from epbell_tb.lifeline import UnwantedError
from epbell_tb.regress_groups import Run
from epbell_tb.regress_worker import Returned, here, perform, sources

__all__ = [
    "MOST_DEATHS",
    "Began",
    "Came",
    "Failed",
    "Farm",
    "FarmError",
    "SchedulerLostError",
]

MOST_DEATHS = 3
"""So many workers may be killed while they do a run; then it has failed."""

_MOST_MISSED = 10  # times that a run is submitted anew because of what happened to others
_TOPIC = "epbell-began"
_CONNECT_S = 5.0
_CLOSE_S = 5.0


class FarmError(Exception):
    """There is nothing that runs could be done on; its text says why, and what to do."""


class SchedulerLostError(Exception):
    """The scheduler does not answer any longer; nothing that was submitted and has not come will come."""


@dataclass(frozen=True)
class Began:
    """A worker has begun a run."""

    run: Run
    worker: str


@dataclass(frozen=True)
class Came:
    """A run has ended, and this is what the worker says; its workers had been killed so many times before."""

    run: Run
    returned: Returned
    retries: int


@dataclass(frozen=True)
class Failed:
    """A run will not end, for this reason; its workers were killed so many times."""

    run: Run
    reason: str
    retries: int


@dataclass
class _Job:
    run: Run
    key: str
    future: Future
    begun: bool = False
    deaths: int = 0
    missed: int = 0


class _IgnoreInterrupts(WorkerPlugin):
    """Ctrl-C goes to every process of the terminal; it is the command that ends its workers."""

    name = "epbell-interrupts"

    def setup(self, worker: Worker) -> None:
        """Ignore it, in the worker's process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Farm:
    """Workers, while the context lasts.

    Parameters
    ----------
    address : str or None
        Of a scheduler, such as ``tcp://host:8786``; None: workers on this machine, for this command alone.
    jobs : int or None
        Runs at a time. Default: 2 on this machine, of a scheduler as many as its workers have threads.
    patience : float
        Seconds to wait for the scheduler.

    Raises
    ------
    FarmError
        If there is no such scheduler.
    """

    def __init__(self, address: str | None, jobs: int | None, patience: float) -> None:
        for name in ("distributed", "distributed.client", "distributed.nanny"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what happens to workers is said by the command
        self._address = address
        self._jobs = jobs if address else jobs or 2
        self._patience = patience
        self._stack = contextlib.ExitStack()
        self._client: Any = None
        self._jobs_by_key: dict[str, _Job] = {}
        self._news: queue.Queue[Future | tuple[str, str]] = queue.Queue()

    def __enter__(self) -> Farm:
        with contextlib.ExitStack() as stack:
            if self._address is None:
                target: Any = _local(self._jobs or 2, stack)
                self._client = self._connect(target)
                self._client.register_plugin(_IgnoreInterrupts())
            else:
                self._client = self._reach()
            stack.callback(self._close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def busy(self) -> int:
        """How many runs are submitted and have not come."""
        return len(self._jobs_by_key)

    def slots(self) -> int:
        """Return how many runs the workers can do at a time; 0 if there are none now.

        Raises
        ------
        SchedulerLostError
        """
        self._check()
        try:
            threads = sum(self._client.nthreads().values())
        except (OSError, RuntimeError, TimeoutError) as error:
            raise SchedulerLostError from error
        return min(threads, self._jobs) if self._jobs else threads

    def others(self, now: str) -> list[str]:
        """Return what is wrong with workers whose checkout is not the one here; nothing if all are well.

        Parameters
        ----------
        now : str
            What `sources` says here.

        Raises
        ------
        SchedulerLostError
        """
        self._check()
        try:
            said = self._client.run(_sources, on_error="return")
        except (OSError, RuntimeError, TimeoutError) as error:
            raise SchedulerLostError from error
        wrong = []
        for address, one in sorted(said.items()):
            if isinstance(one, BaseException):
                wrong.append(f"{address} has no checkout of this version: {one}")
            elif one[0] != now:
                wrong.append(f"{address} ({one[1]}) has sources {one[0]}")
        return wrong

    def submit(self, run: Run) -> None:
        """Let a worker do a run.

        Raises
        ------
        SchedulerLostError
        """
        self._submit(run, 0, 0)

    def news(self, timeout: float) -> Iterator[Began | Came | Failed]:
        """Yield what has happened, and wait for it.

        Parameters
        ----------
        timeout : float
            Seconds to wait if nothing has.

        Raises
        ------
        SchedulerLostError
        """
        with contextlib.suppress(queue.Empty):
            item = self._news.get(timeout=timeout)
            while True:
                yield from self._began(*item) if isinstance(item, tuple) else self._ended(item)
                item = self._news.get_nowait()
        self._check()

    def again(self) -> list[Run]:
        """Find the scheduler again after it was lost; return the runs that have to be submitted anew.

        Raises
        ------
        FarmError
            If it does not come back in time.
        """
        runs = [job.run for job in self._jobs_by_key.values()]
        self._jobs_by_key.clear()
        self._close()
        self._news = queue.Queue()
        self._client = self._reach()
        return runs

    def _reach(self) -> Any:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._connect(self._address)
            except (OSError, TimeoutError, ValueError) as error:
                if isinstance(error, ValueError) or time.monotonic() > deadline:
                    text = f"no scheduler answers at {self._address} for {self._patience:.0f} s: {error}"
                    raise FarmError(
                        f"{text}; start one with `dask scheduler`, or wait longer with --patience"
                    ) from None
                time.sleep(min(1.0, self._patience))

    def _connect(self, target: Any) -> Any:
        client = Client(target, timeout=_CONNECT_S, set_as_default=False)
        client.subscribe_topic(_TOPIC, self._on_event)
        return client

    def _close(self) -> None:
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            self._client.close(timeout=_CLOSE_S)

    def _check(self) -> None:
        if self._client.status != "running":
            raise SchedulerLostError

    def _on_event(self, event: tuple[float, tuple[str, str]]) -> None:
        self._news.put((event[1][0], event[1][1]))

    def _submit(self, run: Run, deaths: int, missed: int) -> None:
        key = f"{run.name}-{uuid.uuid4()}"
        try:
            future = self._client.submit(_do, run, key=key, pure=False)
        except (OSError, RuntimeError, TimeoutError) as error:
            raise SchedulerLostError from error
        self._jobs_by_key[key] = _Job(run, key, future, deaths=deaths, missed=missed)
        future.add_done_callback(self._news.put)

    def _began(self, key: str, worker: str) -> Iterator[Began | Failed]:
        job = self._jobs_by_key.get(key)
        if job is None:
            return
        if job.begun:  # by another worker: the one before was killed, and the scheduler has tried again by itself
            job.deaths += 1
            if job.deaths >= MOST_DEATHS:
                del self._jobs_by_key[key]
                job.future.cancel()
                yield _killer(job)
                return
        job.begun = True
        yield Began(job.run, worker)

    def _ended(self, future: Future) -> Iterator[Came | Failed]:
        job = self._jobs_by_key.get(str(future.key))
        if job is None:
            return
        if future.status in ("cancelled", "lost"):
            raise SchedulerLostError
        del self._jobs_by_key[job.key]
        try:
            returned = future.result(timeout=_CONNECT_S)
        except KilledWorker:
            yield from self._killed(job)
        except (OSError, TimeoutError):
            # It has ended, but its worker is gone with what it would say.
            self._submit(job.run, job.deaths, job.missed)
        except Exception as error:
            yield Failed(job.run, f"{type(error).__name__}: {error}", job.deaths)
        else:
            yield Came(job.run, returned, job.deaths)

    def _killed(self, job: _Job) -> Iterator[Failed]:
        if job.begun:
            job.deaths += 1
        else:
            job.missed += 1  # it waited for a worker that was killed with another run
        if job.deaths >= MOST_DEATHS:
            yield _killer(job)
        elif job.missed >= _MOST_MISSED:
            yield Failed(job.run, f"not begun by {job.missed} workers that were killed", job.deaths)
        else:
            self._submit(job.run, job.deaths, job.missed)


def _killer(job: _Job) -> Failed:
    return Failed(job.run, f"its worker was killed {job.deaths} times", job.deaths)


def _local(jobs: int, stack: contextlib.ExitStack) -> Any:
    """Start workers here. A run whose worker is killed comes back at once: it is counted here how often."""
    scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="epbell-dask-", ignore_cleanup_errors=True))
    stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": 0}))
    options: dict[str, Any] = {"dashboard_address": "127.0.0.1:0", "memory_limit": 0, "silence_logs": logging.CRITICAL}
    return stack.enter_context(
        LocalCluster(n_workers=jobs, threads_per_worker=1, processes=True, local_directory=scratch, **options)
    )


def _sources() -> tuple[str, str]:
    return sources(installation.PROJECT), here()


def _do(run: Run) -> Returned:
    """Do a run in this worker; end it when the scheduler, or who has submitted it, is gone."""
    worker = get_worker()
    key = str(worker.get_current_task())
    tasks: Any = worker.state.tasks
    worker.log_event(_TOPIC, (key, here()))

    def wanted() -> bool:
        task = tasks.get(key)
        return task is not None and task.state == "executing" and worker.status.name == "running"

    with contextlib.suppress(UnwantedError):
        return perform(run, wanted)
    raise RuntimeError("nobody waits for it")
