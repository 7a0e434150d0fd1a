"""The README keeps its word: its links lead somewhere, and every command in it runs.

Commands are taken from the fenced blocks marked ``sh``; each line is one command. ``make test`` is what runs this test,
so it is not started a second time, and ``make sim`` runs a few of the scenarios here (all of them are minutes, and have
tests of their own).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line and not line.startswith("#")]
FEW = "bar_test,doorbell_test_on_each_backend"
#: What stands in the README -> what is run in its place, and why it is the same thing.
SHORTER = {
    # Every scenario is run by test_scenarios.py, in the same way; here the command itself is, on every device tree.
    "make sim": f"make sim WIDTH=256 STALLS=off SCENARIO={FEW}",
    "make sim TREE=rk3588,hdma WIDTH=256 STALLS=off": f"make sim TREE=rk3588,hdma WIDTH=256 STALLS=off SCENARIO={FEW}",
    # 200 pings on each of three doorbells; here few, on two.
    "make vntb": "make vntb ARGS='--pings 4 --backend polled --backend mu'",
    # Hours: that it starts, and what there is to run.
    "make regress": "make regress ARGS=--list",
    # It installs packages and proves for minutes; tests/unit/test_formal.py runs a proof.
    "make formal": "make formal ARGS=--list",
    # Minutes; test_faults_command.py tries some.
    "make faults": "make faults ARGS=--list",
    # It installs packages and boots kernels for minutes; tests/linux is what it runs.
    "make linux": "make linux ARGS=--help",
    # The verdicts of other sessions are not this one's business; it has those of a few tests, and most rows never ran.
    "make testplan": f"EPBELL_SIM_BUILD=build/readme {sys.executable} -m pytest -q tests/models/test_reference_mu.py"
    " && EPBELL_SIM_BUILD=build/readme make testplan",
}
NOT_AGAIN = {"make test"}
PROGRAMS = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)

# They share builds and output folders: one worker runs them, one after the other.
pytestmark = [pytest.mark.xdist_group("readme"), pytest.mark.timeout(900)]


def shell(command: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(command, shell=True, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=540)


def test_the_two_commands_are_there():
    assert {"make sim", "make test"} <= set(COMMANDS)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in NOT_AGAIN])
def test_command_runs(command):
    done = shell(SHORTER.get(command, command))
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_what_is_run_in_the_place_of_a_command_is_in_the_readme():
    assert set(SHORTER) <= set(COMMANDS)


def test_there_is_a_program():
    assert PROGRAMS


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_runs(program, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "my_endpoint.sv").read_text().count("module my_endpoint") == 1


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)", README))
def test_link_leads_somewhere(target):
    assert (PROJECT / target).exists(), f"README.md links to {target}, which is not in the project"
