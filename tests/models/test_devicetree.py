import re
from dataclasses import replace

import pytest

from epbell_models import devicetree
from epbell_models.devicetree import DeviceTreeError, Interrupt, MsiConsumer, Region
from epbell_models.reference.address_map import DEFAULT_MAP, AddressMap

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
    assert endpoint.addr_space == Region(DEFAULT_MAP.outbound.base, DEFAULT_MAP.outbound.size)
    assert endpoint.msi_parent is unit
    assert endpoint.compatible == "fsl,imx8qm-pcie-ep"
    assert (endpoint.edma.personality, endpoint.edma.region, endpoint.edma.offset) == ("unroll", endpoint.dma, 0)
    assert (endpoint.edma.interrupts, endpoint.edma.lines, endpoint.fixed_bar) == ((Interrupt(192, 4),), 1, None)
    assert (tree.name, tree.msi_consumers, tree.bootargs) == ("imx8", (), {})


def test_shipped_trees():
    trees = {name: devicetree.load(devicetree.builtin(name)) for name in devicetree.shipped()}
    assert list(trees) == ["imx8", "hdma", "imx8-edma", "msi-enomem", "msi-enospc", "rk3588"]
    assert {name: tree.name for name, tree in trees.items()} == {name: name for name in trees}
    found = {
        name: (tree.endpoint.edma.personality, tree.endpoint.edma.write_channels, tree.endpoint.edma.read_channels,
               tree.endpoint.fixed_bar, [interrupt.spi for interrupt in tree.endpoint.edma.interrupts],
               tree.endpoint.msi_parent is not None, len(tree.messaging_units))
        for name, tree in trees.items()
    }  # fmt: skip
    assert found == {
        "imx8": ("unroll", 4, 4, None, [192], True, 1),
        "imx8-edma": ("unroll", 4, 4, None, [192], False, 1),
        "msi-enomem": ("unroll", 4, 4, None, [192], True, 1),
        "msi-enospc": ("unroll", 4, 4, None, [192], True, 1),
        "rk3588": ("unroll", 2, 2, 4, [271, 272, 269, 270], False, 0),
        "hdma": ("hdma", 4, 4, None, [147], False, 0),
    }
    assert trees["msi-enospc"].msi_consumers == (MsiConsumer("remote-processor", "mailbox@5d270000", 4),)
    assert trees["msi-enomem"].bootargs == {"fault_inject.platform_msi": "ENOMEM"}


def test_shipped_variants_of_the_imx8_differ_in_what_they_are_named_after_only():
    base = devicetree.load(devicetree.builtin()).endpoint
    for name in ("imx8-edma", "msi-enomem", "msi-enospc"):
        other = devicetree.load(devicetree.builtin(name)).endpoint
        assert (other.regs, other.atu, other.edma, other.memory) == (base.regs, base.atu, base.edma, base.memory)
        assert other.addr_space == base.addr_space


def test_a_page_of_its_own_for_dbi_means_the_legacy_edma(tmp_path):
    text = SHIPPED.replace('"regs", "atu", "dma", "addr_space"', '"regs", "atu", "dbi", "addr_space"')
    edma = devicetree.load(write(tmp_path, text)).endpoint.edma
    assert (edma.personality, edma.region.address, edma.offset) == ("legacy", 0x5F09_0000, 0x970)


def test_a_controller_whose_edma_is_a_doorbell_only(tmp_path):
    text = SHIPPED.replace('"fsl,imx8qm-pcie-ep"', '"epbell,pcie-ep-doorbell"')
    endpoint = devicetree.load(write(tmp_path, text)).endpoint
    assert endpoint.compatible == "epbell,pcie-ep-doorbell"
    assert endpoint.edma == replace(devicetree.load(devicetree.builtin()).endpoint.edma, doorbell_only=True)


NAMES = [
    ('<0 192 4>; interrupt-names = "dma"', [192]),
    ('<0 1 4>, <0 192 4>; interrupt-names = "msi", "dma"', [192]),
    ("<0 192 4>", []),
    ('<0 192 4>; interrupt-names = "edma"', []),
    ('<0 1 4>, <0 2 4>; interrupt-names = "dma0", "dma1"', []),
]


@pytest.mark.parametrize(("interrupts", "expected"), NAMES)
def test_interrupts_of_the_edma(tmp_path, interrupts, expected):
    text = SHIPPED.replace('interrupt-names = "dma";', "").replace("<0 192 4>", interrupts)
    edma = devicetree.load(write(tmp_path, text)).endpoint.edma
    assert [interrupt.spi for interrupt in edma.interrupts] == expected
    assert edma.lines == 1


