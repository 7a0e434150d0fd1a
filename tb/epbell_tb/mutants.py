"""``make mutants``: break RTL and models on purpose, one line at a time, and see that the tests notice.

Each mutant of ``tests/mutants.toml`` is one textual replacement in one file under ``rtl/``, ``models/`` or ``tb/``. It
is applied to a private copy of ``rtl/`` and ``models/`` (and ``tb/``, if that is where the file is) that shadows the
installed sources through ``PYTHONPATH``, so the working tree is never touched; then the tests named beside it run, and
at least one of them must fail. A mutant that survives, one whose text is no longer in the file, or tests that fail
without any mutant, make the command fail.

`make mutate` is the other one: mutants that Yosys draws at random, by the hundred.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import tomli
from rich.console import Console
from rich.table import Table

__all__ = ["Mutant", "Outcome", "load", "main", "run_mutant", "shadow"]

#: Seconds after which the tests of one mutant are ended; a hang is noticed only when a test's own limit reports it.
TIME_LIMIT_S = 900
_FOLDERS = ("rtl", "models", "tb")
_ALWAYS_SHADOWED = ("rtl", "models")
#: What builds and caches leave in a checkout: no mutant needs it.
_NOT_LINKED = (*_FOLDERS, "build", "sim_build", ".git")


@dataclass(frozen=True)
class Mutant:
    """One deliberate defect: ``old`` becomes ``new`` (first and only occurrence) in ``file``; ``tests`` must notice."""

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.folder not in _FOLDERS:
            raise ValueError(f"The file of mutant {self.name!r} must be under {', '.join(_FOLDERS)}, not {self.file!r}")

    @property
    def folder(self) -> str:
        """The top-level folder of its file."""
        return self.file.partition("/")[0]

    def apply(self, root: Path) -> None:
        """Rewrite ``root/file``.

        Raises
        ------
        ValueError
            When ``old`` is not in the file exactly once: the mutant is stale.
        """
        path = root / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(
                f"mutant {self.name!r}: its text must stand exactly once in {self.file} (it is there "
                f"{text.count(self.old)} times); bring the list of mutants up to date, not {self.old!r}"
            )
        path.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Outcome:
    """What the tests said of one mutant (``mutant`` is None for the unbroken reference run)."""

    mutant: Mutant | None
    noticed: bool
    seconds: float
    first_failure: str
    output: str


def load(path: Path) -> list[Mutant]:
    """Read the mutants of a TOML file with an array of tables ``mutant``."""
    rows = tomli.loads(path.read_text())["mutant"]
    return [Mutant(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def _first_failure(output: str) -> str:
    for line in output.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split(" - ")[0].removeprefix("FAILED ").removeprefix("ERROR ")
    return ""


def shadow(mutant: Mutant | None, project: Path, root: Path) -> list[Path]:
    """Copy the sources to `root` and break them there; return the folders that shadow the installed packages."""
    folders = [*_ALWAYS_SHADOWED]
    if mutant is not None and mutant.folder not in folders:
        folders.append(mutant.folder)
        # The command finds its checkout around its own source.
        for entry in project.iterdir():
            if entry.name not in _NOT_LINKED:
                (root / entry.name).symlink_to(entry)
    for folder in folders:
        if (project / folder).is_dir():
            shutil.copytree(project / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        mutant.apply(root)
    return [root / folder for folder in folders]


def run_mutant(mutant: Mutant | None, project: Path, tests: tuple[str, ...]) -> Outcome:
    """Run ``tests`` on sources broken by ``mutant`` (unbroken for None); pytest's exit code 1 means noticed.

    Raises
    ------
    RuntimeError
        When pytest could not run the tests at all (any exit code but 0 and 1): that is no verdict.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="epbell-mutant-") as scratch:
        root = Path(scratch)
        path = os.pathsep.join(str(folder) for folder in shadow(mutant, project, root))
        env = dict(os.environ, PYTHONPATH=path, EPBELL_SIM_BUILD=str(root / "sim_build"), MAKEFLAGS="")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=TIME_LIMIT_S)
    if done.returncode not in (0, 1):
        name = mutant.name if mutant else "the unbroken tree"
        tail = done.stdout[-2000:] + done.stderr[-2000:]
        raise RuntimeError(f"pytest gave no verdict on {name} (exit {done.returncode}):\n{tail}")
    return Outcome(mutant, done.returncode == 1, time.monotonic() - start, _first_failure(done.stdout), done.stdout)


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(title="Deliberate defects and the test that noticed each")
    for column in ("mutant", "file", "verdict", "first failing test", "s"):
        table.add_column(column, justify="right" if column == "s" else "left")
    for o in outcomes:
        if o.mutant is not None:
            verdict = "noticed" if o.noticed else "SURVIVED"
            table.add_row(o.mutant.name, o.mutant.file, verdict, o.first_failure, f"{o.seconds:.0f}")
    return table


def main(argv: list[str] | None = None) -> int:
    """Run all mutants (or those named) and print a table; 0 when every one was noticed and the unbroken tree passes."""
    parser = argparse.ArgumentParser(prog="epbell mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants to run (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time (default: 2)")
    args = parser.parse_args(argv)
    project = Path.cwd()
    listing = project / "tests" / "mutants.toml"
    if not listing.is_file():
        complaint = f"run it in a checkout of the project, where tests/mutants.toml is, not in {str(project)!r}"
        print(f"epbell mutants: {complaint}", file=sys.stderr)
        return 2
    mutants = load(listing)
    unknown = sorted(set(args.names) - {m.name for m in mutants})
    if unknown:
        print(f"epbell mutants: name one of {', '.join(m.name for m in mutants)}, not {unknown[0]!r}", file=sys.stderr)
        return 2
    chosen = [m for m in mutants if not args.names or m.name in args.names]
    console = Console()
    reference = tuple(sorted({t for m in chosen for t in m.tests}))
    console.print(f"unbroken tree: {len(reference)} test selections ...")
    unbroken = run_mutant(None, project, reference)
    if unbroken.noticed:
        console.print(f"the tests fail without any mutant: {unbroken.first_failure}")
        print(unbroken.output[-4000:])
        return 1
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(args.jobs) as pool:
        futures = [pool.submit(run_mutant, m, project, m.tests) for m in chosen]
        for future in as_completed(futures):
            outcome = future.result()
            outcomes.append(outcome)
            assert outcome.mutant is not None
            verdict = "noticed" if outcome.noticed else "SURVIVED"
            console.print(f"  {outcome.mutant.name}: {verdict} in {outcome.seconds:.0f} s")
    console.print(_table(outcomes))
    survivors = [o for o in outcomes if not o.noticed]
    console.print(f"{len(outcomes) - len(survivors)} noticed, {len(survivors)} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
