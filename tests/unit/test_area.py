"""The command `epbell area`: what is measured, what is around it, what is kept, and what becomes of the figures."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from epbell import export
from epbell_tb import area, area_design, area_measure, area_page, synthesis
from epbell_tb.area_measure import Measurement, Netlist, Routed
from epbell_tb.area_modules import TARGETS, Goal, Target
from epbell_tb.installation import PROJECT
from epbell_tb.toolchain import ToolError

RTLIL = """\
module \\m
  wire width 16 input 0  \\a_axil_awaddr
  wire width 1 input 1  \\a_rst
  wire width 1 input 2  \\a_clk
  wire width 1 input 3  \\b_clk
  wire width 2 output 4  \\b_irq
  wire width 7 \\inside
end
module \\m.other
  wire width 3 input 0  \\elsewhere
end
"""
PATH = [
    {"delay": 0.524, "type": "clk-to-q", "from": {"cell": "x", "port": "Q"}, "to": {"cell": "x", "port": "Q"}},
    {"delay": 1.5, "type": "routing", "net": "wire", "from": {"cell": "x"}, "to": {"cell": "y", "port": "D"}},
]
GOAL = Goal(200, 700)
VERSIONS = {"yosys": "1.2", "nextpnr-ecp5": "3.4"}


class FakeTools:
    """Yosys and nextpnr that only note what they are asked for; each seed is one MHz faster than the one before."""

    def __init__(self, version="1.2", **cells):
        self.calls = []
        self.version = version
        self.cells = cells or {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 1, "TRELLIS_FF": 7, "DP16KD": 2}

    def program(self, name):
        return name

    def run(self, command, folder, log):
        assert log.parent == folder
        {"yosys": self.yosys, "nextpnr-ecp5": self.nextpnr}[command[0]](folder, command[1:])

    def yosys(self, folder, options):
        self.calls.append("yosys")
        script = (folder / options[options.index("-s") + 1]).read_text()
        for name in re.findall(r"design\.\w+", script):
            assert (folder / name).is_file()
        modules = {"\\m": {"num_cells_by_type": self.cells}, "\\area": {"num_cells_by_type": {"TRELLIS_FF": 99}}}
        (folder / "cells.json").write_text(json.dumps({"modules": modules}))
        (folder / "netlist.json").write_text(json.dumps({"modules": {"area": {"cells": {}, "ports": {}}}}))

    def nextpnr(self, folder, options):
        seed = int(options[options.index("--seed") + 1])
        self.calls.append(seed)
        fmax = {"a_clk": {"achieved": 300.0}, "b_clk": {"achieved": 100.0 + seed}}
        paths = [{"from": f"posedge {clock}", "to": f"posedge {clock}", "path": PATH} for clock in ("a_clk", "b_clk")]
        paths.insert(0, {"from": "<async>", "to": "posedge b_clk", "path": []})
        report = folder / options[options.index("--report") + 1]
        report.write_text(json.dumps({"fmax": fmax, "critical_paths": paths}))


@pytest.fixture(autouse=True)
def _fake_versions(monkeypatch):
    """Ask a fake tool for its version, and a real one as ever."""
    real = area_measure.versions

    def versions(tools):
        return {"yosys": tools.version, "nextpnr-ecp5": "3.4"} if isinstance(tools, FakeTools) else real(tools)

    for module in (area, area_measure):
        monkeypatch.setattr(module, "versions", versions)


def design(text=RTLIL):
    return area_design.Design("m", text, area_design.wrapper(text, "m"))


def target(goal=None, name="m"):
    return Target(name, export.Recipe("nowhere:Nothing"), "as it is", goal)


def measured(mhz, lut4=700, goal=GOAL, name="epbell_edma.doorbell"):
    routed = [Routed(seed, speed, [f"path of {seed}"], 5.0) for seed, speed in enumerate(mhz, 1)]
    return Measurement(target(goal, name), Netlist(lut4, 20, 1, 3.0), routed)


def test_every_exported_module_is_measured():
    assert {one.module for one in TARGETS.values()} == set(export.MODULES)
    assert list(TARGETS) == [one.name for one in TARGETS.values()]


def test_goals():
    goals = {name: (one.goal.mhz, one.goal.lut4) for name, one in TARGETS.items() if one.goal}
    assert goals == {
        "epbell_mu_imx8ulp": (200, 700),
        "epbell_edma.doorbell": (220, 350),
        "epbell_endpoint_usp256": (160, 0),
    }


def test_configurations():
    assert TARGETS["epbell_edma.doorbell"].recipe.parameters == {"doorbell_only": True}
    assert TARGETS["epbell_edma"].recipe == export.MODULES["epbell_edma"]
    assert TARGETS["epbell_endpoint_usp256"].recipe.parameters == {"width": 256, "ram_size": 64 << 10}
    assert "64 KiB" in TARGETS["epbell_endpoint_usp256"].note
    assert {name for name, one in TARGETS.items() if one.fanned > 1} == {n for n in TARGETS if "endpoint" in n}


def test_every_port_but_a_clock_has_a_flip_flop_of_its_clock():
    text = area_design.wrapper(RTLIL, "m")
    pads = "input a_clk, input a_clk_in, output reg a_clk_out, input b_clk, input b_clk_in, output reg b_clk_out"
    assert f"module area({pads});" in text
    assert "always @(posedge a_clk) a_axil_awaddr_q <= {a_axil_awaddr_q, a_clk_in};" in text
    assert "always @(posedge a_clk) a_rst_q <= {a_rst_q, a_axil_awaddr_q[15]};" in text
    assert "always @(posedge b_clk) b_irq_q <= b_irq_d;" in text
    assert "always @(posedge b_clk) b_irq_f <= {b_irq_f, 1'b0} ^ b_irq_q;" in text
    assert "always @(posedge a_clk) a_clk_out <= 1'b0 ^ a_rst_q[0];" in text
    assert "always @(posedge b_clk) b_clk_out <= b_irq_f[1] ^ b_clk_in;" in text
    assert "DCCA a_rst_buffer(.CLKI(a_rst_q), .CLKO(a_rst_g), .CE(1'b1));" in text
    assert "a_clk_q" not in text
    connected = ".a_axil_awaddr(a_axil_awaddr_q), .a_rst(a_rst_g), .a_clk(a_clk), .b_clk(b_clk), .b_irq(b_irq_d)"
    assert f"  m dut({connected});" in text
    assert "inside" not in text
    assert "elsewhere" not in text


def test_a_port_without_a_clock_of_its_own_belongs_to_clk():
    text = area_design.wrapper(RTLIL.replace("a_clk", "clk").replace("b_clk", "c_clk"), "m")
    assert "always @(posedge clk) b_irq_q <= b_irq_d;" in text


def test_a_module_that_is_not_there():
    with pytest.raises(ValueError, match="must be one that the design holds, not 'n'"):
        area_design.wrapper(RTLIL, "n")


def test_the_wrapper_has_every_port_of_a_real_module():
    doorbell = TARGETS["epbell_edma.doorbell"]
    made = area_design.convert(doorbell)
    ports = {port.name: port for port in export.ports_of(export.to_systemverilog(doorbell.recipe(), "x"), "x")}
    assert len(ports) > 20
    for name, port in ports.items():
        net = {"clk": "clk", "rst": "rst_g"}.get(name, f"{name}_q" if port.direction == "input" else f"{name}_d")
        assert f".{name}({net})" in made.verilog
        if name != "clk":
            assert f" reg [{port.width - 1}:0] {name}_q" in made.verilog
    outputs = sum(port.direction == "output" for port in ports.values())
    assert made.verilog.count("always @(posedge clk)") == len(ports) - 1 + outputs + 1


def test_large_memories_are_in_the_design():
    ram = Target("ram", export.Recipe("epbell.ram:Ram", {"lanes": 2, "size": 4096}))
    made = area_design.convert(ram)
    assert "module epbell_memory" in made.verilog
    assert "\\epbell_memory" in made.rtlil


def test_the_digest_is_of_the_logic():
    line = "  attribute \\src \"epbell/edma.py:1\"\n  wire width 7 \\inside"
    assert design(RTLIL.replace("  wire width 7 \\inside", line)).digest == design().digest
    assert design(RTLIL.replace("width 7", "width 8")).digest != design().digest


def test_what_is_counted_and_kept(tmp_path):
    steps, tools = [], FakeTools()
    found = area_measure.measure(target(), design(), [1, 2, 3], tools, tmp_path / "m", steps.append)
    assert (found.netlist.lut4, found.netlist.ff, found.netlist.ram) == (10 + 2 * 3 + 6, 7, 2)
    assert [one.mhz for one in found.routed] == [101.0, 102.0, 103.0]  # of the slower clock
    assert found.median.path == ["0.52 clk-to-q: x.Q", "1.50 routing: wire"]
    assert tools.calls == ["yosys", 1, 2, 3]
    assert steps == [1, 2, 3, 4]
    assert area_measure.measure(target(), design(), [1, 2, 3, 4], tools, tmp_path / "m").netlist == found.netlist
    assert tools.calls == ["yosys", 1, 2, 3, 4]  # only what was not there


@pytest.mark.parametrize("change", ["design", "versions"])
def test_other_rtl_or_tools_are_measured_anew(tmp_path, change):
    area_measure.measure(target(), design(), [1, 2], FakeTools(), tmp_path / "m")
    other = design(RTLIL.replace("width 7", "width 8")) if change == "design" else design()
    tools = FakeTools("1.3" if change == "versions" else "1.2")
    area_measure.measure(target(), other, [1], tools, tmp_path / "m")
    assert tools.calls == ["yosys", 1]
    assert not (tmp_path / "m" / "seed-2.json").exists()


def test_a_run_that_is_interrupted_goes_on(tmp_path, monkeypatch):
    tools = FakeTools()
    nextpnr = tools.nextpnr
    with monkeypatch.context() as broken:
        broken.setattr(tools, "nextpnr", lambda *told: 1 / 0 if "2" in told[1] else nextpnr(*told))
        with pytest.raises(ZeroDivisionError):
            area_measure.measure(target(), design(), [1, 2], tools, tmp_path / "m")
    area_measure.measure(target(), design(), [1, 2], tools, tmp_path / "m")
    assert tools.calls == ["yosys", 1, 2]


def test_cells_that_nobody_counts(tmp_path):
    with pytest.raises(ToolError, match="cells that nobody counts: PFUMX"):
        area_measure.measure(target(), design(), [1], FakeTools(LUT4=3, PFUMX=1), tmp_path / "m")


@pytest.mark.parametrize(
    ("lut4", "mhz", "missed"),
    [
        (700, (190, 200, 230), []),
        (701, (190, 200, 230), ["701 LUT4, more than 700"]),
        (700, (190, 199.4, 230), ["199 MHz in the median, less than 200"]),
        (800, (100, 110), ["800 LUT4, more than 700", "105 MHz in the median, less than 200"]),
    ],
)
def test_goals_that_are_missed(lut4, mhz, missed):
    assert measured(mhz, lut4).missed() == missed


def test_without_a_goal_nothing_is_missed():
    assert measured((1.0,), 10**6, goal=None).missed() == []
    assert measured((1.0,), 10**6, goal=Goal(1)).missed() == []


def test_median():
    assert measured((210.0, 190.0, 200.0)).mhz == (190.0, 200.0, 210.0)
    assert measured((210.0, 190.0, 200.0)).median.path == ["path of 3"]
    assert measured((210.0, 190.0)).median.path == ["path of 2"]


def test_chosen():
    assert [one.name for one in area.chosen("epbell_edma*, *imx8ulp")] == [
        "epbell_mu_imx8ulp", "epbell_edma", "epbell_edma.doorbell"
    ]  # fmt: skip
    with pytest.raises(ValueError, match="'nobody' matches none of epbell_mu_imx6sx, "):
        area.chosen("epbell_edma,nobody")


def test_report():
    made = area.report([measured((210.0, 190.0, 200.0), 701)], VERSIONS, "2026-01-02")
    assert json.loads(json.dumps(made)) == made
    (module,) = made["modules"]
    assert made["versions"] == VERSIONS
    assert module["seeds"] == {"1": 210.0, "2": 190.0, "3": 200.0}
    assert module["mhz"] == {"min": 190.0, "median": 200.0, "max": 210.0}
    assert (module["lut4"], module["goal"], module["missed"]) == (
        701, {"mhz": 200, "lut4": 700}, ["701 LUT4, more than 700"]
    )  # fmt: skip
    assert module["seconds"] == 18.0


@pytest.fixture
def tools(monkeypatch, tmp_path):
    """The command with a fake Yosys and nextpnr."""
    fake = FakeTools()
    monkeypatch.setattr(synthesis, "install", lambda: fake)
    monkeypatch.setattr(area, "sim_build", lambda: tmp_path)
    monkeypatch.setattr(area, "convert", lambda target: design())
    monkeypatch.setitem(TARGETS, "epbell_edma", Target("epbell_edma", TARGETS["epbell_edma"].recipe, goal=Goal(102)))
    return fake


@pytest.mark.parametrize(("seeds", "status"), [(2, 1), (3, 0)])
def test_exit_status(tools, seeds, status, capsys):
    assert area.main(["--only", "epbell_edma", "--seeds", str(seeds)]) == status
    said = capsys.readouterr().out
    assert ("102 MHz in the median, less than 102" in said) == bool(status)
    assert ("0.52 clk-to-q: x.Q" in said) == bool(status)
    assert f"{1 - status} of 1 goals reached" in said
    assert tools.calls == ["yosys", *range(1, seeds + 1)]


def test_json_alone_is_on_the_standard_output(tools, capsys):
    assert area.main(["--only", "epbell_edma", "--json"]) == 0
    assert [module["name"] for module in json.loads(capsys.readouterr().out)["modules"]] == ["epbell_edma"]


def test_list(capsys):
    assert area.main(["--list", "--only", "*usp256,*imx6sx"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "epbell_mu_imx6sx: no goal",
        "epbell_endpoint_usp256: 160 MHz (64 KiB of RAM, 6 windows)",
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"), [(["--only", "x"], "matches none of"), (["--seeds", "0"], "a number from 1 to 100")]
)
def test_wrong_arguments(arguments, complaint, capsys):
    with pytest.raises(SystemExit, match="2"):
        area.main(arguments)
    assert complaint in capsys.readouterr().err


def test_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{area_page.BEGIN}\n{area_page.END}\nafter\n")
    first, second = measured((210.0,)), measured((100.0, 101.0), name="epbell_mu_imx6sx", goal=None)
    area_page.update(page, [first], VERSIONS, "2026-01-02")
    area_page.update(page, [second], VERSIONS, "2026-01-03")
    lines = page.read_text().splitlines()
    assert [lines[0], lines[1], *lines[-2:]] == ["before", area_page.BEGIN, area_page.END, "after"]
    row = "| `epbell_mu_imx6sx` (as it is) | 700 | 20 | 1 | 100 | 100 | 101 | 2 |  |"
    assert lines[4] == f"{row} 2026-01-03, yosys 1.2, nextpnr-ecp5 3.4 |"
    row = "| `epbell_edma.doorbell` (as it is) | 700 | 20 | 1 | 210 | 210 | 210 | 1 |"
    assert lines[5].startswith(f"{row} 700 LUT4, 200 MHz: reached |")
    area_page.update(page, [measured((90.0,), 800)], VERSIONS, "2026-01-04")
    assert "200 MHz: missed | 2026-01-04" in page.read_text()
    assert len(page.read_text().splitlines()) == len(lines)


def test_page_without_a_place_for_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"{area_page.END}\n{area_page.BEGIN}\n")
    with pytest.raises(ToolError, match="must hold a line"):
        area_page.update(page, [measured((1.0,))], VERSIONS, "2026-01-02")
    with pytest.raises(ToolError, match=r"a page that can be read, not '.*nowhere\.md': No such file"):
        area_page.update(tmp_path / "nowhere.md", [], VERSIONS, "2026-01-02")


def test_the_page_of_the_documentation():
    text = (PROJECT / "docs" / "area.md").read_text()
    _, begin, rest = text.partition(area_page.BEGIN)
    table, end, _ = rest.partition(area_page.END)
    assert begin
    assert end
    named = re.findall(r"^\| `([\w.]+)`", table, re.MULTILINE)
    assert set(named) <= set(TARGETS)
    script = area_design.synthesis_script("m")
    (options,) = re.findall(r"synth_ecp5 (.*) -top", script)
    assert f"synth_ecp5 {options}`" in text  # what it says of the method is what is done


TOOLS = synthesis.Tools(Path(sys.prefix) / "fpga" / "bin")


@pytest.mark.skipif(not TOOLS.folder.is_dir(), reason="Yosys and nextpnr are not installed; `make area` installs them")
def test_a_counter_for_real(tmp_path):
    """A register with an adder: what is around it is not counted, and its speed is that of the adder."""
    text = RTLIL_COUNTER
    made = area_design.Design("counter", text, area_design.wrapper(text, "counter"))
    found = area_measure.measure(target(), made, [1], TOOLS, tmp_path)
    modules = json.loads((tmp_path / "cells.json").read_text())["modules"]
    assert modules["\\area"]["num_cells_by_type"]["TRELLIS_FF"] == 3 * 16 + 1  # inputs, outputs, the way to one pin
    assert found.netlist.ff == 16
    assert found.netlist.lut4 == 16 or found.netlist.lut4 == 2 * modules["\\counter"]["num_cells_by_type"]["CCU2C"]
    assert 100 < found.mhz[0] < 600
    assert found.median.path[0].split()[1] == "clk-to-q:"
    assert found.netlist.seconds > 0.1


@pytest.mark.skipif(not TOOLS.folder.is_dir(), reason="Yosys and nextpnr are not installed; `make area` installs them")
@pytest.mark.parametrize(("fanned", "luts"), [(1, 0), (8, 0), (9, 8), (10, 17)])
def test_clock_enables_for_real(tmp_path, fanned, luts):
    """Of 8 and of 9 flip-flops: a LUT for each flip-flop if there are fewer than those that are worth an enable."""
    made = area_design.Design("held", RTLIL_HELD, area_design.wrapper(RTLIL_HELD, "held"), fanned)
    made.write(tmp_path)
    (tmp_path / "script.ys").write_text(area_design.synthesis_script("held", fanned))
    TOOLS.run([TOOLS.program("yosys"), "-q", "-s", "script.ys"], tmp_path, tmp_path / "yosys.log")
    cells = json.loads((tmp_path / "cells.json").read_text())["modules"]["\\held"]["num_cells_by_type"]
    assert (cells["TRELLIS_FF"], cells.get("LUT4", 0)) == (17, luts)


RTLIL_HELD = "module \\held\n  wire width 1 input 0  \\clk\n"
for number, (name, width) in enumerate((("few", 8), ("many", 9))):
    RTLIL_HELD += f"""\
  wire width 1 input {3 * number + 1}  \\{name}_enable
  wire width {width} input {3 * number + 2}  \\{name}_given
  wire width {width} output {3 * number + 3}  \\{name}_held
  cell $dffe \\{name}_flops
    parameter \\WIDTH {width}
    parameter \\CLK_POLARITY 1
    parameter \\EN_POLARITY 1
    connect \\CLK \\clk
    connect \\EN \\{name}_enable
    connect \\D \\{name}_given
    connect \\Q \\{name}_held
  end
"""
RTLIL_HELD += "end\n"

RTLIL_COUNTER = """\
module \\counter
  wire width 1 input 0  \\clk
  wire width 16 input 1  \\step
  wire width 16 output 2  \\count
  wire width 16 \\next
  cell $add \\adder
    parameter \\A_SIGNED 0
    parameter \\A_WIDTH 16
    parameter \\B_SIGNED 0
    parameter \\B_WIDTH 16
    parameter \\Y_WIDTH 16
    connect \\A \\count
    connect \\B \\step
    connect \\Y \\next
  end
  cell $dff \\flops
    parameter \\WIDTH 16
    parameter \\CLK_POLARITY 1
    connect \\CLK \\clk
    connect \\D \\next
    connect \\Q \\count
  end
end
"""


def test_help_says_what_it_does():
    done = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert re.search(r"make area +measure how large", done.stdout)
