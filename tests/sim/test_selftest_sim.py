"""`epbell selftest --target sim`: the RTL gives the same TAP as the models, and what does not come up is an error."""

import re

import pytest

from epbell_tb import selftest, selftest_sim

COMMON = ("--sizes", "1,1024,1025", "--msix", "8")


def tap(capsys, *arguments):
    """Run the command; return its exit status, and what it says but for comments."""
    status = selftest.main([*COMMON, *arguments])
    lines = capsys.readouterr().out.splitlines()
    return status, [line for line in lines if not line.startswith("#")]


@pytest.fixture
def room_for_2048_vectors(monkeypatch):
    """One RTL for several tests, with the larger BAR 0 also where there are fewer vectors."""
    monkeypatch.setattr(selftest_sim, "bars_for", lambda msix: "msix")


@pytest.mark.xdist_group("selftest")
@pytest.mark.usefixtures("room_for_2048_vectors")
@pytest.mark.parametrize(
    ("hardware", "place", "skipped", "rounds"),
    [
        # BAR 0 has the registers, there are 8 MSI-X vectors, and no DMA. Twice: each round ends as it began.
        (("--tree", "imx8", "--rounds", "2", "--sizes", "1"), ("--width", "256"), 5, 2),
        # One window for each BAR: none can be split.
        (("--tree", "imx8-edma", "--windows", "6"), ("--width", "64", "--stalls"), 10, 1),
        # BAR 4 is the eDMA's.
        (("--tree", "rk3588"), ("--width", "256", "--stalls"), 7, 1),
    ],
)
def test_row35_same_tap_as_the_models(hardware, place, skipped, rounds, capsys):
    status, lines = tap(capsys, "--target", "sim", *hardware, *place)
    assert lines[:2] == ["TAP version 13", f"1..{23 * rounds}"]
    assert sum(line.startswith("ok") for line in lines) == 23 * rounds
    assert sum("# SKIP" in line for line in lines) == skipped * rounds
    assert (status, lines) == tap(capsys, "--target", "model", *hardware)


@pytest.mark.xdist_group("selftest")
def test_every_vector_and_the_doorbell_with_the_defaults(capsys):
    """8 windows, 2048 vectors of MSI-X, each raised and heard once; nothing is skipped."""
    some = "--only", "*.MSIX_TEST", "--only", "*.DOORBELL_TEST"
    assert selftest.main(["--target", "sim", *some]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if not line.startswith("#")] == [
        "TAP version 13",
        "1..2",
        "ok 1 pci_ep_basic.MSIX_TEST",
        "ok 2 pcie_ep_doorbell.DOORBELL_TEST",
    ]
    (interrupts,) = (re.search(r"(\d+) interrupts", line) for line in said if "interrupts" in line)
    assert int(interrupts[1]) >= 2048 + 3


def test_interrupts_with_msix_through_the_port(capsys):
    """On the RTL of the scenarios that do so."""
    some = "--windows", "6", "--only", "*_IRQ_TEST", "--only", "*.MSI*_TEST", "--only", "*.DOORBELL_TEST"
    status, lines = tap(capsys, "--target", "sim", "--width", "64", "--stalls", "--msix-way", "port", *some)
    assert sum(line.startswith("ok") for line in lines) == 4
    assert (status, lines) == tap(capsys, "--target", "model", *some)
    assert [line.split()[2] for line in lines if "SKIP" in line] == ["pci_ep_basic.MSIX_TEST"]  # there are 8


@pytest.mark.xdist_group("selftest")
@pytest.mark.usefixtures("room_for_2048_vectors")
def test_a_test_that_fails(capsys):
    only = "--only", "*.DOORBELL_TEST", "--tree", "msi-enospc"
    status, lines = tap(capsys, "--target", "sim", *only)
    assert status == 1
    assert (status, lines) == tap(capsys, "--target", "model", *only)
