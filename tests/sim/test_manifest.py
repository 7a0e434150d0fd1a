"""The export's files and manifest against the ports that are public: this table is written by hand."""

import json

import pytest

from epbell import export
from epbell_tb import runner

LAYOUTS = ("imx6sx", "imx7ulp", "imx8ulp")
WIDTHS = (64, 128, 256, 512)


def axil(prefix, address):
    """Ports of an AXI4-Lite subordinate."""
    inputs = {"awaddr": address, "awprot": 3, "awvalid": 1, "wdata": 32, "wstrb": 4, "wvalid": 1, "bready": 1}
    inputs |= {"araddr": address, "arprot": 3, "arvalid": 1, "rready": 1}
    outputs = {"awready": 1, "wready": 1, "bresp": 2, "bvalid": 1, "arready": 1, "rdata": 32, "rresp": 2, "rvalid": 1}
    return {
        **{f"{prefix}_{name}": ("input", width) for name, width in inputs.items()},
        **{f"{prefix}_{name}": ("output", width) for name, width in outputs.items()},
    }


def clocks(*names):
    return {name: ("input", 1) for name in names}


PULSES = {f"{way}_{end}": ("input", 4) for way in ("wr", "rd") for end in ("done", "abort")}
MU = {**axil("a_axil", 16), **axil("b_axil", 16), "a_irq": ("output", 1), "b_irq": ("output", 1)}
EDMA = {
    **clocks("clk", "rst"),
    **axil("s_axil", 16),
    **PULSES,
    "irq": ("output", 1),
}


