import pytest

from epbell_models import devicetree
from epbell_models.devicetree import DeviceTreeError, Interrupt, Region

SHIPPED = devicetree.builtin().read_text(encoding="utf-8")


def write(tmp_path, text):
    path = tmp_path / "mine.dts"
    path.write_text(text, encoding="utf-8")
    return path


def edited(tmp_path, old, new):
    assert SHIPPED.count(old) == 1, f"{old!r} must occur once"
    return write(tmp_path, SHIPPED.replace(old, new))


def test_shipped_tree_says_what_the_address_map_says():
    tree = devicetree.load(devicetree.builtin())
    endpoint, unit = tree.endpoint, tree.messaging_units[0]
    assert unit.name == "mailbox@5d270000"
    assert (unit.a, unit.b) == (Region(0x5D27_0000, 0x1_0000), Region(0x5D30_0000, 0x1_0000))
    assert unit.layout == "imx8ulp"
    assert unit.interrupt == Interrupt(191, 4)
    assert endpoint.name == "pcie_ep@5f010000"
    assert (endpoint.inbound_windows, endpoint.outbound_windows) == (6, 6)
    pages = (endpoint.regs, endpoint.atu, endpoint.dma)
    assert [page.address for page in pages] == [0x5F01_0000, 0x5F31_0000, 0x5F09_0000]
    assert endpoint.memory == Region(0x6000_0000, 0x20_0000)
    assert endpoint.msi_parent is unit


@pytest.mark.parametrize("layout", ["imx6sx", "imx7ulp", "imx8ulp"])
def test_layout_follows_compatible(tmp_path, layout):
    tree = devicetree.load(edited(tmp_path, "fsl,imx8ulp-mu-msi", f"fsl,{layout}-mu-msi"))
    assert tree.messaging_units[0].layout == layout


def test_s4_binding_is_valid_but_no_driver_matches(tmp_path):
    tree = devicetree.load(edited(tmp_path, "fsl,imx8ulp-mu-msi", "fsl,imx8ulp-mu-msi-s4"))
    assert tree.messaging_units[0].layout is None


def test_disabled_unit_has_no_driver(tmp_path):
    tree = devicetree.load(edited(tmp_path, "#msi-cells = <0>;", '#msi-cells = <0>; status = "disabled";'))
    assert tree.endpoint.msi_parent is not None
    assert tree.endpoint.msi_parent.layout is None


def test_without_msi_parent(tmp_path):
    assert devicetree.load(edited(tmp_path, "msi-parent = <&lsio_mu12>;", "")).endpoint.msi_parent is None


def test_atu_and_dma_default_to_where_designware_keeps_them(tmp_path):
    text = SHIPPED.replace('reg-names = "regs", "atu", "dma";', 'reg-names = "dbi";')
    text = text.replace("<0x5f010000 0x10000>,", "<0x5f010000 0x10000>;")
    text = text.replace("<0x5f310000 0x10000>,", "").replace("<0x5f090000 0x10000>;", "")
    endpoint = devicetree.load(write(tmp_path, text)).endpoint
    assert (endpoint.atu.address, endpoint.dma.address) == (0x5F31_0000, 0x5F09_0000)


def test_ranges_of_a_bus_are_applied(tmp_path):
    start, end = SHIPPED.index("\tlsio_mu12:"), SHIPPED.index("\tpcie_ep:")
    node = SHIPPED[start:end].replace("0x5d", "0x00")
    cells = "#address-cells = <1>; #size-cells = <1>;"
    bus = f"bus@5d000000 {{ {cells} ranges = <0x0 0x5d000000 0x1000000>;\n{node}}};\n"
    tree = devicetree.load(write(tmp_path, SHIPPED[:start] + bus + SHIPPED[end:]))
    assert tree.endpoint.msi_parent is not None
    assert tree.endpoint.msi_parent.b.address == 0x5D30_0000


def test_system_memory_serves_an_endpoint_without_its_own(tmp_path):
    text = SHIPPED.replace("memory-region = <&epf_memory>;", "")
    memory = 'memory@80000000 { device_type = "memory"; reg = <0x80000000 0x400000>; };'
    text = text.replace("gic: inter", f"{memory}\n gic: inter")
    assert devicetree.load(write(tmp_path, text)).endpoint.memory == Region(0x8000_0000, 0x40_0000)


