"""What came of each run is kept in a file that survives its writer, and that nobody misunderstands."""

import os
import subprocess
import sys
from dataclasses import replace

import duckdb
import pytest

from epbell_tb import cli
from epbell_tb.regress_store import FILE, Ended, Store, StoreError, read

ROW = Ended(
    "random.a", 3, "fail", 1, 2, 40_000_000_000, 2.5, "a/coverage.hits", "now", "2026-01-01T00:00:00+00:00", "odd",
    "epbell random", "host:1", 2,
)  # fmt: skip


def test_a_row_is_what_was_kept(tmp_path):
    path = tmp_path / "report" / FILE
    assert read(path) == {}
    with Store(path) as store:
        store.keep(ROW)
        store.keep(replace(ROW, seed=2, cycles=None, verdict="pass"))
        store.keep(replace(ROW, reason="another"))
    rows = read(path)
    assert list(rows) == [("random.a", 2), ("random.a", 3)]
    assert rows["random.a", 3] == replace(ROW, reason="another")
    assert rows["random.a", 2].cycles is None
    with duckdb.connect(str(path)) as db:
        assert db.execute("SELECT year(date) FROM runs WHERE verdict = 'fail'").fetchall() == [(2026,)]


def test_a_row_survives_its_writer(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from epbell_tb.regress_store import Ended, Store;"
        f"Store(Path(sys.argv[1])).keep({ROW!r}); os.kill(os.getpid(), 9)"
    )
    path = tmp_path / FILE
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    assert read(path) == {("random.a", 3): ROW}


@pytest.mark.parametrize("arguments", [["--only", "long"], ["--list"]])
def test_a_file_that_another_process_has(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    path = tmp_path / "report" / FILE
    path.parent.mkdir()
    code = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('there', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert cli.main(["regress", *arguments]) == 1
    said = capsys.readouterr().err
    assert f"{path} is in use by " in said
    assert f"(PID {other.pid})" in said
    assert "wait until it has ended" in said


def other_version(path):
    with Store(path):
        pass
    with duckdb.connect(str(path)) as db:
        db.execute("UPDATE about SET version = 99")


def other_tables(path):
    with duckdb.connect(str(path)) as db:
        db.execute("CREATE TABLE mine (a INTEGER)")


def other_columns(path):
    with duckdb.connect(str(path)) as db:
        db.execute("CREATE TABLE runs (a INTEGER)")
        db.execute("CREATE TABLE about (version INTEGER)")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (other_columns, "must have the columns of a regression, not a, version"),
        (other_version, "must be of version 1, not 99"),
        (other_tables, "must have the tables of a regression, not mine"),
        (lambda path: path.write_text("text"), "cannot be read by DuckDB"),
        (lambda path: path.write_bytes(os.urandom(20000)), "cannot be read by DuckDB"),
    ],
)
def test_a_file_that_is_something_else_is_left_alone(tmp_path, write, said):
    path = tmp_path / FILE
    write(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=said) as error:
        Store(path)
    assert "remove" in str(error.value)
    assert path.read_bytes() == before
