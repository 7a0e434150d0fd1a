"""A command ends with whoever started it, and what it has started ends with it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from epbell_tb.lifeline import TimeLimitError, UnwantedError, call

WAITS = "import time; time.sleep(60)"
# Starts a process in a session of its own, as a simulator is, and tells its number.
STARTS = (
    "import subprocess, sys, time;"
    f"child = subprocess.Popen([sys.executable, '-c', {WAITS!r}], start_new_session=True);"
    "print(child.pid, flush=True); time.sleep(60)"
)


def run(code, tmp_path, **options):
    options = {"limit": 30.0, **options}
    return call([sys.executable, "-c", code], cwd=tmp_path, env=dict(os.environ), out=tmp_path / "out", **options)


def ended(text):
    """Whether the process with that number is gone, or soon is."""
    deadline = time.monotonic() + 20
    while psutil.pid_exists(int(text)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_output_and_exit_status(tmp_path):
    code = "import sys; print('a'); print('b', file=sys.stderr); sys.exit(7)"
    assert run(code, tmp_path) == 7
    assert (tmp_path / "out").read_text() == "a\n"
    assert (tmp_path / "out.err").read_text() == "b\n"


def test_a_signal(tmp_path):
    assert run("import os; os.kill(os.getpid(), 9)", tmp_path) == 128 + 9


def test_a_time_limit(tmp_path):
    with pytest.raises(TimeLimitError, match="not ended after 1 s"):
        run(WAITS, tmp_path, limit=1.0)


def test_nobody_waits_any_longer(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UnwantedError):
        run(STARTS, tmp_path, wanted=lambda: not out.read_text())
    assert ended(out.read_text())


def test_the_starter_is_killed(tmp_path):
    out = tmp_path / "out"
    code = (
        "import os, sys; from pathlib import Path; from epbell_tb.lifeline import call;"
        f"call([sys.executable, '-c', {STARTS!r}], cwd=Path('.'), env=dict(os.environ),"
        f" out=Path({str(out)!r}), limit=60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path.cwd()) as starter:
        while not out.exists() or not out.read_text().strip():
            assert starter.poll() is None
            time.sleep(0.05)
        assert psutil.pid_exists(int(out.read_text()))
        starter.kill()
    assert ended(out.read_text())
