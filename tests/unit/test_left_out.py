"""What `make test` leaves out unless it is asked for: tests that take long, or want QEMU and Debian's packages."""

import subprocess
import sys

import pytest

from epbell_tb.installation import PROJECT

GUESTS, LONG = "tests/linux", "tests/unit/test_endpoint_bar_sizes.py"


def collected(folder, *options):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *options, folder]
    said = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False).stdout
    return [line for line in said.splitlines() if "::" in line]


@pytest.mark.parametrize("options", [(), ("-m", "not simulation"), ("-m", "long")])
def test_guests(options):
    assert collected(GUESTS, *options) == []


def test_what_is_asked_for():
    assert len(collected(GUESTS, "-m", "guest")) > 5
    everything = collected(LONG, "-m", "long or not long")
    usual = collected(LONG)
    assert set(usual) < set(everything)
    assert set(collected(LONG, "-m", "long")) == set(everything) - set(usual)
