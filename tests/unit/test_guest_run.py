"""What a whole run says at its end: every way in which a guest or its endpoint goes wrong is a failure.

The guest is a script in QEMU's place, the endpoint a stand-in: what they do is what a test wants to see judged.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from epbell_models import devicetree
from epbell_tb import linux, selftest
from epbell_tb.guest import ntb_run, packages, programs, run
from epbell_tb.guest.commands import MissingError
from epbell_tb.guest.figures import Figures

TEST = "pci_ep_basic.LEGACY_IRQ_TEST"
BOOT = ["@@ booted", "@@ bound"]
DONE = ["SET IRQ TYPE TO LEGACY:\t\tOKAY", "LEGACY IRQ:\tOKAY", "@@ end 0", "@@ ended"]
GOOD = [*BOOT, f"@@ begin 0 {TEST}", *DONE]
SETUP = run.Setup(devicetree.builtin("imx8"), "model", only=(TEST,), limit=60.0)


class Stand:
    """An endpoint of which only the end matters."""

    def __init__(self, error=None, gone=False):
        self.error = error
        self.gone = gone
        self.initrds = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.link.close()

    def start(self):
        pass

    def attach(self, link, qtest):
        self.link = link

    def failed(self):
        return self.gone

    def finish(self):
        if self.error:
            raise self.error
        return Figures(
            config=1, reads=1, writes=1, resets=1, seconds=1.0, clocks=0, interrupts=1, doorbell="mu", reason="", log=[]
        )


@pytest.fixture
def guest(tmp_path, monkeypatch):
    """A machine that has everything; returns what makes its QEMU print lines and then do something."""
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    for name in ("busybox", "pcitest", "ring", "pci_endpoint_test.ko"):
        (tmp_path / name).write_text(name)
    qemu = tmp_path / "qemu"
    have = packages.Packages(
        "6.1", "6.1.1", qemu, tmp_path / "vmlinux", tmp_path / "busybox", tmp_path / "pcitest", tmp_path
    )
    monkeypatch.setattr(packages, "provide", lambda say: have)
    monkeypatch.setattr(programs, "compiled", lambda name, folder: tmp_path / name)

    def prints(*lines, then=""):
        text = "\n".join(lines)
        qemu.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\nprint({text!r}, flush=True)\n{then}\n")
        qemu.chmod(0o755)

    return prints


def judged(endpoint=None, **options):
    """Run; return whether all is well, and what was said."""
    said = []
    good = run.run(replace(SETUP, **options), said.append, endpoint or Stand())
    return good, said


def test_a_good_guest(guest):
    guest(*GOOD)
    good, said = judged()
    assert f"ok 1 {TEST}" in said
    assert good


@pytest.mark.parametrize(
    ("lines", "endpoint", "told"),
    [
        ([*GOOD, "[    9.9] Oops: 0002 [#1] PREEMPT SMP NOPTI"], Stand(), "the guest's kernel complains: [ 9.9] Oops"),
        (GOOD, Stand(RuntimeError("the checks of the bench complain")), "the checks of the bench complain"),
        ([line for line in GOOD if line != "@@ bound"], Stand(), "the guest's driver did not bind"),
        ([], Stand(), "the guest did not boot"),
        (GOOD[:-1], Stand(), "the guest did not come to its end"),
        ([*BOOT, f"@@ begin 0 {TEST}"], Stand(), "the guest did not come to its end"),
    ],
)
def test_whatever_goes_wrong_fails(guest, lines, endpoint, told):
    guest(*lines)
    good, said = judged(endpoint)
    assert not good
    assert any(told in " ".join(line.split()) for line in said), said
    assert sum(line.endswith(f"ok 1 {TEST}") for line in said) == 1, "each test has a result"
    assert any(line.startswith("# Totals:") for line in said), "and the report has its end"


def test_a_guest_that_hangs(guest):
    guest(*BOOT, f"@@ begin 0 {TEST}", then="time.sleep(600)")
    good, said = judged(limit=1.0)
    assert not good
    assert f"not ok 1 {TEST}" in said
    assert any("the guest was ended after 1 s" in line for line in said)


def test_an_endpoint_that_ends_before_its_guest(guest):
    guest(*BOOT, then="time.sleep(600)")
    good, said = judged(Stand(gone=True))
    assert not good
    assert any("the endpoint has ended before the guest" in line for line in said)


def test_what_a_guest_says_while_it_is_ended_counts(guest):
    # Not by print, which may be at work on "armed" when the signal comes.
    end = 'def end(*_):\n    os.write(1, b"Kernel panic - not syncing\\n")\n    sys.exit()\n'
    end = f"import os\n{end}signal.signal(signal.SIGTERM, end)\n"
    guest(*BOOT, then=f"{end}print('armed', flush=True)\ntime.sleep(600)")
    endpoint = Stand()
    endpoint.failed = lambda: any("armed" in line for line in said)
    said = []
    assert not run.run(SETUP, said.append, endpoint)
    assert any("Kernel panic" in line and "complains" in line for line in said)
    assert "# Kernel panic - not syncing" in said, "and it is told"


def test_two_runs_share_neither_disk_nor_log(guest, monkeypatch):
    """Also of the same program, endpoint and tree, at the same time."""
    seen = []

    class Inner(Stand):
        def start(self):
            judged(run_in_run)

    write = run.initramfs.write

    def noted(path, **parts):
        seen.append(path)
        write(path, **parts)

    monkeypatch.setattr(run.initramfs, "write", noted)
    run_in_run = Stand()
    guest(*GOOD)
    good, said = judged(Inner())
    assert good
    first, second = seen
    assert first != second
    assert not first.exists(), "and nothing is left of it"
    logs = sorted((packages.folder() / "log").iterdir())
    assert len(logs) == 2
    assert [log.read_text().splitlines() for log in logs] == [GOOD, GOOD]
    assert sum(f"# the guest's log: {log}" in said for log in logs) == 1


class StandBridge:
    """Between two guests; runs two more before them, if it is told to."""

    def __init__(self, before=lambda: None):
        self.start = before

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def attach(self, *guests):
        for link, _ in guests:
            link.close()

    def failed(self):
        return False

    def finish(self):
        return []


def test_two_runs_of_two_guests_share_neither_disk_nor_log(guest, monkeypatch):
    disks = []

    def noted(path, **parts):
        disks.append(path)
        path.touch()

    monkeypatch.setattr(run.initramfs, "write", noted)
    guest("nothing to say")
    setup = ntb_run.NtbSetup("ntb", "nothing", size=1, pings=1, limit=20.0)
    twice = StandBridge(lambda: ntb_run.run(setup, StandBridge(), print))
    assert not ntb_run.run(setup, twice, print), "no link"
    assert len(set(disks)) == 4
    assert not any(disk.exists() for disk in disks)
    logs = list((packages.folder() / "log").iterdir())
    assert [log.read_text() for log in logs] == ["nothing to say\n"] * 4


def test_old_logs_are_forgotten(guest, monkeypatch):
    folder = packages.folder() / "log"
    folder.mkdir(parents=True)
    for number in range(60):
        (folder / f"{number}.log").touch()
        os.utime(folder / f"{number}.log", (number, number))
    guest(*GOOD)
    assert judged()[0]
    names = {log.name for log in folder.iterdir()}
    assert {"59.log", "10.log"} <= names
    assert "9.log" not in names
    assert len(names) == 51


# -- the commands ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("good", "status"), [(True, 0), (False, 1)])
def test_the_command_has_the_status_of_the_run(monkeypatch, good, status):
    monkeypatch.setattr(run, "run", lambda setup, out: good)
    assert linux.main(["pcitest", "--endpoint", "model"]) == status
    assert selftest.main(["--target", "linux"]) == status


def raises(error):
    def fails(*_):
        raise error

    return fails


def test_an_error_is_no_skip(monkeypatch, capsys):
    monkeypatch.setattr(run, "run", raises(RuntimeError("ring.c cannot be compiled")))
    assert linux.main(["pcitest", "--endpoint", "model"]) == 1
    assert capsys.readouterr() == ("", "epbell: ring.c cannot be compiled\n")


def test_a_skip_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(run, "run", raises(MissingError("could not download; apt said:\n    no\n    network")))
    assert linux.main(["pcitest", "--endpoint", "model"]) == 0
    assert capsys.readouterr().out == "# no\n# network\n1..0 # SKIP could not download; apt said:\n"


def test_the_selftests_watchdog_allows_for_the_boot(monkeypatch):
    setups = []
    monkeypatch.setattr(linux, "report", lambda setup, out: setups.append(setup) or 0)
    assert selftest.main(["--target", "linux", "--only", TEST, "--limit", "7"]) == 0
    assert setups[0].limit == 120 + 7


# -- being ended -------------------------------------------------------------------------------------------------------

COMMAND = """
import sys, tempfile
from dataclasses import replace
from pathlib import Path
from epbell_tb.guest.ending import ends_on_sigterm
from epbell_tb.guest.machine import Boot, Guest

@ends_on_sigterm()
def main():
    here = Path(sys.argv[1])
    with Guest(Boot(here / "qemu", here / "vmlinux", here / "initrd"), here / "log", 600) as guest:
        print(guest.qtest.parent, flush=True)
        for line in guest.lines():
            print(line, flush=True)

main()
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_ended_takes_its_guest_along(guest, tmp_path, how):
    guest("here", then="print(os.getpid(), flush=True)\ntime.sleep(600)")
    with subprocess.Popen([sys.executable, "-c", COMMAND, str(tmp_path)], stdout=subprocess.PIPE, text=True) as command:
        folder, _, number = (command.stdout.readline().strip() for _ in range(3))
        command.send_signal(how)
        assert command.wait(30) == (143 if how is signal.SIGTERM else -how)
        assert Path(folder).exists() is (how is signal.SIGKILL)
    end = time.monotonic() + 10
    while Path(f"/proc/{number}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{number}").exists()
