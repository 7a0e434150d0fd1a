"""`epbell sim --dts` builds the RTL of each device tree that `epbell regs` writes, and its doorbell rings."""

import json

import pytest

from epbell_regs import devicetree
from epbell_regs.configurations import CONFIGURATIONS
from epbell_tb import sim

# The default endpoint, which is built for other tests too; the others are compiled for this one.
BUILT = "mu-imx8ulp"
RINGS = {"hdma": 0}


def param(name):
    marks = [pytest.mark.xdist_group("64-flowing-imx8")] if name == BUILT else [pytest.mark.long]
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [param(configuration.name) for configuration in CONFIGURATIONS])
def test_doorbell_rings_on_the_rtl(name, tmp_path, capsys):
    (configuration,) = (row for row in CONFIGURATIONS if row.name == name)
    _, tree = devicetree.write(configuration, tmp_path)
    arguments = ["--dts", str(tree), "--width", "64", "--stalls", "off", "--json", "--report", str(tmp_path)]
    status = sim.main([*arguments, "--scenario", "doorbell_test_on_each_backend"])
    (row,) = json.loads(capsys.readouterr().out)["scenarios"]
    assert (row["verdict"], row["tree"], row["rings"]) == ("pass", name, RINGS.get(name, 3))
    assert status == 0
