"""The device-tree snippets: the kernel's binding, the configurations' addresses, the endpoints that they lead to."""

import dataclasses

import pytest
from devicetree import dtlib

from epbell.address_map import AddressMap
from epbell.endpoint import Endpoint
from epbell_models import devicetree as models
from epbell_models.devicetree import DeviceTreeError, Interrupt, Region
from epbell_models.reference.address_map import DEFAULT_MAP
from epbell_regs import devicetree
from epbell_regs.configurations import CONFIGURATIONS, Addresses
from epbell_tb import selftest
from epbell_tb.sim_trees import kind_of
from epbell_tb.sim_variant import variant_of

NAMES = [configuration.name for configuration in CONFIGURATIONS]
LAYOUTS = ("imx6sx", "imx7ulp", "imx8ulp")
UNITS = [f"mu-{layout}" for layout in LAYOUTS]
KINDS = {**dict.fromkeys(UNITS, "imx8"), "edma": "imx8-edma", "edma-fixed-bar": "rk3588", "hdma": "hdma"}
DOORBELLS = {**dict.fromkeys(UNITS, "mu"), "edma": "edma", "edma-fixed-bar": "edma", "hdma": "polling"}
# Typed in from the kernel's binding interrupt-controller/fsl,mu-msi.yaml: what a node must have, and may have.
REQUIRED = {"compatible", "reg", "interrupts", "interrupt-controller", "msi-controller", "#msi-cells"}
ALLOWED = REQUIRED | {"reg-names", "clocks", "power-domains", "power-domain-names"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devicetree")
    for configuration in CONFIGURATIONS:
        devicetree.write(configuration, folder)
    return folder


def test_every_configuration_is_listed():
    assert list(KINDS) == NAMES


def test_default_addresses_are_those_of_the_rtl_and_of_the_models():
    """Three tables, none made from another."""
    addresses, rtl = dataclasses.asdict(Addresses()), dataclasses.asdict(AddressMap())
    assert {name: addresses[name] for name in rtl} == rtl
    assert {place.name: addresses[place.name] for place in (*DEFAULT_MAP.places, DEFAULT_MAP.outbound)} == rtl
    assert (addresses["ram_size"], addresses["aperture"]) == (DEFAULT_MAP["ram"].size, DEFAULT_MAP.outbound.size)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_node_of_the_messaging_unit_obeys_the_binding(written, layout):
    tree = dtlib.DT(str(written / f"mu-{layout}.dts"))
    node = tree.get_node("/msi-controller@5d270000")
    assert set(node.props) - {"phandle"} <= ALLOWED
    assert set(node.props) >= REQUIRED | {"reg-names", "clocks"}
    assert node.props["compatible"].to_strings() == [f"fsl,{layout}-mu-msi"]
    assert node.props["reg"].to_nums() == [0, 0x5D27_0000, 0, 0x1_0000, 0, 0x5D30_0000, 0, 0x1_0000]
    assert node.props["reg-names"].to_strings() == ["processor-a-side", "processor-b-side"]
    assert node.props["interrupts"].to_nums() == [0, 191, 4]
    assert node.props["#msi-cells"].to_num() == 0
    assert node.props["interrupt-controller"].value == node.props["msi-controller"].value == b""
    clock = node.props["clocks"].to_node()
    assert clock.props["compatible"].to_string() == "fixed-clock"
    assert clock.props["#clock-cells"].to_num() == 0
    assert tree.get_node("/pcie-ep@5f010000").props["msi-parent"].to_node() is node


@pytest.mark.parametrize("name", NAMES)
def test_snippet_is_what_the_tree_includes(written, name):
    """The snippet alone is no tree; a board's tree that has its interrupt parent takes it as it is."""
    snippet, whole = (written / f"{name}.dtsi").read_text(), (written / f"{name}.dts").read_text()
    assert "/dts-v1/" not in snippet
    assert f'/include/ "{name}.dtsi"' in whole
    assert "msi" not in whole.replace(name, "")


@pytest.mark.parametrize("name", NAMES)
def test_models_find_what_is_there(written, name):
    tree = models.load(written / f"{name}.dts")
    endpoint = tree.endpoint
    assert kind_of(tree) == KINDS[name]
    assert endpoint.regs == Region(0x5F01_0000, 0x1_0000)
    assert endpoint.atu == Region(0x5F31_0000, 0x1_0000)
    assert endpoint.dma == Region(0x5F09_0000, 0x1_0000)
    assert endpoint.memory == Region(0x6000_0000, 0x20_0000)
    assert endpoint.addr_space == Region(0x7000_0000, 0x1000_0000)
    assert endpoint.inbound_windows == endpoint.outbound_windows == {"edma-fixed-bar": 16, "hdma": 8}.get(name, 6)
    assert endpoint.fixed_bar == (4 if name == "edma-fixed-bar" else None)
    lines = {"edma-fixed-bar": (271, 272, 269, 270), "hdma": (147,)}.get(name, (192,))
    assert endpoint.edma.interrupts == tuple(Interrupt(line, 4) for line in lines)
    if name in UNITS:
        assert endpoint.msi_parent is not None
        assert endpoint.msi_parent.layout == name.removeprefix("mu-")
    else:
        assert tree.messaging_units == ()


@pytest.mark.parametrize("name", NAMES)
def test_endpoint_can_be_built(written, name):
    variant = variant_of(models.load(written / f"{name}.dts"), 64, "everyday")
    endpoint = Endpoint(64, **dict(variant.parameters))
    defaults = name in ("mu-imx8ulp", "edma")
    assert (variant.name == "epbell_endpoint_usp64") == defaults
    assert dict(variant.parameters).get("layout") == {"mu-imx6sx": "imx6sx", "mu-imx7ulp": "imx7ulp"}.get(name)
    assert len(endpoint.irq_edma) == (4 if name == "edma-fixed-bar" else 1)


@pytest.mark.parametrize("name", NAMES)
def test_doorbell_rings_on_the_models(written, name, capsys):
    arguments = ["--dts", str(written / f"{name}.dts"), "--only", "pcie_ep_doorbell.DOORBELL_TEST"]
    assert selftest.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ok 1 pcie_ep_doorbell.DOORBELL_TEST" in lines
    assert any(line.split()[:3] == ["#", "doorbell", DOORBELLS[name]] for line in lines)


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ('"processor-a-side"', '"a"', "reg-names:0: 'processor-a-side' was expected"),
        ("#msi-cells = <0>", "#msi-cells = <1>", "#msi-cells:0:0: 0 was expected"),
        ("<0 191 4>", "<0 191 1>", "the line is level high"),
    ],
)
def test_wrong_snippet_is_refused(written, tmp_path, right, wrong, complaint):
    for path in written.glob("mu-imx8ulp.dts*"):
        (tmp_path / path.name).write_text(path.read_text().replace(right, wrong))
    with pytest.raises(DeviceTreeError, match=complaint):
        models.load(tmp_path / "mu-imx8ulp.dts")
