"""``make regress``: everything that is too much for ``make test``, group by group, and random tests with many seeds.

Every scenario with every value of its sweeps (``--thorough``) on every device tree, width and set of BARs, with and
without stalls; Linux's selftest on the RTL in the same places, its transfers of a megabyte on each device tree; the
tests that are marked ``long``; random traffic. The groups are in :mod:`epbell_tb.regress_groups`, the workers in
:mod:`epbell_tb.regress_farm`. What came of each run is in ``sim_build/report/regress.duckdb`` as soon as it has ended,
so a regression that was interrupted goes on with ``--resume``.
Exit status: 0, 1 if a run failed or was not run to its end, 2 if the command line is wrong.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from epbell_tb import installation, verdicts
from epbell_tb.progress import Display, display
from epbell_tb.regress_coverage import gather, whole
from epbell_tb.regress_farm import Began, Came, Failed, Farm, FarmError, SchedulerLostError
from epbell_tb.regress_groups import Outcome, Run
from epbell_tb.regress_options import Options, parse
from epbell_tb.regress_store import FILE, Ended, Store, StoreError, read
from epbell_tb.regress_table import account, left, table, totals
from epbell_tb.regress_worker import REPORT, here, sources
from epbell_tb.verdicts import FAIL, PASS

__all__ = ["Regression", "main"]

_POLL_S = 0.5
_KEPT = "failed"

Known = dict[tuple[str, int], Ended]


def main(argv: Sequence[str]) -> int:
    """Do runs and report.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell regress``.

    Returns
    -------
    int
        Exit status.
    """
    options = parse(argv)
    folder = verdicts.report_folder(installation.PROJECT)
    console = Console(stderr=options.json, width=None if sys.stdout.isatty() else 140, soft_wrap=False)
    try:
        if options.list:
            _list(options.runs, read(folder / FILE))
            return 0
        with Store(folder / FILE) as store:
            return _main(options, folder, store, console)
    except StoreError as error:
        print(f"epbell: {error}", file=sys.stderr)
        return 1


def _main(options: Options, folder: Path, store: Store, console: Console) -> int:
    known = store.read()
    now = sources(installation.PROJECT)
    runs = options.runs
    if options.failed:
        runs = tuple(run for run in runs if run.key in known and known[run.key].verdict == FAIL)
    if options.resume:
        runs = tuple(run for run in runs if run.key not in known or not _holds(known[run.key], now, run))
    start = time.monotonic()
    regression = Regression(folder, store, known, now, console)
    regression.perform(runs, options)
    found = regression.found
    if options.json:
        print(json.dumps({run.name: asdict(found[run.key]) for run in runs if run.key in found}, indent=2))
    else:
        console.print(table(totals(runs, found)))
    bad = [run for run in runs if run.key not in found or found[run.key].verdict != PASS]
    _say(console, *(_failure(folder, run, found[run.key]) for run in bad if run.key in found))
    rows = {key: row for key, row in {**known, **found}.items() if row.sources == now}
    covered = [rows[run.key].coverage for run in options.runs if run.coverage and run.key in rows]
    if any(covered):
        said = whole(folder, filter(None, covered))
        _say(console, f"coverage of {len(covered)} runs: {said}")
    minutes = (time.monotonic() - start) / 60
    _say(console, f"{len(runs) - len(bad)} of {len(runs)} runs passed in {minutes:.0f} min; {folder / FILE}")
    return 1 if bad else 0


class Regression:
    """Some runs on some workers.

    Parameters
    ----------
    folder : Path
        Folder of all reports.
    store : Store
        Where it is kept what came of each run.
    known : mapping
        What came of earlier ones.
    now : str
        What `sources` says.
    console : Console
        Where it is said how far things are.

    Attributes
    ----------
    found : dict
        What came of each run, by test and seed.
    """

    def __init__(
        self, folder: Path, store: Store, known: Mapping[tuple[str, int], Ended], now: str, console: Console
    ) -> None:
        self.found: Known = {}
        self._folder = folder
        self._store = store
        self._known = dict(known)
        self._now = now
        self._console = console
        self._waiting: list[Run] = []
        self._running: dict[tuple[str, int], Run] = {}
        self._shown: set[Run] = set()

    def perform(self, runs: Sequence[Run], options: Options) -> None:
        """Do the runs, as many at a time as there are workers; say it where that does not come to its end."""
        self._waiting = list(runs)
        remedy = "go on with --resume"
        try:
            if runs:
                with Farm(options.scheduler, options.jobs, options.patience) as farm, display(self._console) as shown:
                    self._all(farm, shown, options.patience)
        except KeyboardInterrupt:
            _say(self._console, f"interrupted after {len(self.found)} of {len(runs)} runs; {remedy}")
        except FarmError as error:
            _say(self._console, f"stopped after {len(self.found)} of {len(runs)} runs: {error}; then {remedy}")
        for stray in (self._folder / "regress").glob(".*"):
            shutil.rmtree(stray, ignore_errors=True)  # of a worker that was killed

    def _all(self, farm: Farm, shown: Display, patience: float) -> None:
        self._same_sources(farm)
        idle_since: float | None = None
        while self._waiting or self._running:
            try:
                slots = farm.slots()
                idle_since = (idle_since or time.monotonic()) if not slots else None
                if idle_since and time.monotonic() - idle_since > patience:
                    raise FarmError(
                        f"there was no worker for {patience:.0f} s; start some, or wait longer with --patience"
                    )
                while self._waiting and len(self._running) < slots:
                    run = self._waiting.pop(0)
                    self._running[run.key] = run
                    farm.submit(run)
                for news in farm.news(_POLL_S):
                    self._take(news, shown, slots)
            except SchedulerLostError:
                self._say_lost(shown, patience)
                farm.again()
                self._waiting = [*self._running.values(), *self._waiting]
                self._running.clear()
                self._same_sources(farm)

    def _say_lost(self, shown: Display, patience: float) -> None:
        for run in tuple(self._shown):
            self._end(run, "its scheduler is lost; it will be run again", shown)
        _say(self._console, f"the scheduler does not answer; looking for it for {patience:.0f} s")

    def _same_sources(self, farm: Farm) -> None:
        try:
            wrong = farm.others(self._now)
        except SchedulerLostError:
            raise FarmError("the scheduler does not answer") from None
        if wrong:
            raise FarmError("\n    ".join([f"the sources here are {self._now}, but", *wrong]))

    def _take(self, news: Began | Came | Failed, shown: Display, slots: int) -> None:
        run = news.run
        if isinstance(news, Began):
            if run in self._shown:
                self._end(run, "its worker was killed; run again", shown)
            self._shown.add(run)
            shown.begin(run.name)
            return
        if isinstance(news, Came) and news.returned.sources != self._now:
            raise FarmError(
                f"worker {news.returned.worker} ran {run.name} on sources {news.returned.sources}, not {self._now}"
            )
        del self._running[run.key]
        ended = self.found[run.key] = self._keep(news)
        self._known[run.key] = ended
        waiting = [*self._waiting, *self._running.values()]
        self._end(run, f"{account(ended)}; {left(waiting, self._known, len(self.found), slots)}", shown)

    def _end(self, run: Run, result: str, shown: Display) -> None:
        if run not in self._shown:  # it was never said that it has begun
            shown.begin(run.name)
        self._shown.discard(run)
        shown.end(run.name, result)

    def _keep(self, news: Came | Failed) -> Ended:
        """Keep the files of a run, and what came of it."""
        run = news.run
        own = self._folder / "regress" / run.name
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        if isinstance(news, Came):
            returned = news.returned
            with tarfile.open(fileobj=io.BytesIO(returned.files)) as archive:
                archive.extractall(own, filter="data")
            said, seconds, date, worker = returned.outcome, returned.seconds, returned.date, returned.worker
        else:
            said, seconds, date, worker = Outcome(FAIL, 0, 1, news.reason), 0.0, verdicts.now(), here()
        scenarios = own / REPORT / verdicts.SCENARIOS
        if scenarios.exists():
            verdicts.merge(self._folder / verdicts.SCENARIOS, verdicts.read(scenarios))
        coverage = gather(own)
        ended = Ended(
            *run.key, said.verdict, said.passed, said.failed, said.cycles, seconds,
            str(coverage.relative_to(self._folder)) if coverage else "", self._now, date, said.reason,
            said.replay or run.again, worker, news.retries,
        )  # fmt: skip
        if ended.verdict != PASS:
            kept = self._folder / "regress" / _KEPT / run.name
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(own, kept)
        self._store.keep(ended)
        return ended


def _holds(ended: Ended, now: str, run: Run) -> bool:
    return ended.verdict == PASS and ended.sources == now and (bool(ended.coverage) or not run.coverage)


def _failure(folder: Path, run: Run, ended: Ended) -> str:
    where = folder / "regress" / _KEPT / run.name
    again = "" if ended.replay == run.again else f"\n    replay: {ended.replay}"
    return f"{run.name}: {ended.reason}; {where}{again}\n    again: {run.again}"


def _list(runs: Sequence[Run], known: Mapping[tuple[str, int], Ended]) -> None:
    """Print each test, and what its last runs said: all whose results are kept."""
    for test in dict.fromkeys(run.group.name for run in runs):
        ended = [one for (name, _), one in known.items() if name == test]
        bad = [one.seed for one in ended if one.verdict != PASS]
        date = max((one.date for one in ended), default="")[:10]
        if len(ended) == 1:
            said = f"{account(ended[0])}, {date}"
        elif bad:
            said = f"{len(ended) - len(bad)} of {len(ended)} seeds passed, first failing {min(bad)}, {date}"
        else:
            said = f"{len(ended)} seeds passed, {date}" if ended else ""
        print(f"{test:32} {said}".rstrip())


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
