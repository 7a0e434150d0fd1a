"""The SVD files: valid against the standard's schema, and the registers, fields, addresses and accesses of the maps."""

import xml.etree.ElementTree as ElementTree
from importlib import resources

import pytest
from lxml import etree
from regs_pages import registers

from epbell_regs import svd
from epbell_regs.configurations import CONFIGURATIONS

# Typed in: where each page is (the endpoint's address map), which map it shows, its interrupts.
BASES = {
    "CONTROLLER": 0x5F01_0000, "EDMA": 0x5F09_0000, "HDMA": 0x5F09_0000, "IATU": 0x5F31_0000,
    "MU_A": 0x5D27_0000, "MU_B": 0x5D30_0000,
}  # fmt: skip
COMMON = {"CONTROLLER", "IATU"}
PAGES = {
    **{f"mu-{layout}": COMMON | {"EDMA", "MU_A", "MU_B"} for layout in ("imx6sx", "imx7ulp", "imx8ulp")},
    "edma": COMMON | {"EDMA"},
    "edma-fixed-bar": COMMON | {"EDMA"},
    "hdma": COMMON | {"HDMA"},
}
WINDOWS = {"edma-fixed-bar": 16, "hdma": 8}
CHANNELS = {"edma-fixed-bar": 2}
INTERRUPTS = {
    **{name: {"MU_A": [191], "EDMA": [192]} for name in PAGES if name.startswith("mu-")},
    "edma": {"EDMA": [192]},
    "edma-fixed-bar": {"EDMA": [271, 272, 269, 270]},
    "hdma": {"HDMA": [147]},
}
ACCESS = {"constant": "read-only", "status": "read-only", "action": "write-only"}
ON_WRITE = {"w1c": "oneToClear", "w1s": "oneToSet"}


def maps_of(name, page):
    """The maps of a page, from what a configuration's name says."""
    if page.startswith("MU_"):
        return registers(f"mu_{name.removeprefix('mu-')}")
    if page == "IATU":
        windows = {"windows": WINDOWS.get(name, 6)}
        return registers("iatu", **windows) | registers("iatu_outbound", **windows)
    if page == "CONTROLLER":
        return registers("controller")
    return registers(page.lower(), **dict.fromkeys(("write_channels", "read_channels"), CHANNELS.get(name, 4)))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("svd")
    for configuration in CONFIGURATIONS:
        svd.write(configuration, folder / f"{configuration.name}.svd", version="1.2.3")
    return folder


@pytest.fixture(scope="module")
def schema():
    name = f"CMSIS-SVD_{svd.SCHEMA.replace('.', '_')}.xsd"
    return etree.XMLSchema(etree.fromstring(resources.files("cmsis_svd").joinpath("schemas", name).read_bytes()))


def number(node, name):
    return int(node.findtext(name), 0)


def unrolled(node):
    """Names and offsets of what an entry stands for."""
    name, offset = node.findtext("name"), number(node, "addressOffset")
    if node.find("dim") is None:
        return [(name, offset)]
    step = number(node, "dimIncrement")
    return [(name.replace("[%s]", str(index)), offset + index * step) for index in range(number(node, "dim"))]


def registers_in(page):
    """Every register of a peripheral: flat name -> (offset, its element)."""
    found = {}
    for entry in page.find("registers"):
        for name, offset in unrolled(entry):
            if entry.tag == "register":
                found[name] = (offset, entry)
            else:
                for child in entry.iter("register"):
                    found |= {f"{name}_{inner}": (offset + at, child) for inner, at in unrolled(child)}
    return found


def test_every_configuration_is_listed():
    assert [configuration.name for configuration in CONFIGURATIONS] == list(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_file_obeys_the_schema(written, schema, name):
    assert schema.validate(etree.parse(written / f"{name}.svd")), schema.error_log


def test_schema_refuses_what_is_wrong(written, schema):
    text = (written / "edma.svd").read_bytes()
    for right, wrong in ((b"<bitWidth>", b"<bitwidth>"), (b">read-only<", b">ro<")):
        document = etree.fromstring(text.replace(right, wrong).replace(right.replace(b"<", b"</"), b"</bitwidth>"))
        assert not schema.validate(document)


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_where_the_address_map_has_them(written, name):
    device = ElementTree.parse(written / f"{name}.svd").getroot()
    assert device.findtext("version") == "1.2.3"
    assert device.findtext("name") == "epbell_" + name.replace("-", "_")
    pages = {page.findtext("name"): page for page in device.iter("peripheral")}
    assert set(pages) == PAGES[name]
    assert {page: number(node, "baseAddress") for page, node in pages.items()} == {page: BASES[page] for page in pages}
    assert {number(node.find("addressBlock"), "size") for node in pages.values()} == {0x1_0000}
    found = {page: [number(line, "value") for line in node.iter("interrupt")] for page, node in pages.items()}
    assert {page: lines for page, lines in found.items() if lines} == INTERRUPTS[name]


@pytest.mark.parametrize(("name", "page"), [(name, page) for name, pages in PAGES.items() for page in sorted(pages)])
def test_registers_are_those_of_the_maps(written, name, page):
    device = ElementTree.parse(written / f"{name}.svd").getroot()
    (peripheral,) = (node for node in device.iter("peripheral") if node.findtext("name") == page)
    found, expected = registers_in(peripheral), maps_of(name, page)
    assert {register: offset for register, (offset, _) in found.items()} == {
        register: declared.address for register, declared in expected.items()
    }
    for register, (_, node) in found.items():
        declared = expected[register]
        fields = {bits.findtext("name"): bits for bits in node.iter("field")}
        assert list(fields) == [bits.name for bits in declared.fields]
        assert number(node, "size") == 32
        assert number(node, "resetValue") == declared.reset
        assert number(node, "resetMask") == ~declared.unknown & 0xFFFF_FFFF
        for bits in declared.fields:
            written_as = fields[bits.name]
            assert (number(written_as, "bitOffset"), number(written_as, "bitWidth")) == (bits.low, bits.width)
            assert written_as.findtext("access") == ACCESS.get(bits.kind, "read-write")
            assert written_as.findtext("modifiedWriteValues") == ON_WRITE.get(bits.kind)
            assert len(written_as.findall("description")) == 1


def test_reads_that_take_something_away_are_marked(written):
    """A debugger that shows a page would swallow doorbells."""
    device = ElementTree.parse(written / "mu-imx8ulp.svd").getroot()
    marked = [
        (page.findtext("name"), register.findtext("name"))
        for page in device.iter("peripheral")
        for register in page.iter("register")
        if register.find(".//readAction") is not None
    ]
    assert marked == [("MU_A", "RR[%s]"), ("MU_B", "RR[%s]")]
