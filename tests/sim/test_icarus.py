"""The export on Icarus Verilog, the simulator of whoever has no other: it compiles, and says what Verilator says.

Icarus comes with the system; where it is missing these tests are skipped, with the sentence that tells how to get it.
"""

import json
import re
import subprocess

import pytest

from epbell import export
from epbell_tb import icarus, runner, sim, toolchain

try:
    toolchain.find_icarus()
    MISSING = ""
except toolchain.ToolError as error:
    MISSING = str(error)

# Icarus is many times slower than Verilator.
pytestmark = [pytest.mark.skipif(bool(MISSING), reason=MISSING), pytest.mark.timeout(1800)]
#: What Icarus says of each process that looks at a part of a vector: it then wakes up more often than it has to.
HARMLESS = re.compile(r"sorry: constant selects in always_\* processes are not currently supported")
FIGURES = ("name", "tree", "width", "stalls", "verdict", "rings", "irqs", "merged", "cycles_to_irq_min")
FEW = "doorbell_test_ten_times,wrong_offset"


def compiled(folder, module, text):
    """Return what Icarus says of a module: its exit status and its lines."""
    source = folder / f"{module}.sv"
    source.write_text(text)
    command = ["iverilog", "-g2012", "-Wall", "-Wno-timescale", "-s", module, "-o", str(folder / "out"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, [line for line in (done.stdout + done.stderr).splitlines() if not HARMLESS.search(line)]


@pytest.mark.parametrize("module", export.MODULES)
def test_compiles_without_a_word(module, tmp_path):
    assert compiled(tmp_path, module, runner.source(module)) == (0, [])


@pytest.mark.parametrize(
    ("planted", "said"),
    [("wire one = no_such_name;", "no_such_name"), ("assign clk = 0; reg [1:0 two;", "syntax error")],
)
def test_a_wrong_module_is_refused(planted, said, tmp_path):
    text = runner.source("epbell_edma").replace("endmodule", f"{planted}\nendmodule", 1)
    status, lines = compiled(tmp_path, "epbell_edma", text)
    assert status != 0
    assert any(said in line for line in lines)


def rows(folder, simulator, *arguments):
    assert sim.main(["--sim", simulator, "--jobs", "1", "--report", str(folder / simulator), *arguments]) == 0
    content = json.loads((folder / simulator / "summary.json").read_text())
    return [{figure: row[figure] for figure in FIGURES} for row in content["scenarios"]]


@pytest.mark.parametrize(("width", "stalls"), [(256, "off"), (64, "on")])
def test_scenarios_tell_the_same_as_on_verilator(width, stalls, tmp_path):
    """Not one figure may differ: same seed, same software, same RTL."""
    chosen = ["--width", str(width), "--stalls", stalls, "--tree", "imx8", "--scenario", FEW]
    told = rows(tmp_path, runner.ICARUS, *chosen)
    assert len(told) == len(FEW.split(","))
    assert sum(row["rings"] for row in told) > 10
    assert told == rows(tmp_path, runner.VERILATOR, *chosen)


def test_waves(tmp_path, capfd):
    chosen = ["--width", "64", "--stalls", "off", "--tree", "imx8", "--scenario", "wrong_offset", "--waves"]
    assert sim.main(["--sim", "icarus", "--report", str(tmp_path), *chosen]) == 0
    waves = tmp_path / "imx8-usp64-stalls-off-icarus" / icarus.WAVES
    assert f"waves: {waves}" in capfd.readouterr().out
    assert waves.stat().st_size > 10_000
