"""The README has what everybody begins with. That its commands run is test_code_blocks.py's business."""

import subprocess
import sys

import pytest
from code_blocks import commands, programs


def test_the_two_commands_are_there():
    assert {"make sim", "make test"} <= {command for command, page in commands().items() if page == "README.md"}


def test_there_is_a_program():
    assert programs("README.md")


@pytest.mark.parametrize("program", programs("README.md"))
def test_program_runs(program, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "my_endpoint.sv").read_text().count("module my_endpoint") == 1
