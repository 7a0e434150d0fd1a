"""What `make sim` makes of device trees: which scenarios run on which, and which of them share a build."""

import dataclasses

import pytest

from epbell_models import devicetree
from epbell_tb import sim_options
from epbell_tb.bar_sets import BAR_SETS
from epbell_tb.cases import MSIX_WAYS
from epbell_tb.scenarios import SCENARIOS, TREES, Scenario
from epbell_tb.selftest_sim import bars_for
from epbell_tb.sim_trees import kind_of, targets
from epbell_tb.sim_variant import VariantError, variant_of
from epbell_tb.variants import WIDTHS, module_name


@pytest.fixture(scope="module")
def trees():
    """Every shipped device tree, by name."""
    return {name: devicetree.load(devicetree.builtin(name)) for name in TREES}


def changed(tree, **attributes):
    return dataclasses.replace(tree, endpoint=dataclasses.replace(tree.endpoint, **attributes))


def test_the_list_is_what_the_models_ship():
    assert set(TREES) == set(devicetree.shipped())
    assert TREES[0] == devicetree.shipped()[0] == "imx8"


@pytest.mark.parametrize("name", TREES)
def test_each_shipped_tree_is_its_own_kind(name, trees):
    assert trees[name].name == name
    assert kind_of(trees[name]) == name


def test_every_tree_has_a_scenario():
    assert {tree for scenario in SCENARIOS for tree in scenario.trees} == set(TREES)


@pytest.mark.parametrize(
    ("name", "change", "kind"),
    [
        ("imx8", lambda tree: changed(tree, msi_parent=None), "imx8-edma"),
        ("imx8", lambda tree: changed(tree, msi_parent=dataclasses.replace(tree.endpoint.msi_parent, layout=None)),
         "imx8-edma"),
        ("imx8", lambda tree: changed(tree, fixed_bar=4), "imx8"),
        ("msi-enospc", lambda tree: dataclasses.replace(tree, msi_consumers=()), "imx8"),
        ("msi-enospc", lambda tree: dataclasses.replace(
            tree, msi_consumers=(dataclasses.replace(tree.msi_consumers[0], vectors=3),)), "imx8"),
        ("msi-enospc", lambda tree: dataclasses.replace(
            tree, msi_consumers=(dataclasses.replace(tree.msi_consumers[0], parent="mailbox@1"),)), "imx8"),
        ("msi-enomem", lambda tree: dataclasses.replace(tree, bootargs={}), "imx8"),
        ("rk3588", lambda tree: changed(tree, fixed_bar=None), "imx8-edma"),
        ("rk3588", lambda tree: changed(tree, edma=dataclasses.replace(tree.endpoint.edma, interrupts=())), "hdma"),
        ("hdma", lambda tree: changed(tree, fixed_bar=4), "hdma"),
    ],
)  # fmt: skip
def test_kind_of_a_changed_tree(name, change, kind, trees):
    assert kind_of(change(trees[name])) == kind


def test_targets_run_what_was_asked_for_on_the_trees_asked_for():
    found = targets(sim_options.parse(["--tree", "rk3588,imx8"]))
    assert [target.name for target in found] == ["imx8", "rk3588"]
    for target in found:
        assert target.scenarios == tuple(scenario for scenario in SCENARIOS if target.name in scenario.trees)
        assert target.path == devicetree.builtin(target.name)


def test_own_tree_runs_the_scenarios_of_its_kind(tmp_path):
    mine = tmp_path / "my-board.dts"
    mine.write_text(devicetree.builtin("imx8-edma").read_text())
    (target,) = targets(sim_options.parse(["--dts", str(mine)]))
    assert target.name == "my-board"
    assert target.path == mine
    assert target.scenarios == tuple(scenario for scenario in SCENARIOS if "imx8-edma" in scenario.trees)


@pytest.mark.parametrize("width", WIDTHS)
def test_trees_that_need_the_same_rtl_share_it(width, trees):
    variants = {name: variant_of(tree, width, "everyday") for name, tree in trees.items()}
    plain = [name for name, variant in variants.items() if variant.name == module_name(width)]
    assert plain == ["imx8", "imx8-edma", "msi-enospc", "msi-enomem"]
    assert all(variants[name].parameters == () for name in plain)
    assert len(set(variants.values())) == len({variant.name for variant in variants.values()}) == 3


def test_variant_says_what_the_tree_says(trees):
    parameters = dict(variant_of(trees["rk3588"], 64, "everyday").parameters)
    edma = parameters["edma"]
    assert (edma.personality, edma.write_channels, edma.read_channels, edma.lines) == ("unroll", 2, 2, 4)
    assert parameters["fixed_bar"] == 4
    assert dict(variant_of(trees["hdma"], 64, "everyday").parameters)["edma"].personality == "hdma"


def test_legacy_edma_is_where_the_tree_says(trees):
    node = dataclasses.replace(trees["imx8"].endpoint.edma, personality="legacy", offset=0x970)
    edma = dict(variant_of(changed(trees["imx8"], edma=node), 64, "everyday").parameters)["edma"]
    assert (edma.personality, edma.offset, edma.base) == ("legacy", 0x970, None)
    node = dataclasses.replace(node, offset=0x1000)
    edma = dict(variant_of(changed(trees["imx8"], edma=node), 64, "everyday").parameters)["edma"]
    assert (edma.personality, edma.offset) == ("legacy", 0x1000)


def test_unit_that_no_driver_matches_is_hardware_all_the_same(trees):
    tree = trees["imx8"]
    unit = dataclasses.replace(tree.endpoint.msi_parent, layout=None)
    assert variant_of(changed(tree, msi_parent=unit), 64, "everyday") == variant_of(tree, 64, "everyday")


def test_addresses_that_collide_are_told_with_the_file(trees):
    tree = trees["imx8"]
    with pytest.raises(VariantError, match=r"imx8\.dts: .*'iatu' and 'controller' must have different base addresses"):
        variant_of(changed(tree, atu=tree.endpoint.regs), 64, "everyday")


def test_bars_have_a_name_of_their_own(trees):
    assert variant_of(trees["imx8"], 128, "linux").name == "epbell_endpoint_usp128_linux"
    names = {variant_of(tree, 128, bars).name for tree in trees.values() for bars in ("everyday", "linux", "wide")}
    assert len(names) == 9


def test_each_way_of_msix_is_a_build_of_its_own(trees):
    variants = [variant_of(trees["imx8"], 128, "linux", way) for way in MSIX_WAYS]
    assert variants[0] == variant_of(trees["imx8"], 128, "linux")
    assert variants[0].name != variants[1].name
    assert dict(variants[1].parameters)["msix"] == "port"


@pytest.mark.parametrize("vectors", [1, 512, 513, 2048])
def test_the_selftest_has_room_for_its_table(vectors):
    """At 0x80 of BAR 0, with the pending bits behind it."""
    bar = BAR_SETS[bars_for(vectors)][0]
    assert bar is not None
    assert bar.size >= 0x80 + 16 * vectors + (vectors + 63) // 64 * 8


@pytest.mark.parametrize("wrong", [(), ("imx8", "imx9")])
def test_scenario_on_no_such_tree(wrong):
    with pytest.raises(ValueError, match=r"The device trees of 'name' must be some of .*, not \("):
        Scenario("name", "bench", "intent", wrong)
