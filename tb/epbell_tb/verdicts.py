"""The last verdict of every test and of every case of a scenario, in ``sim_build/report``.

``verdicts.json`` is written at the end of each pytest session, ``scenarios.json`` at the end of each ``make sim``.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

__all__ = [
    "FAIL",
    "PASS",
    "SCENARIOS",
    "SKIP",
    "TESTS",
    "Verdict",
    "merge",
    "now",
    "read",
    "report_folder",
]

PASS, FAIL, SKIP = "pass", "fail", "skip"
TESTS, SCENARIOS = "verdicts.json", "scenarios.json"


@dataclass(frozen=True)
class Verdict:
    """What came of a test, and when (ISO 8601, UTC)."""

    verdict: str
    date: str


def report_folder(project: Path) -> Path:
    """Return the folder of the reports of a checkout: ``$EPBELL_SIM_BUILD/report``, or ``sim_build/report`` in it."""
    return project / os.environ.get("EPBELL_SIM_BUILD", "sim_build") / "report"


def now() -> str:
    """Return this moment in UTC, to the second, as ISO 8601."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def read(path: Path) -> dict[str, Verdict]:
    """Return the verdicts of a file by the tests' ids; none if the file does not exist.

    Raises
    ------
    ValueError
        If the file holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        return {test: Verdict(**entry) for test, entry in json.loads(text).items()}
    except (json.JSONDecodeError, AttributeError, TypeError) as error:
        raise ValueError(f"The verdicts of tests must be in {path}; remove it, for it holds {text[:40]!r}") from error


def merge(
    path: Path, found: Mapping[str, Verdict], complete: Collection[str] = (), project: Path | None = None
) -> None:
    """Add verdicts to a file, in place of earlier ones of the same tests; several processes may do so at once.

    Parameters
    ----------
    path : Path
        The file; it need not exist, and one that cannot be read is begun anew.
    found : mapping
        Verdicts by the tests' ids.
    complete : collection of str
        Files all of whose tests are in `found`: earlier verdicts of other tests in them are forgotten.
    project : Path, optional
        Root of the ids: verdicts of tests whose file is gone are forgotten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        try:
            kept = read(path)
        except ValueError:
            kept = {}
        kept = {test: verdict for test, verdict in kept.items() if _file(test) not in complete}
        if project is not None:
            kept = {test: verdict for test, verdict in kept.items() if (project / _file(test)).is_file()}
        content = {test: asdict(verdict) for test, verdict in sorted({**kept, **found}.items())}
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        scratch.replace(path)


def _file(test: str) -> str:
    return test.partition("::")[0]
