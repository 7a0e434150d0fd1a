"""A stock kernel, its driver and its program judge the RTL when what is between them and its pins is broken.

Every test boots a guest. The RTL is as it should be, so all that complains is the kernel's.
"""

import os
from pathlib import Path

import pytest

from epbell_models import devicetree
from epbell_tb.guest import run
from epbell_tb.guest.rtl_sim import RtlGuest, RtlSetup

pytestmark = pytest.mark.guest

HERE = Path(__file__).parent
MSI = "SET IRQ TYPE TO MSI: OKAY"


class BrokenGuest(RtlGuest):
    """What `broken_guest` simulates."""

    bench = "broken_guest"


@pytest.mark.parametrize(
    ("broken", "test", "before", "said"),
    [
        ("bit", "pci_ep_bar.BAR1.BAR_TEST", "", "BAR1: NOT OKAY"),
        ("checksum", "pci_ep_data_transfer.memcpy.READ_TEST", MSI, "READ ( 1025 bytes): NOT OKAY"),
        ("messages", "pci_ep_basic.MSI_TEST", MSI, "MSI1: NOT OKAY"),
        (
            *("doorbell", "pcie_ep_doorbell.DOORBELL_TEST"),
            "ok 1 - ENABLE_DOORBELL: STATUS 0x400, 1 interrupts",
            "not ok 3 - 0 of 1 rings: STATUS 0, 0 interrupts",
        ),
    ],
)
def test_the_kernel_complains(monkeypatch, broken, test, before, said):
    """Its clock is the wall's: on that of its instructions the second for which it waits takes a minute."""
    monkeypatch.setenv("EPBELL_BROKEN", broken)
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
    setup = run.Setup(devicetree.builtin("imx8"), only=(test,), rings=1, msix=2, slow=False)
    lines = []
    good = run.run(setup, lines.append, BrokenGuest(RtlSetup(setup.dts, msix=setup.msix), print))
    print("\n".join(lines))
    assert not good
    assert f"not ok 1 {test}" in lines
    assert f"# {said}" in lines
    assert not before or f"# {before}" in lines, "the rest works"
