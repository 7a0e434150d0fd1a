"""Every exported module is clean under Verilator's -Wall, but for the rules that the header of its file waives."""

import os
import re
import subprocess

import pytest

from epbell import export
from epbell_tb import runner, toolchain

MODULE = "epbell_mu_imx8ulp"
# Defects that the waivers must not hide: each is planted before the end of a real module.
DEFECTS = {
    "UNDRIVEN": "wire planted; wire seen = planted & clk;",
    "LATCH": "reg planted; always @* if (clk) planted = rst;",
    "UNOPTFLAT": """wire [1:0] planted /*verilator public_flat_rd*/;
        assign planted = {planted[0] & rst, planted[1] ^ clk};""",
    "MULTIDRIVEN": """reg planted /*verilator public*/;
        always @(posedge clk) planted <= rst;
        always @(posedge rst) planted <= clk;""",
    "COMBDLY": "reg planted; always @* planted <= clk;",
}
# What Icarus stumbles over where Verilator does not, and what it would be.
STUMBLES = {
    r"always_comb\s+\S+ = \d+'h[0-9a-f]+;": "always_comb\n    _enters[0] = 1'h0;",
    r"\(\* full_case\b": "(* full_case = 32'd1 *)\n      if (clear) begin",
    r"\*\)\s*end\b": "(* planted = 32'd1 *)\n        \n      end else if",
}


def lint(path, module):
    """Return the warnings and errors, one line each."""
    command = [str(toolchain.find_verilator().program), "--lint-only", "-Wall", "--top-module", module, str(path)]
    env = {**os.environ, **toolchain.verilator_env()}
    ended = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=300)
    found = [line for line in ended.stderr.splitlines() if line.startswith("%")]
    assert found or ended.returncode == 0, ended.stderr
    return found


def waived(text):
    header = text[: text.index("\nmodule ")]
    return set(re.findall(r"verilator lint_off (\w+)", header))


@pytest.mark.parametrize("module", export.MODULES)
def test_clean(module, tmp_path):
    text = runner.source(module)
    path = tmp_path / f"{module}.sv"
    path.write_text(text)
    assert lint(path, module) == []
    assert waived(text) == set(export.WAIVED)
    assert text.count("lint_off") == len(export.WAIVED), "a waiver outside the header"
    assert not waived(text) & set(DEFECTS)
    assert [found[0] for what in STUMBLES if (found := re.search(what, text))] == []


@pytest.mark.parametrize("rule", DEFECTS)
def test_defect_is_found(rule, tmp_path):
    text = runner.source(MODULE)
    start = text.index(f"module {MODULE}(")
    end = text.index("endmodule", start)
    path = tmp_path / f"{MODULE}.sv"
    path.write_text(f"{text[:end]}{DEFECTS[rule]}\n{text[end:]}")
    assert any(f"-{rule}:" in line for line in lint(path, MODULE))


@pytest.mark.parametrize(("what", "example"), STUMBLES.items())
def test_what_icarus_stumbles_over_is_found(what, example):
    assert re.search(what, example)
