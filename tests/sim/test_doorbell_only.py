"""An endpoint whose eDMA is a doorbell only: Linux's selftest passes on it as on one with a whole eDMA."""

import pytest

from epbell_models import devicetree
from epbell_tb import selftest

TREE = devicetree.builtin("imx8-edma").read_text(encoding="utf-8")
COMPATIBLE = '"fsl,imx8qm-pcie-ep", "snps,dw-pcie-ep"'


@pytest.fixture
def dts(tmp_path):
    assert TREE.count(COMPATIBLE) == 1
    path = tmp_path / "doorbell-only.dts"
    path.write_text(TREE.replace(COMPATIBLE, '"epbell,pcie-ep-doorbell"'), encoding="utf-8")
    assert devicetree.load(path).endpoint.edma.doorbell_only
    return path


def tap(capsys, *arguments):
    """Run the command; return its exit status, and what it says but for comments."""
    status = selftest.main(["--sizes", "1,1025", "--msix", "8", *arguments])
    return status, [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]


def test_whole_selftest_of_the_model(dts, capsys):
    status, lines = tap(capsys, "--target", "model", "--dts", str(dts))
    whole = tap(capsys, "--target", "model", "--tree", "imx8-edma", "--windows", "6")
    assert (status, lines) == whole
    assert status == 0
    assert sum(line.startswith("ok") for line in lines) == 23
    (doorbell,) = (line for line in lines if "DOORBELL_TEST" in line)
    assert "SKIP" not in doorbell


def test_whole_selftest_of_the_rtl(dts, capsys):
    found = tap(capsys, "--target", "sim", "--width", "64", "--stalls", "--dts", str(dts))
    assert found == tap(capsys, "--target", "model", "--dts", str(dts))
    assert found[0] == 0
