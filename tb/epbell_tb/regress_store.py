"""What came of each run of the regression: a table in a DuckDB file, which one process at a time writes.

``sim_build/report/regress.duckdb`` has the table ``runs``, a row for each test and seed with what its last run said::

    duckdb sim_build/report/regress.duckdb "SELECT test, seed, reason FROM runs WHERE verdict = 'fail'"

A row is there as soon as `Store.keep` returns: a process that is killed later does not take it along.
"""

from __future__ import annotations

import os
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType

import duckdb

__all__ = ["FILE", "Ended", "Store", "StoreError", "read"]

FILE = "regress.duckdb"
"""Name of the file, in the folder of the reports."""

_VERSION = 1
_COLUMNS = {
    "test": "VARCHAR NOT NULL",
    "seed": "BIGINT NOT NULL",
    "verdict": "VARCHAR NOT NULL",
    "passed": "INTEGER NOT NULL",
    "failed": "INTEGER NOT NULL",
    "cycles": "BIGINT",
    "seconds": "DOUBLE NOT NULL",
    "coverage": "VARCHAR NOT NULL",
    "sources": "VARCHAR NOT NULL",
    "date": "TIMESTAMP NOT NULL",
    "reason": "VARCHAR NOT NULL",
    "replay": "VARCHAR NOT NULL",
    "worker": "VARCHAR NOT NULL",
    "retries": "INTEGER NOT NULL",
}


class StoreError(Exception):
    """The file cannot be used; its text says why, and what to do."""


@dataclass(frozen=True)
class Ended:
    """What came of a run: a row of the table.

    Attributes
    ----------
    test : str
        Name of the group.
    seed : int
        Seed of everything random in it.
    verdict : str
        ``"pass"`` or ``"fail"``.
    passed, failed : int
        How many scenarios or tests did; of a selftest, how many ended as on the models and how many did not.
    cycles : int or None
        Clocks that were simulated, where the test says it.
    seconds : float
        Wall-clock time, compilations included.
    coverage : str
        File with what it covered, relative to the folder of the reports; empty: none was asked for.
    sources : str
        What it ran on, as :func:`epbell_tb.regress_worker.sources` says it.
    date : str
        When it ended (ISO 8601, UTC).
    reason : str
        Why it failed, in a line.
    replay : str
        Command that runs it again.
    worker : str
        Host and process in which it ran.
    retries : int
        How often its worker was killed before.
    """

    test: str
    seed: int
    verdict: str
    passed: int
    failed: int
    cycles: int | None
    seconds: float
    coverage: str
    sources: str
    date: str
    reason: str = ""
    replay: str = ""
    worker: str = ""
    retries: int = 0


class Store:
    """The file, opened; nobody else can open it until it is closed.

    Parameters
    ----------
    path : Path
        The file; it and its folder need not exist.

    Raises
    ------
    StoreError
        If another process has it, or it is something else, or of another version.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = _connect(path)
        try:
            self._prepare(path)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def keep(self, ended: Ended) -> None:
        """Keep what came of a run, in place of what an earlier one of the same test and seed said."""
        self._db.execute(f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * len(_COLUMNS))})", _values(ended))

    def read(self) -> dict[tuple[str, int], Ended]:
        """Return what the runs said, by test and seed, in the order of these."""
        names = [field.name for field in fields(Ended)]
        columns = ["strftime(date, '%Y-%m-%dT%H:%M:%S+00:00')" if name == "date" else name for name in names]
        rows = self._db.execute(f"SELECT {', '.join(columns)} FROM runs ORDER BY test, seed").fetchall()
        return {(row[0], row[1]): Ended(**dict(zip(names, row, strict=True))) for row in rows}

    def _prepare(self, path: Path) -> None:
        remedy = f"remove {path}, or read it with what wrote it"
        tables = {name for (name,) in self._db.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        if not tables:
            self._db.execute("BEGIN")
            columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
            self._db.execute(f"CREATE TABLE runs ({columns}, PRIMARY KEY (test, seed))")
            self._db.execute("CREATE TABLE about (version INTEGER NOT NULL)")
            self._db.execute("INSERT INTO about VALUES (?)", [_VERSION])
            self._db.execute("COMMIT")
            return
        if tables != {"runs", "about"}:
            raise StoreError(f"{path} must have the tables of a regression, not {', '.join(sorted(tables))}; {remedy}")
        known = {"version", *_COLUMNS}
        query = "SELECT column_name FROM duckdb_columns() WHERE NOT internal"
        columns = {name for (name,) in self._db.execute(query).fetchall()}
        if columns != known:
            said = ", ".join(sorted(columns))
            raise StoreError(f"{path} must have the columns of a regression, not {said}; {remedy}")
        found = self._db.execute("SELECT version FROM about").fetchall()
        if found != [(_VERSION,)]:
            version = ", ".join(str(one) for (one,) in found) or "none"
            raise StoreError(f"{path} must be of version {_VERSION}, not {version}; {remedy}")


def read(path: Path) -> dict[tuple[str, int], Ended]:
    """Return what the runs of a file said, by test and seed; nothing if there is no file.

    Raises
    ------
    StoreError
        As `Store`.
    """
    if not path.exists():
        return {}
    with Store(path) as store:
        return store.read()


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(path))
    except duckdb.Error as error:
        text = str(error)
    if "lock" in text:
        _, _, holder = text.partition("lock is held in ")
        who = holder.partition(". See")[0] or "another process"
        raise StoreError(
            f"{path} is in use by {who}; wait until it has ended, or give this run an EPBELL_SIM_BUILD of its own"
        )
    writable = os.access(path if path.exists() else path.parent, os.W_OK)
    remedy = "remove it, or read it with what wrote it" if writable else "let it be written"
    raise StoreError(f"{path} cannot be read by DuckDB {duckdb.__version__}: {text.splitlines()[0]}; {remedy}")


def _values(ended: Ended) -> list[object]:
    row = dict(zip((field.name for field in fields(Ended)), astuple(ended), strict=True))
    row["date"] = ended.date.partition("+")[0]
    return [row[name] for name in _COLUMNS]
