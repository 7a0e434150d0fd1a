"""`epbell selftest`: its command line, what it prints, its exit status."""

import pytest

from epbell_tb import selftest

DOORBELL = "pcie_ep_doorbell.DOORBELL_TEST"


def test_list(capsys):
    assert selftest.main(["--list"]) == 0
    names = capsys.readouterr().out.splitlines()
    assert len(names) == len(set(names)) == 23
    assert (names[0], names[-1]) == ("pci_ep_bar.BAR0.BAR_TEST", DOORBELL)


def test_list_of_some(capsys):
    assert selftest.main(["--list", "--only", "*.MSI_TEST", "--only", "*.BAR5.*"]) == 0
    assert capsys.readouterr().out.split() == [
        "pci_ep_bar.BAR5.BAR_TEST",
        "pci_ep_bar.BAR5.BAR_SUBRANGE_TEST",
        "pci_ep_basic.MSI_TEST",
    ]


def test_a_run_that_passes(capsys):
    assert selftest.main(["--only", DOORBELL, "--rounds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["TAP version 13", "1..2"]
    assert [line for line in lines if line.startswith("ok")] == [f"ok 1 {DOORBELL}", f"ok 2 {DOORBELL}"]
    assert (
        lines[3]
        == "# the models, device tree imx8, 8 inbound windows (the tree has 6: --windows 6), 2048 MSI-X vectors"
    )
    assert "# doorbell mu" in lines


SKIPPED = ["pci_ep_bar.BAR0.BAR_SUBRANGE_TEST # SKIP BAR holds the test's registers (-EBUSY)"]
DMA = [
    f"pci_ep_data_transfer.dma.{name}_TEST # SKIP no DMA engine: the endpoint's function never answers, and the"
    " kernel's tool fails by timeout"
    for name in ("READ", "WRITE", "COPY")
]
FULL = [f"pci_ep_bar.BAR{n}.BAR_SUBRANGE_TEST # SKIP too few inbound windows (-ENOSPC)" for n in range(1, 6)]


@pytest.mark.parametrize(
    ("windows", "skipped"), [((), [*SKIPPED, *DMA]), (("--windows", "6"), [*SKIPPED, *FULL, *DMA])]
)
def test_what_an_endpoint_without_dma_answers(windows, skipped, capsys):
    """By default it is 20 times ok, BAR 0's subrange being Linux's own skip, and 3 times without DMA."""
    assert selftest.main(["--sizes", "1", *windows]) == 0
    ended = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("ok", "not ok"))]
    names = [line.partition(" ")[2].partition(" ")[2] for line in ended]
    assert len(ended) == 23
    assert [name for name in names if "#" in name] == skipped
    assert all(line.startswith("ok ") for line in ended)


def test_a_run_that_fails(capsys):
    assert selftest.main(["--only", DOORBELL, "--tree", "msi-enospc"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"not ok 1 {DOORBELL}" in lines
    assert any("Failed to allocate MSI (-ENOSPC)" in line for line in lines)


def test_a_tree_of_ones_own(tmp_path, capsys):
    path = tmp_path / "mine.dts"
    path.write_text(selftest.devicetree.builtin("rk3588").read_text())
    assert selftest.main(["--only", DOORBELL, "--dts", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == "# the models, device tree mine, 16 inbound windows, 2048 MSI-X vectors"
    assert any(line.startswith("# doorbell edma (") for line in lines)


def test_a_broken_tree_is_one_sentence(tmp_path, capsys):
    path = tmp_path / "broken.dts"
    path.write_text("/dts-v1/;\n/ { oops")
    assert selftest.main(["--dts", str(path)]) == 1
    output = capsys.readouterr()
    assert output.err.startswith("epbell: ")
    assert str(path) in output.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--target", "board"], "board"),
        (["--tree", "imx9"], "imx9"),
        (["--dts", "/nowhere/board.dts"], "not '/nowhere/board.dts'"),
        (["--tree", "imx8", "--dts", "/nowhere/board.dts"], "--dts"),
        (["--only", "MSI_TEST"], "not 'MSI_TEST'"),
        (["--sizes", "1,x"], "not 'x'"),
        (["--sizes", "0"], "not '0'"),
        (["--sizes", ""], "not ''"),
        (["--msix", "2049"], "not '2049'"),
        (["--msix", "0"], "not '0'"),
        (["--windows", "17"], "not '17'"),
        (["--rounds", "0"], "not '0'"),
        (["--limit", "0"], "not 0.0"),
        (["--limit", "soon"], "soon"),
        (["--target", "sim", "--width", "96"], "not 96"),
        (["--width", "64"], "--target sim"),
        (["--stalls"], "--target sim"),
        (["--seed", "0"], "--target sim"),
        (["--msix-way", "port"], "--target sim"),
    ],
)
def test_wrong_command_lines(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        selftest.main(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
