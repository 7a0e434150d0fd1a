"""The reference endpoint behind a guest's PCI slot: what holds for the RTL there holds for it."""

import pytest
from fake_machine import FakeMachine
from test_guest_rtl import SIZES, drive

from epbell_models import devicetree
from epbell_tb.guest.model_guest import ModelGuest, ModelSetup

SETUP = ModelSetup(devicetree.builtin("imx8"), tuple(SIZES), msix=8)


def attached(guest, tmp_path):
    machine = FakeMachine(tmp_path / "qtest")
    guest.attach(machine.slot, tmp_path / "qtest")
    machine.start()
    return machine


def test_a_kernel_and_its_driver(tmp_path):
    with ModelGuest(SETUP) as guest:
        machine = attached(guest, tmp_path)
        assert not guest.failed()
        try:
            drive(machine)
        finally:
            machine.unplug()
        figures = guest.finish()
        assert guest.failed()
    assert (figures.resets, figures.doorbell, figures.clocks) == (2, "mu", 0)
    assert figures.config > 400
    assert figures.interrupts > 8


def test_an_endpoint_that_raises_ends_and_says_so(tmp_path):
    async def broken(offset, length):
        raise ValueError(f"no {offset:#x}")

    def change(endpoint):
        endpoint.config_read = broken

    with ModelGuest(ModelSetup(SETUP.dts, SETUP.bar_sizes, change=change)) as guest:
        machine = attached(guest, tmp_path)
        with pytest.raises(AssertionError, match="the endpoint has gone"):
            machine.config(0x10)
        with pytest.raises(RuntimeError, match="the endpoint has failed: ValueError: no 0x10"):
            guest.finish()
        assert guest.failed()
        machine.unplug()
