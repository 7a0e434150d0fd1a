"""`epbell selftest --target sim`: the RTL gives the same TAP as the models, and what does not come up is an error."""

import pytest

from epbell_tb import selftest

COMMON = ("--sizes", "1,1024,1025", "--msix", "8")


def tap(capsys, *arguments):
    """Run the command; return its exit status, and what it says but for comments."""
    status = selftest.main([*arguments, *COMMON])
    lines = capsys.readouterr().out.splitlines()
    return status, [line for line in lines if not line.startswith("#")]


@pytest.mark.parametrize(
    ("tree", "windows", "place"),
    [
        ("imx8", "8", ("--width", "256")),
        ("imx8-edma", "6", ("--width", "64", "--stalls")),
        ("rk3588", "8", ("--width", "512", "--stalls")),
    ],
)
def test_row35_same_tap_as_the_models(tree, windows, place, capsys):
    hardware = "--tree", tree, "--windows", windows
    status, lines = tap(capsys, "--target", "sim", *hardware, *place)
    assert lines[:2] == ["TAP version 13", "1..23"]
    assert sum(line.startswith("ok") for line in lines) == 23
    assert (status, lines) == tap(capsys, "--target", "model", *hardware)


def test_a_test_that_fails(capsys):
    only = "--only", "*.DOORBELL_TEST", "--tree", "msi-enospc"
    status, lines = tap(capsys, "--target", "sim", *only)
    assert status == 1
    assert (status, lines) == tap(capsys, "--target", "model", *only)
