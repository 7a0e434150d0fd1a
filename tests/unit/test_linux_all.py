"""``epbell linux all``: which runs there are, what becomes of them, and that none is left when it is interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from epbell_models import devicetree
from epbell_tb import installation, linux, linux_all
from epbell_tb.guest import newest, packages
from epbell_tb.guest.commands import MissingError
from epbell_tb.linux_all import Ended, Job

GOOD = "print('# doorbell mu'); print('ok 1 a'); print('# boot 3.0 s, tests 2.0 s'); print('# Totals: pass:1')"
BAD = "print('not ok 1 a'); raise SystemExit(1)"


def job(name, program):
    return Job(name, (sys.executable, "-c", program))


@pytest.fixture
def everything(monkeypatch):
    """Return what sets the runs, on a machine that has what they need."""
    monkeypatch.setattr(packages, "provide", lambda say: None)
    monkeypatch.setattr(newest, "provide", lambda say: None)
    return lambda *jobs: monkeypatch.setattr(linux_all, "jobs", lambda given: list(jobs))


@pytest.mark.parametrize("at_a_time", ["1", "3"])
@pytest.mark.parametrize("failing", [0, 2, None])
def test_it_fails_if_one_of_them_does(everything, capsys, failing, at_a_time):
    everything(*(job(f"run{n}", BAD if n == failing else GOOD) for n in range(4)))
    assert linux.main(["all", "--jobs", at_a_time]) == int(failing is not None)
    rows = capsys.readouterr().out.partition("\n\n")[2].splitlines()
    assert [row.split()[1] for row in rows] == [f"run{n}" for n in range(4)]
    assert ["FAILED" in row for row in rows] == [n == failing for n in range(4)]


def test_what_a_run_says_is_printed_in_one_piece(everything, capsys):
    everything(*(job(f"run{n}", GOOD + f"; print('end of {n}')") for n in range(4)))
    assert linux.main(["all", "--jobs", "4"]) == 0
    said = capsys.readouterr().out
    for n in range(4):
        assert f"ok 1 a\n# boot 3.0 s, tests 2.0 s\n# Totals: pass:1\nend of {n}\n" in said
    assert "run0           passed; doorbell mu; boot 3.0 s, tests 2.0 s; Totals: pass:1 in" in said


@pytest.mark.parametrize(
    ("status", "said", "outcome"),
    [
        (0, ["# why", "1..0 # SKIP no such kernel"], "skipped: no such kernel"),
        (0, ["13 passed, 1 skipped in 99.50s"], "passed; 13 passed, 1 skipped in 99.50s"),
        (1, ["1 failed, 2 passed in 9.00s (0:00:09)"], "FAILED; 1 failed, 2 passed in 9.00s (0:00:09)"),
        (1, [], "FAILED"),
        (0, ["# 90 accesses by the driver's tests of whole BARs in 1.0 s: 90/s"], "passed; 90/s accesses"),
    ],
)
def test_what_is_said_of_a_run(status, said, outcome):
    assert Ended(status, tuple(said), 1.0).outcome() == outcome


def runs(*arguments):
    given = linux._parser().parse_args(["all", *arguments])
    return {one.name: one.command for one in linux_all.jobs(given)}


def test_every_tree_and_every_file_of_tests():
    found = runs("--msix", "4", "--stalls", "--only", "*.BAR_TEST", "--only", "*.MSI_TEST", "--sizes", "1,2")
    files = {path.stem for path in (installation.PROJECT / "tests" / "linux").glob("test_*.py")}
    assert set(found) == {"selftest", *devicetree.shipped(), *files}
    imx8 = " ".join(found["imx8"])
    parts = ["pcitest --tree imx8", "--endpoint rtl", "--stalls", "--msix 4", "--sizes 1,2", "--only *.BAR_TEST --only"]
    for part in parts:
        assert part in imx8
    assert "--width" not in imx8


@pytest.mark.parametrize(
    "arguments", [(), ("--endpoint", "model"), ("--width", "64", "--seed", "3", "--bars", "linux")]
)
def test_every_command_line_is_understood(arguments):
    """The options of one verb are not handed to another that does not know them."""
    for name, command in runs(*arguments).items():
        if "pytest" not in command:
            given = linux._parser().parse_args(command[4:])
            assert given.endpoint == ("model" if "model" in arguments else "rtl"), name


def test_nothing_is_run_where_nothing_can_be(everything, monkeypatch, capsys):
    def missing(_):
        raise MissingError("no QEMU")

    everything(job("run", BAD))
    monkeypatch.setattr(packages, "provide", missing)
    assert linux.main(["all"]) == 0
    assert capsys.readouterr().out == "1..0 # SKIP no QEMU\n"


COMMAND = """
import signal, sys
from epbell_tb.guest.ending import ends_on_sigterm
from epbell_tb.linux_all import Job, run_jobs

signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored, and children inherit that
with ends_on_sigterm():
    run_jobs([Job(str(n), (sys.executable, "-c", sys.argv[1], sys.argv[2])) for n in range(4)], 2, print)
"""
SLEEPS = "import os, sys, time; open(f'{sys.argv[1]}/{os.getpid()}', 'w'); time.sleep(600)"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_runs_end_when_it_is_interrupted(tmp_path, how):
    begun = [sys.executable, "-c", COMMAND, SLEEPS, str(tmp_path)]
    with subprocess.Popen(begun, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        end = time.monotonic() + 30
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        command.send_signal(how)
        try:
            command.communicate(timeout=30)
        finally:
            command.kill()
        assert command.returncode not in (0, None)
    numbers = [path.name for path in tmp_path.iterdir()]
    assert len(numbers) == 2, "two at a time, and no other begins"
    for number in numbers:
        assert not Path(f"/proc/{number}").exists()
        with pytest.raises(ProcessLookupError):
            os.kill(int(number), 0)
