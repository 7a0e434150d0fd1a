"""A run of the regression where it happens: in a worker, which may be on another machine with a checkout of its own.

The command of a run is a process of its own, in a folder that is there for it alone. What it leaves goes back to the
process that the user started, as an archive: nothing needs a folder that the machines share.
"""

from __future__ import annotations

import hashlib
import io
import os
import socket
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from epbell_tb import installation, verdicts
from epbell_tb.lifeline import TimeLimitError, call
from epbell_tb.regress_groups import Outcome, Run, outcome, tap
from epbell_tb.verdicts import FAIL

__all__ = [
    "REPORT",
    "Returned",
    "here",
    "perform",
    "sources",
]

REPORT = "report"
"""Folder, in that of a run, of what scenarios and random traffic leave."""

_SOURCES = ("rtl", "models", "tb", "tests")
_SUFFIXES = {".py", ".rdl", ".dts", ".toml", ".cpp", ".h"}
_LARGEST = 64 << 20  # bytes of a file that goes back


@dataclass(frozen=True)
class Returned:
    """What a worker gives back.

    Attributes
    ----------
    outcome : Outcome
        What the command said.
    seconds : float
        Wall-clock time.
    date : str
        When it ended.
    worker : str
        Host and process.
    sources : str
        What it ran on.
    files : bytes
        Archive (tar, gzip) of the folder of the run.
    """

    outcome: Outcome
    seconds: float
    date: str
    worker: str
    sources: str
    files: bytes


def sources(project: Path) -> str:
    """Return a hash of everything that a verdict depends on: sources, benches and tests of a checkout."""
    files = sorted(path for top in _SOURCES for path in (project / top).rglob("*") if path.suffix in _SUFFIXES)
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path.relative_to(project)}\0".encode() + path.read_bytes() + b"\0")
    return whole.hexdigest()[:16]


def here() -> str:
    """Return host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def perform(run: Run, wanted: Callable[[], bool] = lambda: True) -> Returned:
    """Run the command of a run in a process of its own, and return what came of it.

    Parameters
    ----------
    run : Run
        The run.
    wanted : callable
        Asked several times a second whether somebody still waits for it.

    Raises
    ------
    UnwantedError
        If nobody does.
    """
    now = sources(installation.PROJECT)
    start = time.monotonic()
    parent = verdicts.report_folder(installation.PROJECT) / "regress"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{run.name}-", dir=parent) as name:
        own = Path(name)
        try:
            found = _perform(run, own, wanted)
        except TimeLimitError as error:
            found = Outcome(FAIL, 0, 1, str(error))
        seconds = round(time.monotonic() - start, 1)
        return Returned(found, seconds, verdicts.now(), here(), now, _archive(own))


def _perform(run: Run, own: Path, wanted: Callable[[], bool]) -> Outcome:
    def output(arguments: tuple[str, ...], name: str) -> tuple[int, str]:
        env = {name: value for name, value in os.environ.items() if name not in installation.MAKE_VARIABLES}
        command = [sys.executable, "-m", run.group.module, *arguments]
        project, out = installation.PROJECT, own / name
        status = call(command, cwd=project, env=env, out=out, limit=run.group.limit, wanted=wanted)
        return status, out.read_text(encoding="utf-8", errors="replace")

    expected = tap(output(run.group.models, "models")[1]) if run.group.models else []
    report = ("--report", str(own / REPORT)) if run.group.reports else ()
    status, said = output((*run.arguments, *report), "output")
    return outcome(run.group, status, said, expected)


def _archive(folder: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=3) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST:
                archive.add(path, path.relative_to(folder))
    return packed.getvalue()