def test_interrupt_per_channel(tmp_path):
    items = ", ".join(f"<0 {200 + channel} 4>" for channel in range(8))
    names = ", ".join(f'"dma{channel}"' for channel in range(8))
    text = SHIPPED.replace("<0 192 4>", items).replace('interrupt-names = "dma"', f"interrupt-names = {names}")
    edma = devicetree.load(write(tmp_path, text)).endpoint.edma
    assert [interrupt.spi for interrupt in edma.interrupts] == list(range(200, 208))
    assert edma.lines == 8


def test_bootargs(tmp_path):
    text = SHIPPED.replace("gic: inter", 'chosen { bootargs = "quiet a.b=c d=e=f"; };\n gic: inter')
    assert devicetree.load(write(tmp_path, text)).bootargs == {"quiet": "", "a.b": "c", "d": "e=f"}


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
    text = SHIPPED.replace('reg-names = "regs", "atu", "dma", "addr_space";', 'reg-names = "dbi";')
    text = text.replace("<0x5f010000 0x10000>,", "<0x5f010000 0x10000>;")
    for region in ("<0x5f310000 0x10000>,", "<0x5f090000 0x10000>,", "<0x70000000 0x10000000>;"):
        text = text.replace(region, "")
    endpoint = devicetree.load(write(tmp_path, text)).endpoint
    assert (endpoint.atu.address, endpoint.dma.address) == (0x5F31_0000, 0x5F09_0000)
    assert endpoint.addr_space is None
    assert AddressMap.of(devicetree.load(tmp_path / "mine.dts")).outbound == DEFAULT_MAP.outbound


def test_aperture_is_where_the_tree_says(tmp_path):
    tree = devicetree.load(edited(tmp_path, "<0x70000000 0x10000000>", "<0x80000000 0x8000000>"))
    assert tree.endpoint.addr_space == Region(0x8000_0000, 0x800_0000)
    outbound = AddressMap.of(tree).outbound
    assert (outbound.base, outbound.size) == (0x8000_0000, 0x800_0000)


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
    ('reg-names = "regs", "atu", "dma", "addr_space";', "", ENDPOINT, "'reg-names' is a required property"),
    ('"regs", "atu", "dma"', '"one", "atu", "dma"', ENDPOINT, "does not contain items matching"),
    ('"regs", "atu", "dma"', '"regs", "atu"', ENDPOINT, "is too long"),
    ("memory-region = <&epf_memory>;", "", ENDPOINT, "'memory-region' is a required property"),
    ("msi-parent = <&lsio_mu12>;", "msi-parent = <0x77>;", ENDPOINT, "msi-parent: 0x77 is not the phandle of any node"),
    ("reg = <0x60000000 0x200000>;", "", "memory@60000000", "'reg' is a required property"),
    ('interrupt-names = "dma"', 'interrupt-names = "dma", "b"', ENDPOINT, "interrupt-names: ['dma', 'b'] does not"),
    ("interrupts = <0 192 4>;", "interrupts = <0 192 1>;", ENDPOINT, "interrupts:0:2: 1 was given"),
    ("interrupts = <0 192 4>;", "interrupts = <0 192>;", ENDPOINT, "must be items of three cells"),
    ("interrupts = <0 191 4>;", "interrupts = <0 191 4>, <0 190 4>;", UNIT, "interrupts: [0, 191, 4, 0, 190, 4] is"),
]


@pytest.mark.parametrize(("old", "new", "node", "complaint"), COMPLAINTS)
def test_the_bindings_own_complaint(tmp_path, old, new, node, complaint):
    path = edited(tmp_path, old, new)
    with pytest.raises(DeviceTreeError) as caught:
        devicetree.load(path)
    assert any(line.startswith(f"{path}: {node}: {complaint}") or (complaint in line and f"{path}: {node}: " in line)
               for line in caught.value.complaints), caught.value.complaints  # fmt: skip


CONSUMER = "remote-processor"
CONSUMER_COMPLAINTS = [
    ("msi-parent = <&lsio_mu12>;\n\t\tepbell", "epbell", "'msi-parent' is a required property"),
    ("epbell,vectors = <4>;", "", "'epbell,vectors' is a required property"),
    ("epbell,vectors = <4>;", "epbell,vectors = <0>;", "epbell,vectors: [0] is not one number from 1"),
    ("msi-parent = <&lsio_mu12>;\n\t\tepbell", "msi-parent = <&gic>; epbell", "interrupt-controller@51a00000 is not a"),
]


@pytest.mark.parametrize(("old", "new", "complaint"), CONSUMER_COMPLAINTS)
def test_complaints_about_another_device(tmp_path, old, new, complaint):
    text = devicetree.builtin("msi-enospc").read_text(encoding="utf-8")
    assert text.count(old) == 1
    with pytest.raises(DeviceTreeError, match=rf"{CONSUMER}: .*{re.escape(complaint)}"):
        devicetree.load(write(tmp_path, text.replace(old, new)))


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
    with pytest.raises(ValueError, match=r"'imx8-edma', .*\], not 'imx9'"):
        devicetree.builtin("imx9")
