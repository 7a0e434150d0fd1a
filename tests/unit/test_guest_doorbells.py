"""The table of doorbells: each device tree that is shipped has its own, and another one is not taken for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from epbell_models import devicetree
from epbell_tb.guest.doorbells import DOORBELLS, Doorbell, foreseen
from epbell_tb.guest.figures import Figures

FIGURES = Figures(
    config=0, reads=0, writes=0, resets=0, seconds=0.0, clocks=0, interrupts=0, doorbell=None, reason="", log=[]
)


def test_every_shipped_device_tree_has_one():
    assert sorted(DOORBELLS) == sorted(devicetree.shipped())
    assert all(bool(doorbell.backend) is not bool(doorbell.refusal) for doorbell in DOORBELLS.values())


@pytest.mark.parametrize("tree", DOORBELLS)
@pytest.mark.parametrize("backend", ["mu", "edma", "polling", None])
def test_another_backend_is_wrong(tree, backend):
    wanted = DOORBELLS[tree]
    figures = replace(FIGURES, doorbell=backend, reason=wanted.refusal)
    assert bool(wanted.complaint(figures)) is (backend != wanted.backend)


def test_what_is_said():
    assert Doorbell("mu").complaint(replace(FIGURES, doorbell="polling", reason="no domain")) == (
        "the doorbell is polling (no domain); on this device tree it has to be mu"
    )


def test_a_refusal_for_another_reason_is_wrong():
    wanted = DOORBELLS["msi-enospc"]
    assert "has to be none (Failed to allocate MSI (-ENOSPC))" in wanted.complaint(replace(FIGURES, reason="-ENOMEM"))


def test_only_of_what_is_shipped(tmp_path):
    shipped = devicetree.builtin("imx8")
    assert foreseen(shipped, None) == foreseen(shipped, 2) == Doorbell("mu")
    assert foreseen(shipped, 1) is None, "its one window shows the registers"
    assert foreseen(tmp_path / "imx8.dts", None) is None
    assert foreseen(Path("other.dts"), None) is None
