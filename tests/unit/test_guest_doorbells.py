"""The table of doorbells: each device tree that is shipped has its own, and another one is not taken for it."""

from pathlib import Path

import pytest

from epbell_models import devicetree
from epbell_tb.guest.doorbells import DOORBELLS, Doorbell, foreseen
from epbell_tb.guest.vntb_guests import wrong_doorbell


def test_every_shipped_device_tree_has_one():
    assert sorted(DOORBELLS) == sorted(devicetree.shipped())
    assert all(bool(doorbell.backend) is not bool(doorbell.refusal) for doorbell in DOORBELLS.values())


@pytest.mark.parametrize("tree", DOORBELLS)
@pytest.mark.parametrize("backend", ["mu", "edma", "polling", None])
def test_another_backend_is_wrong(tree, backend):
    wanted = DOORBELLS[tree]
    assert bool(wanted.complaint(backend, wanted.refusal)) is (backend != wanted.backend)


def test_what_is_said():
    assert Doorbell("mu").complaint("polling", "no domain") == (
        "the doorbell is polling (no domain); on this device tree it has to be mu"
    )


def test_a_refusal_for_another_reason_is_wrong():
    wanted = DOORBELLS["msi-enospc"]
    assert "has to be none (Failed to allocate MSI (-ENOSPC))" in wanted.complaint(None, "-ENOMEM")


@pytest.mark.parametrize("tree", DOORBELLS)
@pytest.mark.parametrize("backend", ["mu", "edma", "polling", None])
def test_a_bridge_polls_where_there_is_no_doorbell(tree, backend):
    wanted = DOORBELLS[tree].backend or "polling"
    wrong = wrong_doorbell(devicetree.builtin(tree), backend, "whatever")
    assert bool(wrong) is (backend != wanted)
    assert wrong == "" or wrong.endswith(f"has to be {wanted}")


def test_only_of_what_is_shipped(tmp_path):
    shipped = devicetree.builtin("imx8")
    assert foreseen(shipped, None) == foreseen(shipped, 2) == Doorbell("mu")
    assert foreseen(shipped, 1) is None, "its one window shows the registers"
    assert foreseen(tmp_path / "imx8.dts", None) is None
    assert foreseen(Path("other.dts"), None) is None
