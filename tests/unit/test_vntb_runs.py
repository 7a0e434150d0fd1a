"""`epbell vntb`: what becomes of the other simulations when one fails, and what is said to whoever waits."""

import argparse
import threading
import time

import pytest
from filelock import FileLock
from rich.console import Console

from epbell_tb import progress, runner, vntb, vntb_trees


def test_first_that_fails_ends_those_that_run_and_no_other_begins(monkeypatch, tmp_path):
    began, cancelled = [], threading.Event()

    def run(options, name, build):
        began.append(name)
        if name == "polled":
            raise runner.SimulationError("polled: no answer")
        cancelled.wait(10)
        raise runner.SimulationError(f"{name} was ended")

    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    monkeypatch.setattr(vntb, "_run", run)
    monkeypatch.setattr(runner, "cancel", cancelled.set)
    before, options = threading.active_count(), argparse.Namespace(jobs=1, pings=1)
    with pytest.raises(runner.SimulationError, match="polled: no answer"):
        vntb._simulate(options, dict.fromkeys(("polled", "mu", "edma")), Console(quiet=True))
    assert cancelled.is_set()
    end = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert began == ["polled", "mu"]


def test_who_waits_is_told_for_what(tmp_path, capsys):
    path = tmp_path / "vntb.lock"
    held = FileLock(path, thread_local=False)
    held.acquire()
    other = threading.Timer(0.3, held.release)

    def wait():
        with progress.alone(path, Console(stderr=True)):
            pass

    other.start()
    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(10)
    assert capsys.readouterr().err == f"waiting for another run that writes to {tmp_path}: it holds vntb.lock\n"
    wait()
    assert capsys.readouterr().err == "", "nobody waits"


@pytest.mark.parametrize(("tree", "backend"), [("msi-enomem", "polling"), ("imx8", "mu"), ("imx8-edma", "edma")])
def test_backend_of_a_tree(tree, backend):
    assert vntb_trees.backend_of(tree) == backend


def test_backend_of_a_tree_that_is_not_known():
    with pytest.raises(ValueError, match=r"one of msi-enomem, imx8, imx8-edma, not 'hdma': give EPBELL_DTS one of"):
        vntb_trees.backend_of("hdma")
