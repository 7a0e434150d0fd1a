"""The reference endpoint behind a guest's PCI slot: what holds for the RTL there holds for it."""

import pytest
from fake_machine import FakeMachine
from test_guest_rtl import SIZES, test_a_kernel_and_its_driver

from epbell_models import devicetree
from epbell_tb.guest.model_guest import ModelGuest, ModelSetup

__all__ = ["test_a_kernel_and_its_driver"]


@pytest.fixture
def machine(tmp_path):
    machine = FakeMachine(tmp_path / "qtest")
    with ModelGuest(ModelSetup(devicetree.builtin("imx8"), tuple(SIZES), msix=8)) as guest:
        guest.start()
        guest.attach(machine.slot, tmp_path / "qtest")
        machine.start()
        assert not guest.failed()
        yield machine
        machine.unplug()
        figures = guest.finish()
    assert guest.failed()
    assert (figures.resets, figures.doorbell, figures.clocks) == (1, "mu", 0)
    assert figures.config > 400
    assert figures.interrupts > 8


def test_an_endpoint_that_raises_ends_and_says_so(tmp_path):
    async def broken(offset, length):
        raise ValueError(f"no {offset:#x}")

    def change(endpoint):
        endpoint.config_read = broken

    machine = FakeMachine(tmp_path / "qtest")
    with ModelGuest(ModelSetup(devicetree.builtin("imx8"), tuple(SIZES), change=change)) as guest:
        guest.attach(machine.slot, tmp_path / "qtest")
        machine.start()
        with pytest.raises(AssertionError, match="the endpoint has gone"):
            machine.config(0x10)
        with pytest.raises(ValueError, match="no 0x10"):
            guest.finish()
        assert guest.failed()
    machine.unplug()
