"""The workers of the regression, as Dask has them, with runs that kill: no result that has ended is lost."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import psutil
import pytest

from epbell_tb import regress, regress_farm
from epbell_tb.regress_groups import Group
from epbell_tb.regress_store import FILE, read

HERE = Path(__file__).parent
SLOW = pytest.mark.timeout(180)


def stub(name, do="pass", at=2):
    return Group(f"random.{name}", ("--do", do, "--at", str(at)), module="regress_stub")


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Run the regression with these groups alone; return its exit status and its rows."""
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]))

    def run(groups, *arguments):
        monkeypatch.setattr("epbell_tb.regress_groups.GROUPS", tuple(groups))
        status = regress.main(["--jobs", "1", *arguments])
        return status, read(tmp_path / "report" / FILE)

    return run


def port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def dask(*arguments):
    command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def cluster(number):
    """A scheduler and a worker, and no nanny."""
    address = f"tcp://127.0.0.1:{number}"
    scheduler = dask("scheduler", "--host", "127.0.0.1", "--port", str(number))
    worker = dask("worker", address, "--nthreads", "1", "--no-nanny")
    try:
        yield address, scheduler
    finally:
        for one in (worker, scheduler):
            one.kill()
            one.wait()


@SLOW
def test_killed_workers(start, capsys, tmp_path):
    """One run kills its worker once, one whenever it runs; the others are done all the same."""
    once = stub("once", f"die-once:{tmp_path / 'died'}")
    status, rows = start([once, stub("killer", "die", at=1)], "--seeds", "2")
    assert status == 1
    verdicts = {key: (row.verdict, row.retries, row.reason) for key, row in rows.items()}
    assert verdicts == {
        ("random.once", 1): ("pass", 0, ""),
        ("random.once", 2): ("pass", 1, ""),
        ("random.killer", 1): ("fail", 3, "its worker was killed 3 times"),
        ("random.killer", 2): ("pass", 0, ""),
    }
    assert "random.once-2: pass, 1 passed in" in capsys.readouterr().out
    assert not list((tmp_path / "report" / "regress").glob(".*")), "what killed workers leave is removed"


@SLOW
def test_a_scheduler_that_is_killed_and_started_again(start, capsys, tmp_path):
    number = port()
    with cluster(number) as (address, scheduler), contextlib.ExitStack() as later:
        (tmp_path / "scheduler").write_text(str(scheduler.pid))

        def again():
            scheduler.wait()
            later.enter_context(cluster(number))

        threading.Thread(target=again).start()
        groups = [stub("a", f"lose:{tmp_path / 'scheduler'}")]
        status, rows = start(groups, "--seeds", "3", "--scheduler", address)
    assert status == 0
    assert {key: row.verdict for key, row in rows.items()} == {("random.a", seed): "pass" for seed in (1, 2, 3)}
    out = capsys.readouterr().out
    assert "random.a-2: its scheduler is lost; it will be run again" in out
    assert out.count("random.a-1: pass") == 1


@SLOW
def test_a_scheduler_that_does_not_come_back(start, capsys, tmp_path):
    with cluster(port()) as (address, scheduler):
        (tmp_path / "scheduler").write_text(str(scheduler.pid))
        groups = [stub("a", f"lose:{tmp_path / 'scheduler'}")]
        status, rows = start(groups, "--seeds", "3", "--scheduler", address, "--patience", "5")
    assert status == 1
    assert {key: row.verdict for key, row in rows.items()} == {("random.a", 1): "pass"}
    out = " ".join(capsys.readouterr().out.split())
    assert re.search(r"stopped after 1 of 3 runs: no scheduler answers at \S+ for 5 s:.*then go on with --resume", out)


@SLOW
def test_ctrl_c(tmp_path):
    """It ends what runs, workers and all, and keeps what has ended."""
    file = tmp_path / "number"
    code = (
        "import sys; from epbell_tb import regress, regress_groups as groups;"
        f"groups.GROUPS = (groups.Group('random.a', ('--do', 'wait:{file}', '--at', '2'), module='regress_stub'),);"
        "sys.exit(regress.main(['--seeds', '3', '--jobs', '1']))"
    )
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "EPBELL_SIM_BUILD": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.1)
        everything = [psutil.Process(int(file.read_text())), *psutil.Process(process.pid).children(recursive=True)]
        os.killpg(process.pid, signal.SIGINT)
        out = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "interrupted after 1 of 3 runs; go on with --resume" in out
    assert "Traceback" not in out
    assert set(read(tmp_path / "report" / FILE)) == {("random.a", 1)}
    gone, alive = psutil.wait_procs(everything, timeout=20)
    assert not alive
    assert gone


def test_workers_beside_another_cluster():
    """The usual port of Dask's pages is somebody else's: nobody is told to mind that, and nothing ends."""
    with contextlib.ExitStack() as stack, socket.socket() as taken:
        with contextlib.suppress(OSError):
            taken.bind(("", 8787))
            taken.listen()
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error")
        cluster = regress_farm._local(1, stack)
        assert len(cluster.workers) == 1
