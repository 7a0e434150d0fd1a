"""The two-clock Messaging Unit at every ratio of the clocks, in traffic and through resets."""

from functools import partial

import pytest
from mu_runs import run

from epbell_tb.mu_probe import MuProbe


def test_crossing_with_accounts():
    run("mu_probe_imx8ulp", "imx8ulp", "mu_crossing", builder=partial(MuProbe, "imx8ulp"), expected=38)


def test_resets():
    run("mu_probe_imx8ulp", "imx8ulp", "mu_resets", builder=partial(MuProbe, "imx8ulp"), expected=12)


def test_ports():
    run("epbell_mu_imx6sx_async", "imx6sx", "axil_lockstep", tests="messaging_unit_with_two_clocks$", expected=1)


@pytest.mark.parametrize("layout", ["imx6sx", "imx7ulp"])
def test_exported_module(layout):
    run(f"epbell_mu_{layout}_async", layout, "mu_crossing", expected=38)
    run(f"epbell_mu_{layout}_async", layout, "mu_resets", expected=12)