def endpoint(width):
    wide = width == 512
    return {
        **clocks("clk", "rst"),
        "s_axis_cq_tdata": ("input", width),
        "s_axis_cq_tkeep": ("input", width // 32),
        "s_axis_cq_tuser": ("input", 183 if wide else 88),
        "s_axis_cq_tlast": ("input", 1),
        "s_axis_cq_tvalid": ("input", 1),
        "s_axis_cq_tready": ("output", 1),
        "m_axis_cc_tdata": ("output", width),
        "m_axis_cc_tkeep": ("output", width // 32),
        "m_axis_cc_tuser": ("output", 81 if wide else 33),
        "m_axis_cc_tlast": ("output", 1),
        "m_axis_cc_tvalid": ("output", 1),
        "m_axis_cc_tready": ("input", 1),
        "m_axis_rq_tdata": ("output", width),
        "m_axis_rq_tkeep": ("output", width // 32),
        "m_axis_rq_tuser": ("output", 137 if wide else 62),
        "m_axis_rq_tlast": ("output", 1),
        "m_axis_rq_tvalid": ("output", 1),
        "m_axis_rq_tready": ("input", 1),
        "s_axis_rc_tdata": ("input", width),
        "s_axis_rc_tkeep": ("input", width // 32),
        "s_axis_rc_tuser": ("input", 161 if wide else 75),
        "s_axis_rc_tlast": ("input", 1),
        "s_axis_rc_tvalid": ("input", 1),
        "s_axis_rc_tready": ("output", 1),
        "pcie_cq_np_req": ("output", 2),
        "cfg_max_payload": ("input", 2),
        "cfg_function_status": ("input", 16),
        "cfg_function_power_state": ("input", 12),
        "cfg_interrupt_msi_enable": ("input", 4),
        "cfg_interrupt_msi_mmenable": ("input", 12),
        "cfg_interrupt_msi_mask_update": ("input", 1),
        "cfg_interrupt_msi_data": ("input", 32),
        "cfg_interrupt_msi_select": ("output", 2),
        "cfg_interrupt_msi_int": ("output", 32),
        "cfg_interrupt_msi_pending_status": ("output", 32),
        "cfg_interrupt_msi_pending_status_data_enable": ("output", 1),
        "cfg_interrupt_msi_pending_status_function_num": ("output", 2),
        "cfg_interrupt_msi_sent": ("input", 1),
        "cfg_interrupt_msi_fail": ("input", 1),
        "cfg_interrupt_msi_attr": ("output", 3),
        "cfg_interrupt_msi_tph_present": ("output", 1),
        "cfg_interrupt_msi_tph_type": ("output", 2),
        "cfg_interrupt_msi_tph_st_tag": ("output", 8),
        "cfg_interrupt_msi_function_number": ("output", 8),
        "cfg_interrupt_msix_enable": ("input", 4),
        "cfg_interrupt_msix_mask": ("input", 4),
        "cfg_interrupt_msix_sent": ("input", 1),
        "cfg_interrupt_msix_fail": ("input", 1),
        "cfg_interrupt_msix_address": ("output", 64),
        "cfg_interrupt_msix_data": ("output", 32),
        "cfg_interrupt_msix_int": ("output", 1),
        "cfg_interrupt_msix_vec_pending": ("output", 2),
        "cfg_interrupt_sent": ("input", 1),
        "cfg_interrupt_int": ("output", 4),
        "cfg_interrupt_pending": ("output", 4),
        "cfg_flr_in_process": ("input", 4),
        "cfg_flr_done": ("output", 4),
        "cfg_mgmt_addr": ("output", 10),
        "cfg_mgmt_function_number": ("output", 8),
        "cfg_mgmt_write": ("output", 1),
        "cfg_mgmt_write_data": ("output", 32),
        "cfg_mgmt_byte_enable": ("output", 4),
        "cfg_mgmt_read": ("output", 1),
        "cfg_mgmt_debug_access": ("output", 1),
        "cfg_mgmt_read_data": ("input", 32),
        "cfg_mgmt_read_write_done": ("input", 1),
        **axil("cpu_axil", 32),
        "irq_mu": ("output", 1),
        "irq_edma": ("output", 1),
        **{f"edma_{name}": port for name, port in PULSES.items()},
    }


PORTS = {
    **{f"epbell_mu_{layout}": {**clocks("clk", "rst"), **MU} for layout in LAYOUTS},
    **{f"epbell_mu_{layout}_async": {**clocks("a_clk", "a_rst", "b_clk", "b_rst"), **MU} for layout in LAYOUTS},
    "epbell_edma": EDMA,
    **{f"epbell_endpoint_usp{width}": endpoint(width) for width in WIDTHS},
}


BESIDE = {
    name: {
        "ipxact": f"{name}.xml",
        "vivado": f"vivado/{name}/component.xml",
        "template": f"{name}.veo",
        "fusesoc": f"{name}.core",
    }
    for name in PORTS
}


def test_the_modules_are_these():
    assert set(export.MODULES) == set(PORTS)


@pytest.mark.parametrize("module", PORTS)
def test_ports(module):
    found = export.ports_of(runner.source(module), module)
    assert {port.name: (port.direction, port.width) for port in found} == PORTS[module]


def test_manifest_of_what_is_written(tmp_path, monkeypatch):
    """One module of either kind stands for all: converting takes seconds."""
    chosen = ("epbell_mu_imx6sx", "epbell_mu_imx6sx_async")
    monkeypatch.setattr(export, "MODULES", {name: export.MODULES[name] for name in chosen})
    said = []
    written = export.write_all(tmp_path, progress=said.append)
    assert said == list(chosen)
    names = [[f"{name}.sv", *BESIDE[name].values()] for name in chosen]
    assert [str(path.relative_to(tmp_path)) for path in written] == [*names[0], *names[1], "manifest.json"]
    assert all(path.stat().st_size > 100 for path in written)
    entries = json.loads((tmp_path / "manifest.json").read_text())
    assert [entry["module"] for entry in entries] == list(chosen)
    for entry in entries:
        text = (tmp_path / entry["file"]).read_text()
        assert entry.keys() == {"module", "file", "files", "ports", "parameters", "sha256"}
        assert entry["files"] == BESIDE[entry["module"]]
        assert {p["name"]: (p["direction"], p["width"]) for p in entry["ports"]} == PORTS[entry["module"]]
        assert entry["parameters"] == {"layout": "imx6sx"}
        assert entry["sha256"] == export.source_hash(text)


def test_sources_that_are_there_already(tmp_path, monkeypatch):
    """What `make verilog` writes beside builds is what it would convert."""
    monkeypatch.setattr(export, "MODULES", {"epbell_edma": export.MODULES["epbell_edma"]})
    asked = []
    export.write_all(tmp_path / "kept", source=lambda name: asked.append(name) or runner.source(name))
    export.write_all(tmp_path / "new")
    assert asked == ["epbell_edma"]
    for name in ("epbell_edma.sv", "manifest.json", *BESIDE["epbell_edma"].values()):
        assert (tmp_path / "kept" / name).read_text() == (tmp_path / "new" / name).read_text()


def test_hash_is_of_the_meaning():
    text = runner.source("epbell_mu_imx6sx")
    moved = text.replace('src = "epbell/mu', 'src = "epbell/somewhere_else')
    assert moved != text
    assert export.source_hash(moved) == export.source_hash(text)
    assert export.source_hash(text.replace("endmodule", "wire one_more; endmodule", 1)) != export.source_hash(text)


def test_no_path_of_this_machine():
    assert str(runner.sim_build().parent) not in runner.source("epbell_endpoint_usp64")