UNIT, ENDPOINT = "mailbox@5d270000", "pcie_ep@5f010000"
COMPLAINTS = [
    ("interrupts = <0 191 4>;", "", UNIT, "'interrupts' is a required property"),
    ("msi-controller;", "", UNIT, "'msi-controller' is a required property"),
    ("#msi-cells = <0>;", "", UNIT, "'#msi-cells' is a required property"),
    ("#msi-cells = <0>;", "#msi-cells = <1>;", UNIT, "#msi-cells:0:0: 0 was expected"),
    ('"processor-a-side", "processor-b-side"', '"a", "b"', UNIT, "reg-names:0: 'processor-a-side' was expected"),
    (', "processor-b-side"', "", UNIT, "reg-names: ['processor-a-side'] is too short"),
    ("interrupts = <0 191 4>;", "interupts = <0 191 4>;", UNIT, "'interupts' does not match any of the regexes"),
    ("interrupts = <0 191 4>;", "interrupts = <0 191 1>;", UNIT, "interrupts:0:2: 1 was given"),
    ("interrupts = <0 191 4>;", "interrupts = <1 191 4>;", UNIT, "interrupts:0:0: 1 is not a shared"),
    ("num-ib-windows = <6>;", "", ENDPOINT, "'num-ib-windows' is a required property"),
    ("num-ib-windows = <6>;", "num-ib-windows = <0>;", ENDPOINT, "num-ib-windows: [0] is not one number from 1"),
    ("num-ob-windows = <6>;", "", ENDPOINT, "'num-ob-windows' is a required property"),
    ('reg-names = "regs", "atu", "dma";', "", ENDPOINT, "'reg-names' is a required property"),
    ('"regs", "atu", "dma"', '"one", "atu", "dma"', ENDPOINT, "does not contain items matching"),
    ('"regs", "atu", "dma"', '"regs", "atu"', ENDPOINT, "is too long"),
    ("memory-region = <&epf_memory>;", "", ENDPOINT, "'memory-region' is a required property"),
    ("msi-parent = <&lsio_mu12>;", "msi-parent = <0x77>;", ENDPOINT, "msi-parent: 0x77 is not the phandle of any node"),
    ("reg = <0x60000000 0x200000>;", "", "memory@60000000", "'reg' is a required property"),
]


@pytest.mark.parametrize(("old", "new", "node", "complaint"), COMPLAINTS)
def test_the_bindings_own_complaint(tmp_path, old, new, node, complaint):
    path = edited(tmp_path, old, new)
    with pytest.raises(DeviceTreeError) as caught:
        devicetree.load(path)
    assert any(line.startswith(f"{path}: {node}: {complaint}") or (complaint in line and f"{path}: {node}: " in line)
               for line in caught.value.complaints), caught.value.complaints  # fmt: skip


def test_every_complaint_is_given_at_once(tmp_path):
    text = SHIPPED.replace("interrupts = <0 191 4>;", "").replace("num-ib-windows = <6>;", "")
    with pytest.raises(DeviceTreeError) as caught:
        devicetree.load(write(tmp_path, text))
    assert len(caught.value.complaints) == 2


def test_no_endpoint(tmp_path):
    with pytest.raises(DeviceTreeError, match="no enabled node is compatible"):
        devicetree.load(edited(tmp_path, '"fsl,imx8qm-pcie-ep", "snps,dw-pcie-ep"', '"acme,ep"'))


def test_syntax_error_gives_file_and_line(tmp_path):
    path = edited(tmp_path, "num-ib-windows = <6>;", "num-ib-windows = <6>")
    with pytest.raises(DeviceTreeError, match=rf"{path}:\d+ .*parse error"):
        devicetree.load(path)


def test_undefined_label_gives_file_and_line(tmp_path):
    path = edited(tmp_path, "msi-parent = <&lsio_mu12>;", "msi-parent = <&nobody>;")
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "nobody" in text)
    with pytest.raises(DeviceTreeError, match=f"{path}:{line}: .*undefined node label 'nobody'"):
        devicetree.load(path)


def test_preprocessor_directive_is_refused_with_its_line(tmp_path):
    path = edited(tmp_path, "/dts-v1/;", '/dts-v1/;\n#include "imx8.dtsi"')
    with pytest.raises(DeviceTreeError, match=f"{path}:2"):
        devicetree.load(path)


def test_missing_file(tmp_path):
    with pytest.raises(DeviceTreeError, match="cannot be read"):
        devicetree.load(tmp_path / "none.dts")


def test_unknown_shipped_tree():
    with pytest.raises(ValueError, match=r"\['imx8'\], not 'imx9'"):
        devicetree.builtin("imx9")
