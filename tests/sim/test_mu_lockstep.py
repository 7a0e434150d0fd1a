"""The single-clock Messaging Unit against the reference model, 200,000 random accesses for each layout."""

import pytest
from mu_runs import run

from epbell.mu import LAYOUTS


@pytest.mark.parametrize("layout", LAYOUTS)
def test_lockstep(layout):
    run(f"epbell_mu_{layout}", layout, "mu_lockstep", expected=1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_managers_that_hesitate(layout):
    run(f"epbell_mu_{layout}", layout, "axil_lockstep", tests="messaging_unit$", expected=1)
