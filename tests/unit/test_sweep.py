"""A sweep of random traffic's operations: every kind of them, and each that it makes can be kept in a file."""

from random import Random

import pytest

from epbell_models import devicetree
from epbell_tb.random_place import Drawn
from epbell_tb.random_places import places
from epbell_tb.traffic import operations as ops
from epbell_tb.traffic.bad import KINDS, SPOILS
from epbell_tb.traffic.ground import Ground
from epbell_tb.traffic.sweep import sweep


@pytest.mark.parametrize("place", places(), ids=lambda place: place.name)
def test_every_kind_is_done_and_kept(place, tmp_path):
    drawn = Drawn.all_classes(place, 1)
    kinds = {type(one).__name__ for one in drawn.operations}
    assert {"Store", "Load", "Ring", "Bad", "Ack", "Enables", "Aim"} < kinds
    assert {"Raise", "Msi", "Msix", "MaskVector", "Fetch", "Put", "Reset", "Sleep"} < kinds
    assert ("Kick" in kinds) is (place.tree != "hdma")
    assert {one.what for one in drawn.operations if isinstance(one, ops.Bad)} == set(KINDS)
    assert {one.spoil for one in drawn.operations if isinstance(one, ops.Answers)} == {"", *SPOILS}
    drawn.save(tmp_path / "kept.json")
    assert Drawn.load(tmp_path / "kept.json") == drawn


def test_no_store_resets_the_unit():
    ground = Ground.of(devicetree.load(devicetree.builtin("imx8")), "everyday")
    for one in sweep(ground, Random(1)):
        if isinstance(one, ops.Store) and one.bar == ground.bell_bar:
            assert not set(range(one.offset, one.offset + 4 * one.dwords)) & set(ground.forbidden)
