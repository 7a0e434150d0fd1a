"""The UltraScale+ example, which nobody here can build: its wires against the ports of the exported endpoint."""

import re
from pathlib import Path

from amaranth.hdl import Value
from amaranth.lib import wiring

from epbell import export

EXAMPLE = Path(__file__).parents[2] / "docs" / "usp-example"
TEXT = (EXAMPLE / "epbell_example.sv").read_text(encoding="utf-8")


def instance(module):
    """Connections of an instance by port."""
    body = re.search(rf"^  {module} \w+ \((.*?)^  \);", TEXT, re.MULTILINE | re.DOTALL)[1]
    return dict(re.findall(r"\.(\w+)\((.*?)\)[,\n]", body))


def width(wire):
    """Bits of what a port is connected to."""
    constant = re.fullmatch(r"(\d+)'d\d+", wire)
    if constant:
        return int(constant[1])
    if wire.endswith("[0]"):
        return 1
    found = re.search(rf"^  (?:input |output )?wire (?:\[(\d+):0\] )?(?:\w+, )*{wire}\b", TEXT, re.MULTILINE)
    assert found, f"{wire} is no wire of the example"
    return int(found[1] or 0) + 1


def test_every_port_is_connected_with_its_width():
    component = export.MODULES["epbell_endpoint_usp256"]()
    ports = {"clk": 1, "rst": 1}
    for path, _, value in component.signature.flatten(component):
        ports["_".join(map(str, path))] = len(Value.cast(value))
    connected = instance("epbell_endpoint_usp256")
    assert connected.keys() == ports.keys()
    assert {port: width(wire) for port, wire in connected.items()} == ports


def test_outputs_of_the_endpoint_are_not_driven_twice():
    """A wire that both the endpoint and another instance have is an output on one side only: names say which."""
    component = export.MODULES["epbell_endpoint_usp256"]()
    flows = {"_".join(map(str, path)): member.flow for path, member, _ in component.signature.flatten(component)}
    block = instance("pcie4_uscale_plus_0")
    mine = instance("epbell_endpoint_usp256")
    for port, wire in block.items():
        stream = re.fullmatch(r"([ms])_axis_(\w\w)_(\w+)", port)
        if stream is None:
            continue
        other = f"{'ms'[stream[1] == 'm']}_axis_{stream[2]}_{stream[3]}"
        assert mine[other].removesuffix("[0]") == wire, port
        drives = (stream[1] == "m") != (stream[3] == "tready")
        assert (flows[other] == wiring.Out) != drives, port


def test_the_scripts_name_what_is_there():
    script = (EXAMPLE / "build.tcl").read_text(encoding="utf-8")
    for name in re.findall(r'"\$here/([\w.]+\.(?:sv|xdc))"', script):
        assert (EXAMPLE / name).is_file()
    assert {"pcie4_uscale_plus_0", "jtag_axi_0"} <= set(re.findall(r"-module_name (\w+)", script))
    bars = dict(re.findall(r"(\d) (\d+)", re.search(r"foreach \{bar size\} \{(.*?)\}", script)[1]))
    assert bars == {"0": "16", "1": "16", "2": "16", "3": "16", "4": "16", "5": "64"}
    for name in ("build.tcl", "epbell_example.xdc", "epbell_example.sv", "README.md"):
        assert re.search("not built here", (EXAMPLE / name).read_text(encoding="utf-8"), re.IGNORECASE), name
